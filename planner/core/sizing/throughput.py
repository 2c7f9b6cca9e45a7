"""The throughput solver: demand over profiled throughput per GPU, as Dynamo's SLA Planner 0.9.0 sizes.

With arrivals λ (requests/s), mean lengths I and O (tokens), engines of g GPUs:

- prefill: ceil(λ·I·min(1, c_p) / H_p(I) / g_p), H_p the profiled throughput per GPU at prompt length I;
- decode: ceil(λ·O / H_d / g_d), H_d the profiled throughput per GPU at the highest KV usage whose ITL meets
  target / c_d at context I + O/2.

It knows means only: no queueing, no headroom, and the TTFT target appears in no formula. A TTFT above
expectation (c_p > 1) does not add prefill engines; both are traits of the original, kept so that a user of
0.9.0 sees the same numbers.
"""

import math

from config.errors import InternalError
from config.policy import Policy, PoolPolicy, Role
from planner.core.curves import decode_curve, prefill_curve
from planner.core.decision import Demand, Reason, ReasonCode, because
from planner.core.sizing.need import PoolNeed

# Far above any fleet, far below where floats stop counting.
_MOST_REPLICAS = 10**9


def need(
    policy: Policy, pool: PoolPolicy, demand: Demand, *, correction_ratio: float, gpus_per_engine: int
) -> PoolNeed:
    """Return what one pool needs for a demand.

    Args:
        policy: Gives the targets.
        pool: Gives the role and the profile.
        demand: The operating point; finite, not negative.
        correction_ratio: Observed over expected latency of the pool; positive.
        gpus_per_engine: GPUs of one engine; at least 1.

    Raises:
        InternalError: If the pool's role has no formula here.
    """
    size = _WORK.get(pool.role)
    if size is None:
        raise InternalError(f"the throughput solver has no formula for a pool with role {pool.role}")
    work, capacity, reasons = size(policy, pool, demand, correction_ratio)
    engine_capacity = capacity * gpus_per_engine
    replicas = replicas_for(demand=work, capacity=engine_capacity)
    why = because(
        ReasonCode.LOAD,
        pool=pool.name,
        arrivals_rps=demand.arrivals_rps,
        isl_tokens=demand.isl_tokens,
        osl_tokens=demand.osl_tokens,
        demand_tokens_per_s=work,
        capacity_tokens_per_s=engine_capacity,
        correction_ratio=correction_ratio,
        replicas=replicas,
    )
    return PoolNeed(
        pool=pool.name,
        replicas=replicas,
        gpus_per_engine=gpus_per_engine,
        demand_tokens_per_s=work,
        capacity_tokens_per_s=engine_capacity,
        reasons=(why, *reasons),
    )


def expected_latency_s(
    pool: PoolPolicy, demand: Demand, *, replicas: int, correction_ratio: float
) -> float | None:
    """Return the latency that this model expects of a pool at a size; None for a pool of none.

    Prefill: the profiled TTFT of one prompt, corrected; waiting is not in this model. Decode: the ITL at the
    concurrency that Little's law gives, n = λ/N·O·ITL(n), found by iteration from the empty engine.
    """
    if replicas < 1:
        return None
    if pool.role is Role.PREFILL:
        return prefill_curve(pool.profile).ttft_s(demand.isl_tokens) * correction_ratio
    curve = decode_curve(pool.profile)
    context = context_tokens(demand)
    tokens_per_s = demand.arrivals_rps / replicas * demand.osl_tokens
    most = curve.max_kv_tokens / max(context, 1.0)
    concurrency = 0.0
    itl_s = curve.at(concurrency=concurrency, context_tokens=context).itl_s * correction_ratio
    for _ in range(30):
        concurrency = min(tokens_per_s * itl_s, most)
        itl_s = curve.at(concurrency=concurrency, context_tokens=context).itl_s * correction_ratio
    return itl_s


def context_tokens(demand: Demand) -> float:
    """Return the mean context of a running request: the prompt and half the output."""
    return demand.isl_tokens + demand.osl_tokens / 2.0


def replicas_for(*, demand: float, capacity: float) -> int:
    """Return the least number of replicas that carries a demand.

    Demand within one part in a billion above a whole number of replicas counts as that number, so that
    rounding noise does not buy a GPU.

    Example:
        >>> replicas_for(demand=5.0, capacity=2.0), replicas_for(demand=4.0, capacity=2.0)
        (3, 2)
        >>> replicas_for(demand=0.0, capacity=2.0)
        0
    """
    load = demand / capacity
    if load >= _MOST_REPLICAS:
        return _MOST_REPLICAS
    return max(0, math.ceil(load - 1e-9 * max(1.0, load)))


def _prefill(
    _policy: Policy, pool: PoolPolicy, demand: Demand, correction_ratio: float
) -> tuple[float, float, tuple[Reason, ...]]:
    curve = prefill_curve(pool.profile)
    work = demand.arrivals_rps * demand.isl_tokens * min(1.0, correction_ratio)
    capacity = curve.throughput_tokens_per_s_per_gpu(demand.isl_tokens)
    if work <= 0.0 or curve.covers(demand.isl_tokens):  # without load, the length means nothing
        return work, capacity, ()
    return work, capacity, (_outside(pool, "isl_tokens", demand.isl_tokens),)


def _decode(
    policy: Policy, pool: PoolPolicy, demand: Demand, correction_ratio: float
) -> tuple[float, float, tuple[Reason, ...]]:
    curve = decode_curve(pool.profile)
    context = context_tokens(demand)
    # A factor that is not positive says nothing; the target then stands as it is, as in 0.9.0.
    allowed_itl_s = policy.targets.itl_s / (correction_ratio if correction_ratio > 0.0 else 1.0)
    best = curve.best_within(itl_s=allowed_itl_s, context_tokens=context)
    reasons: list[Reason] = []
    if not best.is_attainable:
        reasons.append(
            because(
                ReasonCode.TARGET_UNATTAINABLE,
                pool=pool.name,
                itl_target_s=policy.targets.itl_s,
                best_itl_s=best.itl_s * correction_ratio,
                correction_ratio=correction_ratio,
            )
        )
    work = demand.arrivals_rps * demand.osl_tokens
    if work > 0.0 and not curve.covers(context):
        reasons.append(_outside(pool, "context_tokens", context))
    return work, best.throughput_tokens_per_s_per_gpu, tuple(reasons)


def _outside(pool: PoolPolicy, name: str, value: float) -> Reason:
    return because(ReasonCode.OUTSIDE_PROFILE, pool=pool.name, detail=name, value=value)


_WORK = {Role.PREFILL: _prefill, Role.DECODE: _decode}
