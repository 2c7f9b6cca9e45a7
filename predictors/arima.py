"""ARIMA, with an order that is chosen again and again instead of once.

The order (p, d, q) is selected by pmdarima's `auto_arima`, which is dear, on a schedule that depends on the
number of points only. Between two selections the parameters of the order are refitted every few points, and
between those the fitted model's Kalman filter takes each new value in.
"""

import math
import warnings
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from config.policy import ForecastPolicy
from predictors.base import SeriesForecast
from predictors.series import LARGEST, IdleSkip, bounded, checked, checked_steps
from predictors.statespace import StateSpace

if TYPE_CHECKING:
    from statsmodels.tsa.statespace.sarimax import SARIMAXResults as Result

Order = tuple[int, int, int]
"""The numbers p, d and q."""

_WINDOW = 200
_LEAST_POINTS = 5
_FEW_POINTS = 30
_GROWTH = 1.5
_SELECT_EVERY = 200
_REFIT_EVERY = 10
_LARGEST_ORDER = 3
_HIGHEST_RATIO = 3.0
_FITS_KEPT = 256
_LARGEST_LOG = math.log(LARGEST)
_UNFIT = (ValueError, ArithmeticError, LookupError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """A fitted model; it works on values divided by `scale`."""

    order: Order
    is_centered: bool
    scale: float
    space: StateSpace


class ArimaPredictor:
    """Forecast with the ARIMA model that suits the latest points best.

    Unknown intervals inside the series are filled with the model's own forecast where a fit needs a value.

    Args:
        window_points: Fit on this many latest intervals; None is 200.
        log1p: Work on ln(1 + y).
        min_points: With fewer known values the forecast is the last one; fewer than 5 tell no order.

    Example:
        >>> predictor = ArimaPredictor()
        >>> for count in (50.0,) * 12:
        ...     predictor.observe(count)
        >>> predictor.forecast(1).mean
        50.0
    """

    def __init__(self, *, window_points: int | None = None, log1p: bool = False, min_points: int = 5) -> None:
        self._log1p = log1p
        self._min_points = max(_LEAST_POINTS, min_points)
        self._window: deque[float] = deque(maxlen=max(_LEAST_POINTS, window_points or _WINDOW))
        self._is_known: deque[bool] = deque(maxlen=self._window.maxlen)
        self._skip = IdleSkip()
        self._points = 0
        self._filled = 0
        self._last = 0.0
        self._next_selection = self._min_points
        self._fit: _Fit | None = None
        self._space: StateSpace | None = None
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
        """Unknown intervals that were filled with the predictor's own forecast."""
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
        return SeriesForecast(mean=self._from_scale(self._expected(checked_steps(steps))))

    def _pass(self) -> None:
        if not self._points:
            return
        self._filled += 1
        self._append(self._expected(1), is_known=False)
        if self._space is not None:
            self._space = self._space.passed()

    def _learn(self, value: float) -> None:
        self._points += 1
        self._last = math.log1p(value) if self._log1p else value
        self._append(self._last, is_known=True)
        if self._space is not None and self._fit is not None:
            self._space = self._space.seen(min(self._last / self._fit.scale, LARGEST))
        self._fit_if_due()

    def _append(self, value: float, *, is_known: bool) -> None:
        self._window.append(value)
        self._is_known.append(is_known)

    def _fit_if_due(self) -> None:
        if sum(self._is_known) < self._min_points:
            return
        if self._points >= self._next_selection:
            self._next_selection = self._points + _until_next_selection(self._points)
            self._refit(select=True)
        elif self._points % _REFIT_EVERY == 0 or self._points < _FEW_POINTS:
            self._refit(select=self._fit is None)

    def _refit(self, *, select: bool) -> None:
        order = None if select or self._fit is None else self._fit.order
        is_centered = self._fit is not None and self._fit.is_centered
        try:
            self._fit = _fitted(tuple(self._window), order, is_centered=is_centered)
        except _UNFIT as error:
            kept = "the last model" if self._fit else "the last value"
            self._trouble = f"no ARIMA model fits {len(self._window)} points: {error}; {kept} stays in use"
        else:
            self._space = self._fit.space
            self._trouble = ""

    def _expected(self, steps: int) -> float:
        if self._space is None or self._fit is None:
            return self._last
        raw = self._space.expected(steps) * self._fit.scale
        return min(max(0.0, raw), self._highest()) if math.isfinite(raw) else self._last

    def _highest(self) -> float:
        highest = max(self._window)
        return highest + math.log(_HIGHEST_RATIO) if self._log1p else min(_HIGHEST_RATIO * highest, LARGEST)

    def _from_scale(self, value: float) -> float:
        return bounded(math.expm1(min(value, _LARGEST_LOG)) if self._log1p else value)


def build(policy: ForecastPolicy) -> ArimaPredictor:
    """Build the predictor that the policy describes."""
    return ArimaPredictor(
        window_points=policy.window_points, log1p=policy.log1p, min_points=policy.min_points
    )


def _until_next_selection(points: int) -> int:
    return min(_SELECT_EVERY, max(1, int((_GROWTH - 1.0) * points)))


@lru_cache(maxsize=_FITS_KEPT)
def _fitted(window: tuple[float, ...], order: Order | None, *, is_centered: bool) -> _Fit:
    """Return the model of an order, or of the best one, for the window; pure, so its answers are kept."""
    import numpy as np
    from pmdarima import ARIMA, auto_arima

    scale = max(window) or 1.0
    values = np.array([value / scale for value in window])
    if order is None and values.min() == values.max():
        order, is_centered = (0, 1, 0), False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if order is None:
            model = auto_arima(
                values,
                seasonal=False,
                d=1 if len(window) < _FEW_POINTS else None,
                max_p=_LARGEST_ORDER,
                max_q=_LARGEST_ORDER,
                suppress_warnings=True,
                error_action="ignore",
            )
        else:
            model = ARIMA(order, with_intercept=is_centered, suppress_warnings=True).fit(values)
    return _Fit(
        order=model.order,
        is_centered=bool(model.with_intercept),
        scale=scale,
        space=_space_of(model.arima_res_),
    )


def _space_of(result: "Result") -> StateSpace:
    """Return the model of a statsmodels result, standing at the end of its window."""
    found = result.filter_results
    selection = found.selection[:, :, 0]
    return StateSpace(
        design=found.design[0, :, 0].copy(),
        transition=found.transition[:, :, 0].copy(),
        intercept=found.state_intercept[:, -1].copy(),
        noise=selection @ found.state_cov[:, :, 0] @ selection.T,
        state=found.predicted_state[:, -1].copy(),
        covariance=found.predicted_state_cov[:, :, -1].copy(),
    )
