"""Dynamo 0.9.0's ARIMA, as its behavior is published, to be measured beside ours.

The order is chosen once, at the fifth point, by `auto_arima` as it comes; later points only update the fitted
model. If that order has neither p nor q, a second choice on ln(1 + y) takes its place for good. Dynamo
forecasts one interval; farther ones are the same model asked for more.
"""

import math
import warnings
from typing import TYPE_CHECKING

from predictors.base import SeriesForecast
from predictors.series import IdleSkip

if TYPE_CHECKING:
    from pmdarima import ARIMA

_LEAST_POINTS = 5


class DynamoArima:
    """The predictor; an unknown interval is a zero to it."""

    def __init__(self) -> None:
        self._skip = IdleSkip()
        self._points: list[float] = []
        self._fresh: list[float] = []
        self._model: ARIMA | None = None
        self._is_log = False
        self._answers: list[float] = []

    def observe(self, value: float | None) -> None:
        if not self._skip.drops(value or 0.0):
            self._points.append(value or 0.0)
            self._fresh.append(value or 0.0)
            self._answers = []

    def forecast(self, steps: int) -> SeriesForecast:
        if len(self._points) < _LEAST_POINTS:
            return SeriesForecast(mean=self._points[-1] if self._points else 0.0)
        if min(self._points) == max(self._points):
            return SeriesForecast(mean=self._points[-1])
        if len(self._answers) < steps:
            self._answers = self._ask(max(steps, 10))
        return SeriesForecast(mean=self._answers[steps - 1])

    def _ask(self, steps: int) -> list[float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                raw = [float(value) for value in self._learned().predict(n_periods=steps)]
            except (ValueError, ArithmeticError, LookupError, RuntimeError):
                return [self._points[-1]] * steps
        found = [math.expm1(min(value, 600.0)) if self._is_log else value for value in raw]
        return [max(0.0, value) if math.isfinite(value) else self._points[-1] for value in found]

    def _learned(self) -> "ARIMA":
        if self._model is None:
            self._model = _chosen(self._points)
            if self._model.order[0] == self._model.order[2] == 0:
                self._is_log = True
                self._model = _chosen([math.log1p(value) for value in self._points])
        elif self._fresh:
            self._model.update([math.log1p(value) if self._is_log else value for value in self._fresh])
        self._fresh = []
        return self._model


def _chosen(values: list[float]) -> "ARIMA":
    from pmdarima import auto_arima

    return auto_arima(values, suppress_warnings=True, error_action="ignore")
