"""What does a linear model with hidden state say next? The Kalman filter, as small as ARIMA needs it.

The state a is the model's belief about the interval that comes; y is what one sees of it, without noise of
its own:

    y = Z a              a' = T a + c + noise of covariance Q

For every known value the belief is corrected by the gain P Zᵀ / (Z P Zᵀ), then carried one interval on. An
unknown interval is only carried on, so nothing needs to be invented for it. The steps are those of Durbin and
Koopman, Time Series Analysis by State Space Methods, 4.3; statsmodels does the same, but copies the whole
history for each new point (milliseconds), and here a point costs some tens of microseconds.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FARTHEST = 1000
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StateSpace:
    """A model together with its belief about the next interval.

    Attributes:
        design: Z, of shape (n,).
        transition: T, of shape (n, n).
        intercept: c, of shape (n,).
        noise: Q, of shape (n, n).
        state: a, of shape (n,).
        covariance: P, of the state, of shape (n, n).
    """

    design: "Array"
    transition: "Array"
    intercept: "Array"
    noise: "Array"
    state: "Array"
    covariance: "Array"

    def seen(self, value: float) -> "StateSpace":
        """Return the belief about the interval after this one, which had the value."""
        return self._corrected(value).passed()

    def passed(self) -> "StateSpace":
        """Return the belief about the interval after this one, of which nothing is known."""
        transition = self.transition
        return replace(
            self,
            state=transition @ self.state + self.intercept,
            covariance=transition @ self.covariance @ transition.T + self.noise,
        )

    def expected(self, steps: int) -> float:
        """Return the value expected so many intervals ahead, 1 being the next; as of 1000 beyond that."""
        state = self.state
        for _ in range(min(steps, _FARTHEST) - 1):
            state = self.transition @ state + self.intercept
        return float(self.design @ state)

    def _corrected(self, value: float) -> "StateSpace":
        column = self.covariance @ self.design
        variance = float(self.design @ column)
        if variance < _LEAST_VARIANCE:
            return self
        gain = column / variance
        return replace(
            self,
            state=self.state + gain * (value - float(self.design @ self.state)),
            covariance=self.covariance - variance * gain[:, None] * gain[None, :],
        )
