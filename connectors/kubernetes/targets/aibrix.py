"""AIBrix StormService: its roles one by one, or whole sets of roles in a fixed proportion.

The fields are those of `orchestration.aibrix.ai/v1alpha1` (0.4 to 0.6). In pool mode there is one RoleSet
whose roles are scaled one by one, by a patch of the role's entry in the list; name the role as the part. In
replica mode `spec.replicas` RoleSets are alike and scaled through the scale subresource; name no part. Newer
versions say the mode in `spec.mode`; before, more than one replica means replica mode.

A role's replicas are part of the template whose revisions the controller keeps, so that with the update
strategy RollingUpdate (the default) each change of them replaces the whole RoleSet with all its engines. Only
with InPlaceUpdate the other pods stay: a role is not scaled without it.
"""

from dataclasses import dataclass, replace

from config.errors import ConfigError, Malformed, Refused
from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, Json
from connectors.kubernetes.devices import claim_keys, claim_rules, templates_in
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
from connectors.kubernetes.objects import entry_of, locate, part_of, required, speaking_of, with_pods
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
from connectors.kubernetes.writes import (
    by_index,
    by_scale,
    require_count,
    to_count,
    to_patch,
    to_read,
    to_scale,
)

_GROUP = "orchestration.aibrix.ai"
_ROLES = ("spec", "template", "spec", "roles")
_SERVICE_LABEL = "storm-service-name"
_ROLE_LABEL = "role-name"
_REPLICA_MODE = "Replica"
_POOL_MODE = "Pooled"
_IN_PLACE = "InPlaceUpdate"
_Pods = tuple[tuple[Json, int], ...]
_REMEDY = f"set spec.updateStrategy.type: {_IN_PLACE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StormService:
    """A StormService, or one of its roles, as a pool.

    Attributes:
        role: What its engines do.
        parent: The StormService.
        part: The role's name in pool mode; empty in replica mode.
        counts_itself: Whether the status counts engines, for its rights; of a role it counts pods.
        claims: Templates of the devices that its pods claim.
    """

    role: Role
    parent: ObjectKey
    part: str
    counts_itself: bool
    claims: tuple[ObjectKey, ...] = ()

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the service, and what says how many devices its pods claim."""
        return (self.parent, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the service, or its role.

        Raises:
            Malformed: If it is not there, was changed to the other mode, or does not have its shape.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            self._check_mode(item)
            view, pods = self._role(item) if self.part else self._whole(item)
            return with_pods(view, pods, templates_in(objects, self.claims))

    def write(self, objects: Objects, count: int) -> Write:
        """Patch the role's entry of the list, or the scale of the whole.

        Raises:
            Refused: If the count is negative, or the change would replace all engines.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=self.parent)
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            self._check_mode(item)
            if not self.part:
                return by_scale(self.parent, version=version_of(item), count=count)
            if harm := _harm(item):
                raise Refused(f"{self.parent}: {harm}; {_REMEDY}")
            index, _ = self._entry(item)
            return by_index(
                self.parent,
                version=version_of(item),
                entry=f"/{'/'.join(_ROLES)}/{index}",
                named=("name", self.part),
                replicas={"replicas": count},
            )

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the service, and to patch it or its scale."""
        write = to_patch(self.parent, f"set the replicas of role {self.part}")
        return (
            *to_read(self.parent, f"read {self.parent}"),
            write if self.part else to_scale(self.parent),
            *(() if self.counts_itself else (to_count(self.parent),)),
            *claim_rules(self.claims),
        )

    def _entry(self, item: Json) -> tuple[int, Json]:
        return entry_of(items(item, *_ROLES), field="name", name=self.part, path=".".join(_ROLES))

    def _check_mode(self, item: Json) -> None:
        if problem := _mismatch(item, self.part):
            raise Malformed(problem)

    def _common(self, item: Json, *, desired: int) -> TargetView:
        return TargetView(
            desired=desired,
            version=version_of(item),
            pod_selector=f"{_SERVICE_LABEL}={self.parent.name}",
            is_observed=is_observed(item),
            hold=hold_of(item, self.role) or _stopped(item) or _rolling(item),
            trouble=_trouble(item),
        )

    def _role(self, item: Json) -> tuple[TargetView, _Pods]:
        _, entry = self._entry(item)
        common = self._common(item, desired=number_or_one(entry, "replicas"))
        pods = _role_pods(entry)
        view = replace(
            common,
            pod_selector=f"{common.pod_selector},{_ROLE_LABEL}={self.part}",
            trouble=_harm(item) or common.trouble,
        )
        mine = [one for one in items(item, "status", "roleStatuses") if text(one, "name") == self.part]
        # The statuses of roles count pods, which are engines only where an engine is one pod.
        if mine and pods[1] == 1:
            ready, existing = number(mine[0], "readyReplicas") or 0, number(mine[0], "replicas") or 0
            view = replace(view, ready=ready, existing=existing)
        return view, (pods,)

    def _whole(self, item: Json) -> tuple[TargetView, _Pods]:
        common = self._common(item, desired=number_or_one(member(item, "spec"), "replicas"))
        seen = replace(
            common,
            ready=number(item, "status", "readyReplicas") or 0,
            existing=number(item, "status", "replicas") or 0,
        )
        pods = _all_pods(item)
        if not pods:
            raise Malformed(f"expected roles at {'.'.join(_ROLES)}, found none")
        return seen, pods


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a StormService, or for the role that is named as its part.

    Raises:
        ConfigError: If there is no such role, the service's mode does not fit the reference, or scaling a
            role would replace all engines.
        ApiError: If the API server does not answer, or there is no such service.
    """
    parent = await locate(api, reference, group=_GROUP)
    item = await api.get(parent.path)
    known = [text(entry, "name") for entry in items(item, *_ROLES)]
    part = part_of(reference, known, word="role") if reference.part else ""
    if problem := _mismatch(item, part):
        fits = named(replace(reference, part="" if part else (known[0] if known else "ROLE")))
        raise ConfigError(f"{named(reference)}: {problem}", key=reference.key, hint=f"write {fits}")
    if part and (harm := _harm(item)):
        raise ConfigError(f"{named(reference)}: {harm}", key=reference.key, hint=_REMEDY)
    sizes = {text(entry, "name"): number_or_one(entry, "podGroupSize") for entry in items(item, *_ROLES)}
    counts_itself = not part or sizes[part] == 1
    entries = [entry for entry in items(item, *_ROLES) if part in {"", text(entry, "name")}]
    specs = [member(entry, "template", "spec") for entry in entries]
    claims = await claim_keys(api, specs, namespace=parent.namespace)
    return StormService(
        role=reference.role, parent=parent, part=part, counts_itself=counts_itself, claims=claims
    )


def _all_pods(item: Json) -> _Pods:
    """Return the pods of one RoleSet."""
    roles = ((entry, _role_pods(entry)) for entry in items(item, *_ROLES))
    return tuple((spec, size * number_or_one(entry, "replicas")) for entry, (spec, size) in roles)


def _mismatch(item: Json, part: str) -> str:
    """Return in words what mode and part have against each other; empty if they fit."""
    mode, count = text(item, "spec", "mode"), number_or_one(member(item, "spec"), "replicas")
    if part and (mode == _REPLICA_MODE or (not mode and count > 1)):
        return f"its {count} RoleSets are scaled as wholes (replica mode), so that no role {part!r} can be"
    if not part and mode == _POOL_MODE:
        return "its roles are scaled one by one (spec.mode: Pooled), so that a role has to be named"
    return ""


def _harm(item: Json) -> str:
    """Return in words what a change of a role's replicas would do to the others; empty if nothing."""
    strategy = text(item, "spec", "updateStrategy", "type") or "RollingUpdate"
    if strategy == _IN_PLACE:
        return ""
    return f"with the update strategy {strategy} each change of a role's replicas replaces all its engines"


def _role_pods(entry: Json) -> tuple[Json, int]:
    size = number_or_one(entry, "podGroupSize")
    if size < 1:
        raise Malformed(f"expected a podGroupSize of 1 or more in role {text(entry, 'name')!r}, found {size}")
    return member(entry, "template", "spec"), size


def _stopped(item: Json) -> PoolHold | None:
    if member(item, "spec").get("paused") is not True:
        return None
    return PoolHold(kind=HoldKind.PAUSED, why="its controller is paused (spec.paused: true)")


def _rolling(item: Json) -> PoolHold | None:
    status = member(item, "status")
    now, coming = text(status, "currentRevision"), text(status, "updateRevision")
    updated, existing = number(status, "updatedReplicas") or 0, number(status, "replicas") or 0
    if not now or not coming or now == coming or updated >= existing:
        return None
    why = f"a new revision rolls out: {updated} of {existing} RoleSets are new"
    return PoolHold(kind=HoldKind.ROLLING_OUT, why=why)


def _trouble(item: Json) -> str:
    failure = condition_of(item, "ReplicaFailure")
    return (failure.words or "ReplicaFailure") if failure.is_true else ""
