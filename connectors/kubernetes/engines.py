"""From what a target and its pods say to the state of a pool.

Pure. Without pods (our rights do not reach them) the controller's own counts serve: they tell ready from
existing, and neither failing nor terminating engines. What neither says is an error, not a zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from config.errors import Malformed
from connectors.base import PoolHold, PoolState
from connectors.kubernetes.api import Json
from connectors.kubernetes.gpus import engine_gpus
from connectors.kubernetes.paths import member
from connectors.kubernetes.pods import Engines, engines_of, group_of, is_made_by
from connectors.kubernetes.podstate import Patience, has_ended, state_of
from connectors.kubernetes.target import TargetView


def engines_in(pods: Iterable[Json], *, pods_per_engine: int, patience: Patience) -> Engines:
    """Count the engines that the pods of a pool make."""
    states = (state_of(pod, group=group_of(pod), patience=patience) for pod in pods if not has_ended(pod))
    return engines_of(states, pods_per_engine=pods_per_engine)


def own_pods(pods: Iterable[Json], view: TargetView) -> tuple[Json, ...]:
    """Return those of the selected pods that the target makes, without those that ended."""
    owner = view.pod_owner
    return tuple(pod for pod in pods if not has_ended(pod) and (owner is None or is_made_by(pod, owner)))


def said_by(view: TargetView, *, name: str) -> Engines:
    """Return the engines as the controller counts them, for where pods may not be read.

    Raises:
        Malformed: If it does not count them.
    """
    if view.ready is None:
        raise Malformed(
            f"expected pods or a count of ready replicas of {name}, found neither: its pods may not be listed"
            f" and its status does not count them"
        )
    existing = view.ready if view.existing is None else max(view.existing, view.ready)
    return Engines(ready=view.ready, starting=existing - view.ready)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found beside the target's own words.

    Attributes:
        engines: Its engines.
        gpus_per_engine: GPUs of one engine; None if nothing says.
        hold: Why it is to be left as it is; None if it may be scaled.
        target: What people call it.
    """

    engines: Engines
    gpus_per_engine: int | None
    hold: PoolHold | None
    target: str


def state_of_pool(view: TargetView, found: Findings) -> PoolState:
    """Put together what is known of a pool."""
    engines = found.engines
    troubles = (engines.why_failing, view.trouble) if engines.failing else ()
    return PoolState(
        desired=view.desired,
        ready=engines.ready,
        starting=engines.starting,
        terminating=engines.terminating,
        failing=engines.failing,
        gpus_per_engine=found.gpus_per_engine,
        unschedulable=engines.unschedulable,
        why_failing="; ".join(trouble for trouble in troubles if trouble),
        hold=found.hold,
        least=view.least,
        most=view.most,
        grace_s=view.grace_s,
        target=found.target,
    )


def gpus_in(pods: Sequence[Json], *, pods_per_engine: int) -> int | None:
    """Return the GPUs of one engine as its pods ask for them; None if they do not tell.

    Example:
        >>> pod = {"metadata": {"name": "a"},
        ...     "spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "8"}}}]}}
        >>> gpus_in([pod, pod], pods_per_engine=2)
        16
    """
    for group in _complete(pods, pods_per_engine):
        specs = [(member(pod, "spec"), 1) for pod in group]
        found = engine_gpus(specs).gpus
        if found is not None:
            return found
    return None


def _complete(pods: Sequence[Json], size: int) -> Iterable[Sequence[Json]]:
    """Yield pods that make one engine: by their group, or any of them where all are alike."""
    groups: Mapping[str, list[Json]] = defaultdict(list)
    for pod in pods:
        groups[group_of(pod)].append(pod)
    for name, found in groups.items():
        if name and len(found) == size:
            yield found
        elif not name and len(found) >= size and len({_wanted(pod) for pod in found}) == 1:
            yield found[:size]


def _wanted(pod: Json) -> str:
    spec = member(pod, "spec")
    return str([(one.get("resources"), one.get("name")) for one in spec.get("containers") or ()])
