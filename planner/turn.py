"""One turn of the loop: observe, foresee, decide, record, act. When it is taken is the daemon's business."""

from dataclasses import dataclass

from connectors.base import Observation
from planner.attempt import attempt, tell, words
from planner.core.decision import Decision, ReasonCode, StepKind, because
from planner.core.report import held
from planner.eyes import Eyes
from planner.hands import Hands
from planner.mind import Mind
from planner.parts import Pace, Parts
from planner.serving.records import Stepped

# A look reads so many look intervals back, so that it sees more than one scrape.
_LOOK_WINDOWS = 4.0
# Scaling is given this share of the time until the next tick, and so long where that is nearly due.
_SCALING_SHARE = 0.9
_LEAST_SCALING_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The time that a turn is given.

    Attributes:
        kind: Tick or look.
        pace: What the loop is paced by.
        due_s: When the next tick comes.
    """

    kind: StepKind
    pace: Pace
    due_s: float

    @property
    def window_s(self) -> float:
        """How far back traffic is read."""
        window_s = min(_LOOK_WINDOWS * self.pace.look_interval_s, self.pace.interval_s)
        return window_s if self.kind is StepKind.LOOK and window_s > 0.0 else self.pace.interval_s

    def limit_s(self, now_s: float) -> float:
        """Return the longest time that the observation may take."""
        if self.kind is StepKind.TICK:
            return self.pace.deadline_s
        # A look that waits for an answer delays the tick by less than another look.
        return min(self.pace.deadline_s, max(self.due_s - now_s, self.pace.look_interval_s))


class Turn:
    """What the loop does at each step.

    Args:
        mind: Decides.
        parts: The outside world.
    """

    def __init__(self, mind: Mind, parts: Parts) -> None:
        self._mind, self._desk, self._clock = mind, parts.desk, parts.clock
        self._eyes = Eyes(parts.source, parts.actuator, desk=parts.desk, clock=parts.clock)
        self._hands = Hands(parts.actuator, desk=parts.desk, clock=parts.clock)

    async def take(self, slot: Slot) -> None:
        """Observe, decide and act once."""
        began_s = self._clock.now_s()
        observation = await self._eyes.observe(slot.window_s, limit_s=slot.limit_s(began_s))
        if slot.kind is StepKind.TICK:
            await self._foresee(observation)
        now_s = self._clock.now_s()
        decision = await self._decide(observation, now_s=now_s, kind=slot.kind)
        self._desk.take(
            Stepped(
                at_wall_s=self._clock.wall_s(),
                now_s=now_s,
                target=self._desk.board.target,
                kind=slot.kind,
                observation=observation,
                forecast=self._mind.forecast,
                decision=decision,
                duration_s=now_s - began_s,
            )
        )
        if decision.is_change:
            limit_s = max(_SCALING_SHARE * (slot.due_s - self._clock.now_s()), _LEAST_SCALING_S)
            await self._hands.carry_out(decision, is_advisory=not slot.pace.actuate, limit_s=limit_s)

    async def _foresee(self, observation: Observation) -> None:
        await self._mind.foresee(observation, now_s=self._clock.now_s())
        if self._mind.trouble is not None:
            tell(self._desk, "predictor", self._mind.trouble)
        else:
            self._desk.worked("predictor")

    async def _decide(self, observation: Observation, *, now_s: float, kind: StepKind) -> Decision:
        async def decide() -> Decision:
            return self._mind.decide(observation, now_s=now_s, kind=kind)

        decision = await attempt(decide)
        if isinstance(decision, BaseException):
            self._desk.crashed("step", decision)
            why = because(ReasonCode.INTERNAL, detail=words(decision))
            return held(self._mind.policy, self._mind.state, (why,), now_s=now_s, kind=kind)
        self._desk.worked("step")
        return decision
