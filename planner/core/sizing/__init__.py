"""How replicas are sized, one file per solver."""
