"""What is one pod doing?

Pure: from the JSON of a pod to the one thing that matters of it, with the trouble in words where it has some.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from connectors.kubernetes.api import Json
from connectors.kubernetes.paths import items, member, name_of, number, text

_ENDED = frozenset({"Succeeded", "Failed"})
# What a container waits for that time alone does not bring.
_STUCK = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
# A container that ended badly so often, and so recently, is in the middle of crashing: the kubelet waits up
# to five minutes between two attempts.
_RESTARTS = 2
_RECENT_S = 600.0
_GROUP_ANNOTATION = "pod-group-name"
# What is read of a pod; the rest (who manages which field, environment, volumes, …) is nine tenths of it.
_METADATA = ("name", "namespace", "resourceVersion", "labels", "ownerReferences")
_TIMES = ("creationTimestamp", "deletionTimestamp")
_SPEC = ("nodeName", "resourceClaims")
_STATUS = ("phase", "conditions", "initContainerStatuses", "containerStatuses")
_CONTAINER = ("name", "resources", "restartPolicy")


class Wait(StrEnum):
    """What a pod is doing."""

    READY = "ready"
    STARTS = "starts"
    ENDS = "ends"
    FAILS = "fails"
    NO_ROOM = "no_room"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What keeps a pod from serving.

    Attributes:
        reason: The orchestrator's word for it.
        pod: Name of the pod.
        since: When it began, as the API wrote it; empty if it does not say.
        detail: What the orchestrator adds in words.
    """

    reason: str
    pod: str
    since: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """What is known of one pod.

    Attributes:
        wait: What it is doing.
        group: Name of the engine that it is part of; empty if it does not say.
        trouble: What keeps it from serving; None if nothing is known to.
    """

    wait: Wait
    group: str = ""
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What "for too long" means.

    Attributes:
        now_wall_s: Now, in Unix time.
        grace_s: So long a pod that no node has room for counts as starting.
        groups: What schedulers of whole groups have no room for, by the group's name.
    """

    now_wall_s: float
    grace_s: float
    groups: Mapping[str, Trouble]


def bare(pod: Json) -> Json:
    """Return what is read of a pod: of a thousand of them it is some megabytes instead of a hundred.

    Example:
        >>> pod = {"metadata": {"name": "a", "managedFields": [{}]},
        ...     "spec": {"containers": [{"name": "main", "env": [{}]}], "volumes": [{}]}}
        >>> bare(pod)["metadata"], bare(pod)["spec"]
        ({'name': 'a'}, {'containers': [{'name': 'main'}]})
    """
    metadata, spec = member(pod, "metadata"), member(pod, "spec")
    group = scheduling_group_of(pod)
    annotations = {"annotations": {_GROUP_ANNOTATION: group}} if group else {}
    containers = {
        field: [_part_of(one, _CONTAINER) for one in items(spec, field)]
        for field in ("initContainers", "containers")
        if field in spec
    }
    return {
        "metadata": {**_part_of(metadata, (*_METADATA, *_TIMES)), **annotations},
        "spec": {**_part_of(spec, _SPEC), **containers},
        "status": _part_of(member(pod, "status"), _STATUS),
    }


def has_ended(pod: Json) -> bool:
    """Tell whether a pod holds nothing any more."""
    return text(pod, "status", "phase") in _ENDED


def state_of(pod: Json, *, group: str, patience: Patience) -> PodState:
    """Return what a pod that has not ended is doing."""
    if text(pod, "metadata", "deletionTimestamp"):
        return PodState(wait=Wait.ENDS, group=group)
    if _condition(pod, "Ready").get("status") == "True":
        return PodState(wait=Wait.READY, group=group)
    stuck = _stuck(pod, patience.now_wall_s)
    if stuck is not None:
        return PodState(wait=Wait.FAILS, group=group, trouble=stuck)
    homeless = _homeless(pod, patience)
    if homeless is None:
        return PodState(wait=Wait.STARTS, group=group)
    age_s = patience.now_wall_s - (unix_s(homeless.since) or patience.now_wall_s)
    wait = Wait.NO_ROOM if age_s >= patience.grace_s else Wait.STARTS
    return PodState(wait=wait, group=group, trouble=homeless)


def scheduling_group_of(pod: Json) -> str:
    """Return the name of the pod group by which the KAI scheduler places a pod; empty if it has none."""
    return text(pod, "metadata", "annotations", _GROUP_ANNOTATION)


def unplaced_groups(groups: tuple[Json, ...]) -> Mapping[str, Trouble]:
    """Return what the KAI scheduler has no room for, by the name of the pod group."""
    found = {}
    for group in groups:
        for one in items(group, "status", "schedulingConditions"):
            if text(one, "type") == "UnschedulableOnNodePool" and text(one, "status") == "True":
                found[name_of(group)] = Trouble(
                    reason="Unschedulable",
                    pod=name_of(group),
                    since=text(one, "lastTransitionTime"),
                    detail=text(one, "message"),
                )
    return found


def unix_s(written: str) -> float | None:
    """Return a time of the API in Unix seconds; None if it is no time.

    Example:
        >>> unix_s("1970-01-01T00:01:00Z"), unix_s("")
        (60.0, None)
    """
    try:
        read = datetime.fromisoformat(written)
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _part_of(item: Json, fields: Iterable[str]) -> Json:
    return {field: item[field] for field in fields if field in item}


def _condition(pod: Json, kind: str) -> Json:
    return next((one for one in items(pod, "status", "conditions") if text(one, "type") == kind), {})


def _containers(pod: Json) -> Iterator[Json]:
    yield from items(pod, "status", "initContainerStatuses")
    yield from items(pod, "status", "containerStatuses")


def _stuck(pod: Json, now_wall_s: float) -> Trouble | None:
    for container in _containers(pod):
        reason = text(container, "state", "waiting", "reason")
        if reason in _STUCK or _is_crashing(container, now_wall_s):
            return Trouble(
                reason=reason if reason in _STUCK else "CrashLoopBackOff",
                pod=name_of(pod),
                since=_since(pod),
                detail=_last_words(container),
            )
    return None


def _is_crashing(container: Json, now_wall_s: float) -> bool:
    if container.get("ready") is True or number(container, "restartCount") < _RESTARTS:
        return False
    last = member(container, "lastState", "terminated")
    ended_s = unix_s(text(last, "finishedAt"))
    return bool(last.get("exitCode")) and ended_s is not None and now_wall_s - ended_s <= _RECENT_S


def _since(pod: Json) -> str:
    """Return since when a pod's containers do not work: a crash's own time moves with each attempt."""
    ready = _condition(pod, "ContainersReady") or _condition(pod, "Ready")
    return text(ready, "lastTransitionTime") or text(pod, "metadata", "creationTimestamp")


def _last_words(container: Json) -> str:
    last = member(container, "lastState", "terminated")
    if last.get("exitCode"):
        reason = text(last, "reason")
        return f"container {text(container, 'name')} ended with {last['exitCode']}" + (
            f", {reason}" if reason and reason != "Error" else ""
        )
    return text(container, "state", "waiting", "message")


def _homeless(pod: Json, patience: Patience) -> Trouble | None:
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "True" or text(pod, "spec", "nodeName"):
        return None
    if scheduled.get("status") == "False" and text(scheduled, "reason") == "Unschedulable":
        since = text(scheduled, "lastTransitionTime") or text(pod, "metadata", "creationTimestamp")
        detail = text(scheduled, "message")
        return Trouble(reason="Unschedulable", pod=name_of(pod), since=since, detail=detail)
    return patience.groups.get(scheduling_group_of(pod))
