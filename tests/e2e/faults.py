"""What all tests of a cluster in trouble ask of the journal."""

import itertools

from planner.core.decision import Decision, ReasonCode, StepKind
from planner.core.words import sentence
from planner.serving.records import Actuated, Outcome
from tests.e2e.scene import INTERVAL_S
from tests.e2e.servers import until
from tests.e2e.stage import Stage

_BLIND = frozenset({ReasonCode.BLIND_FLEET, ReasonCode.BLIND_ARRIVALS, ReasonCode.BLIND_LENGTHS})
# A busy machine delays a tick by so much; a daemon that waits for an answer would by much more.
_LATE_S = 1.5


def decisions(stage: Stage) -> list[Decision]:
    return [step.decision for step in stage.scene.setpoint.steps()]


def actuated(stage: Stage, outcome: Outcome) -> list[Actuated]:
    """Return what was asked for and came to this."""
    records = (record for record in stage.scene.setpoint.records() if isinstance(record, Actuated))
    return [record for record in records if record.outcome is outcome]


def told(stage: Stage, code: ReasonCode) -> list[str]:
    """Return a reason in words, as often as it was given."""
    return [sentence(one) for decision in decisions(stage) for one in decision.reasons if one.code is code]


async def saw(stage: Stage, code: ReasonCode, *, words: str = "", within_s: float = 20.0) -> str:
    """Wait until a decision from now on has a reason with such words; return it in words."""
    before = len(told(stage, code))

    def fresh() -> list[str]:
        return [one for one in told(stage, code)[before:] if words in one]

    async def is_so() -> bool:
        return bool(fresh())

    await until(is_so, f"{code} {words}; {stage.scene.setpoint.log[-2000:]}", within_s=within_s)
    return fresh()[0]


async def came_to(stage: Stage, outcome: Outcome, *, words: str = "", within_s: float = 20.0) -> Actuated:
    """Wait until something asked for from now on comes to this."""
    before = len(actuated(stage, outcome))

    def fresh() -> list[Actuated]:
        return [one for one in actuated(stage, outcome)[before:] if words in one.detail]

    async def is_so() -> bool:
        return bool(fresh())

    await until(is_so, f"{outcome} {words}; {stage.scene.setpoint.log[-2000:]}", within_s=within_s)
    return fresh()[0]


def check_promises(stage: Stage) -> None:
    """Check what holds whatever happens: the loop goes on, blind it shrinks nothing, the budget is kept."""
    assert not stage.scene.setpoint.has_ended, stage.scene.setpoint.log[-3000:]
    assert "Traceback" not in stage.scene.setpoint.log, stage.scene.setpoint.log[-5000:]
    ticks = [step.now_s for step in stage.scene.setpoint.steps() if step.kind is StepKind.TICK]
    late = [later - sooner for sooner, later in itertools.pairwise(ticks)]
    assert max(late, default=0.0) < INTERVAL_S + _LATE_S, late
    for decision in decisions(stage):
        assert decision.committed_gpus <= decision.budget_gpus, decision
        if any(reason.code in _BLIND for reason in decision.reasons):
            assert all(pool.replicas >= pool.current for pool in decision.pools), decision


def codes(stage: Stage) -> list[int]:
    """Return what the API server answered to the daemon's changes of replicas."""
    return [entry["responseStatus"]["code"] for entry in stage.writes()]


def small(stage: Stage) -> str:
    """Make a small fleet; return the path of its decode pool."""
    stage.kubelet.deployment("prefill", replicas=1)
    return stage.kubelet.deployment("decode", replicas=2)
