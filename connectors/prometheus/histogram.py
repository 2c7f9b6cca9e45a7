"""What cumulative buckets say: quantile, mean, distribution.

The quantile is Prometheus' own rule: linear inside the bucket in which the rank falls, from zero in the
first bucket, and the open last bucket counts as its lower bound. Its error is the width of that bucket.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.base import Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Growth of a histogram over a window.

    Attributes:
        upper_bounds: Bounds of the buckets, ascending; the last is infinite. Empty if none are exported.
        cumulative: Events up to each bound, never descending.
        count: All events.
        total: Sum of all observed values.
    """

    upper_bounds: tuple[float, ...]
    cumulative: tuple[float, ...]
    count: float
    total: float

    @property
    def mean(self) -> float:
        """Mean of the observed values; there must be events."""
        return self.total / self.count


NO_EVENTS = Buckets(upper_bounds=(), cumulative=(), count=0.0, total=0.0)


def buckets_of(by_bound: Mapping[float, float], *, count: float, total: float) -> Buckets:
    """Make buckets of cumulative counts by bound.

    Counts that descend, as they do where the parts of the sum were read at different times, are raised to
    their predecessor; Prometheus does the same.
    """
    bounds = tuple(sorted(by_bound))
    raised = itertools.accumulate((by_bound[bound] for bound in bounds), max)
    return Buckets(upper_bounds=bounds, cumulative=tuple(raised), count=count, total=total)


def quantile(buckets: Buckets, level_ratio: float) -> float | None:
    """Return the quantile, or None where buckets or events are missing.

    Example:
        >>> buckets = buckets_of({0.1: 50.0, 0.2: 90.0, float("inf"): 100.0}, count=100.0, total=12.0)
        >>> round(quantile(buckets, 0.7), 9), quantile(buckets, 0.95)
        (0.15, 0.2)
    """
    if not buckets.cumulative or buckets.cumulative[-1] <= 0.0:
        return None
    rank = level_ratio * buckets.cumulative[-1]
    index = next(i for i, reached in enumerate(buckets.cumulative) if reached >= rank)
    upper = buckets.upper_bounds[index]
    if math.isinf(upper):
        return buckets.upper_bounds[index - 1] if index else None
    lower = buckets.upper_bounds[index - 1] if index else min(0.0, upper)
    below = buckets.cumulative[index - 1] if index else 0.0
    inside = buckets.cumulative[index] - below
    share = (rank - below) / inside if inside > 0.0 else 1.0
    return lower + share * (upper - lower)


def is_beyond_buckets(buckets: Buckets, level_ratio: float) -> bool:
    """Return True if the quantile lies in the open last bucket, so that its true value may be larger."""
    finite = [
        n for bound, n in zip(buckets.upper_bounds, buckets.cumulative, strict=True) if math.isfinite(bound)
    ]
    return bool(finite) and finite[-1] < level_ratio * buckets.cumulative[-1]


def distribution(buckets: Buckets) -> Histogram | None:
    """Return the counts between bounds, or None where buckets or events are missing.

    Example:
        >>> distribution(buckets_of({1.0: 2.0, float("inf"): 5.0}, count=5.0, total=9.0))
        Histogram(upper_bounds=(1.0, inf), counts=(2.0, 3.0))
    """
    if not buckets.cumulative or buckets.cumulative[-1] <= 0.0:
        return None
    counts = (now - before for before, now in itertools.pairwise((0.0, *buckets.cumulative)))
    return Histogram(upper_bounds=buckets.upper_bounds, counts=tuple(counts))
