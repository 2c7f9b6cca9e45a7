"""How many whole GPUs a pod takes, by its specification.

A pod asks for GPUs in one of two ways: as resources of a device plugin, or as claims of Dynamic Resource
Allocation (DRA), whose templates are objects of their own. Slices of a GPU (MIG, time slices) are units of
their own and no GPUs, so that the answer is then that nobody can tell. It is never guessed: a wrong count
breaks the budget for GPUs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.kubernetes.api import Json
from connectors.kubernetes.meta import items, member, text

_GPU = re.compile(
    r"nvidia\.com/gpu|amd\.com/gpu|gpu\.intel\.com/(i915|xe)|habana\.ai/gaudi|google\.com/tpu"
    r"|huawei\.com/ascend[^/]*|aws\.amazon\.com/neuron"
)
_SLICE = re.compile(
    r"nvidia\.com/mig-.+|nvidia\.com/(gpu|mig-.+)\.shared|nvidia\.com/gpu(mem|cores)(-percentage)?"
)
# Classes of devices by convention of the drivers: `gpu.nvidia.com`, `gpu.amd.com`, `tpu.google.com`.
_GPU_CLASS = re.compile(r"(gpu|tpu|gaudi|npu)\..+")
_SLICE_CLASS = re.compile(r"(mig|vgpu)\..+")
_WHOLE = re.compile(r"\d{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCount:
    """How many GPUs something takes.

    Attributes:
        gpus: Whole GPUs; None if that is not known.
        why: Why it is not known, in words.
    """

    gpus: int | None
    why: str = ""


_NONE_ASKED = "its pods ask for no GPU of a kind that is known"


def gpus_of_pod(spec: Json, templates: Mapping[str, Json] | None = None) -> int | None:
    """Return the whole GPUs of a pod: 0 if it asks for none, None if that is not known.

    Args:
        spec: The pod's specification.
        templates: The `ResourceClaimTemplate` objects by name, for pods that claim devices (DRA).

    Example:
        >>> gpus_of_pod({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]})
        4
        >>> gpus_of_pod({"containers": [{"resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}]})
    """
    return count_gpus(spec, templates).gpus


def count_gpus(spec: Json, templates: Mapping[str, Json] | None = None) -> GpuCount:
    """Return the whole GPUs of a pod as `gpus_of_pod` does, and why they are not known."""
    if slices := sorted({name for name in _resources(spec) if _SLICE.fullmatch(name)}):
        return GpuCount(gpus=None, why=f"its pods ask for {slices[0]}, a share of a GPU")
    try:
        plugged = _effective(spec)
    except ValueError as error:
        return GpuCount(gpus=None, why=str(error))
    claimed = _claimed(spec, templates or {})
    if claimed.gpus is None:
        return claimed
    return GpuCount(gpus=plugged + claimed.gpus)


def engine_gpus(pods: Iterable[tuple[Json, int]], templates: Mapping[str, Json] | None = None) -> GpuCount:
    """Return the GPUs of one engine that consists of pods, each with how many there are of it.

    An engine that asks for none is one whose GPUs are not known: what it computes on is not seen here.

    Example:
        >>> pod = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": 8}}}]}
        >>> engine_gpus([(pod, 2)]).gpus
        16
        >>> engine_gpus([({"containers": [{}]}, 1)])
        GpuCount(gpus=None, why='its pods ask for no GPU of a kind that is known')
    """
    total = 0
    for spec, count in pods:
        found = count_gpus(spec, templates)
        if found.gpus is None:
            return found
        total += found.gpus * count
    return GpuCount(gpus=total) if total else GpuCount(gpus=None, why=_NONE_ASKED)


def claims_of(spec: Json) -> tuple[str, ...]:
    """Return the names of the `ResourceClaimTemplate` objects that a pod makes its claims from, sorted.

    Example:
        >>> claims_of({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]})
        ('one-gpu',)
    """
    names = (text(one, "resourceClaimTemplateName") for one in items(spec, "resourceClaims"))
    return tuple(sorted({name for name in names if name}))


def count_claim(template: Json) -> GpuCount:
    """Return the whole GPUs of one claim made from a template, or why they are not known.

    Example:
        >>> count_claim({"spec": {"spec": {"devices": {"requests": [
        ...     {"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 2}}]}}}}).gpus
        2
    """
    counts = [_of_request(one) for one in items(template, "spec", "spec", "devices", "requests")]
    known = [one.gpus for one in counts if one.gpus is not None]
    strange = [one for one in counts if one.gpus is None]
    # A device of another kind beside GPUs (a network card, say) does not hide how many GPUs there are.
    if any(known) and all(one.why.endswith(_STRANGE) for one in strange):
        return GpuCount(gpus=sum(known))
    return strange[0] if strange else GpuCount(gpus=sum(known))


_STRANGE = "is not known to be a GPU"


def _of_request(request: Json) -> GpuCount:
    alternatives = items(request, "firstAvailable")
    if not alternatives:
        # `exactly` is where it stands from resource.k8s.io/v1beta2 on; before, the request itself.
        return _of_exact(member(request, "exactly") or request)
    found = {_of_exact(one) for one in alternatives}
    if len(found) > 1:
        return GpuCount(gpus=None, why="its claim has alternatives of different size")
    return found.pop()


def _of_exact(request: Json) -> GpuCount:
    kind = text(request, "deviceClassName")
    if request.get("adminAccess") is True:
        return GpuCount(gpus=0)
    if _SLICE_CLASS.fullmatch(kind):
        return GpuCount(gpus=None, why=f"its claim asks for {kind}, a share of a GPU")
    if not _GPU_CLASS.fullmatch(kind):
        return GpuCount(gpus=None, why=f"the device class {kind!r} of its claim {_STRANGE}")
    if text(request, "allocationMode") == "All":
        return GpuCount(gpus=None, why="its claim takes all devices of a node, however many they are")
    try:
        return GpuCount(gpus=_whole(request.get("count", 1), name=kind))
    except ValueError as error:
        return GpuCount(gpus=None, why=str(error))


def _claimed(spec: Json, templates: Mapping[str, Json]) -> GpuCount:
    """Count every claim of the pod once, however many of its containers use it."""
    total = 0
    for one in items(spec, "resourceClaims"):
        name = text(one, "resourceClaimTemplateName")
        if not name:
            shared = text(one, "resourceClaimName")
            return GpuCount(gpus=None, why=f"its pods share the resource claim {shared!r}")
        if name not in templates:
            return GpuCount(gpus=None, why=f"the resource claim template {name!r} was not read")
        found = count_claim(templates[name])
        if found.gpus is None:
            return found
        total += found.gpus
    return GpuCount(gpus=total)


def _effective(spec: Json) -> int:
    """Return what the scheduler reserves for the pod.

    Init containers run one after the other before the rest, so that the largest counts; those that keep
    running (sidecars) add to everything that starts after them.
    """
    beside, peak = 0, 0
    for one in items(spec, "initContainers"):
        if one.get("restartPolicy") == "Always":
            beside += _of_container(one)
        else:
            peak = max(peak, beside + _of_container(one))
    return max(peak, beside + sum(_of_container(one) for one in items(spec, "containers")))


def _of_container(container: Json) -> int:
    limits = member(container, "resources", "limits")
    requests = member(container, "resources", "requests")
    wanted = {**requests, **limits}
    return sum(_whole(value, name=name) for name, value in wanted.items() if _GPU.fullmatch(name.lower()))


def _resources(spec: Json) -> Iterable[str]:
    for one in (*items(spec, "initContainers"), *items(spec, "containers")):
        yield from member(one, "resources", "limits")
        yield from member(one, "resources", "requests")


def _whole(value: object, *, name: str) -> int:
    found = str(value).strip()
    if isinstance(value, bool) or not _WHOLE.fullmatch(found):
        raise ValueError(f"its pods ask for {found!r} of {name}, which is no whole number")
    return int(found)
