"""ARIMA, with an order that is chosen again and again instead of once.

Dynamo 0.9.0 runs pmdarima's `auto_arima` once, on the first five points, and keeps what it finds: mostly
(0, 0, 0), on logarithms for good, which is a running geometric mean (a step from 10 to 100 is forecast at 13,
16, 19 …). Here `auto_arima` runs again at 5, 7, 10, 15, 22 … points, half as many more each time, and from
400 on every 200. Between two selections the parameters of the order in use are fitted anew (at every point
while there are fewer than 10, then at every 20th), and between those the model's Kalman filter takes each
value in. All of that depends on the number of points only, not on when a forecast is asked for.

What differs from `auto_arima`'s defaults, and why. Scores are mean errors one interval ahead, divided by
those of the last value, on six hour-long series (three recorded traces at 30 and 60 s):

- d = 1, no test. Five to thirty points tell KPSS nothing, and a mean that a load returns to is rare: with
  the test at all sizes the worst score is 1.44, with the test from 30 points 1.08, with d = 1 always 1.08.
- No drift: worst 1.02, and an error that does not grow with the horizon. A ramp is still followed, through
  the autoregression of its steps, and exactly if it has no noise.
- AICc instead of AIC, as windows are short: worst 1.00, best 0.71.
- The latest 200 intervals: on a day at 30, 60 and 180 s 0.90, 0.99, 1.02; 300 gives 0.90, 0.98, 1.00 for
  half as much time again, 100 gives 0.99 and 1.04 at 60 and 180 s.
- Logarithms only where the user asks for them.

A fit that fails changes nothing but `trouble`: the model in use goes on, and ten points later the order is
chosen again. Before the first model the last value serves, and likewise where all values are the same.
"""

import math
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from config.policy import ForecastPolicy
from predictors.base import SeriesForecast
from predictors.scale import scaled, unscaled
from predictors.series import IdleSkip, checked, checked_steps
from predictors.statespace import StateSpace

if TYPE_CHECKING:
    from statsmodels.tsa.statespace.sarimax import SARIMAXResults

_WINDOW = 200
_LEAST_POINTS = 5
_FEW_POINTS = 10
_REFIT_EVERY = 20
_RETRY_AFTER = 10
_SELECT_EVERY = 200
_LARGEST_PQ = 3
_FITS_KEPT = 256
_FARTHEST_SCALED = 1e100
_UNFIT = (ValueError, ArithmeticError, LookupError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The shape of an ARIMA model.

    Attributes:
        p: Autoregressive terms.
        d: Differences taken.
        q: Moving-average terms.
        has_drift: Whether the differences have a mean of their own.
    """

    p: int
    d: int
    q: int
    has_drift: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted model, standing at the end of its window.

    Attributes:
        order: Its shape.
        scale: It works on values divided by this.
        space: The model and its belief about the next interval.
    """

    order: Order
    scale: float
    space: StateSpace


Fitter = Callable[[tuple[float, ...], Order | None], Fit]
"""Fits the order given, or the best one for None, to values oldest first; a pure function."""


class ArimaPredictor:
    """Forecast with the ARIMA model that suits the latest points best.

    An unknown interval lets the model's time pass. Where a fit needs a value for it, the forecast that the
    model had for it serves; it counts as filled, not as a point.

    Args:
        window_points: Fit on this many latest intervals, 5 or more; None is 200.
        log1p: Work on ln(1 + y).
        min_points: With fewer known values the forecast is the last one; fewer than 5 tell no order.
        fit: How models are fitted; None is pmdarima.

    Example:
        >>> predictor = ArimaPredictor()
        >>> for count in (50.0,) * 12:
        ...     predictor.observe(count)
        >>> predictor.forecast(1).mean
        50.0
    """

    def __init__(
        self,
        *,
        window_points: int | None = None,
        log1p: bool = False,
        min_points: int = 5,
        fit: Fitter | None = None,
    ) -> None:
        self._log1p = log1p
        self._min_points = max(_LEAST_POINTS, min_points)
        self._fitter = fit or fitted
        size = max(_LEAST_POINTS, window_points or _WINDOW)
        self._window: deque[float] = deque(maxlen=size)
        self._is_known: deque[bool] = deque(maxlen=size)
        self._skip = IdleSkip()
        self._points = 0
        self._filled = 0
        self._last = 0.0
        self._selection_at = self._min_points
        self._fit: Fit | None = None
        self._trouble = ""

    @property
    def order(self) -> Order | None:
        """The order in use; None while no model was fitted."""
        return self._fit.order if self._fit else None

    @property
    def points(self) -> int:
        """Known values that were learned from."""
        return self._points

    @property
    def filled(self) -> int:
        """Unknown intervals for which the predictor's own forecast stands in."""
        return self._filled

    @property
    def trouble(self) -> str:
        """Why the latest fit gave no model, so that an older one serves; empty if all is well."""
        return self._trouble

    def observe(self, value: float | None) -> None:
        """Learn from the value; an unknown interval lets time pass."""
        if value is None:
            self._pass()
            return
        known = checked(value)
        if not self._skip.drops(known):
            self._learn(known)

    def forecast(self, steps: int) -> SeriesForecast:
        """Return the model's forecast; the last value while there is no model."""
        expected = self._expected(checked_steps(steps))
        # What stands in for unknown intervals is no evidence of how high a load may be.
        known = (value for value, is_known in zip(self._window, self._is_known, strict=True) if is_known)
        highest = max(known, default=self._last)
        return SeriesForecast(mean=unscaled(expected, log1p=self._log1p, highest=highest))

    def _pass(self) -> None:
        if not self._points:
            return
        self._filled += 1
        self._append(scaled(self.forecast(1).mean, log1p=self._log1p), is_known=False)
        if self._fit is not None:
            self._fit = _moved(self._fit, self._fit.space.passed())

    def _learn(self, value: float) -> None:
        self._points += 1
        self._last = scaled(value, log1p=self._log1p)
        self._append(self._last, is_known=True)
        if self._fit is not None:
            seen = min(self._last / self._fit.scale, _FARTHEST_SCALED)
            self._fit = _moved(self._fit, self._fit.space.seen(seen))
        self._fit_if_due()

    def _append(self, value: float, *, is_known: bool) -> None:
        self._window.append(value)
        self._is_known.append(is_known)

    def _fit_if_due(self) -> None:
        if sum(self._is_known) < self._min_points:
            return
        if self._points >= self._selection_at:
            self._try(None)
        elif self._fit is not None and not self._trouble and _is_refit_due(self._points):
            self._try(self._fit.order)

    def _try(self, order: Order | None) -> None:
        try:
            fit = self._fitter(tuple(self._window), order)
        except _UNFIT as error:
            kept = "the last model" if self._fit else "the last value"
            self._trouble = f"no ARIMA model fits {len(self._window)} points: {error}; {kept} stays in use"
            self._selection_at = self._points + _RETRY_AFTER
            return
        self._fit = fit
        self._trouble = ""
        if order is None:
            self._selection_at = self._points + _until_next_selection(self._points)

    def _expected(self, steps: int) -> float:
        if self._fit is None:
            return self._last
        expected = self._fit.space.expected(steps) * self._fit.scale
        return expected if math.isfinite(expected) else self._last


def build(policy: ForecastPolicy) -> ArimaPredictor:
    """Build the predictor that the policy describes."""
    return ArimaPredictor(
        window_points=policy.window_points, log1p=policy.log1p, min_points=policy.min_points
    )


@lru_cache(maxsize=_FITS_KEPT)
def fitted(window: tuple[float, ...], order: Order | None) -> Fit:
    """Return pmdarima's model for the window; a pure function, whose latest answers are kept.

    Args:
        window: Values that are not negative, oldest first; at least five.
        order: Fit this one; None looks for the best.

    Raises:
        ValueError: If no model can be fitted; other errors of arithmetic come as they are.
    """
    import numpy as np
    from pmdarima import ARIMA, auto_arima

    scale = max(window) or 1.0
    values = np.array([value / scale for value in window])
    if order is None and min(window) == max(window):
        order = Order(p=0, d=1, q=0)
    most_p, most_q = _most_terms(len(window))
    with warnings.catch_warnings(), _one_thread():
        warnings.simplefilter("ignore")
        if order is None:
            model = auto_arima(
                values,
                d=1,
                seasonal=False,
                start_p=min(2, most_p),
                start_q=min(2, most_q),
                max_p=most_p,
                max_q=most_q,
                with_intercept=False,
                information_criterion="aicc",
                suppress_warnings=True,
                error_action="ignore",
            )
        else:
            model = ARIMA((order.p, order.d, order.q), with_intercept=order.has_drift).fit(values)
    p, d, q = model.order
    found = Order(p=p, d=d, q=q, has_drift=bool(model.with_intercept))
    return Fit(order=found, scale=scale, space=_space_of(model.arima_res_))


def _one_thread() -> AbstractContextManager[object]:
    """Matrices of five rows gain nothing from threads, and on a busy machine lose a hundredfold."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def _space_of(result: "SARIMAXResults") -> StateSpace:
    matrices = result.filter_results
    selection = matrices.selection[:, :, 0]
    return StateSpace(
        design=matrices.design[0, :, 0].copy(),
        transition=matrices.transition[:, :, 0].copy(),
        intercept=matrices.state_intercept[:, -1].copy(),
        noise=selection @ matrices.state_cov[:, :, 0] @ selection.T,
        state=matrices.predicted_state[:, -1].copy(),
        covariance=matrices.predicted_state_cov[:, :, -1].copy(),
    )


def _most_terms(points: int) -> tuple[int, int]:
    """Return the largest p and q: AICc needs two more differences than there are parameters."""
    spare = points - 4
    most_q = min(_LARGEST_PQ, spare // 2)
    return min(_LARGEST_PQ, spare - most_q), most_q


def _moved(fit: Fit, space: StateSpace) -> Fit:
    return Fit(order=fit.order, scale=fit.scale, space=space)


def _is_refit_due(points: int) -> bool:
    return points < _FEW_POINTS or points % _REFIT_EVERY == 0


def _until_next_selection(points: int) -> int:
    return min(_SELECT_EVERY, points // 2)
