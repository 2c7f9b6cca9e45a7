"""A load balancer in front of an API server: it counts what passes, and a test decides what does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.cluster.control_plane import ControlPlane
from tests.e2e.servers import CLOCK, free_port

_HOP = frozenset({"host", "accept-encoding", "connection", "content-length", "transfer-encoding"})


class Cut(Exception):
    """Ends a connection without an answer."""


@dataclass(kw_only=True)
class Passing:
    """A request that came."""

    at_s: float
    method: str
    path: str
    query: str
    is_watch: bool
    status: int = 0


async def _let_pass(_: web.Request) -> web.Response | None:
    return None


async def _do_nothing(_: web.Request) -> None:
    """Go on."""


@dataclass(kw_only=True)
class Gate:
    """What stands between the daemon and an API server.

    Attributes:
        before: Asked before a request is passed on; its answer, if any, is given instead.
        after: Called when the API server has answered, and nobody was told yet.
        watch_s: A watch is closed after so long; None leaves them alone.
        seen: What came, in order.
        most_open: The most requests at once that waited for an answer, watches not counted.
    """

    plane: ControlPlane
    before: Callable[[web.Request], Awaitable[web.Response | None]] = _let_pass
    after: Callable[[web.Request], Awaitable[None]] = _do_nothing
    watch_s: float | None = None
    port: int = field(default_factory=free_port)
    seen: list[Passing] = field(default_factory=list)
    most_open: int = 0
    _open: int = 0
    _watches: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, token: str, *, namespace: str, folder: Path) -> Path:
        """Write a kubeconfig that leads through here."""
        path = self.plane.kubeconfig(token, namespace=namespace, folder=folder)
        path.write_text(path.read_text(encoding="utf-8").replace(self.plane.url, self.url), encoding="utf-8")
        return path

    def opened(self) -> None:
        """Let everything pass from now on."""
        self.before, self.after, self.watch_s = _let_pass, _do_nothing, None

    def cut_watches(self) -> None:
        """Break all watches off."""
        for task in self._watches:
            task.cancel()

    def since(self, at_s: float) -> list[Passing]:
        return [one for one in self.seen if one.at_s >= at_s]

    @asynccontextmanager
    async def standing(self) -> AsyncIterator["Gate"]:
        ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        ours.load_cert_chain(self.plane.folder / "tls.crt", self.plane.folder / "tls.key")
        theirs.load_verify_locations(self.plane.ca_file)
        application = web.Application(client_max_size=2**24)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=theirs, limit=0), auto_decompress=False
        ) as http:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._handle(request, http)

            application.router.add_route("*", "/{path:.*}", handle)
            # Who goes away before the answer is not waited for any more, here as in front of any server.
            runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=ours).start()
            try:
                yield self
            finally:
                self.cut_watches()
                await runner.cleanup()

    async def _handle(self, request: web.Request, http: aiohttp.ClientSession) -> web.StreamResponse:
        passing = Passing(
            at_s=CLOCK.now_s(),
            method=request.method,
            path=request.path,
            query=request.query_string,
            is_watch=request.query.get("watch") == "true",
        )
        self.seen.append(passing)
        self._open += not passing.is_watch
        self.most_open = max(self.most_open, self._open)
        try:
            answer = await self._answer(request, http, passing)
        except (Cut, aiohttp.ClientError, OSError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        finally:
            self._open -= not passing.is_watch
        passing.status = answer.status
        return answer

    async def _answer(
        self, request: web.Request, http: aiohttp.ClientSession, passing: Passing
    ) -> web.StreamResponse:
        given = await self.before(request)
        if given is not None:
            return given
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = f"{self.plane.url}{request.raw_path}"
        content = await request.read()
        timeout = aiohttp.ClientTimeout(total=None)
        async with http.request(
            request.method, url, headers=headers, data=content or None, timeout=timeout
        ) as found:
            if passing.is_watch and found.ok:
                return await self._followed(request, found)
            body = await found.read()
            await self.after(request)
            return web.Response(status=found.status, body=body, headers=_kept(found))

    async def _followed(self, request: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=found.status, headers=_kept(found))
        await response.prepare(request)

        async def pump() -> None:
            async for part in found.content.iter_any():
                await response.write(part)

        task = asyncio.create_task(pump())
        self._watches.add(task)
        await asyncio.wait({task}, timeout=self.watch_s)
        self._watches.discard(task)
        if task.cancelled() or (task.done() and task.exception()):
            raise Cut
        task.cancel()
        await asyncio.wait({task})
        await response.write_eof()
        return response


def _kept(found: aiohttp.ClientResponse) -> dict[str, str]:
    return {
        name: value
        for name, value in found.headers.items()
        if name.lower() in {"content-type", "retry-after", "audit-id"}
    }
