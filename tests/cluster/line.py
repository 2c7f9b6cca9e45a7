"""A line to an API server that delays, loses and breaks what goes over it, and clocks that go wrong."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from config.clock import Clock
from connectors.kubernetes.api import Api, ApiError, Before, Json, Patch, WatchEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request: delays on the way there and back, and what is lost."""

    there_s: float = 0.0
    back_s: float = 0.0
    is_request_lost: bool = False
    is_answer_lost: bool = False


class Line:
    """Somebody's own line to a shared API server; faults come in turn, then it is faultless."""

    def __init__(self, api: Api, clock: Clock, faults: Iterable[Fault] = ()) -> None:
        self._api = api
        self._clock = clock
        self._faults = itertools.chain(faults, itertools.repeat(Fault()))
        self.is_cut = False
        self.sent = 0

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return await self._over(lambda: self._api.get(path, query))

    async def post(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        return await self._over(lambda: self._api.post(path, body, query))

    async def put(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        return await self._over(lambda: self._api.put(path, body, query))

    async def patch(
        self,
        path: str,
        body: object,
        kind: Patch,
        query: Mapping[str, str] | None = None,
        *,
        before: Before | None = None,
    ) -> Json:
        return await self._over(lambda: self._api.patch(path, body, kind, query, before=before))

    def watch(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        return self._api.watch(path, query)

    async def close(self) -> None:
        await self._api.close()

    async def _over(self, request: Callable[[], Awaitable[Json]]) -> Json:
        self.sent += 1
        fault = next(self._faults)
        await self._clock.sleep(fault.there_s)
        if self.is_cut or fault.is_request_lost:
            raise ApiError("no route to host", status=0)
        try:
            answer = await request()
        finally:
            await self._clock.sleep(fault.back_s)
        if fault.is_answer_lost:
            raise ApiError("connection reset", status=0)
        return answer


class CrookedClock:
    """A clock that runs at its own speed, shows another time of day, and may jump."""

    def __init__(self, base: Clock, *, speed: float = 1.0, wall_offset_s: float = 0.0) -> None:
        self._base = base
        self._speed = speed
        self.wall_offset_s = wall_offset_s
        self.jumped_s = 0.0

    def now_s(self) -> float:
        return self._base.now_s() * self._speed + self.jumped_s

    def wall_s(self) -> float:
        return self._base.wall_s() + self._base.now_s() * (self._speed - 1.0) + self.wall_offset_s

    async def sleep(self, duration_s: float) -> None:
        await self._base.sleep(duration_s / self._speed)
