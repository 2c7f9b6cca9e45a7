"""Missing is never zero: what a step does without arrivals, lengths, forecast or fleet."""

import math

import pytest

from connectors.base import Fleet, Idle, PoolState, Reading, Unknown
from planner.core.decision import ReasonCode, StepKind
from planner.core.words import explain, headline
from predictors.base import Forecast
from tests.unit.planner.core.scene import (
    INTERVAL_S,
    Loop,
    codes,
    counts,
    fleet,
    forecast,
    policy,
    say,
    traffic,
)

DOWN = Unknown(why="the server is down")
BIG = fleet(prefill=8, decode=8)


@pytest.mark.parametrize(
    ("arrivals", "why"),
    [
        pytest.param(DOWN, "the server is down", id="unknown"),
        pytest.param(math.nan, "the value nan is absurd", id="nan"),
        pytest.param(math.inf, "the value inf is absurd", id="infinite"),
        pytest.param(-1.0, "the value -1 is absurd", id="negative"),
        pytest.param(1e12, "the value 1e+12 is absurd", id="huge"),
    ],
)
def test_without_arrivals_a_tick_holds(arrivals: Reading | float, why: str) -> None:
    loop = Loop(policy())
    loop.tick(5.0, BIG)

    decision = loop.tick(traffic(arrivals), BIG, plan=1.0)

    assert decision.is_hold
    assert counts(decision) == {"prefill": 8, "decode": 8}
    assert decision.demand is None
    assert say(decision, ReasonCode.BLIND_ARRIVALS) == f"holding: the offered load is not known ({why})"


@pytest.mark.parametrize(
    ("found", "detail"),
    [
        pytest.param(
            Unknown(why="etcd is away"), "holding: the fleet is not known (etcd is away)", id="away"
        ),
        pytest.param(
            fleet(prefill=8),
            "decode: holding: the fleet is not known (the pool is not there)",
            id="a pool is missing",
        ),
        pytest.param(
            fleet(prefill=8, decode=-1),
            "decode: holding: the fleet is not known (its replica counts are absurd: desired -1, not within "
            "0 to 1000000)",
            id="negative",
        ),
        pytest.param(
            fleet(prefill=8, decode=2**31 - 1),
            "decode: holding: the fleet is not known (its replica counts are absurd: desired 2147483647, "
            "not within 0 to 1000000)",
            id="the most that an API server takes",
        ),
        pytest.param(
            fleet(prefill=8, decode=PoolState(desired=8, ready=8, gpus_per_engine=0)),
            "decode: holding: the fleet is not known (its GPUs per engine are absurd: 0, not within 1 to "
            "10000)",
            id="engines without GPUs",
        ),
    ],
)
def test_without_the_fleet_the_last_decision_is_held(found: Fleet | Unknown, detail: str) -> None:
    loop = Loop(policy())
    last = loop.tick(45.0, BIG)

    decision = loop.tick(5.0, found)

    assert decision.is_hold
    assert counts(decision) == counts(last)
    assert not decision.is_change
    assert say(decision, ReasonCode.BLIND_FLEET) == detail


def test_before_the_fleet_was_ever_seen_there_is_nothing_to_hold() -> None:
    decision = Loop(policy()).tick(5.0, DOWN)

    assert decision.pools == ()
    assert headline(decision) == "hold: the fleet was not seen yet"


def test_lengths_are_remembered_for_exactly_three_intervals() -> None:
    loop = Loop(policy())
    loop.tick(45.0, BIG)
    fog = traffic(45.0, isl=DOWN)

    remembered = [loop.tick(fog, BIG, plan=45.0) for _ in range(3)]
    blind = loop.tick(fog, BIG, plan=45.0)

    for decision in remembered:
        assert not decision.is_hold
        assert say(decision, ReasonCode.LENGTHS_REMEMBERED) == (
            "the last known length of 1000 tokens stands in (isl: the server is down)"
        )
    assert blind.is_hold
    assert say(blind, ReasonCode.BLIND_LENGTHS) == (
        "holding: request lengths are not known for 120 s (isl is unknown: the server is down)"
    )
    assert loop.state.blind_since_s == loop.now_s


def test_a_late_tick_does_not_shorten_the_memory_of_lengths() -> None:
    loop = Loop(policy())
    loop.tick(45.0, BIG)

    decision = loop.tick(traffic(45.0, osl=DOWN), BIG, plan=45.0, after_s=3 * INTERVAL_S + 2.0)

    assert ReasonCode.LENGTHS_REMEMBERED in codes(decision)


def test_lengths_seen_while_the_fleet_was_not_are_remembered_too() -> None:
    loop = Loop(policy())
    loop.tick(45.0, BIG)
    for _ in range(4):
        loop.tick(45.0, DOWN)

    decision = loop.tick(traffic(45.0, isl=DOWN), BIG, plan=45.0)

    assert ReasonCode.LENGTHS_REMEMBERED in codes(decision)


def test_idle_is_not_blind_however_long() -> None:
    loop = Loop(policy())
    loop.tick(45.0, BIG)
    nothing = traffic(0.0, isl=Idle(at_s=0.0), osl=Idle(at_s=0.0), ttft_s=Idle(at_s=0.0))

    decisions = [loop.tick(nothing, BIG, plan=0.0) for _ in range(10)]

    assert counts(decisions[-1]) == {"prefill": 1, "decode": 1}
    assert codes(decisions[-1]) == {ReasonCode.LOAD, ReasonCode.MINIMUM}


def test_requests_that_wait_for_a_first_token_are_overload_not_blindness() -> None:
    loop = Loop(policy())
    loop.tick(45.0, BIG)
    stuck = traffic(95.0, isl=DOWN, osl=DOWN, ttft_s=DOWN, queued=500.0)

    decisions = [loop.tick(stuck, BIG, plan=95.0) for _ in range(6)]

    assert not decisions[-1].is_hold
    assert counts(decisions[-1])["prefill"] == 10


def test_lengths_never_seen_hold_even_while_requests_wait() -> None:
    decision = Loop(policy()).tick(traffic(9.0, isl=DOWN, queued=500.0), BIG, plan=9.0)

    assert decision.is_hold
    assert say(decision, ReasonCode.BLIND_LENGTHS) == (
        "holding: request lengths are not known (isl was never seen (the server is down))"
    )


def test_expected_load_of_unknown_length_is_not_sized_as_nothing() -> None:
    quiet_now = traffic(0.0, isl=Idle(at_s=0.0), osl=Idle(at_s=0.0))

    decision = Loop(policy()).tick(quiet_now, BIG, plan=forecast(50.0, isl=None, osl=None))

    assert decision.is_hold
    assert counts(decision) == {"prefill": 8, "decode": 8}
    assert ReasonCode.BLIND_LENGTHS in codes(decision)


@pytest.mark.parametrize("isl", [0.0, 0.2])
def test_a_forecast_of_no_tokens_is_not_believed(isl: float) -> None:
    decision = Loop(policy()).tick(traffic(45.0), BIG, plan=forecast(45.0, isl=isl))

    assert counts(decision)["prefill"] == 5


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(None, id="none"),
        pytest.param(forecast(math.nan), id="nan"),
        pytest.param(forecast(-1.0), id="negative"),
        pytest.param(forecast(1e30), id="huge"),
        pytest.param(forecast(1.0, isl=math.inf), id="an infinite prompt"),
        pytest.param(forecast(1.0, osl=-5.0), id="a negative output"),
    ],
)
def test_without_a_usable_forecast_the_observed_load_is_sized_for(
    plan: Forecast | None,
) -> None:
    loop = Loop(policy())

    decision = loop.tick(traffic(45.0), BIG, plan=plan)

    assert counts(decision)["prefill"] == 5
    assert say(decision, ReasonCode.FORECAST_MISSING) == (
        "there is no usable forecast; sized for the observed 45.00 requests/s"
    )


def test_a_budget_lowered_while_blind_wins_once_good_data_were_seen() -> None:
    loop = Loop(policy())
    loop.tick(85.0, BIG)
    loop.policy = policy(budget_gpus=8)

    decision = loop.tick(traffic(DOWN), BIG)

    assert decision.is_hold
    assert counts(decision) == {"prefill": 4, "decode": 4}
    assert say(decision, ReasonCode.BUDGET, "prefill") == (
        "prefill: 8 wanted, 4 granted: 16 GPUs would exceed the budget of 8"
    )


def test_a_budget_takes_nothing_from_a_fleet_that_was_only_seen_blind() -> None:
    decision = Loop(policy(budget_gpus=8)).tick(traffic(DOWN), BIG)

    assert counts(decision) == {"prefill": 8, "decode": 8}


def test_blindness_is_dated_from_its_first_tick_and_ends_with_the_first_good_one() -> None:
    loop = Loop(policy())
    loop.tick(traffic(DOWN), BIG)
    since_s = loop.state.blind_since_s
    loop.tick(5.0, DOWN)

    assert loop.state.blind_since_s == since_s == INTERVAL_S

    loop.tick(5.0, BIG)

    assert loop.state.blind_since_s is None


def test_a_hold_says_from_its_second_interval_on_for_how_long_nothing_was_seen() -> None:
    loop = Loop(policy())
    loop.tick(5.0, BIG)

    first = loop.tick(traffic(DOWN), BIG)
    look = loop.look(traffic(DOWN), BIG)
    loop.tick(5.0, DOWN)
    last = loop.tick(traffic(DOWN), DOWN)

    assert all("blind for" not in words for decision in (first, look) for words in explain(decision))
    assert explain(last) == (
        "holding: the fleet is not known (the server is down); blind for 65 s",  # 5 s of the look among them
        "holding: the offered load is not known (the server is down)",
    )
    assert last.reasons[0].numbers() == {"blind_s": 65.0}


def test_an_end_of_blindness_ends_its_count() -> None:
    loop = Loop(policy())
    for _ in range(3):
        loop.tick(traffic(DOWN), BIG)
    loop.tick(5.0, BIG)

    again = loop.tick(traffic(DOWN), BIG)

    assert say(again, ReasonCode.BLIND_ARRIVALS) == (
        "holding: the offered load is not known (the server is down)"
    )


def test_a_look_neither_begins_nor_ends_blindness() -> None:
    loop = Loop(policy())
    loop.tick(5.0, BIG)
    before = loop.state

    loop.look(5.0, DOWN)
    loop.look(traffic(DOWN, isl=99.0), BIG)

    assert loop.state.blind_since_s is None
    assert loop.state.lengths == before.lengths


@pytest.mark.parametrize("kind", StepKind)
@pytest.mark.parametrize("rate", [60.0, DOWN], ids=["seeing", "blind"])
def test_gpus_per_engine_at_which_no_minimum_fits_the_budget_do_not_end_the_service(
    rate: float | Unknown, kind: StepKind
) -> None:
    loop = Loop(policy(budget_gpus=12))
    last = loop.tick(60.0, fleet(prefill=6, decode=3))
    large = {
        name: PoolState(desired=count, ready=count, gpus_per_engine=16)
        for name, count in counts(last).items()
    }

    decision = (loop.tick if kind is StepKind.TICK else loop.look)(traffic(rate), fleet(**large))

    assert decision.is_hold
    assert counts(decision) == counts(last)
    assert say(decision, ReasonCode.BLIND_FLEET) == (
        "holding: the fleet is not known (by the GPUs per engine that it reports (16, 16) the minimums alone "
        "take 32 GPUs, more than the budget of 12)"
    )
