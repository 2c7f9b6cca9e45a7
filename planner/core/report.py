"""Writing down a decision: the plan of each pool, the numbers behind it, and what to expect of it."""

from dataclasses import replace

from config.policy import Policy, Role
from connectors.base import PoolState
from planner.core.decision import Decision, Demand, PoolDecision, Reason, ReasonCode, StepKind, because
from planner.core.guard import Plans, PoolPlan, committed_gpus
from planner.core.sizing.need import PoolNeed
from planner.core.sizing.throughput import expected_latency_s
from planner.core.state import State


def decided(  # noqa: PLR0913 - a record of many parts, all by name
    policy: Policy,
    state: State,
    plans: Plans,
    *,
    now_s: float,
    kind: StepKind,
    needs: tuple[PoolNeed, ...] = (),
    demand: Demand | None = None,
    notes: tuple[Reason, ...] = (),
    is_hold: bool = False,
) -> Decision:
    """Make the decision of a step that saw the fleet."""
    pools = tuple(
        _pool(state, plan, needs[index] if needs else None, demand) for index, plan in enumerate(plans)
    )
    reasons = [*notes]
    for index, plan in enumerate(plans):
        reasons.extend(needs[index].reasons if needs else ())
        reasons.extend(plan.reasons)
    return Decision(
        at_s=now_s,
        kind=kind,
        pools=pools,
        budget_gpus=policy.budget_gpus,
        committed_gpus=committed_gpus(plans),
        is_hold=is_hold,
        demand=demand,
        expected_ttft_s=_expected(pools, Role.PREFILL),
        expected_itl_s=_expected(pools, Role.DECODE),
        reasons=tuple(reasons),
    )


def held(
    policy: Policy, state: State, reasons: tuple[Reason, ...], *, now_s: float, kind: StepKind
) -> Decision:
    """Make the decision of a step that did not see the fleet: hold what was decided last.

    Before the fleet was ever seen there is nothing to hold, and the decision has no pools.
    """
    pools = tuple(
        PoolDecision(
            pool=pool.name,
            role=pool.role,
            current=memory.desired,
            ready=0,
            needed=None,
            replicas=memory.desired,
            gpus_per_engine=memory.gpus_per_engine,
            correction_ratio=memory.correction_ratio,
            bound_by=reasons[0].code,
        )
        for pool, memory in zip(policy.pools, state.pools, strict=True)
        if memory.desired is not None
    )
    return Decision(
        at_s=now_s,
        kind=kind,
        pools=pools,
        budget_gpus=policy.budget_gpus,
        committed_gpus=sum(pool.gpus for pool in pools),
        is_hold=True,
        reasons=reasons,
    )


def gpus_reported(plans: Plans) -> tuple[Reason, ...]:
    """Note pools whose engines have other GPUs than the settings say; the report is what counts."""
    return tuple(
        because(
            ReasonCode.GPUS_REPORTED, pool=plan.pool.name, gpus=plan.gpus, set_gpus=plan.pool.gpus_per_engine
        )
        for plan in plans
        if plan.gpus != plan.pool.gpus_per_engine
    )


def settling(plans: Plans) -> tuple[Reason, ...]:
    """Note pools that are on their way, or stuck."""
    notes = []
    for plan in plans:
        name, seen = plan.pool.name, plan.state
        if seen.failing:
            notes.append(_failing(name, seen))
        if seen.ready != seen.desired:
            note = because(
                ReasonCode.SETTLING, pool=name, ready=seen.ready, desired=seen.desired, starting=seen.starting
            )
            notes.append(note)
    return tuple(notes)


def _failing(name: str, seen: PoolState) -> Reason:
    return because(
        ReasonCode.ENGINES_FAILING,
        pool=name,
        detail=seen.why_failing,
        failing=seen.failing,
        unschedulable=seen.unschedulable,
    )


def _pool(state: State, plan: PoolPlan, need: PoolNeed | None, demand: Demand | None) -> PoolDecision:
    ratio = next(memory.correction_ratio for memory in state.pools if memory.pool == plan.pool.name)
    pool = PoolDecision(
        pool=plan.pool.name,
        role=plan.pool.role,
        current=plan.state.desired,
        ready=plan.state.ready,
        needed=None,
        replicas=plan.wanted,
        gpus_per_engine=plan.gpus,
        correction_ratio=ratio,
        bound_by=plan.bound_by,
    )
    if need is None or demand is None:
        return pool
    carried = need.capacity_tokens_per_s * plan.wanted
    return replace(
        pool,
        needed=need.replicas,
        demand_tokens_per_s=need.demand_tokens_per_s,
        capacity_tokens_per_s=need.capacity_tokens_per_s,
        utilization_ratio=need.demand_tokens_per_s / carried if carried > 0.0 else None,
        expected_latency_s=expected_latency_s(
            plan.pool, demand, replicas=plan.wanted, correction_ratio=ratio
        ),
    )


def _expected(pools: tuple[PoolDecision, ...], role: Role) -> float | None:
    return next((pool.expected_latency_s for pool in pools if pool.role is role), None)
