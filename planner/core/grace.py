"""Would engines that are given up have the time to finish what they serve?"""

import math
from collections.abc import Iterator

from config.policy import Role
from connectors.base import Histogram, Reading, Traffic, Value
from planner.core.decision import Reason, ReasonCode, because
from planner.core.guard import Plans, PoolPlan
from planner.core.sight import MOST_SECONDS, length, usable


def short_graces(plans: Plans, traffic: Traffic) -> tuple[Reason, ...]:
    """Note pools that shrink and whose engines are killed before their longest requests are through."""
    return tuple(note for plan in plans for note in _short_grace(plan, traffic))


def longest_s(traffic: Traffic, role: Role) -> float | None:
    """Return an estimate of how long the longest requests stay on an engine; None where nothing tells.

    A prefill engine has a request until its first token. Another has it until its last one: at least the mean
    duration, and as long as the longest answers take to write.
    """
    first_s = _seconds(traffic.ttft_quantile_s) or _seconds(traffic.ttft_s)
    if role is Role.PREFILL:
        return first_s
    known = [_seconds(traffic.request_duration_s)]
    tokens, token_s = _longest_tokens(traffic), _seconds(traffic.itl_s)
    if tokens is not None and token_s is not None:
        known.append(tokens * token_s + (first_s or 0.0))
    return max((found for found in known if found is not None), default=None)


def _short_grace(plan: PoolPlan, traffic: Traffic) -> Iterator[Reason]:
    grace_s, needed_s = plan.state.grace_s, longest_s(traffic, plan.pool.role)
    if grace_s is None or not math.isfinite(grace_s) or needed_s is None:
        return
    if plan.wanted < plan.state.desired and needed_s > grace_s:
        yield because(ReasonCode.GRACE_SHORT, pool=plan.pool.name, grace_s=grace_s, longest_s=needed_s)


def _longest_tokens(traffic: Traffic) -> float | None:
    if traffic.osl_histogram is not None:
        return _upper(traffic.osl_histogram)
    mean = length(traffic.osl_tokens)
    return mean.value if isinstance(mean, Value) else None


def _upper(histogram: Histogram) -> float | None:
    """Return the upper bound of the last bucket that has anything, or the largest finite one below it."""
    bounds = tuple(zip(histogram.upper_bounds, histogram.counts, strict=False))
    occupied = [index for index, (_, count) in enumerate(bounds) if count > 0.0]
    if not occupied:
        return None
    finite = [bound for bound, _ in bounds[: occupied[-1] + 1] if math.isfinite(bound)]
    return finite[-1] if finite else None


def _seconds(reading: Reading) -> float | None:
    found = usable(reading, most=MOST_SECONDS)
    return found.value if isinstance(found, Value) else None
