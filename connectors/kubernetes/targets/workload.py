"""Deployments and StatefulSets: a replica is one pod.

Whether a roll-out is under way is told as `kubectl rollout status` tells it, but for one thing: pods of the
newest template that are not ready yet are engines that start, not a roll-out. `spec.paused` of a Deployment
pauses its roll-outs only (`kubectl rollout pause`); what pauses Setpoint is the annotation of `meta`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, Json
from connectors.kubernetes.devices import claim_keys, claim_rules, templates_in
from connectors.kubernetes.discovery import discover, find_one
from connectors.kubernetes.meta import (
    condition_of,
    hold_of,
    is_observed,
    member,
    number,
    number_or_one,
    selector_text,
    text,
    version_of,
)
from connectors.kubernetes.objects import refuse_part, required, speaking_of, with_pods
from connectors.kubernetes.target import ObjectKey, Objects, Reference, Rule, Target, TargetView, Write
from connectors.kubernetes.targets import scalable
from connectors.kubernetes.writes import by_scale, require_count, to_read, to_scale

_DEADLINE_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One Deployment or StatefulSet as a pool.

    Attributes:
        role: What its engines do.
        parent: The object.
        claims: Templates of the devices that its pods claim.
        part: Empty: the object is the pool.
    """

    role: Role
    parent: ObjectKey
    claims: tuple[ObjectKey, ...] = ()
    part: str = ""

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the object, and what says how many devices its pods claim."""
        return (self.parent, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the object.

        Raises:
            Malformed: If it is not there or does not have its shape.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            pod = member(item, "spec", "template", "spec")
            view = TargetView(
                desired=number_or_one(item, "spec", "replicas"),
                version=version_of(item),
                pod_selector=selector_text(member(item, "spec", "selector")),
                pod_owner=self.parent,
                ready=_ready(item),
                existing=number(item, "status", "replicas") or 0,
                is_observed=is_observed(item, if_unsaid=False),
                hold=hold_of(item, self.role) or _rolling(item, self.parent.resource.kind),
                trouble=_trouble(item),
            )
            return with_pods(view, [(pod, 1)], templates_in(objects, self.claims))

    def write(self, objects: Objects, count: int) -> Write:
        """Set the replicas through the scale subresource.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=self.parent)
        with speaking_of(self.parent):
            return by_scale(self.parent, version=version_of(required(objects, self.parent)), count=count)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the object and to patch its scale."""
        return (
            *to_read(self.parent, f"read {self.parent}"),
            to_scale(self.parent),
            *claim_rules(self.claims),
        )


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a Deployment or a StatefulSet.

    Raises:
        ConfigError: If a part is named, or labels do not select exactly one object.
        ApiError: If the API server does not answer, or there is no such object.
    """
    found = await discover(api, reference.kind)
    if found.resource.group != "apps":  # somebody else's kind of the same name
        return await scalable.build(reference, api)
    refuse_part(reference, why=f"a {found.resource.kind} has no parts, its pods are all alike")
    name = await find_one(api, found.resource, reference)
    parent = ObjectKey(resource=found.resource, namespace=reference.namespace, name=name)
    pod = member(await api.get(parent.path), "spec", "template", "spec")
    claims = await claim_keys(api, [pod], namespace=reference.namespace)
    return Workload(role=reference.role, parent=parent, claims=claims)


def _ready(item: Json) -> int:
    """Return the ready replicas; with `minReadySeconds` those that have been ready for so long."""
    field = "availableReplicas" if number(item, "spec", "minReadySeconds") else "readyReplicas"
    return number(item, "status", field) or 0


def _rolling(item: Json, kind: str) -> PoolHold | None:
    why = _ROLLING[kind](item) if kind in _ROLLING else ""
    return PoolHold(kind=HoldKind.ROLLING_OUT, why=why) if why else None


def _deployment_rolling(item: Json) -> str:
    existing = number(item, "status", "replicas") or 0
    updated = number(item, "status", "updatedReplicas") or 0
    if existing <= updated:
        return ""
    is_paused = member(item, "spec").get("paused") is True
    paused = "; the roll-out is paused (kubectl rollout resume)" if is_paused else ""
    return f"a new template rolls out: {existing - updated} of {existing} pods are of an old one{paused}"


def _stateful_set_rolling(item: Json) -> str:
    status = member(item, "status")
    is_automatic = text(item, "spec", "updateStrategy", "type") != "OnDelete"
    is_new = text(status, "updateRevision") != text(status, "currentRevision")
    kept = number(item, "spec", "updateStrategy", "rollingUpdate", "partition") or 0
    wanted = (number(status, "replicas") or 0) - kept
    missing = wanted - (number(status, "updatedReplicas") or 0)
    if not (is_automatic and is_new and missing > 0):
        return ""
    return f"a new template rolls out: {missing} of {wanted} pods are of an old one"


_ROLLING: Mapping[str, Callable[[Json], str]] = {
    "Deployment": _deployment_rolling,
    "StatefulSet": _stateful_set_rolling,
}


def _trouble(item: Json) -> str:
    progress, failure = condition_of(item, "Progressing"), condition_of(item, "ReplicaFailure")
    if failure.is_true:
        return f"its pods cannot be made: {failure.words}"
    if not (progress.is_false and progress.reason == "ProgressDeadlineExceeded"):
        return ""
    deadline_s = number(item, "spec", "progressDeadlineSeconds") or _DEADLINE_S
    return (
        f"no progress for {deadline_s} s (ProgressDeadlineExceeded); raise spec.progressDeadlineSeconds if"
        f" the model takes longer to load"
    )
