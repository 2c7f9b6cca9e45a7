"""How many engines do these pods make, and what is wrong with those that do not serve?

Pure. A pod that ended (Succeeded, Failed, evicted) holds nothing and does not count. A pod that is given up
holds its GPUs until it is gone. One engine may be several pods: they are grouped by the labels that their
controllers write, and where there are none by number, rounded so that GPUs in use are never under-counted
and engines that serve are never over-counted.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.kubernetes.api import Json
from connectors.kubernetes.paths import items, member, text
from connectors.kubernetes.podstate import PodState, Trouble, Wait
from connectors.kubernetes.target import ObjectKey

# The labels that name one engine of several pods, most specific first.
_GROUPS: tuple[tuple[str, ...], ...] = (
    (
        "leaderworkerset.sigs.k8s.io/name",
        "disaggregatedset.x-k8s.io/revision",
        "leaderworkerset.sigs.k8s.io/group-index",
    ),
    ("grove.io/podcliquescalinggroup", "grove.io/podcliquescalinggroup-replica-index"),
    ("ray.io/worker-group-replica-name",),
    ("ray.io/cluster", "ray.io/group", "ray.io/worker-group-replica-index"),
    ("ray.io/cluster", "ray.io/group", "replicaIndex"),
)
# Labels that refine a group and may be absent.
_OPTIONAL = frozenset({"disaggregatedset.x-k8s.io/revision"})
_SHOWN_CHARS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Engines of one pool by what they do.

    Attributes:
        ready: Those that serve.
        starting: Those that are on their way.
        terminating: Those that were given up and still hold GPUs.
        failing: Those that will not serve without help.
        unschedulable: Those of `failing` that no node has room for.
        why_failing: In words, what they lack; empty if none fails.
    """

    ready: int = 0
    starting: int = 0
    terminating: int = 0
    failing: int = 0
    unschedulable: int = 0
    why_failing: str = ""

    @property
    def total(self) -> int:
        """Return all that hold GPUs or wait for some."""
        return self.ready + self.starting + self.terminating + self.failing


def engines_of(pods: Iterable[PodState], *, pods_per_engine: int) -> Engines:
    """Count the engines that pods make.

    Args:
        pods: What is known of each pod that has not ended.
        pods_per_engine: Pods of one complete engine.
    """
    groups = _grouped(tuple(pods), pods_per_engine)
    parts = [_engines_in(group, pods_per_engine) for group in groups]
    return Engines(
        ready=sum(part.ready for part in parts),
        starting=sum(part.starting for part in parts),
        terminating=sum(part.terminating for part in parts),
        failing=sum(part.failing for part in parts),
        unschedulable=sum(part.unschedulable for part in parts),
        why_failing=_words([pod for group in groups for pod in group]),
    )


def group_of(pod: Json) -> str:
    """Return the name of the engine that a pod is part of; empty if its labels do not say.

    Example:
        >>> group_of({"metadata": {"labels": {"leaderworkerset.sigs.k8s.io/name": "decode",
        ...     "leaderworkerset.sigs.k8s.io/group-index": "2"}}})
        'decode/2'
        >>> group_of({"metadata": {"labels": {"app": "vllm"}}})
        ''
    """
    labels = member(pod, "metadata", "labels")
    for names in _GROUPS:
        if all(name in labels or name in _OPTIONAL for name in names):
            return "/".join(str(labels[name]) for name in names if name in labels)
    return ""


def is_made_by(pod: Json, owner: ObjectKey) -> bool:
    """Tell whether a pod may be one of a Deployment's or a StatefulSet's; where it does not say, it may.

    Selectors of two of them may overlap (`app=llm` and `app=llm,size=big`), and the API server does not mind.
    A Deployment makes pods through ReplicaSets that it names after itself and the pods' template.

    Example:
        >>> from connectors.kubernetes.api import Resource
        >>> kind = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
        >>> def pod(name: str) -> Json:
        ...     maker = {"kind": "ReplicaSet", "name": name, "controller": True}
        ...     return {"metadata": {"labels": {"pod-template-hash": "5c9"}, "ownerReferences": [maker]}}
        >>> llm = ObjectKey(resource=kind, namespace="ai", name="llm")
        >>> is_made_by(pod("llm-5c9"), llm), is_made_by(pod("llm-2-5c9"), llm), is_made_by({}, llm)
        (True, False, True)
    """
    maker = next((one for one in items(pod, "metadata", "ownerReferences") if one.get("controller")), {})
    kind, name = text(maker, "kind"), text(maker, "name")
    if kind == "ReplicaSet" and owner.resource.kind != kind:
        template = text(pod, "metadata", "labels", "pod-template-hash")
        return not template or name == f"{owner.name}-{template}"
    return not kind or (kind, name) == (owner.resource.kind, owner.name)


def _grouped(pods: Sequence[PodState], size: int) -> list[list[PodState]]:
    if size <= 1:
        return [[pod] for pod in pods]
    groups: Mapping[str, list[PodState]] = defaultdict(list)
    for pod in pods:
        groups[pod.group].append(pod)
    return list(groups.values())


def _engines_in(pods: Sequence[PodState], size: int) -> Engines:
    """Count the engines of pods that belong together; usually it is one."""
    leaving = sum(pod.wait is Wait.ENDS for pod in pods)
    live = len(pods) - leaving
    # A pod that is replaced inside an engine does not make a second one.
    ends = 0 if live and len(pods) <= size else math.ceil(leaving / size)
    exist = math.ceil(live / size)
    ready = min(sum(pod.wait is Wait.READY for pod in pods) // size, exist)
    fails = _at_most(exist - ready, sum(pod.wait in {Wait.FAILS, Wait.NO_ROOM} for pod in pods), size, pods)
    lack = min(fails, math.ceil(sum(pod.wait is Wait.NO_ROOM for pod in pods) / size))
    return Engines(
        ready=ready, starting=exist - ready - fails, terminating=ends, failing=fails, unschedulable=lack
    )


def _at_most(rest: int, broken: int, size: int, pods: Sequence[PodState]) -> int:
    """Return how many engines fail: one for a group, as few as it can be where pods are not told apart."""
    return min(rest, 1 if broken and pods[0].group else math.ceil(broken / size))


def _words(pods: Sequence[PodState]) -> str:
    """Say what fails, each cause once: how many, since when, and one example."""
    causes: Mapping[str, list[Trouble]] = defaultdict(list)
    for pod in pods:
        if pod.trouble is not None and pod.wait in {Wait.FAILS, Wait.NO_ROOM}:
            causes[pod.trouble.reason].append(pod.trouble)
    return "; ".join(_cause(reason, found) for reason, found in sorted(causes.items()))


def _cause(reason: str, found: Sequence[Trouble]) -> str:
    first = min(found, key=lambda trouble: (trouble.since or "~", trouble.pod))
    since = f" since {first.since}" if first.since else ""
    detail = " ".join(first.detail.split())
    shown = detail if len(detail) <= _SHOWN_CHARS else f"{detail[:_SHOWN_CHARS]}…"
    said = f": {shown}" if shown else ""
    many = "1 pod" if len(found) == 1 else f"{len(found)} pods"
    return f"{many} {reason}{since} ({first.pod}{said})"
