"""How is one service of a DynamoGraphDeployment doing, by the graph's status and conditions?

The operator counts what serves in `availableReplicas` where the service is a Deployment or a group of pods,
else in `readyReplicas`. A group of pods (PodCliqueScalingGroup) counts a replica as updated only once it is
available, so that those that start look like a roll-out there; they are told apart by what still serves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Json
from connectors.kubernetes.gpus import engine_gpus
from connectors.kubernetes.meta import (
    condition_of,
    hold_of,
    is_observed,
    member,
    name_of,
    number,
    text,
    version_of,
)
from connectors.kubernetes.objects import with_pods
from connectors.kubernetes.target import TargetView
from connectors.kubernetes.targets.dynamo_graph import Component, components_of

GRAPH_LABEL = "nvidia.com/dynamo-graph-deployment-name"
COMPONENT_LABEL = "nvidia.com/dynamo-component"
_GROUP_OF_PODS = "PodCliqueScalingGroup"
_ROLLING = frozenset({"Pending", "InProgress"})


def view_of(graph: Json, component: Component, *, pool: str, templates: Mapping[str, Json]) -> TargetView:
    """Return what a graph deployment says of one service.

    Args:
        graph: The graph deployment.
        component: The service.
        pool: The pool that the service is, for the annotation that pauses it.
        templates: Templates of the devices that its pods claim, by name.
    """
    status = status_of(graph, component.name)
    view = TargetView(
        desired=component.desired,
        version=version_of(graph),
        pod_selector=f"{GRAPH_LABEL}={name_of(graph)},{COMPONENT_LABEL}={component.name}",
        ready=_ready(status),
        existing=number(status, "replicas"),
        is_observed=is_observed(graph),
        hold=hold_of(graph, pool) or _rolling(graph, status),
        rivals=tuple(_rivals(graph)),
        least=component.least,
        trouble="; ".join(_troubles(graph, status)),
    )
    gpus = _gpus(graph, status) or engine_gpus([(component.pod, component.nodes)], templates).gpus
    return replace(with_pods(view, [(component.pod, component.nodes)]), gpus_per_engine=gpus)


def status_of(graph: Json, name: str) -> Json:
    """Return the status of one service, in either version; empty if there is none yet."""
    status = member(graph, "status")
    return member(status, "components", name) or member(status, "services", name)


def _ready(status: Json) -> int | None:
    available = number(status, "availableReplicas")
    return number(status, "readyReplicas") if available is None else available


def _gpus(graph: Json, status: Json) -> int | None:
    """Return the GPUs of a replica as the operator counted them, DRA included; None if it did not.

    A count of zero is an engine without GPUs, for which there is nothing to say either.
    """
    if not is_observed(graph, if_unsaid=False):
        return None
    found = number(status, "gpusPerReplica")
    return (number(status, "gpusPerEngine") if found is None else found) or None


def _rolling(graph: Json, status: Json) -> PoolHold | None:
    phase = text(graph, "status", "rollingUpdate", "phase")
    if phase in _ROLLING:
        return _hold(f"a new version of its workers rolls out ({phase})")
    ready = condition_of(graph, "Ready")
    if ready.is_false and ready.reason == "updating" and _is_updating(status):
        return _hold(f"a new version rolls out: {ready.words}")
    return None


def _hold(why: str) -> PoolHold:
    return PoolHold(kind=HoldKind.ROLLING_OUT, why=why)


def _is_updating(status: Json) -> bool:
    """Tell whether replicas of an old version are left, as far as the status of the service tells it."""
    existing, updated = number(status, "replicas"), number(status, "updatedReplicas")
    if existing is None or updated is None:
        return True
    if text(status, "componentKind") == _GROUP_OF_PODS:
        return (number(status, "availableReplicas") or 0) > updated
    return existing > updated


def _rivals(graph: Json) -> Iterator[str]:
    for one in components_of(graph):
        if one.kind == "planner" and one.desired and not one.is_our_own:
            yield f"Dynamo's planner runs inside dynamographdeployment {name_of(graph)}: service {one.name}"


def _troubles(graph: Json, status: Json) -> Iterator[str]:
    ready = condition_of(graph, "Ready")
    if ready.is_false and ready.reason == "insufficient_capacity":
        yield ready.words
    existing, scheduled = number(status, "replicas"), number(status, "scheduledReplicas")
    if existing is not None and scheduled is not None and scheduled < existing:
        yield f"{existing - scheduled} of {existing} replicas wait for room on a node"
    if text(graph, "status", "rollingUpdate", "phase") == "Failed":
        yield "the roll-out of its newest version failed"
    if text(graph, "status", "state") == "failed":
        yield f"the operator says that it failed{': ' if ready.words else ''}{ready.words}"
