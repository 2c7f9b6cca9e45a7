"""Are there as many GPUs as the settings speak of?"""

from connectors.kubernetes.api import ApiError
from planner.doctor.findings import Sign, counted, fail, ok, skip, warn
from planner.doctor.nodes import GpuNodes, gpu_nodes
from planner.doctor.patient import Patient
from planner.doctor.pools import Pool, examined_pools
from planner.doctor.records import unread
from planner.doctor.targets import gpus_of, limits_of


async def check_budget(patient: Patient) -> Sign:
    """Compare budget and minimums with what the nodes can give."""
    pools = [pool for pool in await examined_pools(patient) if pool.view]
    if not pools:
        return skip("no target was found")
    try:
        nodes = await gpu_nodes(patient.records)
    except ApiError as error:
        return warn(f"whether the budget fits is not known: {unread(error, 'nodes')}")
    return judge_budget(patient, pools, nodes)


def judge_budget(patient: Patient, pools: list[Pool], nodes: GpuNodes) -> Sign:
    """Say whether minimums, budget and what runs now fit."""
    budget = patient.settings.budget_gpus
    least = sum(_least(patient, pool) * gpus_of(patient, pool) for pool in pools)
    now = sum((pool.view.desired if pool.view else 0) * gpus_of(patient, pool) for pool in pools)
    has = f"the nodes have {counted(nodes.allocatable, 'allocatable GPU')}"
    if least > budget:
        return fail(
            f"the minimums take {counted(least, 'GPU')}, the budget is {budget}",
            "a target's own lower limit counts, too",
            todo="raise --budget, or lower the minimums",
        )
    if least > nodes.allocatable:
        return fail(
            f"the minimums take {counted(least, 'GPU')}; {has}", todo="add nodes, or lower the minimums"
        )
    if now > budget:
        return warn(
            f"the engines that are there take {counted(now, 'GPU')}, the budget is {budget}",
            todo="raise --budget, or expect one step down after the first interval",
        )
    if budget > nodes.allocatable:
        return warn(
            f"the budget is {counted(budget, 'GPU')}; {has}",
            "engines beyond that stay unschedulable, unless a node autoscaler brings nodes",
            todo=f"--budget {nodes.allocatable}, or add nodes",
        )
    return _free(patient, nodes, now=now)


def _free(patient: Patient, nodes: GpuNodes, *, now: int) -> Sign:
    budget = patient.settings.budget_gpus
    summary = (
        f"a budget of {counted(budget, 'GPU')} fits the {nodes.allocatable} allocatable; {now} in use by us"
    )
    if nodes.free is None:
        return warn(summary, f"what is free is not known: {nodes.doubt}")
    if budget - now > nodes.free:
        return warn(
            f"{summary}, {nodes.free} free",
            f"{counted(budget - now - nodes.free, 'GPU')} of the budget are held by others",
            todo=f"--budget {now + nodes.free}, or make room",
        )
    return ok(f"{summary}, {nodes.free} free")


def _least(patient: Patient, pool: Pool) -> int:
    return max(limits_of(patient, pool).min_replicas, pool.view.least if pool.view else 0)
