"""A level and its trend, tracked by a Kalman filter.

The local linear trend model, with Dynamo 0.9.0's numbers. The state is level and trend, in units per
interval:

    level' = level + trend + noise of variance q_level
    trend' = trend + noise of variance q_trend
    value  = level + noise of variance r

The first kept value sets level = value, trend = 0 with variance 1000 each, and the next value counts in full.
Because those variances are large, the second value sets the trend to almost half of the jump.

Held here is always the state *predicted for the next interval*, which makes a forecast a plain reading that
changes nothing, and an unknown interval one more prediction without an update. Dynamo predicts lazily and
caches; the numbers are the same. The filter is written out in floats, proven equal to filterpy's by a test,
because filterpy costs 1.7 s of import and 65 times the time.

Differences from Dynamo 0.9.0, on purpose: forecasts are never negative, an unknown interval is not a zero,
and `min_points` is obeyed. 0.9.0 stores that number (5) and ignores it; `min_points=1` gives its forecasts.
"""

import math
from dataclasses import dataclass

from config.errors import ConfigError
from config.policy import ForecastPolicy
from predictors.base import SeriesForecast
from predictors.series import LARGEST, IdleSkip, bounded, checked, checked_steps

_FIRST_VARIANCE = 1000.0
_LEAST_Q = 1e-12
_LEAST_R = 1e-9
_LARGEST_NOISE = 1e12
_LARGEST_LOG = math.log(LARGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class KalmanState:
    """What the filter believes about the next interval; logarithms if it works on ln(1 + y).

    Attributes:
        level: Expected value.
        trend: Expected change per interval.
        level_variance: Variance of the level, the covariance matrix's upper left entry.
        covariance: Covariance of level and trend, its two other entries.
        trend_variance: Variance of the trend, its lower right entry.
    """

    level: float = 0.0
    trend: float = 0.0
    level_variance: float = _FIRST_VARIANCE
    covariance: float = 0.0
    trend_variance: float = _FIRST_VARIANCE

    def predicted(self, *, q_level: float, q_trend: float) -> "KalmanState":
        """Return the belief one interval later, before anything is seen of it."""
        return KalmanState(
            level=_within_range(self.level + self.trend),
            trend=self.trend,
            level_variance=self.level_variance + 2.0 * self.covariance + self.trend_variance + q_level,
            covariance=self.covariance + self.trend_variance,
            trend_variance=self.trend_variance + q_trend,
        )

    def updated(self, value: float, *, r: float) -> "KalmanState":
        """Return the belief after the interval's value was seen.

        Covariances in Joseph's form, (I - KH) P (I - KH)ᵀ + K r Kᵀ, which rounding cannot make negative.
        """
        spread = self.level_variance + r
        level_gain, trend_gain = self.level_variance / spread, self.covariance / spread
        surprise = value - self.level
        rest = 1.0 - level_gain
        return KalmanState(
            level=_within_range(self.level + level_gain * surprise),
            trend=_within_range(self.trend + trend_gain * surprise),
            level_variance=rest * rest * self.level_variance + level_gain * level_gain * r,
            covariance=rest * (self.covariance - trend_gain * self.level_variance)
            + level_gain * trend_gain * r,
            trend_variance=self.trend_variance
            + trend_gain * (trend_gain * self.level_variance - 2.0 * self.covariance)
            + trend_gain * trend_gain * r,
        )


class KalmanPredictor:
    """Forecast level + trend, extrapolated over the horizon and never below 0.

    Args:
        q_level: Process noise of the level, a variance per interval; at least 1e-12 is used.
        q_trend: Process noise of the trend; at least 1e-12 is used.
        r: Measurement noise; at least 1e-9 is used.
        log1p: Work on ln(1 + y).
        min_points: With fewer kept values the forecast is the last one; 1 is Dynamo 0.9.0's behavior.

    Raises:
        ConfigError: If a noise is not a number from 0 to 1e12.

    Example:
        >>> predictor = KalmanPredictor(min_points=1)
        >>> for count in (10.0, 20.0, 30.0):
        ...     predictor.observe(count)
        >>> round(predictor.forecast(1).mean, 3), round(predictor.forecast(3).mean, 3)
        (39.708, 59.314)
    """

    def __init__(
        self,
        *,
        q_level: float = 1.0,
        q_trend: float = 0.1,
        r: float = 10.0,
        log1p: bool = False,
        min_points: int = 5,
    ) -> None:
        self._q_level = max(_LEAST_Q, _checked_noise("kalman_q_level", q_level))
        self._q_trend = max(_LEAST_Q, _checked_noise("kalman_q_trend", q_trend))
        self._r = max(_LEAST_R, _checked_noise("kalman_r", r))
        self._log1p = log1p
        self._min_points = min_points
        self._skip = IdleSkip()
        self._points = 0
        self._last = 0.0
        self._state = KalmanState()

    @property
    def state(self) -> KalmanState:
        """The belief about the next interval; level and trend 0 while no value was kept."""
        return self._state

    def observe(self, value: float | None) -> None:
        """Learn from the value; an unknown interval lets time pass and widens the variances."""
        if value is None:
            if self._points:
                self._predict()
            return
        known = checked(value)
        if not self._skip.drops(known):
            self._learn(known)

    def forecast(self, steps: int) -> SeriesForecast:
        """Return the level so many intervals ahead; the last value while there are too few."""
        ahead = checked_steps(steps) - 1
        if self._points < self._min_points:
            return SeriesForecast(mean=self._last)
        level = self._state.level + ahead * self._state.trend
        return SeriesForecast(mean=self._from_scale(level))

    def _learn(self, value: float) -> None:
        self._points += 1
        self._last = value
        scaled = math.log1p(value) if self._log1p else value
        if self._points == 1:
            self._state = KalmanState(level=scaled)
        else:
            self._state = self._state.updated(scaled, r=self._r)
        self._predict()

    def _predict(self) -> None:
        self._state = self._state.predicted(q_level=self._q_level, q_trend=self._q_trend)

    def _from_scale(self, level: float) -> float:
        return bounded(math.expm1(min(level, _LARGEST_LOG)) if self._log1p else level)


def build(policy: ForecastPolicy) -> KalmanPredictor:
    """Build the predictor that the policy describes."""
    return KalmanPredictor(
        q_level=policy.kalman_q_level,
        q_trend=policy.kalman_q_trend,
        r=policy.kalman_r,
        log1p=policy.log1p,
        min_points=policy.min_points,
    )


def _checked_noise(name: str, noise: float) -> float:
    if not 0.0 <= noise <= _LARGEST_NOISE:
        raise ConfigError(
            f"the variance is {noise}",
            key=f"forecast.{name}",
            hint=f"give a number from 0 to {_LARGEST_NOISE:g}",
        )
    return noise


def _within_range(value: float) -> float:
    return min(max(-LARGEST, value), LARGEST)
