"""The objects of the fake API server, their versions, and the history that watches follow."""

import asyncio
import copy
import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from config.clock import Clock
from connectors.kubernetes.api import ApiError
from tests.cluster.fake_parts import Json, Place, is_selected

Key = tuple[str, str, str, str]
_KEPT = ("uid", "creationTimestamp", "resourceVersion", "name", "namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of the history."""

    kind: str
    version: int
    key: Key
    item: Json
    before: Json | None = None


class Store:
    """Objects by group, plural, namespace and name."""

    def __init__(self, clock: Clock) -> None:
        self.items: dict[Key, Json] = {}
        self.version = 100
        self.oldest = 0
        self._clock = clock
        self._changes: list[Change] = []
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()
        # How each generation of watches ended.
        self._ends: list[ApiError | None] = []

    def listed(self, place: Place, query: Mapping[str, str]) -> Iterator[Json]:
        """Yield what a list at a place has."""
        for key in sorted(self.items):
            if place.holds(key) and is_selected(self.items[key], query):
                yield self.items[key]

    def put(self, item: Json, key: Key, *, is_dry: bool = False) -> Json:
        """Create or replace an object; what changes nothing is no change."""
        before = self.items.get(key)
        after = self._new(item) if before is None else _next(before, item)
        if is_dry or after == before:
            return after
        self._record("MODIFIED" if before else "ADDED", key, after, before)
        self.items[key] = after
        return after

    def drop(self, key: Key) -> None:
        """Delete an object."""
        self._record("DELETED", key, self.items.pop(key))

    def bookmark(self) -> None:
        """Add a bookmark to the history."""
        self._record("BOOKMARK", ("", "", "", ""), {"metadata": {}})

    def restore(self, items: dict[Key, Json], version: int) -> None:
        """Be what it was at a version; watches that are open stay open and see nothing of it."""
        self.items, self.version = copy.deepcopy(items), version
        self._changes = [change for change in self._changes if change.version <= version]

    def forget(self) -> None:
        """Let the history begin after everything that anybody has seen."""
        self.oldest = self.version
        self.version += 1

    def end_watches(self, error: ApiError | None) -> None:
        """End the open watches."""
        self._ends.append(error)
        self._wake()

    def follow(self, version: int) -> AsyncGenerator[Change, None]:
        """Yield every change after a version, until watches are ended; from this call on."""
        at = sum(change.version <= version for change in self._changes)
        return self._follow(at, len(self._ends))

    async def _follow(self, at: int, generation: int) -> AsyncGenerator[Change, None]:
        while True:
            while at < len(self._changes):
                at += 1
                yield self._changes[at - 1]
            if generation < len(self._ends):
                break
            await self._news.wait()
        if error := self._ends[generation]:
            raise error

    def _new(self, item: Json) -> Json:
        after = copy.deepcopy(item)
        created = datetime.fromtimestamp(self._clock.wall_s(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        after["metadata"] = {
            "uid": f"00000000-0000-4000-8000-{next(self._numbers):012d}",
            "creationTimestamp": created,
            "generation": 1,
            **after["metadata"],
        }
        return after

    def _record(self, kind: str, key: Key, item: Json, before: Json | None = None) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        snapshot = copy.deepcopy(item)
        change = Change(kind=kind, version=self.version, key=key, item=snapshot, before=before)
        self._changes.append(change)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _next(before: Json, item: Json) -> Json:
    after = copy.deepcopy(item)
    metadata = after.setdefault("metadata", {})
    metadata |= {name: before["metadata"][name] for name in _KEPT if name in before["metadata"]}
    metadata["generation"] = before["metadata"].get("generation", 1) + (
        after.get("spec") != before.get("spec")
    )
    for name in ("apiVersion", "kind"):
        after.pop(name, None)
        if name in before:
            after[name] = before[name]
    return after


def seen_as(change: Change, place: Place, query: Mapping[str, str]) -> str:
    """Return what a watch with a selector sees of a change; empty if nothing."""
    if change.kind == "BOOKMARK":
        return change.kind if query.get("allowWatchBookmarks") == "true" else ""
    if not place.holds(change.key):
        return ""
    was = change.before is not None and is_selected(change.before, query)
    is_now = is_selected(change.item, query)
    if change.kind != "MODIFIED":
        return change.kind if is_now else ""
    return {(True, True): "MODIFIED", (False, True): "ADDED", (True, False): "DELETED"}.get((was, is_now), "")
