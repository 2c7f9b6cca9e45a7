"""What the orchestrator's side says of a pool is heeded: holds, engines without room, its own limits."""

import math
from dataclasses import replace

import pytest

from config.policy import CorrectionPolicy
from connectors.base import HoldKind, PoolHold, PoolState, Unknown
from planner.core.decision import Direction, ReasonCode
from planner.core.heed import HOLD_CODES
from tests.unit.planner.core.scene import Loop, codes, counts, fleet, policy, pool, reason, say, traffic

PAUSE = PoolHold(kind=HoldKind.PAUSED, why="by an annotation")


def loop(budget_gpus: int = 64, *, least: tuple[int, int] = (1, 1)) -> Loop:
    prefill, decode = (
        pool(name, bounds=(count, None)) for name, count in zip(("prefill", "decode"), least, strict=True)
    )
    return Loop(policy(prefill, decode, budget_gpus=budget_gpus, correction=CorrectionPolicy(enabled=False)))


def paused(count: int) -> PoolState:
    return PoolState(desired=count, ready=count, hold=PAUSE)


@pytest.mark.parametrize("kind", HoldKind)
def test_a_pool_on_hold_keeps_its_count_while_the_other_goes_on(kind: HoldKind) -> None:
    prefill = PoolState(desired=2, ready=2, hold=PoolHold(kind=kind, why="because"))

    decision = loop().tick(95.0, fleet(prefill=prefill, decode=1))

    assert counts(decision) == {"prefill": 2, "decode": 3}
    assert decision.pools[0].bound_by.value == kind.value
    assert decision.pools[0].needed == 10


def test_every_kind_of_hold_has_a_reason_of_its_own() -> None:
    assert {code.value for code in HOLD_CODES} == {kind.value for kind in HoldKind}


def test_a_pause_outranks_the_budget_and_the_others_keep_their_minimum() -> None:
    decision = loop(budget_gpus=8, least=(1, 2)).tick(95.0, fleet(prefill=paused(10), decode=5))

    assert counts(decision) == {"prefill": 10, "decode": 2}
    assert "budget of 8" in say(decision, ReasonCode.BUDGET, "decode")


def test_what_is_paused_beyond_the_budget_lets_nobody_grow() -> None:
    decision = loop(budget_gpus=8, least=(1, 2)).tick(95.0, fleet(prefill=paused(10), decode=1))

    assert counts(decision) == {"prefill": 10, "decode": 1}


def test_the_others_share_what_a_pause_leaves_of_the_budget() -> None:
    decision = loop(budget_gpus=8).tick(95.0, fleet(prefill=paused(6), decode=1))

    assert counts(decision) == {"prefill": 6, "decode": 2}
    assert decision.committed_gpus == 8


def test_a_pool_below_its_minimum_stays_there_while_it_is_paused() -> None:
    decision = loop(least=(3, 1)).tick(5.0, fleet(prefill=paused(1), decode=1))

    assert counts(decision)["prefill"] == 1


def test_a_pause_outranks_engines_that_nobody_has_room_for() -> None:
    prefill = PoolState(desired=6, ready=4, failing=2, unschedulable=2, hold=PAUSE)

    decision = loop().tick(5.0, fleet(prefill=prefill, decode=1))

    assert counts(decision)["prefill"] == 6
    assert decision.pools[0].bound_by is ReasonCode.PAUSED


def test_a_look_adds_nothing_to_a_pool_on_hold() -> None:
    daemon = loop()
    daemon.tick(20.0, fleet(prefill=2, decode=1))

    decision = daemon.look(60.0, fleet(prefill=paused(2), decode=1), plan=20.0)

    assert counts(decision) == {"prefill": 2, "decode": 2}
    assert reason(decision, ReasonCode.PAUSED).pool == "prefill"


def test_a_quiet_look_says_that_a_pool_is_paused() -> None:
    daemon = loop()
    daemon.tick(20.0, fleet(prefill=2, decode=1))

    decision = daemon.look(19.0, fleet(prefill=paused(2), decode=1), plan=20.0)

    assert say(decision, ReasonCode.PAUSED) == "prefill: left alone: by an annotation; 2 stay"
    assert [p.bound_by for p in decision.pools] == [ReasonCode.PAUSED, ReasonCode.QUIET]


def test_a_lowered_budget_does_not_shrink_a_paused_pool_while_blind() -> None:
    daemon = loop()
    daemon.tick(20.0, fleet(prefill=8, decode=8))
    daemon.policy = replace(daemon.policy, budget_gpus=10)

    decision = daemon.tick(traffic(Unknown(why="down")), fleet(prefill=paused(8), decode=8))

    assert decision.is_hold
    assert counts(decision) == {"prefill": 8, "decode": 2}
    assert [p.bound_by for p in decision.pools] == [ReasonCode.PAUSED, ReasonCode.BUDGET]


def test_a_pool_that_is_released_follows_the_load_at_the_next_tick() -> None:
    daemon = loop()
    daemon.tick(95.0, fleet(prefill=paused(2), decode=3))

    decision = daemon.tick(95.0, fleet(prefill=2, decode=3))

    assert counts(decision) == {"prefill": 10, "decode": 3}


def test_no_more_is_asked_for_where_engines_wait_for_gpus() -> None:
    prefill = PoolState(desired=4, ready=2, failing=2, unschedulable=2)
    daemon = loop()

    decisions = [daemon.tick(95.0, fleet(prefill=prefill, decode=3)) for _ in range(5)]

    assert [counts(decision)["prefill"] for decision in decisions] == [4] * 5
    assert {decision.pools[0].needed for decision in decisions} == {10}
    assert decisions[-1].pools[0].bound_by is ReasonCode.UNSCHEDULABLE


def test_fewer_are_still_asked_for_where_engines_wait_for_gpus() -> None:
    prefill = PoolState(desired=6, ready=4, failing=2, unschedulable=2)

    assert counts(loop().tick(25.0, fleet(prefill=prefill, decode=1)))["prefill"] == 3


def test_engines_that_wait_for_gpus_count_against_the_budget() -> None:
    prefill = PoolState(desired=4, ready=1, failing=3, unschedulable=3)

    decision = loop(budget_gpus=6).tick(95.0, fleet(prefill=prefill, decode=1))

    assert counts(decision) == {"prefill": 3, "decode": 2}
    assert decision.committed_gpus == 6


def test_a_look_asks_for_no_more_where_engines_wait_for_gpus() -> None:
    daemon = loop()
    daemon.tick(20.0, fleet(prefill=2, decode=1))
    prefill = PoolState(desired=2, ready=1, failing=1, unschedulable=1)

    assert counts(daemon.look(60.0, fleet(prefill=prefill, decode=1), plan=20.0))["prefill"] == 2


def test_the_limits_of_the_target_bind_like_those_of_the_pool() -> None:
    prefill = PoolState(desired=3, ready=3, least=2, most=4)
    daemon = loop()

    assert counts(daemon.tick(95.0, fleet(prefill=prefill, decode=3)))["prefill"] == 4
    assert counts(daemon.tick(1.0, fleet(prefill=prefill, decode=1)))["prefill"] == 2


def test_the_budget_wins_over_a_minimum_of_the_target() -> None:
    prefill = PoolState(desired=2, ready=2, least=20)

    decision = loop(budget_gpus=8, least=(1, 3)).tick(5.0, fleet(prefill=prefill, decode=3))

    assert counts(decision) == {"prefill": 5, "decode": 3}


def test_limits_of_the_target_that_cannot_be_true_are_blindness() -> None:
    for absurd in (PoolState(desired=1, ready=1, least=-1), PoolState(desired=1, ready=1, most=-3)):
        assert loop().tick(20.0, fleet(prefill=absurd, decode=1)).is_hold


def test_a_standby_decides_as_ever_and_says_so() -> None:
    engines = fleet(prefill=2, decode=1)

    leading = loop().tick(95.0, engines)
    waiting = loop().tick(95.0, replace(engines, standby="setpoint-0 leads"))

    assert waiting.pools == leading.pools
    assert codes(waiting) - codes(leading) == {ReasonCode.STANDBY}
    assert not waiting.is_hold


@pytest.mark.parametrize(
    ("window_s", "grace_s", "is_told"),
    [(90.0, 30.0, True), (29.0, 30.0, False), (90.0, None, False), (90.0, math.nan, False)],
)
def test_a_grace_period_that_is_too_short_is_told_and_blocks_nothing(
    window_s: float, grace_s: float | None, *, is_told: bool
) -> None:
    decode = PoolState(desired=3, ready=3, grace_s=grace_s)
    window = traffic(5.0, request_duration_s=window_s)

    decision = loop().tick(window, fleet(prefill=1, decode=decode), plan=5.0)

    assert decision.pools[1].direction is Direction.DOWN
    assert (ReasonCode.GRACE_SHORT in codes(decision)) is is_told


def test_a_short_grace_period_is_no_matter_while_nothing_is_removed() -> None:
    decode = PoolState(desired=1, ready=1, grace_s=1.0)
    window = traffic(19.0, request_duration_s=90.0)

    assert ReasonCode.GRACE_SHORT not in codes(
        loop().tick(window, fleet(prefill=2, decode=decode), plan=19.0)
    )


def test_gpus_per_engine_that_disagree_are_told_with_the_first_plan_only() -> None:
    engines = fleet(prefill=PoolState(desired=2, ready=2, gpus_per_engine=4), decode=1)
    daemon = loop()

    first, second = daemon.tick(19.0, engines), daemon.tick(19.0, engines)

    assert reason(first, ReasonCode.GPUS_REPORTED).numbers() == {"gpus": 4, "set_gpus": 1}
    assert ReasonCode.GPUS_REPORTED not in codes(second)
