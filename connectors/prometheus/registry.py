"""Which dialects there are: the built-in ones, and those of the entry-point group `setpoint.dialects`."""

import difflib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

from config.errors import ConfigError
from connectors.prometheus.dialect import Dialect
from connectors.prometheus.dialects.dynamo import dynamo

GROUP = "setpoint.dialects"
_BUILT_IN: Mapping[str, Callable[[], Dialect]] = {"dynamo": dynamo}


def dialect_names() -> tuple[str, ...]:
    """Return all names that `load_dialect` knows, in alphabetical order."""
    return tuple(sorted({*_BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))}))


def load_dialect(name: str) -> Dialect:
    """Return the dialect of that name; a built-in one wins over an entry point.

    Raises:
        ConfigError: If there is none, or the one of a third party cannot be loaded.

    Example:
        >>> load_dialect("dynamo").completed
        'dynamo_frontend_requests_total'
    """
    if built_in := _BUILT_IN.get(name):
        return built_in()
    for entry in entry_points(group=GROUP, name=name):
        return _from_third_party(entry)
    raise _unknown(name)


def _unknown(name: str) -> ConfigError:
    names = dialect_names()
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are: {', '.join(names)}"
    return ConfigError(f"unknown metric dialect {name!r}", key="prometheus.dialect", hint=hint)


def _from_third_party(entry: EntryPoint) -> Dialect:
    try:
        build = entry.load()
    except (ImportError, AttributeError) as error:
        problem = f"cannot load {entry.value!r}, registered as {entry.name!r}: {error}"
        raise ConfigError(
            problem, key="prometheus.dialect", hint="reinstall the package that brings it"
        ) from error
    dialect = build()
    if not isinstance(dialect, Dialect):
        problem = f"{entry.value!r} returned {type(dialect).__name__}, expected a Dialect"
        raise ConfigError(problem, key="prometheus.dialect")
    return dialect
