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
from connectors.kubernetes.writes import by_index, require_count, to_patch, to_read

_GROUP = "ray.io"
_GROUPS = ("spec", "workerGroupSpecs")
# The default of maxReplicas, which is no limit that anybody set.
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGroup:
    """One worker group as a pool.

    Attributes:
        role: What its engines do.
        cluster: The RayCluster, which is written.
        part: The group's name.
        service: The RayService that was named; None if the cluster was.
    """

    role: Role
    cluster: ObjectKey
    part: str
    service: ObjectKey | None = None

    @property
    def parent(self) -> ObjectKey:
        """The RayService if one was named, else the RayCluster."""
        return self.service or self.cluster

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the cluster, behind its service where that was named."""
        return (self.cluster,) if self.service is None else (self.service, self.cluster)

    def view(self, objects: Objects) -> TargetView:
        """Read the group.

        Raises:
            Malformed: If cluster or group is not there, the service serves from another cluster by now, or
                something does not have its shape.
        """
        service_hold = self._check_service(objects)
        with speaking_of(self.cluster):
            item = required(objects, self.cluster)
            _, group = self._group(item)
            hosts, most = number(group, "numOfHosts") or 1, number(group, "maxReplicas")
            plain = TargetView(
                desired=number(group, "replicas") or 0,
                version=version_of(item),
                pod_selector=f"ray.io/cluster={self.cluster.name},ray.io/group={self.part}",
                ready=_pods(item, "readyWorkerReplicas", hosts),
                is_observed=is_observed(item),
                hold=service_hold or hold_of(item, self.role) or _suspended(item, group),
                rivals=_rivals(item),
                least=number(group, "minReplicas") or 0,
                most=None if most == _NO_LIMIT else most,
                trouble=_trouble(item),
            )
            return with_pods(plain, ((member(group, "template", "spec"), hosts),))

    def write(self, objects: Objects, count: int) -> Write:
        """Patch the group's entry of the list.

        Raises:
            Refused: If the count is negative.
            Malformed: As for `view`.
        """
        require_count(count, least=0, of=f"{self.cluster}, group {self.part}")
        self._check_service(objects)
        with speaking_of(self.cluster):
            item = required(objects, self.cluster)
            index, _ = self._group(item)
            return by_index(
                self.cluster,
                version=version_of(item),
                entry=f"/spec/workerGroupSpecs/{index}",
                named=("groupName", self.part),
                replicas={"replicas": count},
            )

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read and patch the cluster, and to read the service.

        The cluster of a service has another name after each upgrade, so that no names are given for it.
        """
        cluster = (
            *to_read(self.cluster, f"read the worker groups of {self.parent}"),
            to_patch(self.cluster, f"set the replicas of group {self.part}"),
        )
        if self.service is None:
            return cluster
        found = to_read(self.service, "find the cluster that serves")
        return (*found, *(replace(rule, names=()) for rule in cluster))

    def _group(self, item: Json) -> tuple[int, Json]:
        entries = items(item, *_GROUPS)
        return entry_of(entries, field="groupName", name=self.part, path=".".join(_GROUPS))

    def _check_service(self, objects: Objects) -> PoolHold | None:
        """Return the hold of the service's side, if it still serves from the cluster that is known."""
        if self.service is None:
            return None
        with speaking_of(self.service):
            item = required(objects, self.service)
            active = _cluster_of(item)
            if active != self.cluster.name:
                raise Malformed(
                    f"expected {self.cluster.name} at status.activeServiceStatus.rayClusterName, found"
                    f" {active or 'nothing'}; the service moved, so the target has to be found anew"
                )
            coming = text(item, "status", "pendingServiceStatus", "rayClusterName")
            why = f"{self.service} moves to the cluster {coming}"
            rolling = PoolHold(kind=HoldKind.ROLLING_OUT, why=why) if coming else None
            return hold_of(item, self.role) or rolling


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a worker group of a RayCluster or RayService.

    Raises:
        ConfigError: If there is no such group, several and none is named, or the service has no cluster yet.
        ApiError: If the API server does not answer, or there is no such object.
    """
    parent = await locate(api, reference, group=_GROUP)
    if parent.resource.kind == "RayService":
        return await _build_service(reference, api, parent)
    return await _build_group(reference, api, parent, None)


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
    return await _build_group(reference, api, cluster, service)


async def _build_group(
    reference: Reference, api: Api, cluster: ObjectKey, service: ObjectKey | None
) -> Target:
    entries = items(await api.get(cluster.path), *_GROUPS)
    known = [text(entry, "groupName") for entry in entries]
    part = part_of(reference, known, word="worker group")
    return WorkerGroup(role=reference.role, cluster=cluster, part=part, service=service)


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
