"""DynamoGraphDeploymentScalingAdapter, named by itself: the replicas of one service of a graph deployment.

What is wanted is read from the adapter and written to its scale. Pods, GPUs and readiness are read from the
graph deployment that it belongs to.
"""

from dataclasses import dataclass, replace

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.kubernetes.api import Api, Json
from connectors.kubernetes.devices import claim_keys, claim_rules, templates_in
from connectors.kubernetes.discovery import discover, find_one
from connectors.kubernetes.meta import hold_of, member, number, text, version_of
from connectors.kubernetes.objects import optional, read_if_allowed, refuse_part, required, speaking_of
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import ObjectKey, Objects, Reference, Rule, Target, TargetView, Write
from connectors.kubernetes.targets import scalable
from connectors.kubernetes.targets.dynamo import GROUP, ONE_WAY, check_role
from connectors.kubernetes.targets.dynamo_graph import component_of
from connectors.kubernetes.targets.dynamo_status import view_of
from connectors.kubernetes.writes import by_scale, require_count, to_read, to_scale

_GRAPHS = f"dynamographdeployments.{GROUP}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One scaling adapter as a pool.

    Attributes:
        role: What its engines do.
        parent: The adapter.
        graph: The graph deployment that it belongs to.
        service: The service whose replicas it owns.
        claims: Templates of the devices that its pods claim.
        part: Empty: the object is the pool.
    """

    role: Role
    parent: ObjectKey
    graph: ObjectKey
    service: str
    claims: tuple[ObjectKey, ...] = ()
    part: str = ""

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the adapter, its graph deployment, and what says how many devices pods claim."""
        return (self.parent, self.graph, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the adapter, and the rest from the graph deployment where that may be read.

        Raises:
            Malformed: If the adapter is not there, or an object does not have its shape.
        """
        with speaking_of(self.parent):
            item = required(objects, self.parent)
            desired, graph = _desired(item), optional(objects, self.graph)
            hold = hold_of(item, self.role)
            if graph is None:
                return TargetView(
                    desired=desired,
                    version=version_of(item),
                    pod_selector=text(item, "status", "selector"),
                    existing=number(item, "status", "replicas"),
                    hold=hold,
                    least=1,
                )
        with speaking_of(self.graph):
            component = component_of(graph, self.service)
            view = view_of(graph, component, pool=self.role, templates=templates_in(objects, self.claims))
            return replace(
                view,
                desired=desired,
                version=version_of(item),
                is_observed=view.is_observed and desired == component.desired,
                hold=hold or view.hold,
            )

    def write(self, objects: Objects, count: int) -> Write:
        """Set the replicas through the scale subresource.

        Raises:
            Refused: If there would be no worker left, or less than the gang of pods needs.
            Malformed: As for `view`.
        """
        least = self.view(objects).least
        require_count(count, least=least, of=self.parent, why=ONE_WAY)
        return by_scale(self.parent, version=version_of(required(objects, self.parent)), count=count)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the adapter and its graph deployment, and to patch its scale."""
        graph = to_read(self.graph, f"read the pods, GPUs and state of {self.service}", is_needed=False)
        return (
            *to_read(self.parent, f"read {self.parent}"),
            to_scale(self.parent),
            *graph,
            *claim_rules(self.claims),
        )


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a scaling adapter.

    Raises:
        ConfigError: If it belongs to no graph deployment, or its engines do something else than the pool.
        ApiError: If the API server does not answer, or there is no such adapter.
        Malformed: If an object does not have its shape.
    """
    found = await discover(api, reference.kind)
    if found.resource.group != GROUP:  # somebody else's kind of the same name
        return await scalable.build(reference, api)
    refuse_part(reference, why="a scaling adapter is for one service")
    name = await find_one(api, found.resource, reference)
    parent = ObjectKey(resource=found.resource, namespace=reference.namespace, name=name)
    owner, service = _belongs_to(await api.get(parent.path), reference)
    graphs = await discover(api, _GRAPHS)
    graph = ObjectKey(resource=graphs.resource, namespace=reference.namespace, name=owner)
    pods = await _pods(api, graph, service, reference)
    claims = await claim_keys(api, pods, namespace=reference.namespace)
    return Adapter(role=reference.role, parent=parent, graph=graph, service=service, claims=claims)


async def _pods(api: Api, graph: ObjectKey, service: str, reference: Reference) -> list[Json]:
    """Return the pods of the service, if the graph deployment may be read."""
    item = await read_if_allowed(api, graph.path)
    if item is None:
        return []
    with speaking_of(graph):
        component = component_of(item, service)
    check_role(component, reference)
    return [component.pod]


def _belongs_to(item: Json, reference: Reference) -> tuple[str, str]:
    """Return the graph deployment and its service, in the words of either version."""
    owner = member(item, "spec", "dgdRef")
    name, service = text(owner, "name"), text(owner, "componentName") or text(owner, "serviceName")
    if not (name and service):
        problem = f"{named(reference)} names no graph deployment and service in spec.dgdRef"
        raise ConfigError(problem, key=reference.key, hint="name the graph deployment itself: dgd/NAME")
    return name, service


def _desired(item: Json) -> int:
    found = number(item, "spec", "replicas")
    if found is None:
        raise Malformed("expected a count at spec.replicas, found nothing")
    return found
