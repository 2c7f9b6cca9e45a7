"""Are the queues of the KAI scheduler there that the pods name?

A pod whose queue does not exist is never scheduled, and nothing but the scheduler's log says so. Dynamo's
operator labels its pods with the queue of the annotation `nvidia.com/kai-scheduler-queue`, or with `dynamo`,
which the scheduler's chart does not make.
"""

from collections.abc import Iterable

from connectors.kubernetes.api import Json
from connectors.kubernetes.builtin import PODS
from connectors.kubernetes.meta import name_of, text
from planner.doctor.findings import Grid, Sign, fail, listed, ok, skip, warn
from planner.doctor.kinds import served_kinds
from planner.doctor.patient import Patient
from planner.doctor.pieces import GROVE, KAI
from planner.doctor.records import labels_of

LABEL = "kai.scheduler/queue"
_DYNAMOS = "dynamo"
_ANNOTATION = "nvidia.com/kai-scheduler-queue"


async def check_queues(patient: Patient) -> Sign:
    """Look at the queues, and at the pods of the namespace that name one."""
    served = {one.piece.name: one for one in await served_kinds(patient.records)}
    kai = served[KAI.name]
    if not kai.is_there:
        return skip("the KAI scheduler is not installed; pods do not wait in its queues")
    queues = await patient.records.listed(kai.path(KAI.plurals[0]))
    pods = await patient.records.listed(PODS.path(patient.namespace))
    wanted = {queue for pod in pods if (queue := labels_of(pod).get(LABEL, ""))}
    return judge_queues(queues, wanted, of_dynamo=patient.uses_dynamo and served[GROVE.name].is_there)


def judge_queues(queues: Iterable[Json], wanted: Iterable[str], *, of_dynamo: bool) -> Sign:
    """Say which queue is missing.

    Args:
        queues: The queues.
        wanted: Those that pods name.
        of_dynamo: Whether Dynamo's operator makes pods for this scheduler, as it does with Grove.
    """
    known = tuple(queues)
    names = {name_of(queue) for queue in known}
    parents = {
        name: text(queue, "spec", "parentQueue") or "-" for queue in known for name in (name_of(queue),)
    }
    grid = Grid(heads=("queue", "parent"), rows=tuple(sorted(parents.items())))
    missing = sorted(set(wanted) - names)
    if missing:
        todo = f"make the queue, or name another in the annotation {_ANNOTATION} of the deployment"
        return fail(f"pods wait in queues that do not exist: {listed(missing)}", todo=todo, grid=grid)
    if not names:
        return warn("the KAI scheduler has no queues: its pods are never scheduled", todo="make a queue")
    if of_dynamo and _DYNAMOS not in names and not wanted:
        return warn(
            f"there is no queue {_DYNAMOS}, which Dynamo's pods wait in unless another is named",
            todo=f"make it, or set the annotation {_ANNOTATION} of the deployment",
            grid=grid,
        )
    return ok(f"queues: {listed(sorted(names))}", grid=grid)
