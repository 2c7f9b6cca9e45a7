"""The planner for embedding: policy, state and predictor in one object, without clock, loop or connectors.

The daemon and the demo drive the same object; who brings observations of their own can too.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import SetpointError
from config.policies import forecast_policy_from, policy_from
from config.policy import EngineProfile, ForecastPolicy, Policy
from config.settings import Settings
from connectors.base import Observation, Reading, Unknown, Value
from planner.core.curves import build_curves
from planner.core.decision import Decision, StepKind
from planner.core.sight import MOST_RPS, length, number, usable
from planner.core.state import State, initial_state
from planner.core.step import step
from planner.profiling.load import load_profile
from predictors.load import LoadForecaster

if TYPE_CHECKING:
    from predictors.base import Forecast

# What a model raises on data that it was not made for. It costs the forecast, not the decision.
_MODEL_ERRORS = (
    SetpointError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
# What a predictor is rebuilt from when its settings change, and the most unknown intervals that it is told of
# at once. Both happen on the event loop, which is not to be held for 10 ms. Calibration looks back at 200
# errors, so little is lost; and who was blind for so long learns nothing from more unknowns.
_HISTORY_INTERVALS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interval:
    arrivals_rps: float | None
    isl_tokens: float | None
    osl_tokens: float | None


_UNSEEN = _Interval(arrivals_rps=None, isl_tokens=None, osl_tokens=None)


class Planner:
    """Decides replica counts from observations.

    Args:
        settings: What `config.load.load` returned.
        profile: What an engine can do, or the folder that says so.

    Attributes:
        policy: What `step` is given.
        forecast_policy: What the predictor was built from.
        state: What `step` is given next.
        forecast: What the last tick expected; None where there was nothing to learn from yet.
        trouble: Why the predictor gave no forecast at the last tick; None if it did not fail.

    Raises:
        ConfigError: If the profile cannot be read or the predictor is not known.
    """

    def __init__(self, settings: Settings, profile: EngineProfile | str | Path) -> None:
        loaded = profile if isinstance(profile, EngineProfile) else load_profile(profile)
        self.policy = policy_from(settings, loaded)
        self.forecast_policy = forecast_policy_from(settings)
        build_curves(self.policy)
        self.state: State = initial_state(self.policy)
        self.forecast: Forecast | None = None
        self.trouble: Exception | None = None
        self._forecaster = LoadForecaster(self.forecast_policy)
        self._history: deque[_Interval] = deque(maxlen=_HISTORY_INTERVALS)
        self._skipped = 0

    def step(self, observation: Observation, *, now_s: float, kind: StepKind = StepKind.TICK) -> Decision:
        """Take one step.

        Args:
            observation: What was seen; for a tick, of the whole interval since the last one.
            now_s: Seconds on a monotonic clock of the caller's.
            kind: `tick` plans and teaches the predictor; `look` may only add engines.
        """
        if kind is StepKind.TICK:
            self._predict(_interval(observation), now_s=now_s)
        self.state, decision = step(
            self.policy, self.state, observation, self.forecast, now_s=now_s, kind=kind
        )
        return decision

    def skip(self, intervals: int) -> None:
        """Take note of intervals that nobody observed; to the predictor they are unknown, not absent."""
        # The next tick teaches them: what a predictor raises belongs there.
        self._skipped = min(self._skipped + intervals, _HISTORY_INTERVALS)

    def change(self, policy: Policy, forecast_policy: ForecastPolicy) -> None:
        """Go on under other policies; what was learned stays.

        A predictor with other settings is taught the last 300 intervals again.

        Raises:
            ConfigError: If the predictor is not known; nothing is changed then.
        """
        build_curves(policy)
        if forecast_policy != self.forecast_policy:
            forecaster = LoadForecaster(forecast_policy)
            for interval in self._history:
                _teach(forecaster, interval)
            self._forecaster = forecaster
        self.policy = policy
        self.forecast_policy = forecast_policy

    def _predict(self, interval: _Interval, *, now_s: float) -> None:
        self.forecast, self.trouble = None, None
        unseen, self._skipped = self._skipped, 0
        try:
            for passed in (*(_UNSEEN,) * unseen, interval):
                self._learn(passed)
            self.forecast = self._forecaster.forecast(now_s)
        except _MODEL_ERRORS as error:
            self.trouble = error

    def _learn(self, interval: _Interval) -> None:
        self._history.append(interval)
        _teach(self._forecaster, interval)


def _teach(forecaster: LoadForecaster, interval: _Interval) -> None:
    forecaster.observe(
        arrivals_rps=interval.arrivals_rps,
        isl_tokens=interval.isl_tokens,
        osl_tokens=interval.osl_tokens,
    )


def _interval(observation: Observation) -> _Interval:
    """Pick out what a predictor learns from; an idle system has a load of zero and no lengths."""
    traffic = observation.traffic
    arrivals = usable(traffic.arrivals_rps, most=MOST_RPS)
    return _Interval(
        arrivals_rps=None if isinstance(arrivals, Unknown) else number(arrivals),
        isl_tokens=_known(length(traffic.isl_tokens)),
        osl_tokens=_known(length(traffic.osl_tokens)),
    )


def _known(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) else None
