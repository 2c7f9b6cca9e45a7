"""The outside world, behind two protocols (`connectors.base`)."""
