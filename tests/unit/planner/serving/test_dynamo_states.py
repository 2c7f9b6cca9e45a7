"""A step of Setpoint becomes the state of Dynamo's that means the same, and no other."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from planner.core.decision import ReasonCode, because
from planner.serving.dynamo_states import LoadState, ThroughputState, load_state, throughput_state
from planner.serving.records import Stepped

Make = Callable[[float], Stepped]


def changed(step: Stepped, *, bound_by: ReasonCode = ReasonCode.LOAD, by: int = 1) -> Stepped:
    pools = tuple(
        replace(pool, replicas=pool.current + by, bound_by=bound_by) for pool in step.decision.pools
    )
    return replace(step, decision=replace(step.decision, pools=pools))


def because_of(step: Stepped, *codes: ReasonCode, is_hold: bool) -> Stepped:
    reasons = tuple(because(code, arrivals_rps=1.0) for code in codes)
    return replace(step, decision=replace(step.decision, reasons=reasons, is_hold=is_hold))


def test_before_the_first_step_nothing_is_set() -> None:
    assert throughput_state(None) is ThroughputState.UNSET
    assert load_state(None) is LoadState.UNSET


@pytest.mark.parametrize(
    ("code", "throughput", "load"),
    [
        (ReasonCode.BLIND_ARRIVALS, ThroughputState.NO_TRAFFIC_DATA, LoadState.NO_FPM_DATA),
        (ReasonCode.BLIND_LENGTHS, ThroughputState.NO_TRAFFIC_DATA, LoadState.NO_FPM_DATA),
        (ReasonCode.BLIND_FLEET, ThroughputState.HELD_OVER, LoadState.HELD_OVER),
        (ReasonCode.INTERNAL, ThroughputState.HELD_OVER, LoadState.HELD_OVER),
    ],
)
def test_a_hold_is_told_by_what_was_missing(
    make_hold: Make, *, code: ReasonCode, throughput: ThroughputState, load: LoadState
) -> None:
    held = because_of(make_hold(30.0), code, is_hold=True)

    assert (throughput_state(held), load_state(held)) == (throughput, load)


@pytest.mark.parametrize(
    ("by", "bound_by", "throughput", "load"),
    [
        (0, ReasonCode.WINDOW_DOWN, ThroughputState.NO_CHANGE, LoadState.NO_CHANGE),
        (1, ReasonCode.LOAD, ThroughputState.SCALE, LoadState.SCALE_UP),
        (1, ReasonCode.BUDGET, ThroughputState.GPU_BUDGET_RECONCILE, LoadState.GPU_BUDGET_RECONCILE),
        (0, ReasonCode.BUDGET_WAIT, ThroughputState.GPU_BUDGET_GUARD_HOLD, LoadState.GPU_BUDGET_GUARD_HOLD),
    ],
)
def test_a_decision_is_told_by_its_change_and_the_budget(
    make_tick: Make,
    *,
    by: int,
    bound_by: ReasonCode,
    throughput: ThroughputState,
    load: LoadState,
) -> None:
    step = changed(make_tick(30.0), bound_by=bound_by, by=by)

    assert (throughput_state(step), load_state(step)) == (throughput, load)


def test_a_missing_forecast_is_told_even_where_the_observed_load_was_scaled_for(make_tick: Make) -> None:
    tick = because_of(make_tick(30.0), ReasonCode.FORECAST_MISSING, is_hold=False)

    assert throughput_state(changed(tick)) is ThroughputState.PREDICT_FAILED
