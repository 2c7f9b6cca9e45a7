"""Reading engine profiles."""
