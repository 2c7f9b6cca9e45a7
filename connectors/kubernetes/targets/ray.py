"""Ray: a worker group of a RayCluster, named itself or through the RayService that it serves.

The fields are those of `ray.io/v1` (KubeRay 1.2 to 1.5). A worker group has no scale subresource, so that its
entry of the list is patched by index behind a test of its name. The status counts the pods of all groups
together, which is this group's count only where there is one group.

Serve replicas, the actors inside the nodes, are not written: they belong to Serve's own configuration.
"""

from dataclasses import dataclass, replace

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Api, Json, Resource
from connectors.kubernetes.devices import claim_keys, claim_rules, templates_in
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
from connectors.kubernetes.objects import entry_of, locate, part_of, required, speaking_of, with_pods
from connectors.kubernetes.target import (
    ObjectKey,
    Objects,
    Reference,
    Rule,
    Target,
    TargetView,
    Write,
)
from connectors.kubernetes.writes import by_index, require_count, to_count, to_patch, to_read

_GROUP = "ray.io"
_GROUPS = ("spec", "workerGroupSpecs")
# The default of maxReplicas, which is no limit that anybody set.
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGroup:
    """One worker group of a RayCluster as a pool.

    Attributes:
        role: What its engines do.
        parent: The cluster.
        part: The group's name.
        claims: Templates of the devices that its pods claim.
    """

    role: Role
    parent: ObjectKey
    part: str
    claims: tuple[ObjectKey, ...] = ()

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the cluster, and what says how many devices the group's pods claim."""
        return (self.parent, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the group.

        Raises:
            Malformed: If cluster or group is not there, or something does not have its shape.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            _, group = self._group(item)
            hosts, most = number(group, "numOfHosts") or 1, number(group, "maxReplicas")
            plain = TargetView(
                desired=number(group, "replicas") or 0,
                version=version_of(item),
                pod_selector=f"ray.io/cluster={self.parent.name},ray.io/group={self.part}",
                ready=_pods(item, "readyWorkerReplicas", hosts),
                is_observed=is_observed(item),
                hold=hold_of(item, self.role) or _suspended(item, group),
                rivals=_rivals(item),
                least=number(group, "minReplicas") or 0,
                most=None if most == _NO_LIMIT else most,
                trouble=_trouble(item),
            )
            pods = ((member(group, "template", "spec"), hosts),)
            return with_pods(plain, pods, templates_in(objects, self.claims))

    def write(self, objects: Objects, count: int) -> Write:
        """Patch the group's entry of the list.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=f"{self.parent}, group {self.part}")
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            index, _ = self._group(item)
            return by_index(
                self.parent,
                version=version_of(item),
                entry=f"/spec/workerGroupSpecs/{index}",
                named=("groupName", self.part),
                replicas={"replicas": count},
            )

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read and patch the cluster, and to count the pods of the group."""
        return (
            *to_read(self.parent, f"read the worker groups of {self.parent}"),
            to_patch(self.parent, f"set the replicas of group {self.part}"),
            to_count(self.parent),
            *claim_rules(self.claims),
        )

    def _group(self, item: Json) -> tuple[int, Json]:
        entries = items(item, *_GROUPS)
        return entry_of(entries, field="groupName", name=self.part, path=".".join(_GROUPS))


@dataclass(slots=True, kw_only=True)
class ServedGroup:
    """One worker group of the cluster that a RayService serves from, as a pool.

    The one thing that it remembers is which cluster that is, since `needs` has to name it. An upgrade of the
    service moves it to another cluster: then one reading is `Malformed`, and the next is of the new one.

    Attributes:
        parent: The service.
        group: The group in the cluster that served when it was last read.
    """

    parent: ObjectKey
    group: WorkerGroup

    @property
    def role(self) -> Role:
        """What its engines do."""
        return self.group.role

    @property
    def part(self) -> str:
        """The group's name."""
        return self.group.part

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the service and its cluster."""
        return (self.parent, *self.group.needs())

    def view(self, objects: Objects) -> TargetView:
        """Read the group.

        Raises:
            Malformed: As for a group, or if the service has moved to another cluster.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            self._follow(item)
            coming = text(item, "status", "pendingServiceStatus", "rayClusterName")
            why = f"{self.parent} moves to the cluster {coming}"
            rolling = PoolHold(kind=HoldKind.ROLLING_OUT, why=why) if coming else None
            view = self.group.view(objects)
            return replace(view, hold=hold_of(item, self.role) or rolling or view.hold)

    def write(self, objects: Objects, count: int) -> Write:
        """Patch the group's entry of the list in the cluster.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        with speaking_of(self.parent):
            self._follow(required(objects, self.parent))
            return self.group.write(objects, count)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the service, and those on its cluster.

        Clusters of a service have another name after each upgrade, so that no names are given for them.
        """
        cluster = (replace(rule, names=()) for rule in self.group.rules())
        return (*to_read(self.parent, "find the cluster that serves"), *cluster)

    def _follow(self, item: Json) -> None:
        active, known = _cluster_of(item), self.group.parent.name
        if active == known:
            return
        if active:
            self.group = replace(self.group, parent=replace(self.group.parent, name=active))
        raise Malformed(
            f"it served from the cluster {known}, found {active or 'nothing'} at"
            f" status.activeServiceStatus.rayClusterName; the next reading is of the cluster that serves then"
        )


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a worker group of a RayCluster or RayService.

    Raises:
        ConfigError: If there is no such group, several and none is named, or the service has no cluster yet.
        ApiError: If the API server does not answer, or there is no such object.
    """
    parent = await locate(api, reference, group=_GROUP)
    if parent.resource.kind == "RayService":
        return await _build_service(reference, api, parent)
    return await _build_group(reference, api, parent)


async def _build_service(reference: Reference, api: Api, service: ObjectKey) -> Target:
    name = _cluster_of(await api.get(service.path))
    if not name:
        raise ConfigError(
            f"{service} has no active cluster at status.activeServiceStatus.rayClusterName",
            key=reference.key,
            hint="wait until it serves, then start again",
        )
    resource = Resource(
        group=_GROUP, version=service.resource.version, plural="rayclusters", kind="RayCluster"
    )
    cluster = ObjectKey(resource=resource, namespace=service.namespace, name=name)
    return ServedGroup(parent=service, group=await _build_group(reference, api, cluster))


async def _build_group(reference: Reference, api: Api, cluster: ObjectKey) -> WorkerGroup:
    entries = items(await api.get(cluster.path), *_GROUPS)
    known = [text(entry, "groupName") for entry in entries]
    part = part_of(reference, known, word="worker group")
    _, group = entry_of(entries, field="groupName", name=part, path=".".join(_GROUPS))
    claims = await claim_keys(api, [member(group, "template", "spec")], namespace=cluster.namespace)
    return WorkerGroup(role=reference.role, parent=cluster, part=part, claims=claims)


def _cluster_of(service: Json) -> str:
    return text(service, "status", "activeServiceStatus", "rayClusterName")


def _pods(item: Json, count: str, hosts: int) -> int | None:
    """Return this group's share of a count of pods, which is known only where there is one group."""
    groups = items(item, *_GROUPS)
    found = number(item, "status", count)
    return found // hosts if found is not None and len(groups) == 1 else None


def _suspended(item: Json, group: Json) -> PoolHold | None:
    for what, where in (("the cluster", member(item, "spec")), ("the group", group)):
        if where.get("suspend") is True:
            return PoolHold(kind=HoldKind.PAUSED, why=f"{what} is suspended (suspend: true)")
    return None


def _rivals(item: Json) -> tuple[str, ...]:
    if member(item, "spec").get("enableInTreeAutoscaling") is not True:
        return ()
    return ("Ray's own autoscaler sets the replicas (enableInTreeAutoscaling: true)",)


def _trouble(item: Json) -> str:
    failure, head = condition_of(item, "ReplicaFailure"), condition_of(item, "HeadPodReady")
    if failure.is_true:
        return failure.words or "ReplicaFailure"
    return f"the head is not ready: {head.words}" if head.is_false else ""
