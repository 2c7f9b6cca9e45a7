"""The autoscaler: a pure core, and the shell around it."""
