"""Which of Dynamo's decision states does a step of Setpoint correspond to?

Dynamo's planner 1.6.1 names what its two loops did by enums. Its throughput loop plans like Setpoint's tick;
its load loop adds between two plans like Setpoint's look. A state is given only where it means the same here;
the others are never on. `docs/dynamo-records.md` tells which is which.
"""

from enum import StrEnum

from planner.core.decision import Decision, ReasonCode
from planner.serving.records import Stepped


class ThroughputState(StrEnum):
    """What Dynamo's throughput loop did last, in its words."""

    UNSET = "unset"
    DISABLED = "disabled"
    NO_TRAFFIC_DATA = "no_traffic_data"
    PREDICT_FAILED = "predict_failed"
    MODEL_NOT_READY = "model_not_ready"
    SET_LOWER_BOUND = "set_lower_bound"
    SCALE = "scale"
    OVERRIDE_BY_USER_PLUGIN = "override_by_user_plugin"
    HELD_OVER = "held_over"
    CIRCUIT_OPEN = "circuit_open"
    REJECTED_BY_PLUGIN = "rejected_by_plugin"
    GPU_BUDGET_GUARD_HOLD = "gpu_budget_guard_hold"
    NO_CHANGE = "no_change"
    GPU_BUDGET_RECONCILE = "gpu_budget_reconcile"


class LoadState(StrEnum):
    """What Dynamo's load loop did last, in its words."""

    UNSET = "unset"
    DISABLED = "disabled"
    NO_FPM_DATA = "no_fpm_data"
    SCALING_IN_PROGRESS = "scaling_in_progress"
    WORKER_COUNT_MISMATCH = "worker_count_mismatch"
    INSUFFICIENT_DATA = "insufficient_data"
    NO_CHANGE = "no_change"
    SCALE_UP = "scale_up"
    SCALE_DOWN = "scale_down"
    SCALE_DOWN_CAPPED_BY_THROUGHPUT = "scale_down_capped_by_throughput"
    SCALE_DOWN_REFUSED_CONSOLIDATION = "scale_down_refused_consolidation"
    OVERRIDE_BY_USER_PLUGIN = "override_by_user_plugin"
    RECONCILE_CLAMPED_TO_FLOOR = "reconcile_clamped_to_floor"
    RECONCILE_CLAMPED_TO_CEILING = "reconcile_clamped_to_ceiling"
    HELD_OVER = "held_over"
    REJECTED_BY_PLUGIN = "rejected_by_plugin"
    GPU_BUDGET_GUARD_HOLD = "gpu_budget_guard_hold"
    GPU_BUDGET_RECONCILE = "gpu_budget_reconcile"


_NO_TRAFFIC = frozenset({ReasonCode.BLIND_ARRIVALS, ReasonCode.BLIND_LENGTHS})
_BUDGET = frozenset({ReasonCode.BUDGET, ReasonCode.BUDGET_WAIT})


def throughput_state(tick: Stepped | None) -> ThroughputState:
    """Return the state that the last tick corresponds to."""
    if tick is None:
        return ThroughputState.UNSET
    decision, codes = tick.decision, _codes(tick.decision)
    if decision.is_hold:
        return ThroughputState.NO_TRAFFIC_DATA if codes & _NO_TRAFFIC else ThroughputState.HELD_OVER
    if ReasonCode.FORECAST_MISSING in codes:
        return ThroughputState.PREDICT_FAILED
    if _is_cut(decision):
        is_held = not decision.is_change
        return ThroughputState.GPU_BUDGET_GUARD_HOLD if is_held else ThroughputState.GPU_BUDGET_RECONCILE
    return ThroughputState.SCALE if decision.is_change else ThroughputState.NO_CHANGE


def load_state(look: Stepped | None) -> LoadState:
    """Return the state that the last look corresponds to."""
    if look is None:
        return LoadState.UNSET
    decision, codes = look.decision, _codes(look.decision)
    if decision.is_hold:
        return LoadState.NO_FPM_DATA if codes & _NO_TRAFFIC else LoadState.HELD_OVER
    if _is_cut(decision):
        return LoadState.GPU_BUDGET_RECONCILE if decision.is_change else LoadState.GPU_BUDGET_GUARD_HOLD
    return LoadState.SCALE_UP if decision.is_change else LoadState.NO_CHANGE


def _codes(decision: Decision) -> set[ReasonCode]:
    return {reason.code for reason in decision.reasons}


def _is_cut(decision: Decision) -> bool:
    return any(pool.bound_by in _BUDGET for pool in decision.pools)
