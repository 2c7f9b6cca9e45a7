"""Dynamo's Prophet, as its behavior is published, to be measured beside ours.

A fresh Prophet with its defaults is fitted on the latest 50 points for every forecast. Dynamo 0.9.0 asks it
for a time near the window's beginning. Here it is asked for the right one, and cut at 0, as Dynamo 1.6.1
does: the wrong time is a slip and not a way to forecast.
"""

import logging
import tempfile
import warnings
from collections import deque

from predictors.base import SeriesForecast
from predictors.series import IdleSkip

_LEAST_POINTS = 5
_WINDOW = 50
_FARTHEST = 10
_START = "2024-01-01"


class DynamoProphet:
    """The predictor; an unknown interval is a zero to it."""

    def __init__(self, *, interval_s: float) -> None:
        self._interval_s = interval_s
        self._skip = IdleSkip()
        self._window: deque[float] = deque(maxlen=_WINDOW)
        self._answers: list[float] = []

    def observe(self, value: float | None) -> None:
        if not self._skip.drops(value or 0.0):
            self._window.append(value or 0.0)
            self._answers = []

    def forecast(self, steps: int) -> SeriesForecast:
        if len(self._window) < _LEAST_POINTS:
            return SeriesForecast(mean=self._window[-1] if self._window else 0.0)
        if not self._answers:
            self._answers = self._ask()
        return SeriesForecast(mean=max(0.0, self._answers[steps - 1]))

    def _ask(self) -> list[float]:
        import pandas as pd
        from prophet import Prophet

        logging.getLogger("cmdstanpy").disabled = True
        seconds = [index * self._interval_s for index in range(len(self._window) + _FARTHEST)]
        times = pd.Timestamp(_START) + pd.to_timedelta(seconds, unit="s")
        past = pd.DataFrame({"ds": times[: len(self._window)], "y": list(self._window)})
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            # Newton, Prophet's choice below 100 points, gives the same and takes three times as long.
            model = Prophet(uncertainty_samples=0).fit(past, algorithm="LBFGS", seed=1, output_dir=folder)
            found = model.predict(pd.DataFrame({"ds": times[len(self._window) :]}))
        return [float(value) for value in found["yhat"]]
