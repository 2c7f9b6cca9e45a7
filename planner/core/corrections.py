"""Correction factors: how much slower or faster the engines are than their profile says.

As in Dynamo's SLA Planner 0.9.0: observed over expected latency at the observed operating point,

- prefill: mean TTFT over the profiled TTFT at the observed prompt length;
- decode: mean ITL over the profiled ITL at the concurrency k = λ·D / N (Little's law over the whole request
  life: arrivals λ, mean duration D, N engines that serve) and context I + O/2.

Unlike there, a factor is bounded, may be smoothed, and stays as it is where any number behind it is missing
or not positive.
"""

from dataclasses import dataclass

from config.policy import Policy, PoolPolicy, Role
from connectors.base import PoolState, Reading, Traffic, Unknown, Value
from planner.core.curves import decode_curve, prefill_curve
from planner.core.decision import Reason, ReasonCode, because
from planner.core.sight import MOST_RPS, MOST_SECONDS, length, usable


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The numbers of one window that corrections rest on; all positive and finite, or None."""

    ttft_s: float | None
    itl_s: float | None
    isl_tokens: float | None
    osl_tokens: float | None
    arrivals_rps: float | None
    duration_s: float | None


def operating_point(traffic: Traffic) -> OperatingPoint:
    """Pick the numbers out of what was read."""
    return OperatingPoint(
        ttft_s=_positive(usable(traffic.ttft_s, most=MOST_SECONDS)),
        itl_s=_positive(usable(traffic.itl_s, most=MOST_SECONDS)),
        isl_tokens=_positive(length(traffic.isl_tokens)),
        osl_tokens=_positive(length(traffic.osl_tokens)),
        arrivals_rps=_positive(usable(traffic.arrivals_rps, most=MOST_RPS)),
        duration_s=_positive(usable(traffic.request_duration_s, most=MOST_SECONDS)),
    )


def observed_ratio(pool: PoolPolicy, point: OperatingPoint, *, ready: int) -> float | None:
    """Return observed over expected latency of one pool, or None where it cannot be told.

    Args:
        pool: Gives the role and the profile.
        point: What one window showed.
        ready: Engines of the pool that serve.
    """
    if None in (point.ttft_s, point.itl_s, point.isl_tokens, point.osl_tokens):
        return None
    return _RATIO[pool.role](pool, point, ready) if pool.role in _RATIO else None


def correct(
    policy: Policy, pool: PoolPolicy, *, last_ratio: float, traffic: Traffic, state: PoolState
) -> tuple[float, tuple[Reason, ...]]:
    """Return the factor in force after one window, and what was remarkable about it."""
    rule = policy.correction
    if not rule.enabled:
        return 1.0, ()
    observed = observed_ratio(pool, operating_point(traffic), ready=state.ready)
    if observed is None:
        latencies = (usable(reading, most=MOST_SECONDS) for reading in (traffic.ttft_s, traffic.itl_s))
        unknown = [latency.why for latency in latencies if isinstance(latency, Unknown)]
        frozen = because(
            ReasonCode.CORRECTION_FROZEN, pool=pool.name, detail=" ".join(unknown[:1]), ratio=last_ratio
        )
        return last_ratio, (frozen,) if unknown else ()
    smoothed = last_ratio + rule.smoothing_ratio * (observed - last_ratio)
    ratio = min(max(smoothed, rule.lower_ratio), rule.upper_ratio)
    if ratio == smoothed:
        return ratio, ()
    return ratio, (
        because(ReasonCode.CORRECTION_CLAMPED, pool=pool.name, observed_ratio=observed, ratio=ratio),
    )


def _positive(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) and reading.value > 0.0 else None


def _prefill(pool: PoolPolicy, point: OperatingPoint, _ready: int) -> float | None:
    if point.ttft_s is None or point.isl_tokens is None:
        return None
    return point.ttft_s / prefill_curve(pool.profile).ttft_s(point.isl_tokens)


def _decode(pool: PoolPolicy, point: OperatingPoint, ready: int) -> float | None:
    if point.itl_s is None or point.isl_tokens is None or point.osl_tokens is None:
        return None
    if point.arrivals_rps is None or point.duration_s is None or ready < 1:
        return None
    concurrency = point.arrivals_rps * point.duration_s / ready
    expected = decode_curve(pool.profile).at(
        concurrency=concurrency, context_tokens=point.isl_tokens + point.osl_tokens / 2.0
    )
    return point.itl_s / expected.itl_s


_RATIO = {Role.PREFILL: _prefill, Role.DECODE: _decode}
