"""What a look may do between two ticks, and what it must leave alone."""

import pytest

from connectors.base import PoolState, Unknown
from planner.core.decision import ReasonCode, StepKind
from planner.core.words import headline
from tests.unit.planner.core.scene import Loop, codes, counts, fleet, policy, pool, reason, say, traffic

TWO = fleet(prefill=2, decode=1)


def after_one_tick(*, rate: float = 20.0, budget_gpus: int = 64) -> Loop:
    loop = Loop(policy(budget_gpus=budget_gpus))
    loop.tick(rate, TWO)
    return loop


def test_a_surge_adds_engines_before_the_next_tick() -> None:
    loop = after_one_tick()

    decision = loop.look(60.0, TWO, plan=20.0)

    assert decision.kind is StepKind.LOOK
    assert counts(decision)["prefill"] == 6
    assert decision.pools[0].bound_by is ReasonCode.SURGE
    assert reason(decision, ReasonCode.SURGE).numbers()["planned_rps"] == 20.0


@pytest.mark.parametrize(
    ("rate", "window_s", "is_surge"),
    [
        # 20 were planned for, so 25 is the edge; 3·√(25·30)/30 = 2.74 more come by chance in 30 s.
        pytest.param(25.0, 30.0, False, id="at the band's edge"),
        pytest.param(27.7, 30.0, False, id="within counting noise"),
        pytest.param(27.8, 30.0, True, id="beyond counting noise"),
        pytest.param(39.0, 1.0, False, id="a second shows more noise"),
        pytest.param(41.0, 1.0, True, id="beyond the noise of a second"),
    ],
)
def test_counting_noise_is_no_surge(rate: float, window_s: float, *, is_surge: bool) -> None:
    loop = after_one_tick()

    decision = loop.look(traffic(rate, window_s=window_s), TWO)

    assert (ReasonCode.SURGE in codes(decision)) == is_surge


def test_one_request_on_an_idle_fleet_is_no_surge() -> None:
    loop = after_one_tick(rate=0.0)

    decision = loop.look(traffic(1.0 / 20.0, window_s=20.0), fleet(prefill=1, decode=1))

    assert codes(decision) == {ReasonCode.QUIET}


def test_a_quiet_look_keeps_everything_and_says_so() -> None:
    loop = after_one_tick()
    before = loop.state

    decision = loop.look(3.0, TWO, plan=20.0)

    assert not decision.is_change
    assert loop.state == before
    assert headline(decision) == "prefill 2 (quiet), decode 1 (quiet); 3 of 64 GPUs"
    assert say(decision, ReasonCode.QUIET) == "nothing left the forecast's band"


def test_a_standing_queue_adds_engines() -> None:
    loop = after_one_tick()

    # Two serve and 20 · 0.2 s are normal, so 900 of 906 stand; within 30 s they are 30 requests/s more.
    decision = loop.look(traffic(20.0, queued=906.0), TWO)

    assert reason(decision, ReasonCode.QUEUE).numbers()["backlog"] == 900.0
    assert counts(decision)["prefill"] == 5
    assert decision.pools[0].bound_by is ReasonCode.QUEUE


@pytest.mark.parametrize("queued", [0.0, 6.0, 100.0])
def test_a_queue_that_the_load_explains_adds_nothing(queued: float) -> None:
    loop = after_one_tick()

    decision = loop.look(traffic(20.0, queued=queued), TWO)

    assert codes(decision) == {ReasonCode.QUIET}


def test_a_tick_removes_nothing_while_a_queue_stands() -> None:
    loop = after_one_tick()

    decision = loop.tick(traffic(5.0, queued=1000.0), TWO)

    assert counts(decision)["prefill"] == 2
    assert decision.pools[0].bound_by is ReasonCode.QUEUE


def test_a_tick_does_not_take_away_what_a_look_added_while_the_surge_lasts() -> None:
    loop = after_one_tick()
    added = counts(loop.look(60.0, TWO, plan=20.0))

    decision = loop.tick(60.0, fleet(**added), plan=20.0)

    assert counts(decision) == added
    assert decision.pools[0].bound_by is ReasonCode.SURGE


def test_a_queue_without_arrivals_is_not_idle() -> None:
    loop = after_one_tick()

    decision = loop.tick(traffic(0.0, queued=1000.0), TWO, plan=0.0)

    assert counts(decision)["prefill"] == 2


def test_a_look_calls_off_a_removal_that_has_not_happened_yet() -> None:
    loop = after_one_tick()
    going = fleet(prefill=PoolState(desired=2, ready=5), decode=1)

    decision = loop.look(40.0, going, plan=20.0)

    assert counts(decision)["prefill"] == 4
    assert decision.pools[0].bound_by is ReasonCode.REMOVAL_CALLED_OFF
    assert say(decision, ReasonCode.REMOVAL_CALLED_OFF) == (
        "prefill: the pending removal is called off: 5 engines are still there, 2 were to stay, "
        "4 are to stay now"
    )


def test_a_removal_is_called_off_even_on_a_full_budget() -> None:
    loop = after_one_tick(budget_gpus=6)
    going = fleet(prefill=PoolState(desired=2, ready=5), decode=1)

    decision = loop.look(90.0, going, plan=20.0)

    assert counts(decision) == {"prefill": 5, "decode": 1}
    assert decision.committed_gpus == 6


def test_a_blind_look_holds_and_says_why() -> None:
    loop = after_one_tick()

    decision = loop.look(traffic(Unknown(why="the server is down")), TWO)

    assert decision.is_hold
    assert not decision.is_change
    assert say(decision, ReasonCode.BLIND_ARRIVALS) == (
        "holding: the offered load is not known (the server is down)"
    )
    assert {pool.bound_by for pool in decision.pools} == {ReasonCode.BLIND_ARRIVALS}


def test_a_look_before_the_first_tick_waits_for_it() -> None:
    loop = Loop(policy())

    decision = loop.look(500.0, TWO)

    assert codes(decision) == {ReasonCode.QUIET}


def test_a_surge_in_one_pool_does_not_renew_the_window_of_another() -> None:
    prefill, decode = pool("prefill"), pool("decode", windows_s=(0.0, 60.0))
    loop = Loop(policy(prefill, decode))
    loop.tick(20.0, fleet(prefill=2, decode=3))
    loop.tick(20.0, fleet(prefill=2, decode=3))

    loop.look(30.0, fleet(prefill=2, decode=3), plan=20.0)

    # What decode has is not what the look found it to need.
    last = loop.state.pools[1].wishes[-1]
    assert (last.at_s, last.replicas) == (65.0, 2)


def test_a_look_takes_no_more_than_one_step_up() -> None:
    loop = Loop(policy(pool("prefill", steps=(1, None)), pool("decode")))
    loop.tick(20.0, TWO)

    decision = loop.look(90.0, TWO, plan=20.0)

    assert counts(decision)["prefill"] == 3
    assert decision.pools[0].bound_by is ReasonCode.STEP_UP


def test_a_look_keeps_the_window_that_an_increase_must_wait_for() -> None:
    loop = Loop(policy(pool("prefill", windows_s=(60.0, 0.0)), pool("decode")))
    loop.tick(20.0, TWO)
    loop.tick(20.0, TWO)

    decision = loop.look(60.0, TWO, plan=20.0)

    assert counts(decision) == {"prefill": 2, "decode": 2}
    assert decision.pools[0].bound_by is ReasonCode.WINDOW_UP
    assert say(decision, ReasonCode.WINDOW_UP) == (
        "prefill: 6 wanted, 2 granted: this many were wanted throughout the last 60 s"
    )


def test_a_look_says_that_the_budget_binds_where_waiting_would_not_help() -> None:
    loop = after_one_tick(budget_gpus=6)

    decision = loop.look(90.0, TWO, plan=20.0)

    assert decision.committed_gpus == 6
    assert ReasonCode.BUDGET in codes(decision)
    assert ReasonCode.BUDGET_WAIT not in codes(decision)


def test_a_surge_that_the_fleet_can_carry_changes_nothing() -> None:
    loop = Loop(policy())
    loop.tick(20.0, fleet(prefill=9, decode=3))
    before = loop.state

    decision = loop.look(60.0, fleet(prefill=9, decode=3), plan=20.0)

    assert ReasonCode.SURGE in codes(decision)
    assert not decision.is_change
    assert loop.state.pools[0].wishes == before.pools[0].wishes
