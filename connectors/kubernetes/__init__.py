"""Scaling what runs on Kubernetes."""
