"""Prophet, asked for the right moment: a trend whose slope changes, and seasons where history shows them.

Every interval keeps its place in time, `index × interval` after a fixed start, and the forecast is for
`index + steps`. Dynamo 0.9.0 asks for the second `index` after the start instead, which is near the window's
beginning (a ramp from 10 to 200 is forecast at 13). Unknown intervals are left out: Prophet needs no equal
spacing. Daily and weekly seasons appear by Prophet's own rule, once the window spans two of them.

Prophet draws a smooth curve *through* a series, for people who plan by the week; alone it is a poor forecast
of the next minute. Three things are added, each tried on recorded traces. Scores are mean errors one
interval ahead, divided by those of the last value, on hour-long traces at 30 and 60 s and a day at 180 s:

- What the last value was off the curve is carried on, times a share that is learned from the forecasts so
  far (the regression of their errors on it, from 0 to 1). Worst score 1.06; without it 2.0.
- The slope fades, by a fifth with each interval (Gardner and McKenzie, Management Science 31, 1985). Worst
  score five minutes ahead 1.05; with the full slope 1.28.
- `changepoint_prior_scale` is 0.5 where Prophet has 0.05, so that the slope may change within minutes: on
  bursty code 0.88 and 0.91 for 0.94 and 1.01.

All three together: worst score 1.03, best 0.69; on the day at 60 s, which chose nothing here, 1.02, and 1.11
five minutes ahead. The default window is 100 points, which costs less than 50:
from 100 on Prophet optimizes with L-BFGS, which is asked for here at any size, as Newton takes 3 times as
long. A fit takes 20 to 30 ms up to 300 points; a longer window is fitted anew with every hundredth of it.

A fit that fails changes nothing but `trouble`: the model in use goes on. Before the first model the last
value serves.
"""

import logging
import math
import tempfile
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from config.policy import ForecastPolicy
from predictors.base import SeriesForecast
from predictors.scale import scaled, unscaled
from predictors.series import IdleSkip, checked, checked_steps

if TYPE_CHECKING:
    from pandas import DataFrame
    from prophet import Prophet

_WINDOW = 100
_LEAST_POINTS = 5
_POINTS_PER_REFIT = 100
_CHANGEPOINT_SCALE = 0.5
_SLOPE_KEPT_RATIO = 0.8
_REMEMBERED = 50
_FARTHEST = 1000
_FITS_KEPT = 512
_START = "2024-01-01"
_UNFIT = (ValueError, ArithmeticError, LookupError, RuntimeError, OSError)

Window = tuple[tuple[int, float], ...]
"""Index and value of every known interval, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A fitted curve, from the last interval of its window on.

    Attributes:
        index: That interval.
        trend: Its trend there.
        slope: How much the trend rises per interval, there.
        interval_s: Time between two intervals.
        seasons: The model, if it has seasons.
    """

    index: int
    trend: float
    slope: float
    interval_s: float
    seasons: "Prophet | None" = None

    def at(self, index: int) -> float:
        """Return the curve at an interval; the slope fades beyond the last one that was seen."""
        kept = _SLOPE_KEPT_RATIO
        ahead = kept * (1.0 - kept ** (index - self.index)) / (1.0 - kept)
        return self.trend + ahead * self.slope + self._season(index)

    def _season(self, index: int) -> float:
        if self.seasons is None:
            return 0.0
        return float(_predicted(self.seasons, (index,), self.interval_s)["additive_terms"].iloc[0])


Fitter = Callable[[Window, float], Curve]
"""Fits a curve to a window, given the time between two intervals in seconds; a pure function."""


class ProphetPredictor:
    """Forecast with a Prophet model of the latest points, and with what the last one was off it.

    Args:
        interval_s: Time between two intervals, which tells a day from an hour.
        window_points: Fit on this many latest points, 5 or more; None is 100.
        log1p: Work on ln(1 + y).
        min_points: With fewer known values the forecast is the last one; fewer than 5 tell no trend.
        fit: How curves are fitted; None is Prophet.

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
        fit: Fitter | None = None,
    ) -> None:
        self._interval_s = interval_s
        self._log1p = log1p
        self._min_points = max(_LEAST_POINTS, min_points)
        self._fitter = fit or fitted
        self._window: deque[tuple[int, float]] = deque(maxlen=max(_LEAST_POINTS, window_points or _WINDOW))
        self._skip = IdleSkip()
        self._index = -1
        self._points = 0
        self._curve: Curve | None = None
        self._off = 0.0
        self._offs: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._trouble = ""

    @property
    def points(self) -> int:
        """Known values that were learned from."""
        return self._points

    @property
    def filled(self) -> int:
        """Unknown intervals for which a value was made up: always 0, they are left out."""
        return 0

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
            self._learn(scaled(known, log1p=self._log1p))

    def forecast(self, steps: int) -> SeriesForecast:
        """Return the model's forecast, as of 1000 steps for more; the last value while there is no model."""
        expected = self._expected(self._index + min(checked_steps(steps), _FARTHEST))
        highest = max((value for _, value in self._window), default=0.0)
        return SeriesForecast(mean=unscaled(expected, log1p=self._log1p, highest=highest))

    def _learn(self, value: float) -> None:
        self._index += 1
        self._points += 1
        if self._curve is not None and self._window[-1][0] == self._index - 1:
            self._offs.append((self._off, value - self._curve.at(self._index)))
        self._window.append((self._index, value))
        if self._points >= self._min_points and self._points % self._refit_every() == 0:
            self._refit()
        if self._curve is not None:
            self._off = value - self._curve.at(self._index)

    def _refit_every(self) -> int:
        return max(1, len(self._window) // _POINTS_PER_REFIT)

    def _refit(self) -> None:
        try:
            self._curve = self._fitter(tuple(self._window), self._interval_s)
        except _UNFIT as error:
            kept = "the last model" if self._curve else "the last value"
            self._trouble = f"no Prophet model fits {len(self._window)} points: {error}; {kept} stays in use"
        else:
            self._trouble = ""

    def _expected(self, index: int) -> float:
        if not self._window:
            return 0.0
        last_index, last = self._window[-1]
        if self._curve is None:
            return last
        carried = _carried_ratio(self._offs) ** (index - last_index) * self._off
        expected = self._curve.at(index) + carried
        return expected if math.isfinite(expected) else last


def build(policy: ForecastPolicy) -> ProphetPredictor:
    """Build the predictor that the policy describes."""
    return ProphetPredictor(
        interval_s=policy.interval_s,
        window_points=policy.window_points,
        log1p=policy.log1p,
        min_points=policy.min_points,
    )


@lru_cache(maxsize=_FITS_KEPT)
def fitted(window: Window, interval_s: float) -> Curve:
    """Return Prophet's curve for the window; a pure function, whose latest answers are kept.

    Nothing is written to the terminal, and what cmdstan writes to disk is removed.

    Raises:
        RuntimeError: If the optimizer finds nothing; other errors of arithmetic come as they are.
    """
    indices, values = zip(*window, strict=True)
    last: int = indices[-1]
    if min(values) == max(values):
        return Curve(index=last, trend=values[-1], slope=0.0, interval_s=interval_s)
    _silence()
    from prophet import Prophet

    model = Prophet(uncertainty_samples=0, changepoint_prior_scale=_CHANGEPOINT_SCALE)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="setpoint-prophet-") as folder:
        warnings.simplefilter("ignore")
        frame = _frame(indices, interval_s).assign(y=values)
        model.fit(frame, algorithm="LBFGS", seed=1, output_dir=folder)
    trend = _predicted(model, (last, last + 1), interval_s)["trend"]
    now, following = float(trend.iloc[0]), float(trend.iloc[1])
    seasons = model if model.seasonalities else None
    return Curve(index=last, trend=now, slope=following - now, interval_s=interval_s, seasons=seasons)


def _carried_ratio(offs: deque[tuple[float, float]]) -> float:
    """Return how much of what a value was off the curve the next one is off too, from 0 to 1."""
    square = sum(before * before for before, _ in offs)
    product = sum(before * after for before, after in offs)
    ratio = product / square if square > 0.0 else 1.0
    return min(max(0.0, ratio), 1.0) if math.isfinite(ratio) else 1.0


def _predicted(model: "Prophet", indices: tuple[int, ...], interval_s: float) -> "DataFrame":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.predict(_frame(indices, interval_s))


def _frame(indices: tuple[int, ...], interval_s: float) -> "DataFrame":
    import pandas as pd

    seconds = [index * interval_s for index in indices]
    return pd.DataFrame({"ds": pd.Timestamp(_START) + pd.to_timedelta(seconds, unit="s")})


def _silence() -> None:
    """Keep what Prophet and cmdstan tell of every fit off the terminal; what went wrong is raised."""
    for name in ("prophet", "prophet.plot", "prophet.models", "cmdstanpy"):
        logging.getLogger(name).disabled = True
