"""Are there GPUs that pods can have, and does NVIDIA's operator look after them?"""

from collections.abc import Iterable, Iterator

from connectors.kubernetes.api import Json
from connectors.kubernetes.builtin import PODS
from connectors.kubernetes.meta import name_of, text
from planner.doctor.findings import Grid, Sign, Verdict, counted, fail, listed, ok, skip, warn, worst
from planner.doctor.nodes import PRESENT, GpuNode, GpuNodes, gpu_nodes
from planner.doctor.patient import Patient
from planner.doctor.records import is_running

_UNKNOWN = "?"
_HEADS = ("node", "GPU", "capacity", "allocatable", "in use", "free", "state")
_NUMBERS = frozenset({"capacity", "allocatable", "in use", "free"})
_OPERATOR = {"labelSelector": "app=gpu-operator"}
_HELM = (
    "with NVIDIA's charts added to helm (docs.nvidia.com/datacenter/cloud-native/gpu-operator):\n"
    "helm install gpu-operator nvidia/gpu-operator -n gpu-operator --create-namespace --wait"
)


async def check_gpus(patient: Patient) -> Sign:
    """Look at the nodes with GPUs."""
    return judge_gpus(await gpu_nodes(patient.records))


def judge_gpus(found: GpuNodes) -> Sign:
    """Say whether there are GPUs, and which nodes cannot give theirs."""
    if not found.nodes:
        return fail(
            f"no node has GPUs ({counted(found.others, 'node')} without)",
            todo="add nodes with GPUs, and install what offers them to pods:\n" + _HELM,
        )
    grid = Grid(heads=_HEADS, rows=tuple(map(_row, found.nodes)), numbers=_NUMBERS)
    troubles = tuple(_troubles(found))
    free = "an unknown number" if found.free is None else str(found.free)
    summary = f"{found.allocatable} GPUs allocatable on {counted(len(found.nodes), 'node')}, {free} free"
    if not troubles:
        return ok(summary, grid=grid)
    verdict = worst(verdict for verdict, _, _ in troubles)
    details = tuple(detail for _, detail, _ in troubles)
    todo = "\n".join(todo for _, _, todo in troubles if todo)
    return Sign(verdict=verdict, summary=summary, details=details, todo=todo, grid=grid)


def _troubles(found: GpuNodes) -> Iterator[tuple[Verdict, str, str]]:
    """Yield what is wrong, how much, and what to do."""
    unlabeled = [node.name for node in found.nodes if _lacks_label(node)]
    if unlabeled:
        labeled = any(node.is_labeled for node in found.nodes)
        command = f"kubectl label node {' '.join(unlabeled)} {PRESENT}=true"
        why = f"{listed(unlabeled)}: GPUs, but no label {PRESENT}=true, which schedulers and checks look for"
        yield Verdict.WARN if labeled else Verdict.FAIL, why, command
    for node in found.nodes:
        yield from _of_node(node)
    if not found.allocatable:
        yield Verdict.FAIL, "no pod can get a GPU", ""
    if found.doubt:
        yield Verdict.WARN, f"what is free is not known: {found.doubt}", ""


def _lacks_label(node: GpuNode) -> bool:
    return node.is_nvidia and node.capacity > 0 and not node.is_labeled


def _of_node(node: GpuNode) -> Iterator[tuple[Verdict, str, str]]:
    if not node.capacity:
        see = f"kubectl describe node {node.name}"
        yield Verdict.WARN, f"{node.name} is marked as having GPUs, but offers none", see
    elif node.allocatable < node.capacity:
        see = f"kubectl describe node {node.name}"
        yield Verdict.WARN, f"{node.name}: {node.allocatable} of {node.capacity} GPUs are healthy", see
    if not node.is_ready:
        yield Verdict.WARN, f"{node.name} is not ready: its GPUs do not count", ""
    elif node.is_cordoned:
        yield Verdict.WARN, f"{node.name} is cordoned: its GPUs do not count", f"kubectl uncordon {node.name}"


def _row(node: GpuNode) -> tuple[str, ...]:
    numbers = (node.capacity, node.allocatable, node.used, node.free)
    states = (
        "ready" if node.is_ready else "not ready",
        "cordoned" if node.is_cordoned else "",
        "no label" if _lacks_label(node) else "",
    )
    return (
        node.name,
        node.product or _UNKNOWN,
        *(_UNKNOWN if number is None else str(number) for number in numbers),
        ", ".join(filter(None, states)),
    )


async def check_gpu_operator(patient: Patient) -> Sign:
    """Look for the pods of NVIDIA's GPU operator."""
    found = await gpu_nodes(patient.records)
    pods = await patient.records.listed(PODS.path(None), _OPERATOR)
    return judge_gpu_operator(pods, found)


def judge_gpu_operator(pods: Iterable[Json], found: GpuNodes) -> Sign:
    """Say whether NVIDIA's GPU operator runs, where there are GPUs of NVIDIA's at all."""
    known = tuple(pods)
    running = [pod for pod in known if is_running(pod)]
    if known:
        return _of_pods(known, running)
    if found.nodes and not any(node.is_nvidia for node in found.nodes):
        return skip("no node has GPUs of NVIDIA's, whose operator is not needed then")
    if found.allocatable:
        return warn(
            "NVIDIA's GPU operator is not installed, but a device plugin offers GPUs all the same",
            "drivers, labels and metrics of the GPUs are then somebody else's work",
            todo=f"nothing, if that is meant; else\n{_HELM}",
        )
    return fail("NVIDIA's GPU operator is not installed, and no GPU is offered to pods", todo=_HELM)


def _of_pods(pods: tuple[Json, ...], running: list[Json]) -> Sign:
    where = listed(sorted({text(pod, "metadata", "namespace") for pod in pods}))
    see = "kubectl get pods -A -l app=gpu-operator"
    if not running:
        return fail(f"NVIDIA's GPU operator is installed in {where} and does not run", todo=see)
    if len(running) < len(pods):
        names = listed(sorted(name_of(pod) for pod in pods if pod not in running))
        return warn(f"NVIDIA's GPU operator runs in part: not {names}", todo=see)
    return ok(f"NVIDIA's GPU operator runs in {where}")
