"""One small file per kind of thing that can be scaled; Kubernetes paths are written here and nowhere else."""
