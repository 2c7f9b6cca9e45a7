"""An API server in memory, for unit tests: strict where the real one is, scripted where a test needs trouble.

Objects are shared by all versions of a group. Groups of Kubernetes itself are always served; others once they
are defined, or once a test put an object there. What a test arranges (`seed`, `change`, `remove`) is neither
recorded nor refused. It is `connectors.kubernetes.api.Api`.
"""

import copy
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from config.clock import Clock, VirtualClock
from connectors.kubernetes.api import ApiError, Before, Patch, Resource, WatchEvent
from tests.cluster.fake_parts import Json, Place, merged, no, patched, place_of, scale_of
from tests.cluster.fake_rights import Forbidden, may
from tests.cluster.fake_served import Served
from tests.cluster.fake_store import Store, seen_as

_WRITES = frozenset({"POST", "PUT", "PATCH"})
_REVIEWS = frozenset({"selfsubjectaccessreviews", "subjectaccessreviews", "localsubjectaccessreviews"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that came; the method of a watch is WATCH."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None


@dataclass(slots=True, kw_only=True)
class _Script:
    action: Callable[[], object]
    method: str
    path_prefix: str
    times: int


class FakeApi:
    """The API server; times of creation come from the clock."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.requests: list[Sent] = []
        self._store = Store(clock or VirtualClock(wall_origin_s=1_767_225_600.0))
        self._names = itertools.count(1)
        self._scripts: list[_Script] = []
        self._forbidden: list[Forbidden] = []
        self._served = Served()

    # What tests arrange and look at.

    def define(
        self, resource: Resource, *, has_scale: bool = True, short_names: tuple[str, ...] = ()
    ) -> None:
        """Serve a kind; of several versions of a group the first one defined is preferred."""
        self._served.add(resource, has_scale=has_scale, short_names=short_names)

    def undefine(self, group: str, plural: str) -> None:
        """Remove a kind with all its objects, as the removal of its definition does."""
        for key in [key for key in self._store.items if key[:2] == (group, plural)]:
            self._store.drop(key)
        self._served.drop(group, plural)
        self.close_watches()

    def backup(self) -> Callable[[], None]:
        """Return what sets the server back to what it is now, resource versions included."""
        items, version = copy.deepcopy(self._store.items), self._store.version
        return lambda: self._store.restore(items, version)

    def seed(self, path: str, item: Mapping[str, Any]) -> Json:
        """Put an object at its path, status included, in place of what was there."""
        place = place_of(path)
        self._served.see(place)
        body = copy.deepcopy(dict(item))
        body.setdefault("metadata", {})["name"] = place.name
        if place.namespace:
            body["metadata"]["namespace"] = place.namespace
        return self._shown(self._store.put(body, place.key), place)

    def change(self, path: str, patch: Mapping[str, Any]) -> Json:
        """Merge something into an object, as somebody else does; the status can be changed like this, too."""
        place = place_of(path)
        before = self._found(place)
        return self._shown(self._store.put(merged(before, patch), place.key), place)

    def remove(self, path: str) -> None:
        """Delete an object."""
        place = place_of(path)
        self._found(place)
        self._store.drop(place.key)

    def read(self, path: str) -> Json:
        """Return an object or its scale, unrecorded; KeyError-free: 404 is an `ApiError`."""
        place = place_of(path)
        item = self._found(place)
        return scale_of(item, place) if place.subresource == "scale" else self._shown(item, place)

    def has(self, path: str) -> bool:
        """Tell whether there is an object at the path."""
        return place_of(path).key in self._store.items

    def items(self, path: str) -> tuple[Json, ...]:
        """Return the objects of a collection, unrecorded."""
        place = place_of(path)
        return tuple(self._shown(item, place) for item in self._store.listed(place, {}))

    def writes(self) -> tuple[Sent, ...]:
        """Return the requests that change something, dry runs and reviews left out."""
        return tuple(
            sent
            for sent in self.requests
            if sent.method in _WRITES
            and "dryRun" not in sent.query
            and sent.path.rpartition("/")[2] not in _REVIEWS
        )

    def fail_next(self, error: ApiError, *, method: str = "", path_prefix: str = "", times: int = 1) -> None:
        """Fail the next requests of a method (WATCH included) below a path."""

        def fail() -> None:
            raise error

        self.before_next(fail, method=method, path_prefix=path_prefix, times=times)

    def before_next(
        self, action: Callable[[], object], *, method: str = "", path_prefix: str = "", times: int = 1
    ) -> None:
        """Do something right before the next such requests are served, as a second writer does."""
        self._scripts.append(_Script(action=action, method=method, path_prefix=path_prefix, times=times))

    def forbid(self, verb: str, path_prefix: str, *, subject: str = "") -> None:
        """Answer 403 to a verb (`get`, `list`, `watch`, `create`, `update`, `patch`; `*` is all).

        With a subject only access reviews for that user say no.
        """
        self._forbidden.append(Forbidden(verb=verb, prefix=path_prefix, subject=subject))

    def permit(self) -> None:
        """Forbid nothing any more."""
        self._forbidden.clear()

    def expire(self) -> None:
        """Forget the history: open watches, and later ones from now or before, end with 410."""
        self._store.forget()
        self.close_watches(ApiError("too old resource version", status=410, reason="Expired"))

    def close_watches(self, error: ApiError | None = None) -> None:
        """End all open watches, with an error or as the server does in the normal course."""
        self._store.end_watches(error)

    def bookmark(self) -> None:
        """Send a bookmark to every watch that wants some."""
        self._store.bookmark()

    # The protocol.

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        if (document := self._served.document(path)) is not None:
            self._begin("GET", path, query)
            return document
        is_list = not place_of(path).name
        place = self._begin("GET", path, query, verb="list" if is_list else "get")
        if is_list:
            return self._list(place, query or {})
        return self._answer(self._found(place), place)

    async def post(self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> Json:
        place = self._begin("POST", path, query, verb="create", body=body)
        if place.plural in _REVIEWS:
            return self._review(copy.deepcopy(dict(body)))
        item = copy.deepcopy(dict(body))
        metadata = item.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{next(self._names):05d}"
        if not metadata.get("name"):
            no(422, "Invalid", "metadata.name: Required value: name or generateName is required")
        if place.namespace and metadata.setdefault("namespace", place.namespace) != place.namespace:
            no(400, "BadRequest", "the namespace of the object does not match the namespace of the request")
        item.pop("status", None)
        target = place_of(f"{path}/{metadata['name']}")
        if target.key in self._store.items:
            no(409, "AlreadyExists", f'{place.plural} "{target.name}" already exists')
        return self._shown(self._store.put(item, target.key, is_dry=_is_dry(query)), target)

    async def put(self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> Json:
        place = self._begin("PUT", path, query, verb="update", body=body)
        before = self._found(place)
        return self._written(before, copy.deepcopy(dict(body)), place, is_dry=_is_dry(query))

    async def patch(
        self,
        path: str,
        body: object,
        kind: Patch,
        query: Mapping[str, str] | None = None,
        *,
        before: Before | None = None,
    ) -> Json:
        if before is not None:
            before()
        place = self._begin("PATCH", path, query, verb="patch", body=body)
        found = self._found(place)
        shown = self._answer(found, place)
        after = merged(shown, body) if kind is Patch.MERGE else patched(shown, body)
        return self._written(found, after, place, is_dry=_is_dry(query))

    async def watch(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchEvent, None]:
        asked = dict(query or {})
        place = self._begin("WATCH", path, query, verb="watch")
        version = int(asked.get("resourceVersion") or 0)
        if 0 < version <= self._store.oldest:
            no(410, "Expired", f"too old resource version: {version} ({self._store.oldest})")
        async with aclosing(self._store.follow(version or self._store.version)) as changes:
            for item in () if version else tuple(self._store.listed(place, asked)):
                yield WatchEvent(kind="ADDED", item=self._shown(item, place))
            async for change in changes:
                if kind := seen_as(change, place, asked):
                    yield WatchEvent(kind=kind, item=self._shown(change.item, place))

    async def close(self) -> None:
        self.close_watches()

    # How it is done.

    def _begin(
        self, method: str, path: str, query: Mapping[str, str] | None, *, verb: str = "", body: object = None
    ) -> Place:
        self.requests.append(
            Sent(method=method, path=path, query=dict(query or {}), body=copy.deepcopy(body))
        )
        self._play(method, path)
        if any(rule.applies(verb, path) for rule in self._forbidden if not rule.subject):
            no(403, "Forbidden", f'forbidden: User "fake" cannot {verb} {path}')
        if not verb:
            return place_of("/api/v1/none")
        place = place_of(path)
        self._served.check(place)
        return place

    def _play(self, method: str, path: str) -> None:
        for script in self._scripts:
            if script.method in {"", method} and path.startswith(script.path_prefix):
                script.times -= 1
                if not script.times:
                    self._scripts.remove(script)
                script.action()
                return

    def _review(self, body: Json) -> Json:
        spec = body["spec"]
        body["status"] = {"allowed": may(self._forbidden, spec["resourceAttributes"], spec.get("user", ""))}
        return body

    def _list(self, place: Place, query: Mapping[str, str]) -> Json:
        rows = list(self._store.listed(place, query))
        start, limit = int(query.get("continue") or 0), int(query.get("limit") or 0)
        metadata: Json = {"resourceVersion": str(self._store.version)}
        end = start + limit if limit else len(rows)
        if end < len(rows):
            metadata["continue"] = str(end)
        items = [self._shown(item, place) for item in rows[start:end]]
        if self._served.is_own(place.group):  # its lists say once what they consist of
            items = [{k: v for k, v in item.items() if k not in {"kind", "apiVersion"}} for item in items]
        return {"apiVersion": place.api_version, "kind": "List", "metadata": metadata, "items": items}

    def _found(self, place: Place) -> Json:
        if place.key not in self._store.items:
            no(404, "NotFound", f'{place.plural} "{place.name}" not found')
        if place.subresource == "scale" and not self._served.has_scale(place):
            no(404, "NotFound", "the server could not find the requested resource")
        return self._store.items[place.key]

    def _answer(self, item: Json, place: Place) -> Json:
        return scale_of(item, place) if place.subresource == "scale" else self._shown(item, place)

    def _written(self, before: Json, after: Json, place: Place, *, is_dry: bool) -> Json:
        version = after.get("metadata", {}).get("resourceVersion")
        if version not in {None, "", before["metadata"]["resourceVersion"]}:
            problem = f'Operation cannot be fulfilled on {place.plural} "{place.name}": the object has been'
            no(409, "Conflict", f"{problem} modified; please apply your changes to the latest version")
        stored = self._store.put(_combined(before, after, place), place.key, is_dry=is_dry)
        return self._answer(stored, place)

    def _shown(self, item: Json, place: Place) -> Json:
        kind = item.get("kind") or self._served.kind(place)
        return {**copy.deepcopy(item), "apiVersion": place.api_version, "kind": kind}


def _is_dry(query: Mapping[str, str] | None) -> bool:
    return "dryRun" in (query or {})


def _combined(before: Json, after: Json, place: Place) -> Json:
    """Return what is stored when the object or a subresource of it is written."""
    if place.subresource == "status":
        return {**before, "status": after.get("status", {})}
    if place.subresource == "scale":
        count = after.get("spec", {}).get("replicas", 0)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            no(422, "Invalid", f"spec.replicas: Invalid value: {count}")
        return {**before, "spec": {**before.get("spec", {}), "replicas": count}}
    kept = {"status": before["status"]} if "status" in before else {}
    return {**{key: value for key, value in after.items() if key != "status"}, **kept}
