"""Which forecasts does a command line ask to be compared?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from config.errors import ConfigError
from config.load import Loaded
from config.policy import ForecastPolicy
from planner.commands.flags import Given
from planner.commands.forecast import Question
from planner.commands.forecast_flags import SeriesKind
from planner.commands.values import duration
from predictors.registry import make, names

_HORIZONS = ("1m", "5m")
_PAST = "24h"
_LIMIT = "10m"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as the command line gives it; None where it does not say."""

    traces: Sequence[Path] | None = None
    last: str | None = None
    intervals: Sequence[str] | None = None
    horizons: Sequence[str] | None = None
    predictors: Sequence[str] | None = None
    kind: SeriesKind = SeriesKind.ARRIVALS
    limit: str = _LIMIT

    def question(self, loaded: Loaded) -> Question:
        """Read it; what it does not say is from the settings.

        Raises:
            ConfigError: If a value cannot be used.
        """
        intervals_s = _each(self.intervals, lambda text: duration("--interval", text))
        horizons_s = _each(self.horizons or _HORIZONS, lambda text: duration("--horizon", text))
        last = self.last if self.last is not None or self.traces else _PAST
        return Question(
            traces=tuple(self.traces or ()),
            last_s=None if last is None else duration("--last", last),
            intervals_s=intervals_s or (loaded.settings.interval,),
            horizons_s=horizons_s,
            predictors=_each(self.predictors, _predictor) or names(),
            kind=self.kind,
            limit_s=duration("--limit", self.limit),
        )


def require_one_place(given: Given, asked: Asked, loaded: Loaded) -> None:
    """Check that there is a load, and only one place to read it from.

    Raises:
        ConfigError: If there is none or more than one.
    """
    if asked.traces and "--prometheus" in given.values:
        raise ConfigError(
            "a trace is given too", key="--prometheus", hint="the past is read from one place; keep one"
        )
    is_known = loaded.origins["prometheus.url"].is_given
    if not asked.traces and not is_known:
        raise ConfigError(
            "no load is given to forecast",
            hint="name a trace of requests, or give --prometheus http://127.0.0.1:9090",
        )


def _each(texts: Sequence[str] | None, read: Callable[[str], _T]) -> tuple[_T, ...]:
    """Read values that were given one by one or with commas between, each once."""
    parts = [part.strip() for text in texts or () for part in text.split(",")]
    return tuple(dict.fromkeys(read(part) for part in parts))


def _predictor(name: str) -> str:
    if name not in names():
        try:
            make(ForecastPolicy(predictor=name))
        except ConfigError as error:
            raise ConfigError(error.problem, key="--predictor", hint=error.hint) from None
    return name
