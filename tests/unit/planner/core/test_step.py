"""One step after the other: what a tick makes of load, limits, budget and fleets."""

import pytest

from config.policy import CorrectionPolicy, Policy, PoolPolicy
from connectors.base import Idle, PoolState, Unknown
from planner.core.decision import ReasonCode
from tests.unit.planner.core.scene import (
    Loop,
    codes,
    counts,
    fleet,
    forecast,
    policy,
    pool,
    reason,
    say,
    traffic,
)


def beside_one_decode(prefill: PoolPolicy, *, budget_gpus: int = 64) -> Policy:
    """Return a policy whose decode pool is a bystander at one engine."""
    return policy(prefill, pool("decode", bounds=(1, 1)), budget_gpus=budget_gpus)


@pytest.mark.parametrize(
    ("found", "bounds", "expected", "code"),
    [
        pytest.param(0, (4, None), 4, ReasonCode.MINIMUM, id="below the minimum"),
        pytest.param(20, (1, 8), 8, ReasonCode.MAXIMUM, id="above the maximum"),
    ],
)
def test_windows_and_steps_do_not_delay_the_pool_s_own_bounds(
    found: int, bounds: tuple[int, int | None], expected: int, code: ReasonCode
) -> None:
    loop = Loop(beside_one_decode(pool(bounds=bounds, steps=(1, 1), windows_s=(600.0, 600.0))))

    decision = loop.tick(75.0 if found else 5.0, fleet(prefill=found, decode=1))

    assert counts(decision)["prefill"] == expected
    assert decision.pools[0].bound_by is code


def test_idle_from_the_start_says_nothing_about_a_prompt_of_no_tokens() -> None:
    nothing = traffic(0.0, isl=Idle(at_s=0.0), osl=Idle(at_s=0.0))

    decision = Loop(policy()).tick(
        nothing, fleet(prefill=8, decode=8), plan=forecast(0.0, isl=None, osl=None)
    )

    assert counts(decision) == {"prefill": 1, "decode": 1}
    assert ReasonCode.OUTSIDE_PROFILE not in codes(decision)


def test_a_tick_sizes_for_the_forecast_not_for_what_was_seen() -> None:
    decision = Loop(policy()).tick(20.0, fleet(prefill=2, decode=1), plan=75.0)

    assert decision.demand is not None
    assert decision.demand.arrivals_rps == 75.0
    assert counts(decision)["prefill"] == 8


def test_an_idle_fleet_shrinks_to_its_minimum() -> None:
    loop = Loop(policy(pool(bounds=(2, None)), pool("decode", bounds=(1, None))))
    loop.tick(75.0, fleet(prefill=8, decode=3))

    decision = loop.tick(0.0, fleet(prefill=8, decode=3))

    assert counts(decision) == {"prefill": 2, "decode": 1}
    assert {p.bound_by for p in decision.pools} == {ReasonCode.MINIMUM}


def test_a_fleet_that_was_found_beyond_the_budget_is_cut_in_one_explained_step() -> None:
    loop = Loop(policy(budget_gpus=10))

    decision = loop.tick(300.0, fleet(prefill=20, decode=20))

    assert decision.gpus == 10
    assert {p.bound_by for p in decision.pools} == {ReasonCode.BUDGET}
    assert say(decision, ReasonCode.BUDGET, "prefill") == (
        "prefill: 30 wanted, 8 granted: 40 GPUs would exceed the budget of 10; 20 were found at start"
    )


def test_a_swap_under_a_full_budget_shrinks_first_and_grows_as_gpus_come_free() -> None:
    loop = Loop(policy(budget_gpus=12, correction=CorrectionPolicy(enabled=False)))
    window, plan = traffic(50.0, isl=100.0, osl=900.0), forecast(50.0, isl=100.0, osl=900.0)
    prefills = (
        PoolState(desired=10, ready=10),
        PoolState(desired=1, ready=10),
        PoolState(desired=1, ready=1, terminating=9),
        PoolState(desired=1, ready=1, terminating=8),
        PoolState(desired=1, ready=1),
    )

    decisions = [loop.tick(window, fleet(prefill=state, decode=2), plan=plan) for state in prefills]

    assert all(decision.committed_gpus <= 12 for decision in decisions)
    assert [tuple(counts(decision).values()) for decision in decisions] == [
        (1, 2),
        (1, 2),
        (1, 2),
        (1, 3),
        (1, 4),
    ]


def test_a_decrease_waits_for_its_window_and_then_happens() -> None:
    loop = Loop(beside_one_decode(pool(windows_s=(0.0, 90.0))))
    loop.tick(75.0, fleet(prefill=8, decode=1))

    decided = [counts(loop.tick(15.0, fleet(prefill=8, decode=1)))["prefill"] for _ in range(5)]

    # Wanted at 30, 60, 90 and 120 s: throughout 90 s at the fourth.
    assert decided == [8, 8, 8, 2, 2]


def test_one_burst_renews_the_window_of_a_decrease() -> None:
    loop = Loop(beside_one_decode(pool(windows_s=(0.0, 90.0))))
    rates = (75.0, 15.0, 15.0, 55.0, 15.0, 15.0, 15.0, 15.0)

    decided = [counts(loop.tick(rate, fleet(prefill=8, decode=1)))["prefill"] for rate in rates]

    assert decided == [8, 8, 8, 8, 6, 6, 6, 2]


def test_an_outage_does_not_count_as_wanting_less() -> None:
    loop = Loop(beside_one_decode(pool(windows_s=(0.0, 90.0))))
    loop.tick(75.0, fleet(prefill=8, decode=1))
    for _ in range(10):
        loop.tick(traffic(Unknown(why="down")), fleet(prefill=8, decode=1))

    decision = loop.tick(15.0, fleet(prefill=8, decode=1))

    assert counts(decision)["prefill"] == 8
    assert decision.pools[0].bound_by is ReasonCode.WINDOW_DOWN


def test_engines_of_several_gpus_are_counted_as_the_fleet_says() -> None:
    loop = Loop(policy(pool(gpus=1), pool("decode", bounds=(1, 1)), budget_gpus=9))
    tp4 = PoolState(desired=1, ready=1, gpus_per_engine=4)

    decision = loop.tick(155.0, fleet(prefill=tp4, decode=1))

    assert decision.pools[0].gpus_per_engine == 4
    assert decision.pools[0].needed == 4
    assert counts(decision) == {"prefill": 2, "decode": 1}
    assert decision.committed_gpus == 9


def test_settling_and_failing_engines_are_noted() -> None:
    state = PoolState(desired=4, ready=1, starting=2, failing=1)

    decision = Loop(policy()).tick(35.0, fleet(prefill=state, decode=1))

    assert reason(decision, ReasonCode.SETTLING, "prefill").numbers() == {
        "ready": 1,
        "desired": 4,
        "starting": 2,
    }
    assert reason(decision, ReasonCode.ENGINES_FAILING, "prefill").numbers() == {
        "failing": 1,
        "unschedulable": 0,
    }


def test_a_settled_fleet_has_nothing_to_note() -> None:
    assert codes(Loop(policy()).tick(20.0, fleet(prefill=2, decode=1))) == {ReasonCode.LOAD}


def test_a_reload_that_adds_a_pool_keeps_what_is_known_of_the_others() -> None:
    loop = Loop(policy(pool("prefill")))
    loop.tick(traffic(20.0, ttft_s=0.035), fleet(prefill=2), plan=20.0)
    loop.policy = policy()

    decision = loop.tick(traffic(20.0, ttft_s=Unknown(why="down")), fleet(prefill=2, decode=1), plan=20.0)

    assert [p.correction_ratio for p in decision.pools] == [pytest.approx(0.5), 1.0]


def test_what_is_decided_adds_up() -> None:
    decision = Loop(policy()).tick(75.0, fleet(prefill=2, decode=1))
    prefill = decision.pools[0]

    assert prefill.demand_tokens_per_s == 75_000.0
    assert prefill.capacity_tokens_per_s == 10_000.0
    assert prefill.utilization_ratio == pytest.approx(75.0 / 80.0)
    assert decision.expected_ttft_s == pytest.approx(0.07)
    assert decision.expected_itl_s is not None
    assert decision.expected_itl_s <= 0.02
