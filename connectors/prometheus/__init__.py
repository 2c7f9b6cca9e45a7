"""Reading traffic from Prometheus, or from the metrics endpoints themselves."""
