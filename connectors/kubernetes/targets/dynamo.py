"""DynamoGraphDeployment: a pool is one of its services, found by what its engines do.

Where the service has a scaling adapter, that object owns the replicas: they are read from it and written to
it, and a validating webhook refuses whoever writes to the graph deployment instead. The graph deployment is
written where there is no adapter, or where the adapter turns out not to exist (404, and only then).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from config.errors import ConfigError
from config.policy import Role
from connectors.kubernetes.api import Api, ApiError, Json, Patch
from connectors.kubernetes.devices import claim_keys, claim_rules, templates_in
from connectors.kubernetes.discovery import discover, find_one
from connectors.kubernetes.meta import number, version_of
from connectors.kubernetes.objects import optional, required, speaking_of
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import ObjectKey, Objects, Reference, Rule, Target, TargetView, Write
from connectors.kubernetes.targets import scalable
from connectors.kubernetes.targets.dynamo_graph import Component, component_of, components_of
from connectors.kubernetes.targets.dynamo_status import view_of
from connectors.kubernetes.writes import by_index, by_merge, by_scale, require_count, to_patch, to_read

GROUP = "nvidia.com"
ADAPTERS = f"dynamographdeploymentscalingadapters.{GROUP}"
ONE_WAY = "without a worker the frontend forgets the model, and nothing then asks for it again"
# What these services are called where nothing says what they do, by the role that Dynamo gives them.
_USUAL_NAMES = {
    Role.PREFILL: ("VllmPrefillWorker", "TRTLLMPrefillWorker", "prefill"),
    Role.DECODE: ("VllmDecodeWorker", "TRTLLMDecodeWorker", "decode"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphService:
    """One service of a graph deployment as a pool.

    Attributes:
        role: What its engines do.
        parent: The graph deployment.
        part: The service.
        adapter: The scale of its scaling adapter; None where the API has no such kind.
        is_adapted: Whether the adapter owned the replicas when Setpoint started, which decides what rights
            are needed.
        claims: Templates of the devices that its pods claim.
    """

    role: Role
    parent: ObjectKey
    part: str
    adapter: ObjectKey | None = None
    is_adapted: bool = False
    claims: tuple[ObjectKey, ...] = ()

    def needs(self) -> tuple[ObjectKey, ...]:
        """Return the graph deployment, the adapter's scale, and what says how many devices pods claim."""
        adapter = (self.adapter,) if self.adapter else ()
        return (self.parent, *adapter, *self.claims)

    def view(self, objects: Objects) -> TargetView:
        """Read the service.

        The adapter says what is wanted before the operator has copied it into the graph deployment; until
        then nothing that the status counts is about the newest wish.

        Raises:
            Malformed: If the graph deployment is not there, has no such service, or not its shape.
        """
        with speaking_of(self.parent):
            graph = required(objects, self.parent)
            component = component_of(graph, self.part)
            view = view_of(graph, component, pool=self.role, templates=templates_in(objects, self.claims))
            scale = self._scale(objects)
            if scale is None:
                return view
            desired = number(scale, "spec", "replicas") or 0
            is_observed = view.is_observed and desired == component.desired
            return replace(view, desired=desired, version=version_of(scale), is_observed=is_observed)

    def write(self, objects: Objects, count: int) -> Write:
        """Set the replicas: at the adapter if it owns them, else in the graph deployment.

        Raises:
            Refused: If there would be no worker left, or less than the gang of pods needs.
            Malformed: As for `view`.
        """
        with speaking_of(self.parent):
            graph = required(objects, self.parent)
            component = component_of(graph, self.part)
            require_count(count, least=component.least, of=f"{self.parent}:{self.part}", why=ONE_WAY)
            direct = self._direct(graph, component, count)
            scale = self._scale(objects)
            if self.adapter is None or (scale is None and not component.is_adapted):
                return direct
            return replace(_to_adapter(self.adapter, scale, count), on_missing=direct)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rights to read the graph deployment, and to write where the replicas are."""
        return (
            *to_read(self.parent, f"read the services of {self.parent}"),
            *self._adapter_rules(),
            replace(
                to_patch(self.parent, f"set the replicas of {self.part} where it has no scaling adapter"),
                is_needed=not self.is_adapted,
            ),
            *claim_rules(self.claims),
        )

    def _scale(self, objects: Objects) -> Json | None:
        return optional(objects, self.adapter) if self.adapter else None

    def _direct(self, graph: Json, component: Component, count: int) -> Write:
        version = version_of(graph)
        if component.index is None:
            spec = {"services": {component.name: {"replicas": count}}}
            return by_merge(self.parent, version=version, spec=spec)
        return by_index(
            self.parent,
            version=version,
            entry=f"/spec/components/{component.index}",
            named=("name", component.name),
            replicas={"replicas": count},
        )

    def _adapter_rules(self) -> tuple[Rule, ...]:
        if self.adapter is None:
            return ()
        whole = self.adapter.whole
        patch = to_patch(whole, f"set the replicas of {self.part} through its adapter", subresource="scale")
        read = replace(patch, verbs=("get",), why=f"read what {whole} asks for", is_needed=False)
        follow = to_read(whole, f"see who changed {whole}", is_needed=False)
        return (read, *follow, replace(patch, is_needed=self.is_adapted))


async def build(reference: Reference, api: Api) -> Target:
    """Return the target for a service of a graph deployment.

    Raises:
        ConfigError: If no service, or several, have the role and none is named.
        ApiError: If the API server does not answer, or there is no such graph deployment.
        Malformed: If the graph deployment does not have its shape.
    """
    found = await discover(api, reference.kind)
    if found.resource.group != GROUP:  # somebody else's kind of the same name
        return await scalable.build(reference, api)
    name = await find_one(api, found.resource, reference)
    parent = ObjectKey(resource=found.resource, namespace=reference.namespace, name=name)
    graph = await api.get(parent.path)
    with speaking_of(parent):
        component = _chosen(components_of(graph), reference)
        claims = await claim_keys(api, [component.pod], namespace=reference.namespace)
    return GraphService(
        role=reference.role,
        parent=parent,
        part=component.name,
        adapter=await adapter_of(api, parent, component.name),
        is_adapted=component.is_adapted,
        claims=claims,
    )


async def adapter_of(api: Api, parent: ObjectKey, service: str) -> ObjectKey | None:
    """Return the scale of a service's adapter, by the name that the operator gives it.

    Returns:
        None where the API server has no such kind.

    Raises:
        ApiError: If the API server does not answer.
    """
    try:
        found = await discover(api, ADAPTERS)
    except ApiError as error:
        if not error.is_missing:
            raise
        return None
    name = f"{parent.name}-{service.lower()}"
    return ObjectKey(resource=found.resource, namespace=parent.namespace, name=name, subresource="scale")


def check_role(component: Component, reference: Reference) -> None:
    """Refuse a service whose engines do something else than the pool that it is named for.

    Raises:
        ConfigError: If they do.
    """
    if component.role and reference.role in _USUAL_NAMES and component.role != reference.role:
        raise ConfigError(
            f"{named(reference)} is the {reference.role} pool, and its service {component} is for"
            f" {component.role}",
            key=reference.key,
            hint="name the other service, or exchange the two settings",
        )


def _to_adapter(adapter: ObjectKey, scale: Json | None, count: int) -> Write:
    if scale is not None:
        return by_scale(adapter, version=version_of(scale), count=count)
    # Its rights may allow to write it and not to read it: then there is no version to decide on.
    return Write(key=adapter, body={"spec": {"replicas": count}}, kind=Patch.MERGE)


def _chosen(components: Sequence[Component], reference: Reference) -> Component:
    if reference.part:
        return _by_name(components, reference)
    # Engines that do both are workers of any sub-component type, of which there is one kind only.
    is_any = reference.role is Role.AGGREGATED
    found = [one for one in components if one.role == reference.role or (is_any and one.is_worker)]
    if len(found) == 1:
        return found[0]
    raise _several(found, reference) if found else _none(components, reference)


def _by_name(components: Sequence[Component], reference: Reference) -> Component:
    known = {one.name: one for one in components}
    if reference.part in known:
        check_role(known[reference.part], reference)
        return known[reference.part]
    close = difflib.get_close_matches(reference.part, known, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ConfigError(
        f"{named(reference)}: the graph deployment has no service {reference.part!r}",
        key=reference.key,
        hint=f"{hint}It has {_listed(components)}",
    )


def _several(found: Sequence[Component], reference: Reference) -> ConfigError:
    example = named(replace(reference, part=found[0].name))
    return ConfigError(
        f"{named(reference)} has {len(found)} services for {reference.role}: {_listed(found)}",
        key=reference.key,
        hint=f"name one, such as {example}",
    )


def _none(components: Sequence[Component], reference: Reference) -> ConfigError:
    usual = [one for one in components if one.name in _USUAL_NAMES.get(reference.role, ()) and not one.role]
    if usual:
        named_so = named(replace(reference, part=usual[0].name))
        hint = f"set subComponentType: {reference.role} on {usual[0].name}, or write {named_so}"
    else:
        hint = f"it has {_listed(components)}; name the service behind a colon"
    problem = f"{named(reference)} has no service of sub-component type {reference.role}"
    return ConfigError(problem, key=reference.key, hint=hint)


def _listed(components: Sequence[Component]) -> str:
    return ", ".join(str(one) for one in components) or "no services"
