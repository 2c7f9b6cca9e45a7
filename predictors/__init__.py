"""Load predictors: one small file each, found through a registry."""
