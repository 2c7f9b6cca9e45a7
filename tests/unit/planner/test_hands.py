"""Carrying out one decision: what is asked, how often, and what goes on record."""

import asyncio
from dataclasses import replace
from io import StringIO

import pytest

from config.clock import VirtualClock
from config.errors import ActuationError, Conflict, ObservationError, Refused, Standby
from config.policy import Role
from connectors.base import Replicas
from connectors.testing import FakeActuator
from planner.core.decision import Decision, PoolDecision, ReasonCode, StepKind
from planner.core.words import explain, headline
from planner.hands import Hands
from planner.serving.desk import Desk
from planner.serving.journal import Journal
from planner.serving.log import configure, get_logger
from planner.serving.records import Actuated, Outcome
from planner.serving.status import StatusBoard

LIMIT_S = 27.0


def decision(**counts: int) -> Decision:
    pools = tuple(
        PoolDecision(
            pool=name, role=Role(name), current=1, ready=1, needed=count, replicas=count, gpus_per_engine=1
        )
        for name, count in counts.items()
    )
    return Decision(
        at_s=0.0, kind=StepKind.TICK, pools=pools, budget_gpus=8, committed_gpus=sum(counts.values())
    )


WANTED = decision(prefill=2, decode=3)


class Scene:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.actuator = FakeActuator(Replicas.of(prefill=1, decode=1), self.clock)
        configure(level="debug", style="console", stream=StringIO(), clock=self.clock)
        board = StatusBoard(clock=self.clock, version="0", target="a", advisory=False)
        self.desk = Desk(
            board=board, journal=Journal(), logger=get_logger(), explain=explain, headline=headline
        )
        self.hands = Hands(self.actuator, desk=self.desk, clock=self.clock)

    async def carry_out(self, *, is_advisory: bool = False, limit_s: float = LIMIT_S) -> Outcome:
        work = self.hands.carry_out(WANTED, is_advisory=is_advisory, limit_s=limit_s)
        task = asyncio.ensure_future(work)
        await self.clock.advance(limit_s)
        return await task

    def record(self) -> Actuated:
        (record,) = self.desk.journal.recent()
        assert isinstance(record, Actuated)
        return record


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_was_decided_is_asked_once_and_verified(scene: Scene) -> None:
    outcome = await scene.carry_out()

    assert outcome is scene.record().outcome is Outcome.APPLIED
    assert scene.record().replicas == WANTED.replicas.pools
    assert scene.actuator.requests == (WANTED.replicas,)
    assert scene.desk.board.parts["scaling"].is_ok


async def test_a_pool_that_somebody_else_has_in_hand_is_not_even_asked_for_what_it_has(scene: Scene) -> None:
    paused = replace(WANTED.pools[0], replicas=1, bound_by=ReasonCode.PAUSED)
    held = replace(WANTED, pools=(paused, WANTED.pools[1]))

    outcome = await scene.hands.carry_out(held, is_advisory=False, limit_s=LIMIT_S)

    assert outcome is Outcome.APPLIED
    assert scene.actuator.requests == (Replicas.of(decode=3),)
    assert scene.record().replicas == held.replicas.pools


async def test_a_standby_is_on_record_and_no_alarm(scene: Scene) -> None:
    scene.actuator.fail_next_scale(Standby("setpoint-0 holds the lease"))

    outcome = await scene.carry_out()

    assert outcome is scene.record().outcome is Outcome.STANDBY
    assert scene.record().detail == "setpoint-0 holds the lease"
    assert "scaling" not in scene.desk.board.parts


async def test_advice_asks_nothing(scene: Scene) -> None:
    outcome = await scene.carry_out(is_advisory=True)

    assert outcome is scene.record().outcome is Outcome.ADVISORY
    assert scene.actuator.requests == ()


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(Refused("no right to scale"), Outcome.REFUSED), (Conflict("it was changed"), Outcome.FAILED)],
)
async def test_what_would_be_refused_again_or_overwrite_others_is_asked_once(
    scene: Scene, fault: ActuationError, outcome: Outcome
) -> None:
    scene.actuator.fail_next_scale(fault)

    assert await scene.carry_out() is outcome
    assert scene.record().detail == str(fault)
    assert len(scene.actuator.requests) == 1
    assert not scene.desk.board.parts["scaling"].is_ok


async def test_three_attempts_are_made_within_a_second(scene: Scene) -> None:
    scene.actuator.fail_next_scale(*[ActuationError("busy")] * 9)

    assert await scene.carry_out() is Outcome.FAILED
    assert len(scene.actuator.requests) == 3
    assert scene.record().now_s == pytest.approx(0.6)


async def test_a_refusal_after_a_passing_failure_ends_the_attempts(scene: Scene) -> None:
    scene.actuator.fail_next_scale(ActuationError("busy"), Refused("the quota is used up"))

    assert await scene.carry_out() is Outcome.REFUSED
    assert len(scene.actuator.requests) == 2


async def test_waits_between_attempts_count_into_the_limit(scene: Scene) -> None:
    scene.actuator.fail_next_scale(*[ActuationError("busy")] * 9)

    assert await scene.carry_out(limit_s=0.3) is Outcome.FAILED
    assert scene.record().detail == "no answer within 0.3 s; before that: busy"
    assert len(scene.actuator.requests) == 2


async def test_counts_that_cannot_be_read_back_are_not_called_applied(scene: Scene) -> None:
    scene.actuator.fail_next_read(ObservationError("the store is away"))

    assert await scene.carry_out() is Outcome.FAILED
    assert scene.record().detail == "the store is away"


async def test_work_that_hangs_ends_at_its_limit(scene: Scene) -> None:
    scene.actuator.hang()

    assert await scene.carry_out() is Outcome.FAILED
    assert scene.record().now_s == LIMIT_S


async def test_being_stopped_midway_is_on_record_and_passes(scene: Scene) -> None:
    scene.actuator.hang()
    task = asyncio.ensure_future(scene.hands.carry_out(WANTED, is_advisory=False, limit_s=LIMIT_S))
    await scene.clock.advance(1.0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert scene.record().outcome is Outcome.FAILED
    assert scene.record().detail == "stopped before it was confirmed"
