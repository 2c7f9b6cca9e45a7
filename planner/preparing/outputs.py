"""What a request brought forth: the deployment, the profile, and what they say of the engines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from config.dynamo.layer import manifest_layer
from config.errors import ConfigError
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.builtin import CONFIG_MAPS
from connectors.kubernetes.meta import items, member, name_of, text
from planner.preparing.arguments import PROFILE_FILES, arguments_of, context_of
from planner.preparing.graph import Part, is_graph, namespace_of, parts_of
from planner.preparing.graph import name_of as named
from planner.preparing.place import profile_maps, runs_setpoint
from planner.preparing.request import LABEL, Key, deployment_of, generated_of, output_map
from planner.preparing.requests import kinds_of
from planner.preparing.text import Tree

_PROFILE_MAP = "planner-profile-data"
_GPUS = ("gpu", "nvidia.com/gpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Profiled curves, as the profiler wrote them.

    Attributes:
        name: What the ConfigMap is called.
        files: The two files by their name.
    """

    name: str
    files: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What a request brought forth.

    Attributes:
        generated: The deployment that was generated, and what belongs to it; empty if there is none yet.
        mounted: The ConfigMaps that its planner mounts and that are in the cluster.
        name: What the deployment is called; empty if that is not known yet.
        namespace: Where it is.
        is_applied: Whether it is in the cluster.
        gpus: GPUs of one engine by role, where the deployment says it.
        profile: The profiled curves; None if there are none yet, or they may not be read.
        notes: What is worth knowing, in words.
    """

    generated: tuple[Tree, ...] = field(repr=False)
    mounted: tuple[Tree, ...] = field(repr=False)
    name: str
    namespace: str
    is_applied: bool
    gpus: Mapping[str, int]
    profile: Profile | None
    notes: tuple[str, ...]


async def outputs_of(api: Api, key: Key, request: Json) -> Outputs:
    """Read what a request brought forth so far.

    Raises:
        ConfigError: If what the profiler generated cannot be read.
        ApiError: If the API server does not answer.
    """
    notes: list[str] = []
    output = await _config_map(api, key, output_map(request), notes)
    generated = generated_of(request, output)
    graph = next((one for one in generated if is_graph(one)), None)
    name, namespace, is_applied = await _deployment(api, key, request, graph)
    names = dict.fromkeys(name for part in _planners(generated) for name in profile_maps(part))
    read = [dict(await _config_map(api, key, name, notes)) for name in names]
    mounted = tuple({"kind": CONFIG_MAPS.kind, **one} for one in read if one)
    return Outputs(
        generated=generated,
        mounted=mounted,
        name=name,
        namespace=namespace,
        is_applied=is_applied,
        gpus=dict(_gpus(graph, (*generated, *mounted))),
        profile=await _profile(api, key, (*generated, *mounted), notes),
        notes=tuple(notes),
    )


async def _config_map(api: Api, key: Key, name: str, notes: list[str]) -> Json:
    """Return a ConfigMap; an empty one if there is none, or it may not be read."""
    try:
        return await api.get(CONFIG_MAPS.path(key.namespace, name))
    except ApiError as error:
        if error.is_forbidden:
            notes.append(f"ConfigMap {key.namespace}/{name} may not be read (grant get on configmaps)")
        elif not error.is_missing:
            raise
        return {}


async def _deployment(api: Api, key: Key, request: Json, graph: Tree | None) -> tuple[str, str, bool]:
    """Return name and namespace of the deployment, and whether it is in the cluster."""
    graphs = (await kinds_of(api)).graphs
    name, namespace = deployment_of(request)
    try:
        if not name:
            labeled = items(
                await api.get(graphs.path(key.namespace), {"labelSelector": f"{LABEL}={key.name}"}), "items"
            )
            name = name_of(labeled[0]) if len(labeled) == 1 else ""
        if not name and graph is not None:
            name, namespace = named(graph), namespace_of(graph)
        if name:
            await api.get(graphs.path(namespace or key.namespace, name))
    except ApiError as error:
        if not (error.is_missing or error.is_forbidden):
            raise
        return name or (named(graph) if graph else ""), namespace or key.namespace, error.is_forbidden
    return name, namespace or key.namespace, bool(name)


async def _profile(api: Api, key: Key, known: Sequence[Tree], notes: list[str]) -> Profile | None:
    for one in known:
        found = _as_profile(one, key, notes)
        if found is not None:
            return found
    if any(named(one) == _PROFILE_MAP for one in known):
        return None
    return _as_profile(await _config_map(api, key, _PROFILE_MAP, notes), key, notes)


def _as_profile(item: Json, key: Key, notes: list[str]) -> Profile | None:
    data = item.get("data")
    if not isinstance(data, Mapping) or not all(isinstance(data.get(name), str) for name in PROFILE_FILES):
        return None
    owner = text(item, "metadata", "labels", LABEL)
    if owner and owner != key.name:
        notes.append(f"ConfigMap {name_of(item)} is not used: it is of request {owner}")
        return None
    return Profile(name=name_of(item), files={name: data[name] for name in PROFILE_FILES})


def _planners(generated: Sequence[Tree]) -> Iterator[Part]:
    for graph in generated:
        if is_graph(graph):
            yield from (part for part in parts_of(graph) if part.is_planner)


def _gpus(graph: Tree | None, generated: Sequence[Tree]) -> Iterator[tuple[str, int]]:
    """Yield the GPUs of an engine by role: as the planner was told, and as its service asks for them."""
    if graph is None:
        return
    yield from _told(generated)
    for part in parts_of(graph):
        gpus = _asked(part)
        if part.role and gpus:
            yield part.role, gpus


def _asked(part: Part) -> int:
    limits = (
        member(part.tree, "resources", "limits")
        if part.is_early
        else member(part.container(), "resources", "limits")
    )
    found = next((limits[key] for key in _GPUS if key in limits), None)
    nodes = member(part.tree, "multinode").get("nodeCount") or 1
    is_whole = isinstance(found, int | str) and str(found).isdecimal() and isinstance(nodes, int)
    return int(cast("int | str", found)) * cast("int", nodes) if is_whole else 0


def _told(generated: Sequence[Tree]) -> Iterator[tuple[str, int]]:
    for part in _planners(generated):
        if runs_setpoint(part):
            continue
        try:
            arguments = arguments_of(part, manifests=context_of(generated))
        except ConfigError:
            continue
        values = manifest_layer(arguments.found).values if arguments.found else {}
        for role in ("prefill", "decode"):
            given = values.get(f"pools.{role}.gpus_per_engine")
            if given is not None and given.origin.is_given and isinstance(given.value, int):
                yield role, given.value
