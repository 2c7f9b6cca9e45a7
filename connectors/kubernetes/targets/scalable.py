"""Anything that has a scale subresource, such as an Argo Rollout, a NIMService or a DeploymentConfig.

What the scale says (replicas that are wanted, those that exist, the pods' labels) is the same for all kinds.
The rest is read from where most kinds have it, and left open where this one does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.devices import claim_keys, claim_rules, templates_in
from connectors.kubernetes.discovery import discover, find_one
from connectors.kubernetes.meta import (
    conditions_of,
    hold_of,
    is_observed,
    items,
    member,
    number,
    number_or_one,
    selector_text,
    text,
    version_of,
)
from connectors.kubernetes.objects import optional, refuse_part, speaking_of, with_pods
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import ObjectKey, Objects, Reference, Rule, Target, TargetView, Write
from connectors.kubernetes.writes import by_scale, require_count, to_read, to_scale

_POD_PATHS = (
    ("spec", "template", "spec"),
    ("spec", "podTemplate", "spec"),
    ("spec", "podTemplateSpec", "spec"),
)
# Conditions whose truth is bad news, whoever writes them.
_BAD = ("ReplicaFailure", "InvalidSpec", "Degraded", "Failed")

Pods = tuple[tuple[Json, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalable:
    """One object with a scale subresource as a pool.

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

    @property
    def scale(self) -> ObjectKey:
        """The scale subresource."""
        return replace(self.parent, subresource="scale")

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the object, its scale, and what says how many devices its pods claim."""
        return (self.parent, self.scale, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the object and its scale.

        Raises:
            Malformed: If neither says how many replicas are wanted.
        """
        with speaking_of(self.parent):
            item, scale = optional(objects, self.parent) or {}, optional(objects, self.scale)
            desired, version = self._desired(item, scale)
            pods = pods_of(item)
            view = TargetView(
                desired=desired,
                version=version,
                pod_selector=_selector(item, scale or {}),
                ready=_first(item, "readyReplicas", "availableReplicas"),
                existing=number(scale or item, "status", "replicas"),
                is_observed=is_observed(item),
                hold=hold_of(item, self.role) or _rolling(item),
                trouble=_trouble(item),
            )
            return with_pods(view, pods, templates_in(objects, self.claims)) if pods else view

    def write(self, objects: Objects, count: int) -> Write:
        """Set the replicas through the scale subresource.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=self.parent)
        with speaking_of(self.parent):
            item, scale = optional(objects, self.parent) or {}, optional(objects, self.scale)
            return by_scale(self.parent, version=self._desired(item, scale)[1], count=count)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the object and to read and patch its scale."""
        patch = to_scale(self.parent)
        return (
            *to_read(self.parent, f"read {self.parent}"),
            replace(patch, verbs=("get",), why=f"read the replicas of {self.parent}"),
            patch,
            *claim_rules(self.claims),
        )

    def _desired(self, item: Json, scale: Json | None) -> tuple[int, str]:
        """Return the replicas that are wanted, and the version of the object that says so."""
        if not item and scale is None:
            raise Malformed(
                f"expected it in namespace {self.parent.namespace}, found nothing; was it deleted, or does"
                f" it have another name?"
            )
        for source in (scale or {}, item):
            found = number(source, "spec", "replicas")
            if found is not None:
                return found, version_of(source)
        raise Malformed(
            f"expected a count at spec.replicas, found nothing, so that its scale cannot be read; set it"
            f" once: kubectl patch {self.parent.resource.plural}.{self.parent.resource.group}"
            f' {self.parent.name} --type=merge -p \'{{"spec":{{"replicas":1}}}}\''
        )


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for an object of any kind that has a scale subresource.

    Raises:
        ConfigError: If its kind has none, a part is named, or labels do not select exactly one object.
        ApiError: If the API server does not answer, or there is no such kind or object.
    """
    found = await discover(api, reference.kind)
    if not found.has_scale:
        problem = f"{named(reference)}: a {found.resource.kind} has no scale subresource"
        raise ConfigError(problem, key=reference.key, hint="name the object that has the replicas")
    refuse_part(reference, why=f"the replicas of a {found.resource.kind} are all alike")
    name = await find_one(api, found.resource, reference)
    parent = ObjectKey(resource=found.resource, namespace=reference.namespace, name=name)
    pods = pods_of(await api.get(parent.path))
    claims = await claim_keys(api, [spec for spec, _ in pods], namespace=reference.namespace)
    target = Scalable(role=reference.role, parent=parent, claims=claims)
    await _check_scale(api, target.scale, reference)
    return target


async def _check_scale(api: Api, scale: ObjectKey, reference: Reference) -> None:
    """Read the scale once: a server that finds no count in the object answers 500, again and again."""
    try:
        await api.get(scale.path)
    except ApiError as error:
        if error.is_forbidden:  # the object itself may say the replicas
            return
        if error.status != HTTPStatus.INTERNAL_SERVER_ERROR or "replicas" not in str(error):
            raise
        problem = f"the scale of {named(reference)} cannot be read, since its replicas are not set: {error}"
        raise ConfigError(problem, key=reference.key, hint=_set_once(scale)) from error


def _set_once(key: ObjectKey) -> str:
    return (
        f"set it once: kubectl patch {key.resource.plural}.{key.resource.group} {key.name}"
        f' --type=merge -p \'{{"spec":{{"replicas":1}}}}\''
    )


def pods_of(item: Json) -> Pods:
    """Return the pods of one replica where the object describes them, each kind with their number.

    Example:
        >>> pod = {"containers": [{"name": "main"}]}
        >>> pods_of({"spec": {"podTemplate": {"spec": pod}}})
        (({'containers': [{'name': 'main'}]}, 1),)
        >>> pods_of({"spec": {"replicas": 1}})
        ()
    """
    for path in _POD_PATHS:
        try:
            spec = member(item, *path)
        except Malformed:  # another kind's field of the same name
            continue
        if spec.get("containers"):
            return ((spec, 1),)
        if "headGroupSpec" in spec:
            return _ray_cluster(spec)
    return _bare_container(member(item, "spec"))


def _ray_cluster(spec: Json) -> Pods:
    """Return the pods of a whole Ray cluster, which is one replica of AIBrix's RayClusterFleet."""
    head = member(spec, "headGroupSpec", "template", "spec")
    groups = items(spec, "workerGroupSpecs")
    workers = tuple(
        (member(one, "template", "spec"), number_or_one(one, "replicas") * number_or_one(one, "numOfHosts"))
        for one in groups
    )
    return ((head, 1), *workers)


def _bare_container(spec: Json) -> Pods:
    """Return a pod made of what stands in the spec itself, as a NIMService has it."""
    if not isinstance(spec.get("resources"), Mapping):
        return ()
    container = {key: spec[key] for key in ("resources", "env", "command", "args") if key in spec}
    image = spec.get("image")
    names = image.get("pullSecrets") if isinstance(image, Mapping) else None
    secrets = [{"name": name} for name in names] if isinstance(names, list) else []
    return (({"containers": [container], "imagePullSecrets": secrets}, 1),)


def _selector(item: Json, scale: Json) -> str:
    said = text(scale, "status", "selector")
    if said:
        return said
    selector = member(item, "spec").get("selector")
    return selector_text(selector) if isinstance(selector, Mapping) else ""


def _first(item: Json, *fields: str) -> int | None:
    found = (number(item, "status", field) for field in fields)
    return next((count for count in found if count is not None), None)


def _rolling(item: Json) -> PoolHold | None:
    existing, updated = number(item, "status", "replicas"), number(item, "status", "updatedReplicas")
    if existing is None or updated is None or existing <= updated:
        return None
    why = f"a new template rolls out: {existing - updated} of {existing} replicas are of an old one"
    return PoolHold(kind=HoldKind.ROLLING_OUT, why=why)


def _trouble(item: Json) -> str:
    found = conditions_of(item)
    bad = [f"{kind}: {found[kind].words}" for kind in _BAD if kind in found and found[kind].is_true]
    progress = found.get("Progressing")
    if progress is not None and progress.is_false and progress.reason.endswith("DeadlineExceeded"):
        bad.append(progress.words)
    return "; ".join(bad)
