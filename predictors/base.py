"""The vocabulary of forecasting: what a predictor takes and gives. Standard library only."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """The value that a series stays below with the given probability."""

    level_ratio: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """What one series is expected to be in one future interval.

    Attributes:
        mean: The point forecast; finite, not negative.
        quantiles: Quantiles by ascending level; values ascend, are finite and not negative.
        calibrated: True if the quantiles rest on enough of the predictor's own past errors.
    """

    mean: float
    quantiles: tuple[Quantile, ...] = ()
    calibrated: bool = False

    def at(self, level_ratio: float | None) -> float:
        """Return the value at a quantile, interpolated between the given levels; the mean for None.

        Beyond the outermost levels the outermost value serves; without quantiles the mean does.

        Example:
            >>> forecast = SeriesForecast(mean=5.0, quantiles=(
            ...     Quantile(level_ratio=0.5, value=4.0), Quantile(level_ratio=0.9, value=8.0)))
            >>> forecast.at(None), forecast.at(0.7), forecast.at(0.99)
            (5.0, 6.0, 8.0)
        """
        if level_ratio is None or not self.quantiles:
            return self.mean
        below = self.quantiles[0]
        for above in self.quantiles:
            if above.level_ratio >= level_ratio:
                span = above.level_ratio - below.level_ratio
                share = (level_ratio - below.level_ratio) / span if span > 0.0 else 1.0
                return below.value + max(0.0, share) * (above.value - below.value)
            below = above
        return below.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The load of the interval that a decision is for.

    Attributes:
        made_at_s: When it was made, on the shell's monotonic clock.
        horizon_s: From then to the end of the interval that is forecast.
        predictor: Name of the predictor.
        arrivals_rps: Offered load.
        isl_tokens: Prompt length, or None while none was ever seen.
        osl_tokens: Output length, or None while none was ever seen.
        points: Intervals of load that were learned from.
        late_intervals: Intervals that passed since the model last learned; not 0 where a fit is late.
    """

    made_at_s: float
    horizon_s: float
    predictor: str
    arrivals_rps: SeriesForecast
    isl_tokens: SeriesForecast | None
    osl_tokens: SeriesForecast | None
    points: int
    late_intervals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadInterval:
    """What a predictor learns from one interval.

    Attributes:
        arrivals_rps: Offered load; 0 is an idle interval, None one that is not known.
        isl_tokens: Mean prompt length; None if there were no requests, or it is not known.
        osl_tokens: Mean output length; likewise.
    """

    arrivals_rps: float | None = None
    isl_tokens: float | None = None
    osl_tokens: float | None = None


UNSEEN = LoadInterval()
"""An interval of which nothing is known."""


class Predictor(Protocol):
    """A model of one series of equally spaced observations.

    State is rebuilt by feeding the history again; nothing else is kept.
    """

    def observe(self, value: float | None) -> None:
        """Take the next interval's value, not negative; None marks an interval that is not known."""
        ...

    def forecast(self, steps: int) -> SeriesForecast:
        """Forecast the interval `steps` ahead, 1 being the next one; repeated calls give the same."""
        ...
