"""Dynamo's own variables, planner keys and manifests, as a source of Setpoint's settings."""
