"""Grove: a clique of pods that stands alone, or a group of cliques that scale together.

The fields are those of `grove.io/v1alpha1`. Below `minAvailable` the gang breaks and Grove ends all of it, so
that fewer are never asked for. A clique has its pods' specification itself; a scaling group only names its
cliques, whose templates are in the PodCliqueSet. What another controller drives is refused: a clique of a
scaling group, and whatever Dynamo made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, Json, Resource
from connectors.kubernetes.devices import claim_keys, claim_rules, claims_in, templates_in
from connectors.kubernetes.meta import (
    condition_of,
    hold_of,
    is_observed,
    items,
    member,
    number,
    number_or_one,
    text,
    version_of,
)
from connectors.kubernetes.objects import (
    entry_of,
    locate,
    optional,
    read_if_allowed,
    refuse_part,
    required,
    speaking_of,
    with_pods,
)
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import (
    ObjectKey,
    Objects,
    Reference,
    Rule,
    Target,
    TargetView,
    Write,
)
from connectors.kubernetes.writes import by_scale, require_count, to_read, to_scale

_GROUP = "grove.io"
_CLIQUE = "PodClique"
_SCALING_GROUP = "PodCliqueScalingGroup"
_SET = "PodCliqueSet"
_CLIQUE_LABEL = "grove.io/podclique"
_SCALING_GROUP_LABEL = "grove.io/podcliquescalinggroup"
_SET_LABEL = "app.kubernetes.io/part-of"
_DYNAMO = "DynamoGraphDeployment"
_DYNAMO_LABEL = "nvidia.com/dynamo-graph-deployment-name"
_CLIQUES = ("spec", "template", "cliques")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """A PodClique or a PodCliqueScalingGroup as a pool.

    Attributes:
        role: What its engines do.
        parent: The clique or scaling group.
        owner: The PodCliqueSet that it is part of; None if it does not say.
        claims: Templates of the devices that its pods claim.
        part: Empty: the object is the pool.
    """

    role: Role
    parent: ObjectKey
    owner: ObjectKey | None
    claims: tuple[ObjectKey, ...] = ()
    part: str = ""

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the object, the set that has the templates, and those of the devices that pods claim."""
        return (self.parent, *self._owners, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the object; without rights on the set a scaling group's GPUs are not known.

        Raises:
            Malformed: If the object is not there, or something does not have its shape.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            whole = None if self.owner is None else optional(objects, self.owner)
            config = self._config(item, whole)
            plain = TargetView(
                desired=number_or_one(item, "spec", "replicas"),
                version=version_of(item),
                pod_selector=self._selector(item),
                ready=number(item, "status", self._ready) or 0,
                existing=number(item, "status", "replicas") or 0,
                is_observed=is_observed(item),
                hold=hold_of(item, self.role) or _rolling(item),
                rivals=_rivals(config),
                least=_least(item),
                trouble=_trouble(item),
            )
            pods = self._pods(item, whole)
            return with_pods(plain, pods, templates_in(objects, self.claims)) if pods else plain

    def write(self, objects: Objects, count: int) -> Write:
        """Set the replicas through the scale subresource.

        Raises:
            Refused: If the count is below `minAvailable`.
            Malformed: As for `view`.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            why = "below minAvailable the gang breaks, and Grove ends all of it"
            require_count(count, least=_least(item), of=self.parent, why=why)
            return by_scale(self.parent, version=version_of(item), count=count)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read object and set, and to patch the scale."""
        whole = (to_read(one, "read the templates of its cliques", is_needed=False) for one in self._owners)
        return (
            *to_read(self.parent, f"read {self.parent}"),
            to_scale(self.parent),
            *chain.from_iterable(whole),
            *claim_rules(self.claims),
        )

    @property
    def _owners(self) -> tuple[ObjectKey, ...]:
        return () if self.owner is None else (self.owner,)

    @property
    def _is_clique(self) -> bool:
        return self.parent.resource.kind == _CLIQUE

    @property
    def _ready(self) -> str:
        return "readyReplicas" if self._is_clique else "availableReplicas"

    def _selector(self, item: Json) -> str:
        path, label = ("hpaPodSelector", _CLIQUE_LABEL)
        if not self._is_clique:
            path, label = ("selector", _SCALING_GROUP_LABEL)
        return text(item, "status", path) or f"{label}={self.parent.name}"

    def _pods(self, item: Json, whole: Json | None) -> tuple[tuple[Json, int], ...]:
        if self._is_clique:
            return ((member(item, "spec", "podSpec"), 1),)
        return () if whole is None else tuple(_member_pods(whole, _clique_names(item)))

    def _config(self, item: Json, whole: Json | None) -> Json:
        """Return the configuration of Grove's own autoscaling, empty if there is none."""
        if self._is_clique:
            return member(item, "spec", "autoScalingConfig")
        names = _clique_names(item)
        groups = () if whole is None else items(whole, "spec", "template", "podCliqueScalingGroups")
        mine = [one for one in groups if _listed(one, "cliqueNames") == names]
        return member(mine[0], "scaleConfig") if mine else {}


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a clique that stands alone, or a scaling group.

    Raises:
        ConfigError: If a part is named, or something else drives the object; what to name instead is said.
        ApiError: If the API server does not answer, or there is no such object.
    """
    refuse_part(reference, why="the object is the pool")
    parent = await locate(api, reference, group=_GROUP)
    item = await api.get(parent.path)
    labels = member(item, "metadata", "labels")
    group = _owner(item, _SCALING_GROUP) or text(labels, _SCALING_GROUP_LABEL)
    if group and parent.resource.kind == _CLIQUE:
        raise _driven(reference, by=f"the {_SCALING_GROUP} {group}", instead=f"podcliquescalinggroup/{group}")
    name = _owner(item, _SET) or text(labels, _SET_LABEL)
    owner = _set_key(parent, name) if name else None
    if graph := text(labels, _DYNAMO_LABEL) or await _graph_of(owner, api):
        raise _driven(reference, by=f"the {_DYNAMO} {graph}", instead=f"dynamographdeployment/{graph}")
    return Gang(
        role=reference.role, parent=parent, owner=owner, claims=await _claims(api, parent, owner, item)
    )


async def _claims(api: Api, parent: ObjectKey, owner: ObjectKey | None, item: Json) -> tuple[ObjectKey, ...]:
    """Return the templates of the claims of one replica's pods: a group's pods are described by its set."""
    if parent.resource.kind == _CLIQUE:
        return await claim_keys(api, [member(item, "spec", "podSpec")], namespace=parent.namespace)
    if owner is None:
        return ()
    return await claims_in(api, owner, lambda whole: _member_pods(whole, _clique_names(item)))


def _driven(reference: Reference, *, by: str, instead: str) -> ConfigError:
    return ConfigError(
        f"{named(reference)} is driven by {by}, which would undo each change of it",
        key=reference.key,
        hint=f"write {instead}",
    )


def _set_key(parent: ObjectKey, name: str) -> ObjectKey:
    version = parent.resource.version
    resource = Resource(group=_GROUP, version=version, plural="podcliquesets", kind=_SET)
    return ObjectKey(resource=resource, namespace=parent.namespace, name=name)


async def _graph_of(owner: ObjectKey | None, api: Api) -> str:
    """Return the Dynamo deployment that made a set; empty if none did, or the set may not be read."""
    item = None if owner is None else await read_if_allowed(api, owner.path)
    if item is None:
        return ""
    labels = member(item, "metadata", "labels")
    return _owner(item, _DYNAMO) or text(labels, _DYNAMO_LABEL)


def _owner(item: Json, kind: str) -> str:
    owners = [one for one in items(item, "metadata", "ownerReferences") if text(one, "kind") == kind]
    return text(owners[0], "name") if owners else ""


def _least(item: Json) -> int:
    return max(1, number_or_one(item, "spec", "minAvailable"))


def _listed(item: Json, name: str) -> tuple[str, ...]:
    found = item.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Malformed(f"expected a list of names at {name}, found {str(found)[:40]!r}")
    return tuple(found)


def _clique_names(item: Json) -> tuple[str, ...]:
    return _listed(member(item, "spec"), "cliqueNames")


def _member_pods(whole: Json, names: Sequence[str]) -> Sequence[tuple[Json, int]]:
    cliques = items(whole, *_CLIQUES)
    found = [entry_of(cliques, field="name", name=name, path=".".join(_CLIQUES))[1] for name in names]
    specs = [member(clique, "spec") for clique in found]
    return [(member(spec, "podSpec"), number_or_one(spec, "replicas")) for spec in specs]


def _rivals(config: Json) -> tuple[str, ...]:
    if not config:
        return ()
    limits = f"{config.get('minReplicas', 1)} to {config.get('maxReplicas', 'any')}"
    return (f"Grove's own HPA sets the replicas ({limits}); remove its autoscaling configuration",)


def _rolling(item: Json) -> PoolHold | None:
    for name in ("updateProgress", "rollingUpdateProgress"):
        progress = member(item, "status", name)
        if progress and not progress.get("updateEndedAt"):
            return PoolHold(kind=HoldKind.ROLLING_OUT, why=f"a new revision rolls out (status.{name})")
    return None


def _trouble(item: Json) -> str:
    existing, scheduled = number(item, "status", "replicas"), number(item, "status", "scheduledReplicas")
    if existing and scheduled is not None and scheduled < existing:
        return f"{existing - scheduled} of {existing} replicas wait for capacity"
    breached = condition_of(item, "MinAvailableBreached")
    return f"fewer than minAvailable are there: {breached.words}" if breached.is_true else ""
