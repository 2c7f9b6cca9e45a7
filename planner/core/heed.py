"""What the orchestrator's side has to say to a plan: leave this pool alone, nobody has room for more of it.

A hold outranks everything, the budget included (DESIGN §4): somebody else has the pool in hand. What it keeps
still counts against the budget of the others.
"""

from dataclasses import replace

from connectors.base import HoldKind
from planner.core.decision import Figure, ReasonCode, because
from planner.core.guard import Plans, PoolPlan

_HOLDS = {
    HoldKind.PAUSED: ReasonCode.PAUSED,
    HoldKind.ROLLING_OUT: ReasonCode.ROLLING_OUT,
    HoldKind.RIVAL: ReasonCode.RIVAL,
}
HOLD_CODES = frozenset(_HOLDS.values())
_BELOW = frozenset({ReasonCode.MINIMUM, ReasonCode.TARGET_MINIMUM})
_ABOVE = frozenset({ReasonCode.MAXIMUM, ReasonCode.TARGET_MAXIMUM})


def heed(plan: PoolPlan) -> PoolPlan:
    """Ask for no more where engines wait for GPUs that nobody has, and for nothing else where one holds."""
    wanted, asked = plan.wanted, plan.state.desired
    if plan.state.unschedulable > 0:
        count = min(plan.wanted, asked)
        plan = plan.to(count, ReasonCode.UNSCHEDULABLE, unschedulable=plan.state.unschedulable)
    hold = plan.state.hold
    if hold is None:
        return plan
    code = _HOLDS[hold.kind]
    why = because(code, pool=plan.pool.name, detail=hold.why, wanted=wanted, replicas=asked)
    return replace(plan, wanted=asked, bound_by=code, reasons=(*plan.reasons, why))


def as_found(plans: Plans, budget_gpus: int) -> Plans:
    """Tell of pools that a limit moves because they were found beyond it, not because of the load."""
    is_over = sum(plan.state.desired * plan.gpus for plan in plans) > budget_gpus
    return tuple(_as_found(plan, is_over=is_over) for plan in plans)


def _as_found(plan: PoolPlan, *, is_over: bool) -> PoolPlan:
    asked = plan.state.desired
    is_cut = plan.wanted < asked and (
        plan.bound_by in _ABOVE or (plan.bound_by is ReasonCode.BUDGET and is_over)
    )
    is_raised = plan.wanted > asked and plan.bound_by in _BELOW
    if not (is_cut or is_raised):
        return plan
    found = Figure(name="found", value=float(asked))
    last = plan.reasons[-1]
    told = replace(last, figures=(*last.figures, found))
    return replace(plan, reasons=(*plan.reasons[:-1], told))
