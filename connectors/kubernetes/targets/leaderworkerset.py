"""LeaderWorkerSet: a replica is a group of pods, one leader and the workers that compute with it.

The fields are those of `leaderworkerset.x-k8s.io/v1` (releases 0.6 to 0.10). A group without a template of
its own for the leader makes all its pods from the workers'. While a revision is rolled out there may be
`maxSurge` more groups than were asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from config.errors import Malformed
from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, Json
from connectors.kubernetes.devices import claim_rules, claims_in, templates_in
from connectors.kubernetes.meta import (
    condition_of,
    hold_of,
    is_observed,
    member,
    number,
    number_or_one,
    version_of,
)
from connectors.kubernetes.objects import locate, refuse_part, required, speaking_of, with_pods
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

_GROUP = "leaderworkerset.x-k8s.io"
KIND = "LeaderWorkerSet"
_NAME_LABEL = "leaderworkerset.sigs.k8s.io/name"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderWorkerSet:
    """One LeaderWorkerSet as a pool.

    Attributes:
        role: What its engines do.
        parent: The set.
        claims: Templates of the devices that its pods claim.
        part: Empty: the object is the pool.
    """

    role: Role
    parent: ObjectKey
    claims: tuple[ObjectKey, ...] = ()
    part: str = ""

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the set, whose status has all that its scale would say, and the templates of claims."""
        return (self.parent, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the set.

        Raises:
            Malformed: If it is not there or does not have its shape.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            update = condition_of(item, "UpdateInProgress")
            rolling = PoolHold(kind=HoldKind.ROLLING_OUT, why=update.words or "a new revision rolls out")
            plain = TargetView(
                desired=number_or_one(item, "spec", "replicas"),
                version=version_of(item),
                pod_selector=f"{_NAME_LABEL}={self.parent.name}",
                ready=number(item, "status", "readyReplicas") or 0,
                existing=number(item, "status", "replicas") or 0,
                is_observed=is_observed(item),
                hold=hold_of(item, self.role) or (rolling if update.is_true else None),
            )
            return with_pods(plain, _pods(item), templates_in(objects, self.claims))

    def write(self, objects: Objects, count: int) -> Write:
        """Set the groups through the scale subresource.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=self.parent)
        with speaking_of(self.parent):
            return by_scale(self.parent, version=version_of(required(objects, self.parent)), count=count)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the set and to patch its scale."""
        return (
            *to_read(self.parent, f"read {self.parent}"),
            to_scale(self.parent),
            *claim_rules(self.claims),
        )


def group_pods(template: Json) -> tuple[tuple[Json, int], ...]:
    """Return the pods of one group by its `leaderWorkerTemplate`, each kind with how many there are of it.

    Raises:
        Malformed: If the template does not have its shape.

    Example:
        >>> worker = {"spec": {"containers": [{"name": "w"}]}}
        >>> [count for _, count in group_pods({"size": 4, "workerTemplate": worker})]
        [4]
        >>> leader = {"spec": {"containers": [{"name": "l"}]}}
        >>> [count for _, count in
        ...     group_pods({"size": 4, "workerTemplate": worker, "leaderTemplate": leader})]
        [1, 3]
    """
    size = number_or_one(template, "size")
    if size < 1:
        raise Malformed(f"expected a group size of 1 or more at leaderWorkerTemplate.size, found {size}")
    workers, leader = member(template, "workerTemplate", "spec"), _leader(template)
    if not workers and not leader:
        raise Malformed("expected pod templates in leaderWorkerTemplate, found none")
    if not leader:
        return ((workers, size),)
    return ((leader, 1), (workers, size - 1)) if size > 1 else ((leader, 1),)


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a LeaderWorkerSet.

    Raises:
        ConfigError: If a part is named: all its groups are alike.
        ApiError: If the API server does not answer or does not serve the kind.
    """
    refuse_part(reference, why="the groups of a LeaderWorkerSet are all alike")
    parent = await locate(api, reference, group=_GROUP)
    claims = await claims_in(api, parent, _pods)
    return LeaderWorkerSet(role=reference.role, parent=parent, claims=claims)


def _pods(item: Json) -> tuple[tuple[Json, int], ...]:
    return group_pods(member(item, "spec", "leaderWorkerTemplate"))


def _leader(template: Json) -> Mapping[str, object]:
    return member(template, "leaderTemplate", "spec")
