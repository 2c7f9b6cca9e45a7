"""Which Setpoint this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """Return the version of the installed distribution; `0+source` if it runs from a bare folder."""
    try:
        return installed_version("setpoint")
    except PackageNotFoundError:
        return "0+source"
