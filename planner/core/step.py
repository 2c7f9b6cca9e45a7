"""One step: state, observation and forecast in; state and decision out. The heart of Setpoint.

It is pure: the same arguments give the same result. The daemon, the demo and the replay fold it.

A tick corrects, sizes for the forecast, and applies every limit. A look, between two ticks, reuses the last
forecast: it only adds engines, or calls off a removal, when arrivals leave the forecast's band or a queue
stands that the planned load does not explain. It never advances corrections.
"""

from dataclasses import dataclass, replace

from config.policy import Policy, PoolPolicy
from connectors.base import Observation, PoolState, Unknown
from planner.core.corrections import correct
from planner.core.decision import Decision, Demand, Figure, Reason, ReasonCode, StepKind, because
from planner.core.grace import short_graces
from planner.core.guard import (
    Plans,
    PoolPlan,
    affordable,
    damp,
    hold,
    limit,
    pace,
    remember,
    within_budget,
)
from planner.core.heed import as_found, heed
from planner.core.report import decided, gpus_reported, held, settling
from planner.core.sight import Sight, forecast_demand, is_sizable, observed_demand, see
from planner.core.sizing.need import PoolNeed
from planner.core.sizing.throughput import need
from planner.core.state import PoolMemory, State, Wish
from planner.core.surge import surge
from predictors.base import Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What the stages of one step share."""

    policy: Policy
    state: State
    observation: Observation
    forecast: Forecast | None
    sight: Sight
    now_s: float
    kind: StepKind


def step(
    policy: Policy,
    state: State,
    observation: Observation,
    forecast: Forecast | None,
    *,
    now_s: float,
    kind: StepKind,
) -> tuple[State, Decision]:
    """Decide how many replicas each pool is to have.

    Args:
        policy: The limits, targets and curves.
        state: What the last step returned, or `initial_state(policy)`.
        observation: What was seen; whatever it holds, a step does not raise over it.
        forecast: The load to size for; None where there is none yet or it came too late.
        now_s: The shell's monotonic clock.
        kind: Tick or look.

    Raises:
        InternalError: If the policy does not fit the solver (a pool without a profile, say).
    """
    sight = see(policy, state, observation, now_s=now_s)
    sight = replace(sight, blind=_dated(sight.blind, policy, state, now_s=now_s))
    now = _Step(
        policy=policy,
        state=_adopt(policy, state, sight, now_s=now_s),
        observation=observation,
        forecast=forecast,
        sight=sight,
        now_s=now_s,
        kind=kind,
    )
    if sight.fleet is None:
        return _unseen(now), held(policy, now.state, sight.blind, now_s=now_s, kind=kind)
    if kind is StepKind.LOOK:
        return _look(now, sight.fleet)
    return _blind(now, sight.fleet, sight.blind) if sight.blind else _tick(now, sight.fleet)


def _dated(blind: tuple[Reason, ...], policy: Policy, state: State, *, now_s: float) -> tuple[Reason, ...]:
    """Add to the first reason for how long blindness lasts already, from its second interval on."""
    if not blind or state.blind_since_s is None or now_s - state.blind_since_s < policy.interval_s:
        return blind
    lasting = Figure(name="blind_s", value=now_s - state.blind_since_s)
    return (replace(blind[0], figures=(*blind[0].figures, lasting)), *blind[1:])


def _adopt(policy: Policy, state: State, sight: Sight, *, now_s: float) -> State:
    """Take over what was seen of the fleet."""
    memories = {memory.pool: memory for memory in state.pools}
    pools = []
    for index, pool in enumerate(policy.pools):
        memory = memories.get(pool.name, PoolMemory(pool=pool.name, gpus_per_engine=pool.gpus_per_engine))
        if sight.fleet is not None:
            memory = _adopt_pool(memory, pool, sight.fleet[index], now_s=now_s)
        pools.append(memory)
    seen = sight.fleet is not None
    started = now_s if seen and state.started_at_s is None else state.started_at_s
    return replace(state, pools=tuple(pools), started_at_s=started)


def _adopt_pool(memory: PoolMemory, pool: PoolPolicy, seen: PoolState, *, now_s: float) -> PoolMemory:
    # The first sight counts as a wish: windows then treat a fleet that was found like one that was asked for.
    first = (Wish(at_s=now_s, replicas=seen.desired),) if memory.desired is None else memory.wishes
    gpus = seen.gpus_per_engine if seen.gpus_per_engine is not None else pool.gpus_per_engine
    return replace(memory, desired=seen.desired, gpus_per_engine=gpus, wishes=first)


def _plans(now: _Step, fleet: tuple[PoolState, ...], wanted: tuple[int, ...]) -> Plans:
    return tuple(
        PoolPlan(pool=pool, state=state, gpus=memory.gpus_per_engine, wishes=memory.wishes, wanted=count)
        for pool, state, memory, count in zip(now.policy.pools, fleet, now.state.pools, wanted, strict=True)
    )


def _tick(now: _Step, fleet: tuple[PoolState, ...]) -> tuple[State, Decision]:
    demand = forecast_demand(now.forecast, now.sight, level_ratio=now.policy.size_quantile_ratio)
    missing: tuple[Reason, ...] = ()
    if demand is None:
        demand = observed_demand(now.sight, arrivals_rps=now.sight.arrivals_rps or 0.0)
        missing = (because(ReasonCode.FORECAST_MISSING, arrivals_rps=demand.arrivals_rps),)
    if not is_sizable(demand):
        why = because(ReasonCode.BLIND_LENGTHS, detail="load is expected and no request was seen yet")
        return _blind(now, fleet, _dated((why,), now.policy, now.state, now_s=now.now_s))
    now, notes = _corrected(now, fleet)
    needs = _needs(now, demand)
    plans = _plans(now, fleet, tuple(need.replicas for need in needs))
    plans = tuple(remember(limit(plan), now_s=now.now_s) for plan in plans)
    plans = tuple(damp(plan, now_s=now.now_s) for plan in plans)
    # Minimum and maximum also bind a fleet that was found beyond them; windows and steps do not delay that.
    plans = tuple(limit(pace(plan)) for plan in _keep_under_pressure(now, plans, demand))
    budget_gpus = now.policy.budget_gpus
    plans = affordable(within_budget(tuple(map(heed, plans)), budget_gpus), budget_gpus)
    if now.state.planned is None:  # the first plan of all: what it changes may be what it found
        plans, missing = as_found(plans, budget_gpus), (*missing, *gpus_reported(plans))
    state = replace(_after(now, plans), lengths=now.sight.lengths, planned=demand, blind_since_s=None)
    return state, _decision(
        now, plans, needs=needs, demand=demand, notes=(*notes, *missing, *_on_the_way(now, plans))
    )


def _on_the_way(now: _Step, plans: Plans) -> tuple[Reason, ...]:
    return (*settling(plans), *short_graces(plans, now.observation.traffic))


def _keep_under_pressure(now: _Step, plans: Plans, demand: Demand) -> Plans:
    """Remove nothing while more arrives or waits than is planned for: a look would add it again."""
    found = surge(now.policy, demand, now.observation, now.forecast, sight=now.sight)
    if found is None:
        return plans
    why = found[1]
    return tuple(plan.to(max(plan.wanted, plan.state.desired), why.code, **why.numbers()) for plan in plans)


def _look(now: _Step, fleet: tuple[PoolState, ...]) -> tuple[State, Decision]:
    bound_by = now.sight.blind[0].code if now.sight.blind else ReasonCode.QUIET
    kept = _plans(now, fleet, tuple(state.desired for state in fleet))
    calm = tuple(heed(hold(plan, bound_by)) for plan in kept)
    if now.sight.blind:
        return _after(now, calm), _decision(now, calm, notes=now.sight.blind, is_hold=True)
    found = surge(now.policy, now.state.planned, now.observation, now.forecast, sight=now.sight)
    if found is None:
        return _after(now, calm), _decision(now, calm, notes=(because(ReasonCode.QUIET),))
    demand, why = found
    needs = _needs(now, demand)
    plans = _plans(now, fleet, tuple(need.replicas for need in needs))
    plans = tuple(damp(remember(limit(plan), now_s=now.now_s), now_s=now.now_s) for plan in plans)
    plans = tuple(heed(pace(_only_up(plan, why.code))) for plan in plans)
    plans = affordable(plans, now.policy.budget_gpus)
    if all(plan.wanted == plan.state.desired for plan in plans):
        return _after(now, calm), _decision(now, plans, notes=(why,))
    return _after(now, plans), _decision(now, plans, needs=needs, demand=demand, notes=(why,))


def _only_up(plan: PoolPlan, why: ReasonCode) -> PoolPlan:
    if plan.bound_by is ReasonCode.WINDOW_UP and plan.wanted == plan.state.desired:
        return plan
    if plan.wanted <= plan.state.desired:
        return replace(plan, wanted=plan.state.desired, bound_by=ReasonCode.QUIET, reasons=())
    if plan.wanted <= plan.state.live:
        called_off = because(
            ReasonCode.REMOVAL_CALLED_OFF,
            pool=plan.pool.name,
            desired=plan.state.desired,
            live=plan.state.live,
            replicas=plan.wanted,
        )
        return replace(plan, bound_by=called_off.code, reasons=(*plan.reasons, called_off))
    return replace(plan, bound_by=why) if plan.bound_by is ReasonCode.LOAD else plan


def _blind(now: _Step, fleet: tuple[PoolState, ...], why: tuple[Reason, ...]) -> tuple[State, Decision]:
    plans = _plans(now, fleet, tuple(state.desired for state in fleet))
    plans = tuple(heed(hold(plan, why[0].code)) for plan in plans)
    if now.state.planned is not None:  # the budget outranks a hold, once good data were seen
        plans = within_budget(plans, now.policy.budget_gpus)
    return _after(replace(now, state=_unseen(now)), plans), _decision(now, plans, notes=why, is_hold=True)


def _unseen(now: _Step) -> State:
    """Return the state after a step that could not judge; a look leaves it as it is."""
    if now.kind is StepKind.LOOK:
        return now.state
    since_s = now.state.blind_since_s if now.state.blind_since_s is not None else now.now_s
    return replace(now.state, lengths=now.sight.lengths, blind_since_s=since_s)


def _decision(
    now: _Step,
    plans: Plans,
    *,
    needs: tuple[PoolNeed, ...] = (),
    demand: Demand | None = None,
    notes: tuple[Reason, ...] = (),
    is_hold: bool = False,
) -> Decision:
    return decided(
        now.policy,
        now.state,
        plans,
        now_s=now.now_s,
        kind=now.kind,
        needs=needs,
        demand=demand,
        notes=(*_standby(now), *notes),
        is_hold=is_hold,
    )


def _standby(now: _Step) -> tuple[Reason, ...]:
    fleet = now.observation.fleet
    if isinstance(fleet, Unknown) or not fleet.standby:
        return ()
    return (because(ReasonCode.STANDBY, detail=fleet.standby),)


def _corrected(now: _Step, fleet: tuple[PoolState, ...]) -> tuple[_Step, tuple[Reason, ...]]:
    memories, notes = [], [*now.sight.notes]
    for pool, memory, state in zip(now.policy.pools, now.state.pools, fleet, strict=True):
        ratio, reasons = correct(
            now.policy,
            pool,
            last_ratio=memory.correction_ratio,
            traffic=now.observation.traffic,
            state=state,
        )
        memories.append(replace(memory, correction_ratio=ratio))
        notes.extend(reasons)
    return replace(now, state=replace(now.state, pools=tuple(memories))), tuple(notes)


def _needs(now: _Step, demand: Demand) -> tuple[PoolNeed, ...]:
    return tuple(
        need(
            now.policy,
            pool,
            demand,
            correction_ratio=memory.correction_ratio,
            gpus_per_engine=memory.gpus_per_engine,
        )
        for pool, memory in zip(now.policy.pools, now.state.pools, strict=True)
    )


def _after(now: _Step, plans: Plans) -> State:
    memories = tuple(
        replace(memory, desired=plan.wanted, wishes=plan.wishes)
        for memory, plan in zip(now.state.pools, plans, strict=True)
    )
    return replace(now.state, pools=memories)
