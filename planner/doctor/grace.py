"""May engines that are given up finish their requests?"""

import math

from connectors.prometheus.answers import by_bound
from connectors.prometheus.histogram import NO_EVENTS, Buckets, buckets_of, is_beyond_buckets, quantile
from connectors.prometheus.inquiries import Inquiries
from planner.doctor.findings import Sign, ok, skip, warn
from planner.doctor.patient import Patient
from planner.doctor.pools import Pool, examined_pools

_SHARE = 0.99
_WINDOW_S = 3600.0


async def check_grace(patient: Patient) -> tuple[Sign, ...] | Sign:
    """Compare the grace periods of the pods with the longest requests of the last hour."""
    pools = [pool for pool in await examined_pools(patient) if pool.view and pool.view.grace_s is not None]
    if not pools:
        return skip("no target tells how long its pods may take to end")
    lasted = await _lasted(patient)
    return tuple(judge_grace(pool, lasted) for pool in pools)


def judge_grace(pool: Pool, lasted: Buckets) -> Sign:
    """Say whether the grace period of a pool's pods suffices for all but 1 % of the requests.

    Args:
        pool: The pool.
        lasted: How long requests took; without events if that is not known.
    """
    longest_s = quantile(lasted, _SHARE)
    grace_s = pool.view.grace_s if pool.view else None
    if grace_s is None:
        return skip("its grace period is not known", about=pool.name)
    if longest_s is None:
        return skip(f"pods may take {grace_s:g} s to end; no requests were measured yet", about=pool.name)
    if is_beyond_buckets(lasted, _SHARE) and grace_s >= longest_s:
        return warn(
            f"pods may take {grace_s:g} s to end; over 1 % of the requests last longer than"
            f" {longest_s:g} s, and how much longer is not measured",
            "the buckets of the frontend's histogram of durations end there",
            todo="compare the grace period with the longest answers that you allow",
            about=pool.name,
        )
    if grace_s >= longest_s:
        return ok(
            f"pods may take {grace_s:g} s to end; 99 % of requests last {longest_s:.0f} s", about=pool.name
        )
    return warn(
        f"pods are killed after {grace_s:g} s, and 1 % of the requests last longer than {longest_s:.0f} s",
        "a scale-down cuts requests off",
        todo=f"terminationGracePeriodSeconds: {math.ceil(longest_s * 1.5)} in the pod template",
        about=pool.name,
    )


async def _lasted(patient: Patient) -> Buckets:
    if patient.prometheus is None:
        return NO_EVENTS
    asked = Inquiries(patient.dialect, patient.scope).buckets(patient.dialect.duration, window_s=_WINDOW_S)
    counts = dict(by_bound(await patient.prometheus.query(asked)))
    # Only quantiles are asked for, which need neither.
    return buckets_of(counts, count=0.0, total=0.0)
