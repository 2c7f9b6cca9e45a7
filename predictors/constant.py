"""The predictor that says: next will be as last.

Dynamo 0.9.0's `constant`: zeros before the first load are dropped, an unknown interval changes nothing. Hard
to beat where the level wanders, since all that is known about a wandering level is where it was last.
"""

from config.policy import ForecastPolicy
from predictors.base import SeriesForecast
from predictors.series import IdleSkip, checked, checked_steps


class ConstantPredictor:
    """Forecast the last known value for every horizon; 0 while there is none.

    Example:
        >>> predictor = ConstantPredictor()
        >>> predictor.observe(12.0)
        >>> predictor.observe(None)
        >>> predictor.forecast(5).mean
        12.0
    """

    __slots__ = ("_last", "_skip")

    def __init__(self) -> None:
        self._skip = IdleSkip()
        self._last = 0.0

    def observe(self, value: float | None) -> None:
        """Remember the value; an unknown interval leaves the last one standing."""
        if value is None:
            return
        known = checked(value)
        if not self._skip.drops(known):
            self._last = known

    def forecast(self, steps: int) -> SeriesForecast:
        """Return the last known value."""
        checked_steps(steps)
        return SeriesForecast(mean=self._last)


def build(_policy: ForecastPolicy) -> ConstantPredictor:
    """Build the predictor; nothing in the policy changes it (`log1p` undoes itself here)."""
    return ConstantPredictor()
