"""Which predictor does a name stand for?

A predictor is known by the name of an entry point in the group `setpoint.predictors`; the object behind it
is a builder, `build(policy: ForecastPolicy) -> Predictor`. A third party declares one in its own
distribution and is found without a change here. The built-in ones stand in the table below as well, so that
a source tree that was never installed knows them, and so that nobody's package can take their names.

A builder's module is imported when its name is chosen, not before: a heavy library costs only those who use
it.
"""

import difflib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from config.errors import ConfigError
from config.policy import ForecastPolicy
from predictors.base import Predictor

GROUP = "setpoint.predictors"
"""The entry-point group of builders."""

Builder = Callable[[ForecastPolicy], Predictor]
"""What an entry point of the group names."""

# One line per built-in predictor, and the same line in pyproject.toml under the group's name. One that rests
# on a heavy library (arima on pmdarima, prophet on prophet) imports it inside the function that needs it.
_BUILT_IN = {
    "arima": "predictors.arima:build",
    "constant": "predictors.constant:build",
    "kalman": "predictors.kalman:build",
    "prophet": "predictors.prophet:build",
}

HEAVY = {"arima": "pmdarima", "prophet": "prophet"}
"""Built-in predictors whose fits take too long for an event loop, and the library that each rests on."""


def names() -> tuple[str, ...]:
    """Return all known names in alphabetical order, third parties' included; imports none of them.

    Example:
        >>> {"constant", "kalman"} <= set(names())
        True
    """
    return tuple(sorted({*_BUILT_IN, *entry_points(group=GROUP).names}))


def make(policy: ForecastPolicy) -> Predictor:
    """Build a fresh predictor of the kind that the policy names.

    Its forecasts are points; `predictors.calibration.Calibrated` adds the quantiles.

    Raises:
        ConfigError: If nobody registered the name, or what was registered cannot be imported.

    Example:
        >>> predictor = make(ForecastPolicy(predictor="constant"))
        >>> predictor.observe(3.0)
        >>> predictor.forecast(1).mean
        3.0
    """
    return _builder(policy.predictor)(policy)


def require(name: str) -> None:
    """Check that somebody registered the name, without importing anything.

    Raises:
        ConfigError: If nobody did.

    Example:
        >>> require("constant")
    """
    _entry(name)


def _builder(name: str) -> Builder:
    entry = _entry(name)
    try:
        builder: Builder = entry.load()
    except (ImportError, AttributeError) as error:
        raise _unusable(entry, str(error)) from error
    if not callable(builder):
        raise _unusable(entry, "that is not a function build(policy)")
    return builder


def _entry(name: str) -> EntryPoint:
    if name in _BUILT_IN:
        return EntryPoint(name=name, value=_BUILT_IN[name], group=GROUP)
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        raise _unknown(name)
    return found[0]


def _unusable(entry: EntryPoint, why: str) -> ConfigError:
    return ConfigError(
        f"predictor {entry.name!r} cannot be loaded from {entry.value!r}: {why}",
        key="forecast.predictor",
        hint=f"install what it needs, or choose another: {', '.join(names())}",
    )


def _unknown(name: str) -> ConfigError:
    known = names()
    near = difflib.get_close_matches(name.lower(), known, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(
        f"no predictor is called {name!r}",
        key="forecast.predictor",
        hint=f"{guess}known: {', '.join(known)}",
    )
