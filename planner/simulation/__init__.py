"""The simulated fleet."""
