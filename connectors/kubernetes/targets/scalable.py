"""Anything that has a scale subresource."""

from config.errors import ConfigError
from connectors.kubernetes.api import Api
from connectors.kubernetes.target import Reference, Target


async def build(reference: Reference, api: Api) -> Target:
    """Find the object."""
    del api
    raise ConfigError("kinds that only have a scale subresource are not built yet", key=reference.key)
