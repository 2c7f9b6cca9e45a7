"""Applying a prepared deployment, as its own field manager, and waiting until it is ready.

Server-side apply creates what is absent and refuses, field by field, what somebody else has set; it takes
nothing away that others wrote. What preparing took away (the planner, its working directory) is therefore
removed in a second step, for the version of the object that the first one returned. Replica counts stay as
they are in the cluster, since a manifest does not know what was scaled since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from config.errors import ActuationError, Conflict, Refused
from connectors.kubernetes.api import Api, ApiError, Json, Patch, Resource
from connectors.kubernetes.builtin import CONFIG_MAPS
from connectors.kubernetes.meta import version_of
from planner.preparing.graph import is_graph, name_of, namespace_of, parts_of
from planner.preparing.notebook import Notebook
from planner.preparing.prepare import Wish, prepare, same
from planner.preparing.text import Tree

MANAGER = "setpoint-prepare"
# How the part of the server's answer begins that names the fields.
_CONFLICTS = "Apply failed with"
_SERVERS = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a deployment is applied.

    Attributes:
        namespace: Where what names no namespace goes.
        is_dry: Whether the server only says what would be.
        is_forced: Whether fields are taken over that somebody else has set.
    """

    namespace: str
    is_dry: bool = False
    is_forced: bool = False

    @property
    def query(self) -> dict[str, str]:
        """Return it as parameters of a request."""
        dry = {"dryRun": "All"} if self.is_dry else {}
        return {"fieldManager": MANAGER, "fieldValidation": "Strict", **dry}


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What came of it.

    Attributes:
        lines: One line for each object, as kubectl says it.
        path: Where the deployment is.
        notes: What is worth knowing.
    """

    lines: tuple[str, ...]
    path: str = field(repr=False)
    notes: tuple[str, ...]


async def apply(api: Api, objects: Sequence[Tree], wish: Wish, manner: Manner) -> Applied:
    """Apply a prepared deployment and the ConfigMaps that came with it.

    Raises:
        Conflict: If fields are somebody else's, or the deployment changed meanwhile.
        Refused: If the API server does not take it.
        ApiError: If the API server does not answer.
    """
    lines, path, notes = [], "", Notebook()
    maps = [one for one in objects if one.get("kind") == CONFIG_MAPS.kind]
    graphs = [one for one in objects if is_graph(one)]
    others = [f"{one.get('kind')} {name_of(one)}" for one in objects if one not in (*maps, *graphs)]
    if others:
        notes.notes.append(f"not applied, use kubectl: {', '.join(others)}")
    # A deployment whose profile is not there yet would not start.
    for tree in (*maps, *graphs):
        at = _path(tree, manner)
        before = await _live(api, at)
        after = await _applied(api, at, _body(tree, before, notes), manner)
        if is_graph(tree):
            path, after = at, await _cleared(api, at, after, wish=wish, manner=manner)
        lines.append(_said(tree, before, after, manner))
    return Applied(lines=tuple(lines), path=path, notes=tuple(notes.notes))


def _path(tree: Tree, manner: Manner) -> str:
    namespace = namespace_of(tree) or manner.namespace
    if not is_graph(tree):
        return CONFIG_MAPS.path(namespace, name_of(tree))
    group, _, version = str(tree["apiVersion"]).partition("/")
    plural = f"{str(tree['kind']).lower()}s"
    return Resource(group=group, version=version, plural=plural, kind=str(tree["kind"])).path(
        namespace, name_of(tree)
    )


async def _live(api: Api, path: str) -> Json | None:
    try:
        return await api.get(path)
    except ApiError as error:
        if not error.is_missing:
            raise
        return None


def _body(tree: Tree, live: Json | None, notes: Notebook) -> Tree:
    """Return what is applied: without what only the server writes, with the counts that the cluster has."""
    body = {key: value for key, value in tree.items() if key != "status"}
    metadata = cast("Tree", body.get("metadata") or {})
    body["metadata"] = {key: value for key, value in metadata.items() if key not in _SERVERS}
    if live is None or not is_graph(tree):
        return body
    body = cast("Tree", _copy(body))
    counts = {part.name: part.tree.get("replicas") for part in parts_of(cast("Tree", _copy(live)))}
    for part in parts_of(body):
        count, wanted = counts.get(part.name), part.tree.get("replicas")
        if count is not None and wanted is not None and count != wanted:
            part.tree["replicas"] = count
            notes.noted(
                part.name, f"replicas stay {count}, as they are in the cluster (the manifest has {wanted})"
            )
    return body


async def _applied(api: Api, path: str, body: Tree, manner: Manner) -> Json:
    query = {**manner.query, "force": "true" if manner.is_forced else "false"}
    try:
        return await api.patch(path, body, Patch.APPLY, query)
    except ApiError as error:
        raise _in_words(error, name_of(body)) from None


async def _cleared(api: Api, path: str, after: Json, *, wish: Wish, manner: Manner) -> Json:
    """Remove what preparing takes away and somebody else once wrote."""
    live = cast("Tree", _copy(after))
    wanted = prepare([live], wish, name=name_of(live)).graph
    if same(wanted.get("spec"), live.get("spec")) or manner.is_dry:
        return after
    steps = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version_of(after)},
        {"op": "replace", "path": "/spec", "value": wanted["spec"]},
    ]
    try:
        return await api.patch(path, steps, Patch.JSON, manner.query)
    except ApiError as error:
        raise _in_words(error, name_of(live)) from None


def _in_words(error: ApiError, name: str) -> ActuationError | ApiError:
    if error.is_conflict:
        hint = "add --force-conflicts to take these fields over, or let their owner change them"
        said = str(error)
        return Conflict(f"{name}: {said[max(said.find(_CONFLICTS), 0) :]}; {hint}")
    if error.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}:
        return Refused(f"{name}: {error}")
    return error


def _said(tree: Tree, before: Json | None, after: Json, manner: Manner) -> str:
    what = "created"
    if before is not None:
        what = "unchanged" if same(_own(before), _own(after)) else "configured"
    dry = " (server dry run)" if manner.is_dry else ""
    return f"{str(tree.get('kind')).lower()}/{name_of(tree)} {what}{dry}"


def _own(item: Json) -> dict[str, object]:
    metadata = cast("Mapping[str, Any]", item.get("metadata") or {})
    kept = {key: metadata.get(key) for key in ("labels", "annotations")}
    return {
        **{key: value for key, value in item.items() if key not in {"metadata", "status"}},
        "metadata": kept,
    }


def _copy(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list | tuple) else value
