"""The planner for embedding: policy, state and predictor in one object, without clock, loop or connectors.

Who brings observations of their own drives it as the daemon drives its own mind (`planner.mind`); both
decide with the same part. Here a model is fitted while the caller waits.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import SetpointError
from config.policies import forecast_policy_from, policy_from
from config.policy import EngineProfile, ForecastPolicy, Policy
from config.settings import Settings
from connectors.base import Observation
from planner.core.curves import build_curves
from planner.core.decision import Decision, StepKind
from planner.core.state import State
from planner.decider import Decider
from planner.past import Past, interval_of
from planner.profiling.load import load_profile
from predictors.base import LoadInterval
from predictors.load import LoadForecaster, kept_intervals

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


class Planner:
    """Decides replica counts from observations.

    Args:
        settings: What `config.load.load` returned.
        profile: What an engine can do, or the folder that says so.

    Attributes:
        forecast_policy: What the predictor was built from.
        forecast: What the last tick expected; None where there was nothing to learn from yet.
        trouble: Why the predictor gave no forecast at the last tick; None if it did not fail.

    Raises:
        ConfigError: If the profile cannot be read or the predictor is not known.
    """

    def __init__(self, settings: Settings, profile: EngineProfile | str | Path) -> None:
        loaded = profile if isinstance(profile, EngineProfile) else load_profile(profile)
        self.forecast_policy = forecast_policy_from(settings)
        self.forecast: Forecast | None = None
        self.trouble: Exception | None = None
        self._decider = Decider(policy_from(settings, loaded))
        self._forecaster = LoadForecaster(self.forecast_policy)
        self._past = Past(most=kept_intervals(self.forecast_policy))

    @property
    def policy(self) -> Policy:
        """What `step` is given."""
        return self._decider.policy

    @property
    def state(self) -> State:
        """What `step` is given next."""
        return self._decider.state

    def step(self, observation: Observation, *, now_s: float, kind: StepKind = StepKind.TICK) -> Decision:
        """Take one step.

        Args:
            observation: What was seen; for a tick, of the whole interval since the last one.
            now_s: Seconds on a monotonic clock of the caller's.
            kind: `tick` plans and teaches the predictor; `look` may only add engines.
        """
        if kind is StepKind.TICK:
            self._predict(interval_of(observation.traffic), now_s=now_s)
        return self._decider.decide(observation, self.forecast, now_s=now_s, kind=kind)

    def skip(self, intervals: int) -> None:
        """Take note of intervals that nobody observed; to the predictor they are unknown, not absent."""
        # The next tick teaches them: what a predictor raises belongs there.
        self._past.skip(intervals)

    def change(self, policy: Policy, forecast_policy: ForecastPolicy) -> None:
        """Go on under other policies; what was learned stays.

        A predictor with other settings is taught the last 300 intervals again, or as many as its window has.

        Raises:
            ConfigError: If the predictor is not known; nothing is changed then.
        """
        build_curves(policy)
        if forecast_policy != self.forecast_policy:
            forecaster = LoadForecaster(forecast_policy)
            for interval in self._past.recent:
                forecaster.learn(interval)
            self._forecaster = forecaster
            self._past.keep(most=kept_intervals(forecast_policy))
        self._decider.change(policy)
        self.forecast_policy = forecast_policy

    def _predict(self, interval: LoadInterval, *, now_s: float) -> None:
        self.forecast, self.trouble = None, None
        try:
            for passed in self._past.take(interval):
                self._forecaster.learn(passed)
            self.forecast = self._forecaster.forecast(now_s)
        except _MODEL_ERRORS as error:
            self.trouble = error
