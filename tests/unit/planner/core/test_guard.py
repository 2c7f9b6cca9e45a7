"""Each stage around the solver, alone."""

import pytest

from config.policy import PoolPolicy
from connectors.base import PoolState
from planner.core.decision import ReasonCode
from planner.core.guard import (
    PoolPlan,
    affordable,
    committed_gpus,
    damp,
    hold,
    limit,
    pace,
    remember,
    within_budget,
)
from planner.core.state import Wish
from tests.unit.planner.core.scene import pool


def plan(
    wanted: int,
    state: PoolState | int,
    *,
    rules: PoolPolicy | None = None,
    wishes: tuple[tuple[float, int], ...] = (),
) -> PoolPlan:
    rules = rules or pool()
    seen = PoolState(desired=state, ready=state) if isinstance(state, int) else state
    return PoolPlan(
        pool=rules,
        state=seen,
        gpus=rules.gpus_per_engine,
        wishes=tuple(Wish(at_s=at_s, replicas=count) for at_s, count in wishes),
        wanted=wanted,
    )


def figures(done: PoolPlan) -> dict[str, float]:
    assert len(done.reasons) == 1
    return dict(done.reasons[0].numbers())


@pytest.mark.parametrize(
    ("wanted", "count", "bound_by"),
    [
        pytest.param(1, 2, ReasonCode.MINIMUM, id="below the minimum"),
        pytest.param(2, 2, ReasonCode.LOAD, id="at the minimum"),
        pytest.param(6, 6, ReasonCode.LOAD, id="at the maximum"),
        pytest.param(7, 6, ReasonCode.MAXIMUM, id="above the maximum"),
    ],
)
def test_limits_are_inclusive(wanted: int, count: int, bound_by: ReasonCode) -> None:
    done = limit(plan(wanted, 3, rules=pool(bounds=(2, 6))))

    assert (done.wanted, done.bound_by) == (count, bound_by)


def test_a_limit_tells_its_figures() -> None:
    assert figures(limit(plan(0, 3, rules=pool(bounds=(2, 6))))) == {
        "wanted": 0,
        "replicas": 2,
        "minimum": 2,
    }
    assert figures(limit(plan(9, 3, rules=pool(bounds=(2, 6))))) == {
        "wanted": 9,
        "replicas": 6,
        "maximum": 6,
    }


@pytest.mark.parametrize(
    ("wanted", "steps", "count", "bound_by"),
    [
        pytest.param(9, (2, None), 7, ReasonCode.STEP_UP, id="up is bounded"),
        pytest.param(7, (2, None), 7, ReasonCode.LOAD, id="up by exactly the step"),
        pytest.param(1, (2, None), 1, ReasonCode.LOAD, id="a step up does not bound going down"),
        pytest.param(1, (None, 3), 2, ReasonCode.STEP_DOWN, id="down is bounded"),
        pytest.param(2, (None, 3), 2, ReasonCode.LOAD, id="down by exactly the step"),
        pytest.param(9, (None, 3), 9, ReasonCode.LOAD, id="a step down does not bound going up"),
        pytest.param(99, (None, None), 99, ReasonCode.LOAD, id="no step limit"),
    ],
)
def test_steps_are_bounded(
    wanted: int, steps: tuple[int | None, int | None], count: int, bound_by: ReasonCode
) -> None:
    done = pace(plan(wanted, 5, rules=pool(steps=steps)))

    assert (done.wanted, done.bound_by) == (count, bound_by)


@pytest.mark.parametrize(
    ("wanted", "wishes", "now_s", "count"),
    [
        pytest.param(2, ((0.0, 8), (60.0, 2), (120.0, 2)), 120.0, 8, id="exactly at the window's begin"),
        pytest.param(2, ((0.0, 8), (1.0, 2), (120.0, 2)), 120.0, 8, id="wanted for a second less"),
        pytest.param(2, ((0.0, 2), (120.0, 2)), 120.0, 2, id="wanted for exactly the window"),
        pytest.param(2, ((-30.0, 8), (0.3, 2), (120.0, 2)), 120.0, 2, id="a slow scrape is no delay"),
        pytest.param(2, ((0.0, 4), (60.0, 6), (120.0, 2)), 120.0, 6, id="the highest wish holds"),
        pytest.param(2, ((0.0, 8), (900.0, 2)), 900.0, 8, id="a gap without ticks is not consent"),
        pytest.param(2, ((0.0, 12), (120.0, 2)), 120.0, 9, id="never above what is there"),
        pytest.param(2, ((-500.0, 9), (-200.0, 2), (120.0, 2)), 120.0, 2, id="older wishes are over"),
    ],
)
def test_a_decrease_waits_for_its_window(
    wanted: int, wishes: tuple[tuple[float, int], ...], now_s: float, count: int
) -> None:
    done = damp(plan(wanted, 9, rules=pool(windows_s=(0.0, 120.0)), wishes=wishes), now_s=now_s)

    assert done.wanted == count
    if count != wanted:
        assert done.bound_by is ReasonCode.WINDOW_DOWN
        assert figures(done) == {"wanted": wanted, "replicas": count, "window_s": 120.0}


@pytest.mark.parametrize(
    ("wishes", "count"),
    [
        pytest.param(((0.0, 2), (30.0, 9), (60.0, 9)), 3, id="not wanted when the window began"),
        pytest.param(((0.0, 5), (30.0, 7), (60.0, 9)), 5, id="as far as it was wanted throughout"),
        pytest.param(((0.0, 9), (60.0, 9)), 9, id="wanted for exactly the window"),
    ],
)
def test_an_increase_waits_for_its_window(wishes: tuple[tuple[float, int], ...], count: int) -> None:
    done = damp(plan(9, 3, rules=pool(windows_s=(60.0, 0.0)), wishes=wishes), now_s=60.0)

    assert done.wanted == count
    assert done.bound_by is (ReasonCode.LOAD if count == 9 else ReasonCode.WINDOW_UP)


def test_without_windows_a_change_is_taken_at_once() -> None:
    assert damp(plan(1, 9, wishes=((0.0, 9),)), now_s=0.0).wanted == 1
    assert damp(plan(9, 1, wishes=((0.0, 1),)), now_s=0.0).wanted == 9


def test_memory_keeps_the_window_and_the_wish_before_it() -> None:
    rules = pool(windows_s=(30.0, 120.0))
    wishes = ((0.0, 1), (60.0, 2), (100.0, 3), (200.0, 4))

    kept = remember(plan(5, 1, rules=rules, wishes=wishes), now_s=240.0).wishes

    assert [(wish.at_s, wish.replicas) for wish in kept] == [(100.0, 3), (200.0, 4), (240.0, 5)]


def test_memory_without_windows_is_one_wish() -> None:
    kept = remember(plan(5, 1, wishes=((0.0, 1), (60.0, 2))), now_s=60.0).wishes

    assert kept == (Wish(at_s=60.0, replicas=5),)


def test_a_hold_keeps_what_was_asked_for_not_what_is_ready() -> None:
    held = hold(plan(1, PoolState(desired=4, ready=2)), ReasonCode.BLIND_ARRIVALS)

    assert (held.wanted, held.bound_by) == (4, ReasonCode.BLIND_ARRIVALS)


def test_a_binding_budget_tells_its_figures() -> None:
    plans = (plan(10, 1), plan(7, 1, rules=pool("decode", gpus=2)))

    done = within_budget(plans, 12)

    assert tuple(p.wanted for p in done) == (6, 3)
    assert figures(done[1]) == {"wanted": 7, "replicas": 3, "budget_gpus": 12, "asked_gpus": 24}


@pytest.mark.parametrize(
    ("first", "second", "budget_gpus", "expected"),
    [
        pytest.param((6, 10), (6, 2), 12, (6, 2), id="shrink first"),
        pytest.param((6, PoolState(desired=6, ready=6, terminating=4)), (6, 2), 12, (6, 2), id="wait"),
        pytest.param((6, PoolState(desired=6, ready=6, terminating=1)), (6, 2), 12, (6, 5), id="partly"),
        pytest.param((6, 6), (6, 2), 12, (6, 6), id="grow when all is released"),
        pytest.param((9, 5), (9, 5), 12, (6, 6), id="two that grow share fairly"),
        pytest.param((5, 9), (5, 9), 12, (5, 5), id="over budget and both shrink"),
        pytest.param((7, 9), (12, 9), 12, (7, 9), id="over budget nobody grows"),
        pytest.param((6, PoolState(desired=2, ready=6)), (6, 6), 12, (6, 6), id="called off for free"),
        pytest.param((9, PoolState(desired=2, ready=6)), (6, 6), 12, (6, 6), id="called off as far as free"),
        pytest.param((1, PoolState(desired=1, ready=1, failing=5)), (9, 2), 12, (1, 6), id="failing count"),
        pytest.param((1, PoolState(desired=0, ready=0, terminating=20)), (9, 2), 12, (0, 2), id="no room"),
    ],
)
def test_additions_wait_for_free_gpus(
    first: tuple[int, PoolState | int],
    second: tuple[int, PoolState | int],
    budget_gpus: int,
    expected: tuple[int, int],
) -> None:
    plans = (plan(*first), plan(*second, rules=pool("decode")))

    done = affordable(plans, budget_gpus)

    assert tuple(p.wanted for p in done) == expected
    kept = tuple(plan(p.state.desired, p.state, rules=p.pool) for p in plans)
    assert committed_gpus(done) <= max(budget_gpus, committed_gpus(kept))


def test_a_wait_tells_its_figures() -> None:
    leaving = PoolState(desired=6, ready=6, terminating=4)

    done = affordable((plan(6, leaving), plan(6, 2, rules=pool("decode"))), 12)

    assert done[0].reasons == ()
    assert done[1].bound_by is ReasonCode.BUDGET_WAIT
    assert figures(done[1]) == {"wanted": 6, "replicas": 2, "budget_gpus": 12, "leaving_gpus": 4}
