"""The decision: pure functions over frozen data."""
