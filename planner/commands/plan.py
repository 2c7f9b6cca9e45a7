"""`setpoint plan`: what would be decided at one operating point, and how much hangs on it?

The answer is that of the daemon's own `step`: a tick that forecasts exactly this load for a fleet of no
engines, with correction factors of 1, and without the limits that only spread a change over time (windows
and steps).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from config.errors import ConfigError
from config.policy import CorrectionPolicy, Policy, PoolPolicy, Role, Targets
from connectors.base import Fleet, Observation, PoolState, Traffic, Value
from planner.commands.output import milliseconds
from planner.commands.readings import is_above
from planner.core.decision import Decision, Demand, PoolDecision, ReasonCode
from planner.core.decision import StepKind as Kind
from planner.core.sizing.throughput import expected_latency_s
from planner.core.state import initial_state
from planner.core.step import step
from planner.core.words import explain
from predictors.base import Forecast, SeriesForecast

# More than any solver asks for, so that it never binds.
NO_BUDGET_GPUS = 10**15
_RATE_FACTORS = (0.5, 0.8, 1.0, 1.2, 1.5, 2.0)
_ITL_FACTORS = (0.8, 1.25)
# Beyond so many times the engines, more of them are no advice.
_MOST_DOUBLINGS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """One operating point and the policy to size it under.

    Attributes:
        policy: What `config.policies.policy_from` makes of settings and a profile.
        demand: Requests per second and mean lengths.
        is_budgeted: If False the policy's budget is not applied.
    """

    policy: Policy
    demand: Demand
    is_budgeted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """What would be decided if one thing were different.

    Attributes:
        change: What is different, in words; empty for the point itself.
        demand: The load.
        targets: The latency targets.
        decision: The answer.
    """

    change: str
    demand: Demand
    targets: Targets
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer to a request.

    Attributes:
        request: What was asked.
        decision: What the daemon would decide.
        sensitivity: The same with one thing different each.
    """

    request: PlanRequest
    decision: Decision
    sensitivity: tuple[Variation, ...]

    @property
    def budget_gpus(self) -> int | None:
        """The budget that was applied; None if there was none."""
        return self.request.policy.budget_gpus if self.request.is_budgeted else None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, one sentence each."""
        return explain(self.decision)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What the counts do not tell, one sentence each."""
        return tuple(_cautions(self.request, self.decision))


def plan_for(request: PlanRequest) -> Plan:
    """Size one operating point, and the points around it.

    Raises:
        ConfigError: If the demand is not one that a step could judge.

    Example:
        >>> from config.policy import EngineProfile, Role
        >>> from planner.simulation.profile import embedded_profile
        >>> pools = (PoolPolicy(name="prefill", role=Role.PREFILL, profile=embedded_profile()),
        ...          PoolPolicy(name="decode", role=Role.DECODE, profile=embedded_profile()))
        >>> targets = Targets(ttft_s=0.3, itl_s=0.02)
        >>> policy = Policy(pools=pools, targets=targets, budget_gpus=16, interval_s=30.0)
        >>> demand = Demand(arrivals_rps=12.0, isl_tokens=2000.0, osl_tokens=300.0)
        >>> plan = plan_for(PlanRequest(policy=policy, demand=demand))
        >>> dict(plan.decision.replicas), plan.decision.gpus
        ({'prefill': 2, 'decode': 2}, 4)
    """
    policy = _at_once(request)
    return Plan(
        request=request,
        decision=_decision(policy, request.demand),
        sensitivity=tuple(_variations(policy, request.demand)),
    )


def is_overloaded(pool: PoolDecision) -> bool:
    """Tell whether a pool gets more work than it can carry within the target."""
    return pool.replicas == 0 or (pool.utilization_ratio or 0.0) > 1.0 + 1e-9


def _at_once(request: PlanRequest) -> Policy:
    """Return the policy without what only spreads a change over time."""
    pools = tuple(
        replace(pool, max_step_up=None, max_step_down=None, scale_up_window_s=0.0, scale_down_window_s=0.0)
        for pool in request.policy.pools
    )
    budget = request.policy.budget_gpus if request.is_budgeted else NO_BUDGET_GPUS
    return replace(
        request.policy, pools=pools, budget_gpus=budget, correction=CorrectionPolicy(enabled=False)
    )


def _decision(policy: Policy, demand: Demand) -> Decision:
    observation = Observation(traffic=_traffic(demand), fleet=_no_engines(policy.pools))
    _, decision = step(
        policy, initial_state(policy), observation, _forecast(demand), now_s=0.0, kind=Kind.TICK
    )
    if decision.is_hold:
        raise ConfigError(
            f"the operating point cannot be judged: {' '.join(explain(decision))}",
            hint="give a rate and lengths that a service can have",
        )
    return decision


def _traffic(demand: Demand) -> Traffic:
    return Traffic(
        at_s=0.0,
        window_s=1.0,
        arrivals_rps=Value(value=demand.arrivals_rps, at_s=0.0),
        isl_tokens=Value(value=demand.isl_tokens, at_s=0.0),
        osl_tokens=Value(value=demand.osl_tokens, at_s=0.0),
    )


def _no_engines(pools: tuple[PoolPolicy, ...]) -> Fleet:
    return Fleet(at_s=0.0, pools={pool.name: PoolState(desired=0, ready=0) for pool in pools})


def _forecast(demand: Demand) -> Forecast:
    return Forecast(
        made_at_s=0.0,
        horizon_s=0.0,
        predictor="given",
        arrivals_rps=SeriesForecast(mean=demand.arrivals_rps),
        isl_tokens=SeriesForecast(mean=demand.isl_tokens),
        osl_tokens=SeriesForecast(mean=demand.osl_tokens),
        points=0,
    )


def _variations(policy: Policy, demand: Demand) -> list[Variation]:
    rates = [
        _variation(f"rate × {factor:g}", policy, replace(demand, arrivals_rps=demand.arrivals_rps * factor))
        for factor in _RATE_FACTORS
    ]
    lengths = [
        _variation("prompts × 2", policy, replace(demand, isl_tokens=demand.isl_tokens * 2.0)),
        _variation("outputs × 2", policy, replace(demand, osl_tokens=demand.osl_tokens * 2.0)),
    ]
    targets = [
        _variation(
            f"ITL target × {factor:g}",
            replace(policy, targets=replace(policy.targets, itl_s=policy.targets.itl_s * factor)),
            demand,
        )
        for factor in _ITL_FACTORS
    ]
    return [*rates, *lengths, *targets]


def _variation(change: str, policy: Policy, demand: Demand) -> Variation:
    return Variation(change=change, demand=demand, targets=policy.targets, decision=_decision(policy, demand))


def _cautions(request: PlanRequest, decision: Decision) -> Iterator[str]:
    targets = request.policy.targets
    for pool in decision.pools:
        if pool.utilization_ratio is not None and is_overloaded(pool):
            yield (
                f"{pool.pool}: {_carries(pool.replicas)} {1.0 / pool.utilization_ratio:.0%} of the load "
                "within the target; requests will wait"
            )
    ttft_s = decision.expected_ttft_s
    if ttft_s is not None and is_above(ttft_s, targets.ttft_s):
        yield (
            f"a prompt that does not wait takes {ttft_s * 1000.0:.0f} ms, longer than the TTFT target of "
            f"{targets.ttft_s * 1000.0:.0f} ms: more engines do not help; use faster ones or raise the target"
        )
    for pool in decision.pools:
        if pool.role is Role.DECODE and not is_overloaded(pool):
            yield from _slow_tokens(request, decision, pool)


def _slow_tokens(request: PlanRequest, decision: Decision, pool: PoolDecision) -> Iterator[str]:
    itl_s, target_s = pool.expected_latency_s, request.policy.targets.itl_s
    if itl_s is None or not is_above(itl_s, target_s):
        return
    target = f"the ITL target of {milliseconds(target_s)}"
    unattainable = {one.pool for one in decision.reasons if one.code is ReasonCode.TARGET_UNATTAINABLE}
    if pool.pool in unattainable:
        yield (
            f"{pool.pool}: {target} is out of reach; an engine takes {milliseconds(itl_s)} per token even "
            f"with one request, so {_engines(pool.replicas)} would be bought for nothing. Raise --itl or "
            "use faster engines"
        )
        return
    enough = _enough(request, pool)
    more = f", or add headroom: {enough} engines would meet it here (--min-decode {enough})" if enough else ""
    yield (
        f"{pool.pool}: expect an ITL of {milliseconds(itl_s)}, above {target}. The throughput solver divides "
        "the load by the profiled throughput at the target; at that size the profile's own curve gives "
        f"{milliseconds(itl_s)} at the mean load of an engine. Lower --itl{more}"
    )


def _enough(request: PlanRequest, pool: PoolDecision) -> int | None:
    """Return the least number of engines whose ITL meets the target by the profile; None if very many."""
    few, many = pool.replicas, pool.replicas
    for _ in range(_MOST_DOUBLINGS):
        few, many = many, many * 2
        if _meets(request, pool, many):
            break
    else:
        return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _meets(request, pool, middle) else (middle, many)
    return many


def _meets(request: PlanRequest, pool: PoolDecision, replicas: int) -> bool:
    asked = next(one for one in request.policy.pools if one.name == pool.pool)
    itl_s = expected_latency_s(asked, request.demand, replicas=replicas, correction_ratio=1.0)
    return itl_s is not None and not is_above(itl_s, request.policy.targets.itl_s)


def _engines(count: int) -> str:
    return "1 engine" if count == 1 else f"{count} engines"


def _carries(engines: int) -> str:
    return "1 engine carries" if engines == 1 else f"{engines} engines carry"
