"""What a DynamoGraphDeployment asks for in each of its services, in either version of its API.

`v1alpha1` has a map `spec.services`, `v1beta1` a list `spec.components`; which one is told by the object
itself. Pods are described in different words, too, and are brought into the form of a pod's specification.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.errors import Malformed
from connectors.kubernetes.api import Json
from connectors.kubernetes.meta import items, member, number, text
from connectors.kubernetes.podspec import containers_of, words_of

# What the operator fills in; Kubernetes' own default is 30 s.
_GRACE_S = 60
_GPU = "nvidia.com/gpu"
_OUR_NAME = "setpoint"
_ROLES = frozenset({"prefill", "decode"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One service of a graph deployment.

    Attributes:
        name: Its name.
        index: Where it stands in the list; None where services are a map.
        kind: What it is: `worker`, `frontend`, `planner`, …
        role: What its engines do: `prefill` or `decode`; empty if it does not say.
        desired: Replicas that the graph deployment asks for.
        nodes: Pods of one replica.
        is_adapted: Whether a scaling adapter owns its replicas.
        least: Fewest replicas that it may have.
        pod: Its pods.
    """

    name: str
    index: int | None
    kind: str
    role: str
    desired: int
    nodes: int
    is_adapted: bool
    least: int
    pod: Json

    @property
    def is_worker(self) -> bool:
        """Tell whether it has engines."""
        return self.kind == "worker" or bool(self.role)

    @property
    def is_our_own(self) -> bool:
        """Tell whether it runs Setpoint, by its image and its command line."""
        return any(
            _OUR_NAME in word
            for one in containers_of(self.pod)
            for word in (text(one, "image"), *words_of(one))
        )

    def __str__(self) -> str:
        """Return it as an error lists it, such as `VllmDecodeWorker (worker, decode)`."""
        words = ", ".join(dict.fromkeys(word for word in (self.kind, self.role) if word))
        return f"{self.name} ({words})" if words else self.name


def components_of(graph: Json) -> tuple[Component, ...]:
    """Return the services of a graph deployment.

    Raises:
        Malformed: If it has the shape of neither version.
    """
    spec = member(graph, "spec")
    if spec.get("services") is not None:
        shared, services = items(spec, "envs"), member(spec, "services")
        return tuple(_alpha(name, member(services, name), shared) for name in services)
    if spec.get("components") is not None:
        shared = items(spec, "env")
        return tuple(_beta(index, one, shared) for index, one in enumerate(items(spec, "components")))
    raise Malformed("expected spec.services (v1alpha1) or spec.components (v1beta1), found neither")


def component_of(graph: Json, name: str) -> Component:
    """Return the service of this name.

    Raises:
        Malformed: If there is none.
    """
    found = components_of(graph)
    for one in found:
        if one.name == name:
            return one
    known = ", ".join(str(one) for one in found) or "none"
    raise Malformed(f"expected the service {name!r}, found {known}; if it was renamed, start Setpoint again")


def _alpha(name: str, service: Json, shared: Sequence[Json]) -> Component:
    kind = text(service, "componentType")
    return Component(
        name=name,
        index=None,
        kind=kind,
        role=text(service, "subComponentType") or _role(kind),
        desired=_or_one(service, "replicas"),
        nodes=max(1, _or_one(service, "multinode", "nodeCount")),
        is_adapted=member(service, "scalingAdapter").get("enabled") is True,
        least=_least(service),
        pod=_alpha_pod(service, shared),
    )


def _beta(index: int, component: Json, shared: Sequence[Json]) -> Component:
    kind = text(component, "type")
    return Component(
        name=text(component, "name"),
        index=index,
        kind=kind,
        role=_role(kind),
        desired=_or_one(component, "replicas"),
        nodes=max(1, _or_one(component, "multinode", "nodeCount")),
        is_adapted=component.get("scalingAdapter") is not None,
        least=_least(component),
        pod=_beta_pod(component, shared),
    )


def _role(kind: str) -> str:
    return kind if kind in _ROLES else ""


def _or_one(item: Json, *path: str) -> int:
    found = number(item, *path)
    return 1 if found is None else found


def _least(component: Json) -> int:
    """Return the fewest replicas; none at all is one-way.

    The frontend forgets a model that has no worker, and nothing then tells that it is wanted.
    """
    return max(1, number(component, "minAvailable") or 1)


def _alpha_pod(service: Json, shared: Sequence[Json]) -> Json:
    extra, main = member(service, "extraPodSpec"), member(service, "extraPodSpec", "mainContainer")
    secret = text(service, "envFromSecret")
    container = {
        **main,
        "name": "main",
        "env": [*shared, *items(service, "envs"), *items(main, "env")],
        "envFrom": [*items(main, "envFrom"), *([{"secretRef": {"name": secret}}] if secret else [])],
        "resources": {
            kind: {**member(main, "resources", kind), **_resources(member(service, "resources", kind))}
            for kind in ("requests", "limits")
        },
    }
    pod = {key: value for key, value in extra.items() if key != "mainContainer"}
    return _with_grace({**pod, "containers": [container, *items(extra, "containers")]})


def _resources(said: Json) -> Mapping[str, object]:
    """Return resources in the words of a container: the graph's own are `gpu` with its type, and `custom`."""
    gpus = {text(said, "gpuType") or _GPU: said["gpu"]} if said.get("gpu") else {}
    return {**gpus, **member(said, "custom")}


def _beta_pod(component: Json, shared: Sequence[Json]) -> Json:
    pod = member(component, "podTemplate", "spec")
    # The main container is the engine, wherever it stands.
    ordered = sorted(items(pod, "containers"), key=lambda one: text(one, "name") != "main")
    containers = [{**one, "env": [*shared, *items(one, "env")]} for one in ordered]
    return _with_grace({**pod, "containers": containers})


def _with_grace(pod: Mapping[str, object]) -> Json:
    field = "terminationGracePeriodSeconds"
    return {**pod, field: _GRACE_S if pod.get(field) is None else pod[field]}
