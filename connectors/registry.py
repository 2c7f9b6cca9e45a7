"""Actuators and sources that other distributions bring along, found by their entry points."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from config.clock import Clock
from config.errors import ConfigError
from connectors.base import Actuator, MetricsSource

Built = TypeVar("Built")
Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builders(Generic[Built]):
    """The entry points of one group, by name; nothing is imported before it is chosen."""

    group: str
    found: Mapping[str, EntryPoint]

    def builder(self, name: str) -> Callable[[Settings, Clock], Built]:
        """Import the builder of this name.

        Raises:
            ConfigError: If there is none, or it cannot be imported.
        """
        if name not in self.found:
            raise ConfigError(f"no connector is named {name!r}", key=self.group, hint=self._hint(name))
        try:
            builder: Callable[[Settings, Clock], Built] = self.found[name].load()
        except (ImportError, AttributeError) as error:
            where = f"{name!r} is registered as {self.found[name].value}, which cannot be imported: {error}"
            raise ConfigError(where, key=self.group, hint="install the distribution that has it") from error
        return builder

    def _hint(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.found, n=1)
        known = f"installed are: {', '.join(sorted(self.found)) or 'none'}"
        return f"did you mean {near[0]!r}?" if near else known


def actuator_builders() -> Builders[Actuator]:
    """Return the installed third-party actuators (group `setpoint.actuators`)."""
    return _builders("setpoint.actuators")


def source_builders() -> Builders[MetricsSource]:
    """Return the installed third-party metrics sources (group `setpoint.sources`)."""
    return _builders("setpoint.sources")


def _builders(group: str) -> Builders[Built]:
    return Builders(group=group, found={point.name: point for point in entry_points(group=group)})
