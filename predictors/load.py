"""What load must the fleet be ready for? Three series, one horizon.

Arrivals, prompt lengths (ISL) and output lengths (OSL) are forecast by three predictors of one kind. The
horizon covers the next interval after the time that a new engine needs to start: what is decided now serves
then.

Predictors get arrivals as counts per interval, as in Dynamo: the Kalman filter's noise is not free of
scale, so requests per second would make it another filter. Lengths are as they are. A length series moves
only with intervals that had requests: an idle hour says nothing about prompts, and a trend must not run on
through it.
"""

import math
from typing import Protocol, runtime_checkable

from config.errors import ConfigError
from config.policy import ForecastPolicy
from predictors.base import Forecast, LoadInterval, Predictor, Quantile, SeriesForecast
from predictors.calibration import Calibrated
from predictors.registry import make
from predictors.series import IdleSkip, checked

_TOLERANCE = 1e-9
# Calibration looks back at 200 errors, so little is lost; and who was blind for so long learns nothing from
# more unknowns.
_LEAST_INTERVALS = 300


@runtime_checkable
class Troubled(Protocol):
    """A predictor that tells when its forecasts rest on an older model than they should."""

    @property
    def trouble(self) -> str:
        """Why, in words for people; empty if all is well."""
        ...


def kept_intervals(policy: ForecastPolicy) -> int:
    """Return how many intervals a forecaster is rebuilt from: 300, or its window if that is longer.

    Example:
        >>> kept_intervals(ForecastPolicy()), kept_intervals(ForecastPolicy(window_points=2000))
        (300, 2000)
    """
    return max(_LEAST_INTERVALS, policy.window_points or 0)


class LoadForecaster:
    """Forecasts the load of one deployment from what its intervals showed.

    All state comes from `observe`; feeding the same history again gives the same forecasts.

    Args:
        policy: Which predictor, and how far ahead.

    Raises:
        ConfigError: If the predictor is not known or the times make no horizon.

    Example:
        >>> load = LoadForecaster(ForecastPolicy(interval_s=30.0, startup_s=120.0))
        >>> load.forecast(now_s=0.0) is None
        True
        >>> load.observe(arrivals_rps=2.0, isl_tokens=900.0, osl_tokens=None)
        >>> forecast = load.forecast(now_s=30.0)
        >>> forecast.arrivals_rps.mean, forecast.isl_tokens.mean, forecast.osl_tokens, forecast.horizon_s
        (2.0, 900.0, None, 150.0)
    """

    def __init__(self, policy: ForecastPolicy) -> None:
        self._policy = policy
        self._steps = _horizon_steps(policy)
        self._models: list[Predictor] = []
        self._arrivals = self._series()
        self._isl = _Lengths(self._series())
        self._osl = _Lengths(self._series())
        self._skip = IdleSkip()
        self._is_seen = False
        self._points = 0

    @property
    def horizon_steps(self) -> int:
        """Intervals ahead that are forecast, 1 being the next one."""
        return self._steps

    @property
    def horizon_s(self) -> float:
        """From the moment of the forecast to the end of the interval that is forecast."""
        return self._steps * self._policy.interval_s

    @property
    def points(self) -> int:
        """Intervals of load that were learned from: known, and not zeros before the first load."""
        return self._points

    @property
    def trouble(self) -> str:
        """What the models tell of themselves, in words for people; empty if all is well."""
        told = (model.trouble for model in self._models if isinstance(model, Troubled))
        return "; ".join(dict.fromkeys(trouble for trouble in told if trouble))

    def learn(self, passed: LoadInterval) -> None:
        """Take what the interval that just ended showed, as `observe` does.

        Raises:
            InternalError: If a number is negative or not finite.
        """
        self.observe(
            arrivals_rps=passed.arrivals_rps, isl_tokens=passed.isl_tokens, osl_tokens=passed.osl_tokens
        )

    def observe(
        self, *, arrivals_rps: float | None, isl_tokens: float | None, osl_tokens: float | None
    ) -> None:
        """Take what the interval that just ended showed.

        Args:
            arrivals_rps: Offered load; 0 is an idle interval, None one that is not known.
            isl_tokens: Mean prompt length; None if there were no requests, or it is not known.
            osl_tokens: Mean output length; likewise.

        Raises:
            InternalError: If a number is negative or not finite.
        """
        self._observe_arrivals(arrivals_rps)
        self._isl.observe(isl_tokens)
        self._osl.observe(osl_tokens)

    def end_warm_up(self) -> None:
        """Mark that what was observed so far came from an older trace, as in Dynamo's warm-up.

        Zeros that follow are dropped until the first load: they are a service not yet in use, not a fall to
        0.
        """
        self._skip.rearm()

    def forecast(self, now_s: float, *, late_intervals: int = 0) -> Forecast | None:
        """Forecast the load at the horizon; None while arrivals were never known.

        A service that was only ever idle is forecast at 0, with no points and no quantiles.

        Args:
            now_s: When it is made.
            late_intervals: Intervals that ended since the last one that was learned; the forecast reaches so
                much further ahead, and its quantiles are wider and not calibrated.
        """
        if not self._is_seen:
            return None
        steps = self._steps + late_intervals
        return Forecast(
            made_at_s=now_s,
            horizon_s=self.horizon_s,
            predictor=self._policy.predictor,
            arrivals_rps=_per_second(self._arrivals.forecast(steps), self._policy.interval_s),
            isl_tokens=self._isl.forecast(steps),
            osl_tokens=self._osl.forecast(steps),
            points=self._points,
            late_intervals=late_intervals,
        )

    def _observe_arrivals(self, arrivals_rps: float | None) -> None:
        if arrivals_rps is None:
            self._arrivals.observe(None)
            return
        known_rps = checked(arrivals_rps)
        self._is_seen = True
        if not self._skip.drops(known_rps):
            self._points += 1
            self._arrivals.observe(known_rps * self._policy.interval_s)

    def _series(self) -> Predictor:
        model = make(self._policy)
        self._models.append(model)
        return Calibrated(model, levels=self._policy.levels, horizons=(self._steps,))


class _Lengths:
    """A series that exists only while there are requests."""

    __slots__ = ("_is_seen", "_predictor")

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._is_seen = False

    def observe(self, tokens: float | None) -> None:
        if tokens is not None:
            self._is_seen = True
            self._predictor.observe(tokens)

    def forecast(self, steps: int) -> SeriesForecast | None:
        return self._predictor.forecast(steps) if self._is_seen else None


def _horizon_steps(policy: ForecastPolicy) -> int:
    if not 0.0 < policy.interval_s < math.inf:
        raise ConfigError(
            f"the interval is {policy.interval_s} s", key="forecast.interval", hint="give a positive duration"
        )
    if not 0.0 <= policy.startup_s < math.inf:
        raise ConfigError(
            f"the start-up time is {policy.startup_s} s",
            key="forecast.startup",
            hint="give a duration that is not negative",
        )
    return 1 + math.ceil(policy.startup_s / policy.interval_s - _TOLERANCE)


def _per_second(counts: SeriesForecast, interval_s: float) -> SeriesForecast:
    return SeriesForecast(
        mean=counts.mean / interval_s,
        quantiles=tuple(
            Quantile(level_ratio=quantile.level_ratio, value=quantile.value / interval_s)
            for quantile in counts.quantiles
        ),
        calibrated=counts.calibrated,
    )
