"""Actuators that scale something that is not a cluster: memory, etcd, a webhook."""
