"""May engines that are given up finish their requests?"""

import math

from connectors.prometheus import promql
from planner.doctor.findings import Sign, ok, skip, warn
from planner.doctor.patient import Patient
from planner.doctor.pools import Pool, examined_pools
from planner.doctor.prometheus import number_in

_SHARE = 0.99
_WINDOW_S = 3600.0


async def check_grace(patient: Patient) -> tuple[Sign, ...] | Sign:
    """Compare the grace periods of the pods with the longest requests of the last hour."""
    pools = [pool for pool in await examined_pools(patient) if pool.view and pool.view.grace_s is not None]
    if not pools:
        return skip("no target tells how long its pods may take to end")
    longest_s = await _longest_s(patient)
    return tuple(judge_grace(pool, longest_s) for pool in pools)


def judge_grace(pool: Pool, longest_s: float | None) -> Sign:
    """Say whether the grace period of a pool's pods suffices.

    Args:
        pool: The pool.
        longest_s: What all but 1 % of the requests take at most; None if that is not known.
    """
    grace_s = pool.view.grace_s if pool.view else None
    if grace_s is None:
        return skip("its grace period is not known", about=pool.name)
    if longest_s is None:
        return skip(f"pods may take {grace_s:g} s to end; no requests were measured yet", about=pool.name)
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


async def _longest_s(patient: Patient) -> float | None:
    if patient.prometheus is None:
        return None
    name = f"{patient.dialect.duration}_bucket"
    series = promql.select(name, patient.scope.of_series(patient.dialect))
    window = promql.duration(_WINDOW_S)
    query = f"histogram_quantile({_SHARE}, sum by (le) (increase({series}[{window}])))"
    value = number_in(await patient.prometheus.query(query))
    return value if math.isfinite(value) else None
