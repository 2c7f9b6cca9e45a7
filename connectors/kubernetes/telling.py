"""How an Event is told, and counted up when the same happens again; how a ConfigMap is kept."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from config.clock import Clock
from connectors.kubernetes.api import Api, ApiError, Patch
from connectors.kubernetes.builtin import CONFIG_MAPS, EVENTS
from connectors.kubernetes.event import Happening, config_map, event, once_more
from connectors.kubernetes.objects import read_if_allowed
from connectors.kubernetes.paths import text
from connectors.kubernetes.target import ObjectKey

_REMEMBERED = 200
# The API server forgets an Event an hour after it was last told.
_SAME_WITHIN_S = 1800.0
_UID_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    name: str
    count: int
    at_s: float


class Teller:
    """Who sends Events.

    Args:
        api: The API server.
        clock: Where time comes from.
        instance: This process, as Events name it.
    """

    def __init__(self, api: Api, clock: Clock, *, instance: str) -> None:
        self._api, self._clock, self._instance = api, clock, instance
        self._told: OrderedDict[Happening, _Told] = OrderedDict()
        self._uids: dict[str, tuple[str, float]] = {}

    async def tell(self, happening: Happening, wall_s: float) -> None:
        """Tell something, or count up the Event that told the same not long ago.

        Raises:
            ApiError: If it was not told.
        """
        told = self._told.get(happening)
        if told is None or not await self._is_counted(happening, told, wall_s):
            await self._tell_first(happening, wall_s)
        self._told.move_to_end(happening)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    async def _is_counted(self, happening: Happening, told: _Told, wall_s: float) -> bool:
        now_s = self._clock.now_s()
        if now_s - told.at_s > _SAME_WITHIN_S:
            return False
        again = replace(told, count=told.count + 1, at_s=now_s)
        path = EVENTS.path(happening.about.namespace, told.name)
        try:
            await self._api.patch(path, once_more(again.count, wall_s=wall_s), Patch.MERGE)
        except ApiError as error:
            if not error.is_missing:
                raise
            return False
        self._told[happening] = again
        return True

    async def _tell_first(self, happening: Happening, wall_s: float) -> None:
        uid = await self._uid(happening.about)
        body = event(happening, uid=uid, instance=self._instance, wall_s=wall_s)
        name = str(body["metadata"]["name"])
        try:
            await self._api.post(EVENTS.path(happening.about.namespace), body)
        except ApiError as error:
            # Its name is its own: a first attempt landed, and its answer was lost.
            if not error.is_conflict:
                raise
        self._told[happening] = _Told(name=name, count=1, at_s=self._clock.now_s())

    async def _uid(self, about: ObjectKey) -> str:
        """Return the uid of an object, for `kubectl describe`; empty if it may not be read."""
        path, now_s = about.whole.path, self._clock.now_s()
        uid, at_s = self._uids.get(path, ("", 0.0))
        if uid and now_s - at_s < _UID_S:
            return uid
        item = await read_if_allowed(self._api, path)
        if item is None:
            return ""
        uid = text(item, "metadata", "uid")
        self._uids[path] = (uid, now_s)
        return uid


class Keeper:
    """Who writes ConfigMaps of our own, not too often, and none that says it already.

    Args:
        api: The API server.
        clock: Where time comes from.
        namespace: Where they are.
        every_s: Each is written at most so often.
    """

    def __init__(self, api: Api, clock: Clock, *, namespace: str, every_s: float) -> None:
        self._api, self._clock, self._namespace, self._every_s = api, clock, namespace, every_s
        self._wanted: dict[str, Mapping[str, str]] = {}
        self._written: dict[str, tuple[Mapping[str, str], float]] = {}

    def want(self, name: str, data: Mapping[str, str]) -> None:
        """Have a ConfigMap say this; the newest counts."""
        if self._written.get(name, ({}, 0.0))[0] == data:
            self._wanted.pop(name, None)
        else:
            self._wanted[name] = dict(data)

    def forget(self) -> None:
        """Want nothing any more."""
        self._wanted.clear()

    @property
    def due_in_s(self) -> float | None:
        """How long the next write has to wait; None if nothing is wanted."""
        return min((self._due_in_s(name) for name in self._wanted), default=None)

    async def write(self, *, is_last: bool = False) -> None:
        """Write what is due; all of it if it is the last time.

        Raises:
            ApiError: If something was not written; it stays wanted.
        """
        for name, data in tuple(self._wanted.items()):
            if is_last or self._due_in_s(name) <= 0.0:
                await self._write(name, data)
                self._written[name] = (data, self._clock.now_s())
                if self._wanted.get(name) == data:
                    del self._wanted[name]

    def _due_in_s(self, name: str) -> float:
        if name not in self._written:
            return 0.0
        return max(0.0, self._written[name][1] + self._every_s - self._clock.now_s())

    async def _write(self, name: str, data: Mapping[str, str]) -> None:
        body = config_map(name, data)
        try:
            await self._api.patch(CONFIG_MAPS.path(self._namespace, name), body, Patch.MERGE)
        except ApiError as error:
            if not error.is_missing:
                raise
            await self._api.post(CONFIG_MAPS.path(self._namespace), body)
