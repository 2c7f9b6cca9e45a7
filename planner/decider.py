"""Policy and state, and the pure step between them: the part that decides, whoever brings the forecast."""

from config.policy import Policy
from connectors.base import Observation
from planner.core.curves import build_curves
from planner.core.decision import Decision, StepKind
from planner.core.state import State, initial_state
from planner.core.step import step
from predictors.base import Forecast


class Decider:
    """Decides replica counts from observations and forecasts.

    Args:
        policy: What `step` is given.

    Attributes:
        state: What `step` is given next.
    """

    def __init__(self, policy: Policy) -> None:
        build_curves(policy)
        self._policy = policy
        self.state: State = initial_state(policy)

    @property
    def policy(self) -> Policy:
        """What `step` is given."""
        return self._policy

    def decide(
        self, observation: Observation, forecast: Forecast | None, *, now_s: float, kind: StepKind
    ) -> Decision:
        """Take one step."""
        self.state, decision = step(self._policy, self.state, observation, forecast, now_s=now_s, kind=kind)
        return decision

    def change(self, policy: Policy) -> None:
        """Go on under another policy; the state stays."""
        build_curves(policy)
        self._policy = policy
