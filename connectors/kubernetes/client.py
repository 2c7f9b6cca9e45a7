"""Who speaks to the API server: authenticated, paced, bounded in time and size, repeated where that is safe.

Repeated are requests that got no answer, 429, and 500, 502, 503 and 504. Reading may always be repeated. So
may PUT and merge patches: they carry the resource version that they were decided on, or say the same twice.
Anything else (creating, a patch that adds to a list) is repeated only if it certainly was not carried out:
no connection was made, or the server said 429 or 503. A caller whose write must not come late says what has
to be so before each time that it is sent; cancellation passes at once.

The import of kubernetes_asyncio (its generated models: a quarter of a second, 40 MB) happens once, in a
thread, when the configuration is loaded.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from config.clock import Clock
from config.errors import ConfigError
from connectors.kubernetes.answers import (
    BROKEN,
    CERTIFICATE,
    MALFORMED,
    TIMEOUT,
    UNCONNECTED,
    Lines,
    document_of,
    event_of,
    is_status,
    refusal,
    silence,
)
from connectors.kubernetes.api import FIELD_MANAGER, ApiError, Before, Json, Patch, WatchEvent
from connectors.kubernetes.calls import Call, Passage, Passed, call_of
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.pacing import Courtesy, TokenBucket, retry_after_s, wait_s
from connectors.kubernetes.session import Access, Door, Session
from connectors.kubernetes.surroundings import Surroundings

if TYPE_CHECKING:
    import aiohttp

_T = TypeVar("_T")
_MOST_BYTES = 64 * 1024 * 1024
_MOST_LINE_BYTES = 8 * 1024 * 1024
_MOST_REFUSAL_BYTES = 64 * 1024
_WATCH_S = 300.0
_NOT_DONE = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_TRANSIENT = _NOT_DONE | {
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_UNANSWERED = frozenset({UNCONNECTED, TIMEOUT, BROKEN})


class KubeClient:
    """The API server as the settings name it; it is an `Api`.

    Args:
        options: Where it is and how much of it may be used.
        clock: What waits are measured by.
        surroundings: What the process finds around it; None looks.
        chance: Returns a share, 0 to 1, that waits are left to; random if None.
    """

    def __init__(
        self,
        options: ApiOptions,
        clock: Clock,
        *,
        surroundings: Surroundings | None = None,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._door = Door(options, clock, surroundings or Surroundings.of_process())
        self._bucket = TokenBucket(options.requests_per_second, clock)
        self._courtesy = Courtesy(clock)
        self._chance = chance or secrets.SystemRandom().random

    async def open(self) -> Access:
        """Load the configuration, if nobody did; nothing is sent.

        Raises:
            ConfigError: If it cannot be used.
        """
        return (await self._door.session()).access

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Read an object or a list."""
        return await self._ask(call_of("GET", path, query))

    async def post(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Create an object, or ask for a review."""
        return await self._ask(call_of("POST", path, _managed(query), body))

    async def put(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Replace an object."""
        return await self._ask(call_of("PUT", path, _managed(query), body))

    async def patch(
        self,
        path: str,
        body: object,
        kind: Patch,
        query: Mapping[str, str] | None = None,
        *,
        before: Before | None = None,
    ) -> Json:
        """Change part of an object."""
        return await self._ask(call_of("PATCH", path, _managed(query), body, kind=kind, before=before))

    async def watch(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchEvent, None]:
        """Follow a list from a resource version on; ends when the server closes it.

        A connection that brings nothing for longer than the server would keep it open is dead and raises.
        """
        lasts_s = round(_WATCH_S * (0.9 + 0.2 * self._chance()))
        asked = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(lasts_s),
            **(query or {}),
        }
        call = call_of("GET", path, asked)
        quiet_s = float(asked["timeoutSeconds"]) + self._options.timeout_s
        lines = Lines(most_bytes=_MOST_LINE_BYTES)
        with closing(await self._once(call, self._checked)) as response:
            while part := await self._heard(response, quiet_s):
                for line in lines.feed(part):
                    yield event_of(line, where=call.where)

    async def forward(self, passage: Passage) -> Passed:
        """Pass a request on to something behind the API server, and its answer back, whatever it says.

        It is not repeated and not held back: what is behind has a client of its own, which asks at a pace of
        its own. Between the questions of one observation the API server's own would be late.

        Raises:
            ApiError: If no answer came, or the API server itself answered in its place.
        """
        return await self._sent(Call(passage=passage, is_repeatable=False), self._passed)

    async def close(self) -> None:
        """Release the connections."""
        await self._door.close()

    async def _ask(self, call: Call) -> Json:
        # Who comes anew hears at once that it is not the time; who was turned away waits for it.
        self._courtesy.check(call.passage.path)
        attempt = 0
        while True:
            try:
                return await self._once(call, self._document)
            except ApiError as error:
                pause_s = self._pause_s(call, error, attempt)
                if pause_s is None:
                    raise
            attempt += 1
            await self._clock.sleep(pause_s)

    def _pause_s(self, call: Call, error: ApiError, attempt: int) -> float | None:
        """Return how long to wait before the request is repeated; None if it is not."""
        was_not_done = error.status in _NOT_DONE or error.reason == UNCONNECTED
        may_help = error.status in _TRANSIENT or (not error.status and error.reason in _UNANSWERED)
        if attempt >= self._options.retries or not (was_not_done or (may_help and call.is_repeatable)):
            return None
        return wait_s(attempt, chance_ratio=self._chance(), asked_s=error.retry_after_s)

    async def _once(
        self, call: Call, finish: Callable[[Call, "aiohttp.ClientResponse"], Awaitable[_T]]
    ) -> _T:
        self._courtesy.check(call.passage.path)
        await self._bucket.take()
        try:
            return await self._sent(call, finish)
        except ApiError as error:
            self._courtesy.heard(call.passage.path, error)
            raise

    async def _sent(
        self, call: Call, finish: Callable[[Call, "aiohttp.ClientResponse"], Awaitable[_T]]
    ) -> _T:
        session = await self._session()
        try:
            return await self._exchange(session, call, finish)
        except ApiError as error:
            if error.status != HTTPStatus.UNAUTHORIZED and error.reason != CERTIFICATE:
                raise
            newer = await self._door.renewed(session)
            if newer is None:
                raise
        try:
            return await self._exchange(newer, call, finish)
        except ApiError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                self._door.refuse()
            raise

    async def _session(self) -> Session:
        try:
            return await self._door.session()
        except ConfigError as error:
            raise ApiError(str(error), status=0, reason="Configuration") from error

    async def _exchange(
        self,
        session: Session,
        call: Call,
        finish: Callable[[Call, "aiohttp.ClientResponse"], Awaitable[_T]],
    ) -> _T:
        passage, limit_s = call.passage, self._options.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                call.before()
                response = await session.send(
                    passage.method,
                    passage.path,
                    query=passage.query,
                    headers=passage.headers,
                    content=passage.content,
                )
                return await finish(call, response)
        except _transport_failures() as error:
            raise silence(error, server=session.access.server, limit_s=limit_s) from error

    async def _document(self, call: Call, response: "aiohttp.ClientResponse") -> Json:
        with closing(await self._checked(call, response)):
            content = await _content(response, most_bytes=_MOST_BYTES, where=call.where)
        return document_of(content, where=call.where)

    async def _checked(self, call: Call, response: "aiohttp.ClientResponse") -> "aiohttp.ClientResponse":
        if response.ok and response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        with closing(response):
            content = await _beginning(response, _MOST_REFUSAL_BYTES)
        raise self._refusal(call, response, content)

    async def _passed(self, call: Call, response: "aiohttp.ClientResponse") -> Passed:
        with closing(response):
            content = await _content(response, most_bytes=_MOST_BYTES, where=call.where)
        if not response.ok and is_status(content):
            raise self._refusal(call, response, content)
        return Passed(status=response.status, headers=tuple(response.headers.items()), content=content)

    def _refusal(self, call: Call, response: "aiohttp.ClientResponse", content: bytes) -> ApiError:
        asked = response.headers.get("Retry-After")
        return refusal(
            response.status,
            content,
            where=call.where,
            retry_after_s=retry_after_s(asked, now_wall_s=self._clock.wall_s()),
            secrets=self._door.secrets,
        )

    async def _heard(self, response: "aiohttp.ClientResponse", quiet_s: float) -> bytes:
        """Return what came next of a watch; empty at its end."""
        try:
            async with asyncio.timeout(quiet_s):
                return await response.content.readany()
        except _transport_failures() as error:
            raise silence(error, server=str(response.url.origin()), limit_s=quiet_s) from error


def _transport_failures() -> tuple[type[Exception], ...]:
    import aiohttp

    return (aiohttp.ClientError, OSError, TimeoutError, ValueError)


async def _content(response: "aiohttp.ClientResponse", *, most_bytes: int, where: str) -> bytes:
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > most_bytes:
            raise ApiError(
                f"the answer to {where} has more than {most_bytes} bytes; select less of it",
                status=response.status,
                reason=MALFORMED,
            )
    return bytes(content)


async def _beginning(response: "aiohttp.ClientResponse", most_bytes: int) -> bytes:
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) >= most_bytes:
            break
    return bytes(content[:most_bytes])


def _managed(query: Mapping[str, str] | None) -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER, **(query or {})}
