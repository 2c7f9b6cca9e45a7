"""DisaggregatedSetRoleScaler: one role of a DisaggregatedSet, made by its controller to be scaled by others.

The fields are those of `disaggregatedset.x-k8s.io/v1` in LeaderWorkerSet 0.8 to 0.10. The scaler has the
wanted groups of the role, the set has the role's template and says how many groups are ready.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, Json, Resource
from connectors.kubernetes.devices import claim_rules, claims_in, templates_in
from connectors.kubernetes.meta import (
    condition_of,
    hold_of,
    is_observed,
    items,
    member,
    number,
    text,
    version_of,
)
from connectors.kubernetes.objects import (
    entry_of,
    locate,
    optional,
    refuse_part,
    required,
    speaking_of,
    with_pods,
)
from connectors.kubernetes.target import (
    ObjectKey,
    Objects,
    Reference,
    Rule,
    Target,
    TargetView,
    Write,
)
from connectors.kubernetes.targets.leaderworkerset import group_pods
from connectors.kubernetes.writes import (
    by_merge,
    by_scale,
    require_count,
    to_patch,
    to_read,
    to_scale,
)

_GROUP = "disaggregatedset.x-k8s.io"
_SET_LABEL = f"{_GROUP}/name"
_ROLE_LABEL = f"{_GROUP}/role"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleScaler:
    """One role of a DisaggregatedSet as a pool.

    Attributes:
        role: What its engines do.
        parent: The scaler.
        owner: The set.
        part: The role's name in the set.
        claims: Templates of the devices that its pods claim.
    """

    role: Role
    parent: ObjectKey
    owner: ObjectKey
    part: str
    claims: tuple[ObjectKey, ...] = ()

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the scaler, its set, and what says how many devices pods claim."""
        return (self.parent, self.owner, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the role; without rights on the set what only the set knows is left out.

        Raises:
            Malformed: If the scaler is not there, or something does not have its shape.
        """
        with speaking_of(self.parent):
            scaler = required(objects, self.parent)
            whole = optional(objects, self.owner)
            status = None if whole is None else self._status(whole)
            seen = TargetView(
                desired=_desired(scaler, status),
                version=version_of(scaler),
                pod_selector=f"{_SET_LABEL}={self.owner.name},{_ROLE_LABEL}={self.part}",
                is_observed=is_observed(scaler),
                hold=hold_of(scaler, self.role),
                trouble=_trouble(scaler),
            )
            if whole is None or status is None:
                return seen
            full = self._with_set(seen, whole, status)
            return with_pods(full, _pods(whole, self.part), templates_in(objects, self.claims))

    def write(self, objects: Objects, count: int) -> Write:
        """Set the groups through the scale subresource, or for the first time in the scaler itself.

        The API server has no scale of an object in which no replicas stand yet.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=self.parent)
        with speaking_of(self.parent):
            scaler = required(objects, self.parent)
            version = version_of(scaler)
            if number(scaler, "spec", "replicas") is None:
                return by_merge(self.parent, version=version, spec={"replicas": count})
            return by_scale(self.parent, version=version, count=count)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read scaler and set, and to patch the scale."""
        first = to_patch(self.parent, "give it its first count, where nobody gave one yet")
        return (
            *to_read(self.parent, f"read {self.parent}"),
            *to_read(self.owner, "read GPUs and readiness of the role", is_needed=False),
            to_scale(self.parent),
            replace(first, is_needed=False),
            *claim_rules(self.claims),
        )

    def _status(self, whole: Json) -> Json | None:
        found = [one for one in items(whole, "status", "roleStatuses") if text(one, "name") == self.part]
        return found[0] if found else None

    def _with_set(self, seen: TargetView, whole: Json, status: Json) -> TargetView:
        existing, updated = number(status, "replicas") or 0, number(status, "updatedReplicas") or 0
        rolling = PoolHold(
            kind=HoldKind.ROLLING_OUT, why=f"{self.owner} rolls out: {updated} of {existing} groups are new"
        )
        return replace(
            seen,
            ready=number(status, "readyReplicas") or 0,
            existing=existing,
            hold=seen.hold or hold_of(whole, self.role) or (rolling if updated < existing else None),
        )


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a role scaler, which says itself to which set and role it belongs.

    Raises:
        ConfigError: If a part is named, or the scaler does not say what it scales.
        ApiError: If the API server does not answer, or there is no such scaler.
    """
    refuse_part(reference, why="a scaler is one role already")
    parent = await locate(api, reference, group=_GROUP)
    scaler = await api.get(parent.path)
    labels = member(scaler, "metadata", "labels")
    owner = text(labels, _SET_LABEL) or _owner(items(scaler, "metadata", "ownerReferences"))
    part = text(labels, _ROLE_LABEL) or _rest(parent.name, owner)
    if not owner or not part:
        raise ConfigError(
            f"{parent} has neither the labels {_SET_LABEL} and {_ROLE_LABEL} nor a DisaggregatedSet as owner",
            key=reference.key,
            hint="name a scaler that the controller of a DisaggregatedSet made (scaling.mode: External)",
        )
    plural = Resource(
        group=_GROUP,
        version=parent.resource.version,
        plural="disaggregatedsets",
        kind="DisaggregatedSet",
    )
    whole = ObjectKey(resource=plural, namespace=parent.namespace, name=owner)
    claims = await claims_in(api, whole, lambda item: _pods(item, part))
    return RoleScaler(role=reference.role, parent=parent, owner=whole, part=part, claims=claims)


def _pods(whole: Json, part: str) -> tuple[tuple[Json, int], ...]:
    """Return the pods of one group of a role."""
    _, spec = entry_of(items(whole, "spec", "roles"), field="name", name=part, path="spec.roles")
    return group_pods(member(spec, "spec", "leaderWorkerTemplate"))


def _owner(references: Sequence[Json]) -> str:
    owners = [text(one, "name") for one in references if text(one, "kind") == "DisaggregatedSet"]
    return owners[0] if owners else ""


def _rest(name: str, owner: str) -> str:
    """Return the role by the scaler's name, which is `<set>-<role>`."""
    return name.removeprefix(f"{owner}-") if name.startswith(f"{owner}-") else ""


def _desired(scaler: Json, status: Json | None) -> int:
    """Return what was asked for; as long as nobody asked, the controller keeps what there is."""
    found = number(scaler, "spec", "replicas")
    if found is not None:
        return found
    if status is None:
        raise Malformed("expected a count at spec.replicas, found none, nor does the set say what there is")
    return number(status, "replicas") or 0


def _trouble(scaler: Json) -> str:
    ready = condition_of(scaler, "Ready")
    return ready.words if ready.is_false and ready.reason != "WaitingForScaler" else ""
