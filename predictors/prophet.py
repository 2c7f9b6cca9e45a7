"""Prophet, asked for the right moment: trend with changes of slope, and seasons where history shows them.

Every interval keeps its place in time, `index × interval` after a fixed start, and the forecast is for
`index + steps`. Unknown intervals are simply left out: Prophet needs no equal spacing.
"""

import logging
import math
import tempfile
import warnings
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from config.policy import ForecastPolicy
from predictors.base import SeriesForecast
from predictors.series import LARGEST, IdleSkip, bounded, checked, checked_steps

if TYPE_CHECKING:
    from pandas import DataFrame
    from prophet import Prophet

_WINDOW = 100
_LEAST_POINTS = 5
_POINTS_PER_REFIT = 100
_FARTHEST = 1000
_HIGHEST_RATIO = 3.0
_FITS_KEPT = 512
_START = "2024-01-01"
_LARGEST_LOG = math.log(LARGEST)
_UNFIT = (ValueError, ArithmeticError, LookupError, RuntimeError, OSError)

Window = tuple[tuple[int, float], ...]
"""Index and value of every known interval, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """A fitted model, or None if the values of its window were all the same."""

    model: "Prophet | None"
    interval_s: float
    level: float

    def at(self, index: int) -> float:
        """Return what the model says of an interval."""
        if self.model is None:
            return self.level
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(self.model.predict(_frame((index,), self.interval_s))["yhat"].iloc[0])


class ProphetPredictor:
    """Forecast with a Prophet model of the latest points.

    Args:
        interval_s: Time between two intervals, which tells a day from an hour.
        window_points: Fit on this many latest points; None is 100.
        log1p: Work on ln(1 + y).
        min_points: With fewer known values the forecast is the last one; fewer than 5 tell no trend.

    Example:
        >>> predictor = ProphetPredictor(interval_s=60.0)
        >>> for count in (50.0,) * 12:
        ...     predictor.observe(count)
        >>> predictor.forecast(1).mean
        50.0
    """

    def __init__(
        self,
        *,
        interval_s: float,
        window_points: int | None = None,
        log1p: bool = False,
        min_points: int = 5,
    ) -> None:
        self._interval_s = interval_s
        self._log1p = log1p
        self._min_points = max(_LEAST_POINTS, min_points)
        self._window: deque[tuple[int, float]] = deque(maxlen=max(_LEAST_POINTS, window_points or _WINDOW))
        self._skip = IdleSkip()
        self._index = -1
        self._points = 0
        self._filled = 0
        self._fit: _Fit | None = None
        self._answers: dict[int, float] = {}
        self._trouble = ""

    @property
    def points(self) -> int:
        """Known values that were learned from."""
        return self._points

    @property
    def filled(self) -> int:
        """Always 0: unknown intervals are left out, not filled."""
        return self._filled

    @property
    def trouble(self) -> str:
        """Why the latest fit gave no model, so that an older one serves; empty if all is well."""
        return self._trouble

    def observe(self, value: float | None) -> None:
        """Learn from the value; an unknown interval lets time pass."""
        if value is None:
            self._index += bool(self._points)
            return
        known = checked(value)
        if not self._skip.drops(known):
            self._learn(known)

    def forecast(self, steps: int) -> SeriesForecast:
        """Return the model's forecast; the last value while there is no model."""
        ahead = min(checked_steps(steps), _FARTHEST)
        return SeriesForecast(mean=self._from_scale(self._expected(self._index + ahead)))

    def _learn(self, value: float) -> None:
        self._index += 1
        self._points += 1
        self._window.append((self._index, math.log1p(value) if self._log1p else value))
        if self._points >= self._min_points and self._points % self._refit_every() == 0:
            self._refit()

    def _refit_every(self) -> int:
        return max(1, len(self._window) // _POINTS_PER_REFIT)

    def _refit(self) -> None:
        try:
            self._fit = _fitted(tuple(self._window), self._interval_s)
        except _UNFIT as error:
            kept = "the last model" if self._fit else "the last value"
            self._trouble = f"no Prophet model fits {len(self._window)} points: {error}; {kept} stays in use"
        else:
            self._answers.clear()
            self._trouble = ""

    def _expected(self, index: int) -> float:
        if not self._window:
            return 0.0
        if self._fit is None:
            return self._window[-1][1]
        if index not in self._answers:
            self._answers[index] = self._fit.at(index)
        raw = self._answers[index]
        return min(max(0.0, raw), self._highest()) if math.isfinite(raw) else self._window[-1][1]

    def _highest(self) -> float:
        highest = max(value for _, value in self._window)
        return highest + math.log(_HIGHEST_RATIO) if self._log1p else min(_HIGHEST_RATIO * highest, LARGEST)

    def _from_scale(self, value: float) -> float:
        return bounded(math.expm1(min(value, _LARGEST_LOG)) if self._log1p else value)


def build(policy: ForecastPolicy) -> ProphetPredictor:
    """Build the predictor that the policy describes."""
    return ProphetPredictor(
        interval_s=policy.interval_s,
        window_points=policy.window_points,
        log1p=policy.log1p,
        min_points=policy.min_points,
    )


@lru_cache(maxsize=_FITS_KEPT)
def _fitted(window: Window, interval_s: float) -> _Fit:
    """Return the model of a window; pure, so its answers are kept."""
    indices, values = zip(*window, strict=True)
    if min(values) == max(values):
        return _Fit(model=None, interval_s=interval_s, level=values[-1])
    _silence()
    from prophet import Prophet

    frame = _frame(indices, interval_s).assign(y=values)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="setpoint-prophet-") as folder:
        warnings.simplefilter("ignore")
        model = Prophet(uncertainty_samples=0)
        model.fit(frame, algorithm="LBFGS", seed=1, output_dir=folder)
    return _Fit(model=model, interval_s=interval_s, level=values[-1])


def _frame(indices: tuple[int, ...], interval_s: float) -> "DataFrame":
    import pandas as pd

    seconds = [index * interval_s for index in indices]
    return pd.DataFrame({"ds": pd.Timestamp(_START) + pd.to_timedelta(seconds, unit="s")})


def _silence() -> None:
    """Keep what Prophet and cmdstan tell of every fit off the terminal; what went wrong is raised."""
    for name in ("prophet", "prophet.plot", "prophet.models", "cmdstanpy"):
        logging.getLogger(name).disabled = True
