"""How good would a predictor's forecasts of this load have been?

The series is walked from its beginning, as the daemon would have lived it: after each interval the predictor
learns from it and forecasts every horizon; each forecast is scored when its interval has come. A forecast
thus never rests on what came later. The first fifth of the intervals only warms up, and is not scored.

Errors are told relative to those of the last known value over the same intervals (a mean absolute scaled
error): below 1 the predictor earns its keep, above 1 the simplest forecast there is does better. Quantiles
are judged by how often the load stayed below them.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from predictors.base import Predictor, SeriesForecast
from predictors.calibration import Calibrated

WARM_UP_SHARE = 0.2
_ROUNDING = 1e-9
_LOW, _SIZED, _HIGH = 0.05, 0.9, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is forecast: one number for each interval, oldest first.

    Attributes:
        values: The load; None is an interval that is not known.
        predictor_factor: What a predictor is given is the value times this, and it forecasts in that unit.
            Arrivals per second times the interval are counts, as in the daemon.
        is_sparse: Predictors see known values only, one after the other: mean lengths, which no interval
            without requests has.
    """

    values: tuple[float | None, ...]
    predictor_factor: float = 1.0
    is_sparse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One forecast and what came, in the unit of the series.

    Attributes:
        index: The interval, counted from 0.
        actual: What came.
        last: The last known value when the forecast was made.
        mean: The point forecast.
        low: Its 0.05 quantile.
        sized: Its 0.9 quantile, which a fleet may be sized for.
        high: Its 0.95 quantile.
        calibrated: True if the quantiles rested on enough past errors.
    """

    index: int
    actual: float
    last: float
    mean: float
    low: float
    sized: float
    high: float
    calibrated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """A series that was walked to its end.

    Attributes:
        points: Scored forecasts of each horizon, by steps ahead.
        step_times_s: Time that learning from each interval and forecasting all horizons took.
    """

    points: dict[int, tuple[Point, ...]]
    step_times_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good forecasts were, over all scored intervals; errors are in the unit of the series.

    Attributes:
        scored: Number of intervals.
        mean_actual: What came, on average.
        mean_error: Mean absolute error.
        mean_last_error: Mean absolute error of the last known value.
        bias: Mean of forecast minus actual; positive is too much.
        sized_loss: Mean pinball loss of the 0.9 quantile; the less, the better it is to size for.
        covered_ratio: Share of intervals that stayed at or below the 0.9 quantile; 0.9 is right.
        central_ratio: Share of intervals from the 0.05 to the 0.95 quantile; 0.9 is right.
        calibrated_ratio: Share of forecasts whose quantiles rested on enough past errors.
    """

    scored: int
    mean_actual: float
    mean_error: float
    mean_last_error: float
    bias: float
    sized_loss: float
    covered_ratio: float
    central_ratio: float
    calibrated_ratio: float

    @property
    def relative_error(self) -> float | None:
        """Error relative to that of the last value; None where the last value made none and this one did."""
        rounding = _ROUNDING * self.mean_actual
        if self.mean_last_error > rounding:
            return self.mean_error / self.mean_last_error
        return 1.0 if self.mean_error <= rounding else None


def walk(
    predictor: Predictor,
    series: Series,
    *,
    horizons: Sequence[int],
    now_s: Callable[[], float],
    passed: Callable[[int], None] | None = None,
) -> Walked:
    """Walk a series with a fresh predictor.

    Args:
        predictor: A fresh one.
        series: The load.
        horizons: Steps ahead to score, 1 being the next interval.
        now_s: Clock that the time of fits is taken from.
        passed: Told the number of intervals walked so far, after each.

    Example:
        >>> from predictors.constant import ConstantPredictor
        >>> series = Series(values=(10.0, 12.0, 11.0, 13.0, 12.0))
        >>> walked = walk(ConstantPredictor(), series, horizons=(1,), now_s=lambda: 0.0)
        >>> [(point.index, point.mean, point.actual) for point in walked.points[1]]
        [(1, 10.0, 12.0), (2, 12.0, 11.0), (3, 11.0, 13.0), (4, 13.0, 12.0)]
        >>> score_of(walked.points[1]).relative_error
        1.0
    """
    walker = _Walker(predictor, series, horizons)
    times_s = []
    for index, value in enumerate(series.values):
        began_s = now_s()
        walker.step(index, value)
        times_s.append(now_s() - began_s)
        if passed is not None:
            passed(index + 1)
    return Walked(
        points={track.steps: tuple(track.points) for track in walker.tracks}, step_times_s=tuple(times_s)
    )


def score_of(points: Sequence[Point]) -> Score | None:
    """Judge forecasts; None where there are none."""
    if not points:
        return None
    return Score(
        scored=len(points),
        mean_actual=_mean(point.actual for point in points),
        mean_error=_mean(abs(point.mean - point.actual) for point in points),
        mean_last_error=_mean(abs(point.last - point.actual) for point in points),
        bias=_mean(point.mean - point.actual for point in points),
        sized_loss=_mean(_pinball(point.sized, point.actual) for point in points),
        covered_ratio=_mean(point.actual <= _upper(point.sized) for point in points),
        central_ratio=_mean(_is_central(point) for point in points),
        calibrated_ratio=_mean(point.calibrated for point in points),
    )


class _Walker:
    def __init__(self, predictor: Predictor, series: Series, horizons: Sequence[int]) -> None:
        self._series = series
        self._predictor = Calibrated(predictor, levels=(_LOW, _SIZED, _HIGH), horizons=tuple(horizons))
        first_scored = math.ceil(WARM_UP_SHARE * len(series.values))
        self.tracks = tuple(_Track(steps, series, first_scored) for steps in sorted(set(horizons)))
        self._last: float | None = None

    def step(self, index: int, value: float | None) -> None:
        for track in self.tracks:
            track.score(index, value)
        if value is not None:
            self._last = value
        if value is not None or not self._series.is_sparse:
            factor = self._series.predictor_factor
            self._predictor.observe(None if value is None else value * factor)
        for track in self.tracks:
            track.keep(self._predictor.forecast(track.steps), self._last)


class _Track:
    """Forecasts of one horizon: those to come, and those that were scored."""

    def __init__(self, steps: int, series: Series, first_scored: int) -> None:
        self.steps = steps
        self.points: list[Point] = []
        self._factor = series.predictor_factor
        self._first_scored = first_scored
        self._pending: deque[tuple[SeriesForecast, float | None]] = deque()

    def keep(self, forecast: SeriesForecast, last: float | None) -> None:
        self._pending.append((forecast, last))

    def score(self, index: int, actual: float | None) -> None:
        if len(self._pending) < self.steps:
            return
        forecast, last = self._pending.popleft()
        if actual is None or last is None or index < self._first_scored:
            return
        self.points.append(
            Point(
                index=index,
                actual=actual,
                last=last,
                mean=forecast.mean / self._factor,
                low=forecast.at(_LOW) / self._factor,
                sized=forecast.at(_SIZED) / self._factor,
                high=forecast.at(_HIGH) / self._factor,
                calibrated=forecast.calibrated,
            )
        )


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _pinball(quantile: float, actual: float) -> float:
    return max(_SIZED * (actual - quantile), (_SIZED - 1.0) * (actual - quantile))


def _is_central(point: Point) -> bool:
    return point.low <= _upper(point.actual) and point.actual <= _upper(point.high)


def _upper(limit: float) -> float:
    """Return the limit with room for rounding: a load equal to a quantile is covered by it."""
    return limit + _ROUNDING * max(1.0, abs(limit))
