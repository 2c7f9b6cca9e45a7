"""Which nodes have GPUs, and how many of them are free?

GPUs are what device plugins offer. A node's free GPUs are its allocatable ones less what pods that have not
ended ask for. Shares of GPUs (MIG, time slices) and devices claimed by DRA are no whole GPUs and not counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.kubernetes.api import ApiError, Json
from connectors.kubernetes.builtin import NODES, PODS
from connectors.kubernetes.gpus import gpus_of_pod
from connectors.kubernetes.meta import condition_of, member, name_of, text
from planner.doctor.records import Records, labels_of, unread

PRESENT = "nvidia.com/gpu.present"
_NVIDIA = "nvidia.com/gpu"
_NVIDIA_ON_BUS = "feature.node.kubernetes.io/pci-10de.present"
_PRODUCTS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "gpu.intel.com/product",
    "beta.amd.com/gpu.family",
)
_UNENDED = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuNode:
    """One node with GPUs, or that should have some.

    Attributes:
        name: Its name.
        product: The kind of GPU by its labels; empty if they do not say.
        capacity: GPUs that the device plugin found.
        allocatable: Those of them that pods can have.
        used: What pods ask for; None if pods cannot be read.
        is_nvidia: Whether they are NVIDIA's.
        is_labeled: Whether it has the label of NVIDIA's feature discovery.
        is_ready: Whether it is ready.
        is_cordoned: Whether no new pods come to it.
    """

    name: str
    product: str = ""
    capacity: int
    allocatable: int
    used: int | None
    is_nvidia: bool = True
    is_labeled: bool = True
    is_ready: bool = True
    is_cordoned: bool = False

    @property
    def free(self) -> int | None:
        """GPUs that a new pod could have now; None if that is not known."""
        if self.used is None:
            return None
        return max(0, self.allocatable - self.used) if self.is_usable else 0

    @property
    def is_usable(self) -> bool:
        """Whether new pods can come to it."""
        return self.is_ready and not self.is_cordoned


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuNodes:
    """All of them.

    Attributes:
        nodes: The nodes with GPUs.
        others: How many nodes have none.
        doubt: Why it is not known how many GPUs are in use; empty if it is.
    """

    nodes: tuple[GpuNode, ...]
    others: int
    doubt: str = ""

    @property
    def allocatable(self) -> int:
        """GPUs that pods can have, on nodes that take pods."""
        return sum(node.allocatable for node in self.nodes if node.is_usable)

    @property
    def free(self) -> int | None:
        """GPUs that nobody has; None if that is not known."""
        found = [node.free for node in self.nodes]
        known = [count for count in found if count is not None]
        return sum(known) if len(known) == len(found) else None


async def gpu_nodes(records: Records) -> GpuNodes:
    """Return the nodes with GPUs, and what is free there; read once.

    Raises:
        ApiError: If nodes cannot be read.
    """
    return await records.once("gpu nodes", lambda: _read(records))


async def _read(records: Records) -> GpuNodes:
    nodes = await records.listed(NODES.path(None))
    try:
        pods = await records.kept(PODS.path(None), _UNENDED, keep=_asks)
    except ApiError as error:
        return found_in(nodes, None, doubt=unread(error, "the pods of all namespaces"))
    return found_in(nodes, pods)


def found_in(nodes: Iterable[Json], asks: Iterable[tuple[str, int]] | None, *, doubt: str = "") -> GpuNodes:
    """Return the nodes with GPUs.

    Args:
        nodes: All nodes.
        asks: For each pod the node it is on, and the GPUs that it asks for; None if that is not known.
        doubt: Why it is not known.
    """
    used: Counter[str] | None = None if asks is None else Counter()
    for node, gpus in asks or ():
        if used is not None:
            used[node] += gpus
    read = [_node(node, used) for node in nodes]
    found = sorted((one for one in read if one is not None), key=lambda one: one.name)
    return GpuNodes(nodes=tuple(found), others=len(read) - len(found), doubt=doubt)


def _node(node: Json, used: Mapping[str, int] | None) -> GpuNode | None:
    capacity = member(node, "status", "capacity")
    labels = labels_of(node)
    total = _gpus(capacity)
    if not total and labels.get(_NVIDIA_ON_BUS) != "true" and labels.get(PRESENT) != "true":
        return None
    name = name_of(node)
    return GpuNode(
        name=name,
        product=next((labels[label] for label in _PRODUCTS if label in labels), ""),
        capacity=total,
        allocatable=_gpus(member(node, "status", "allocatable")),
        used=None if used is None else used.get(name, 0),
        is_nvidia=_NVIDIA in capacity or not total,
        is_labeled=labels.get(PRESENT) == "true",
        is_ready=condition_of(node, "Ready").is_true,
        is_cordoned=member(node, "spec").get("unschedulable") is True,
    )


def _gpus(resources: Json) -> int:
    """Return the whole GPUs among a node's resources; shares of GPUs are none."""
    pods = ({"containers": [{"resources": {"limits": {name: value}}}]} for name, value in resources.items())
    return sum(gpus_of_pod(pod) or 0 for pod in pods)


def _asks(pod: Json) -> tuple[str, int]:
    gpus = gpus_of_pod(member(pod, "spec"))
    return text(pod, "spec", "nodeName"), gpus or 0
