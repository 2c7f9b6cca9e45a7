"""What stands between a daemon and an API server: it notes what passes, and a test decides what does.

It ends TLS and speaks HTTP on both sides, so that a request that was sent and is not there yet can be kept,
as a network does with a packet, and another answer can be given, as a load balancer does.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from tests.cluster.control_plane import ControlPlane
from tests.e2e.servers import CLOCK
from tests.ports import free_port

# What belongs to one connection and not to the message.
_OWN = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


class Cut(Exception):
    """Ends a connection without an answer."""


@dataclass(kw_only=True)
class Passing:
    """A request that came."""

    at_s: float
    method: str
    path: str
    is_watch: bool
    status: int = 0


class Held:
    """A request that was sent and is on its way.

    Attributes:
        arrived: Set once there is one.
        status: What the API server answered, after it was let through.
    """

    def __init__(self, method: str, ending: str) -> None:
        self.arrived = asyncio.Event()
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._method, self._ending = method, ending
        self._released = asyncio.Event()

    def is_meant(self, passing: Passing) -> bool:
        is_first = not self.arrived.is_set()
        return is_first and passing.method == self._method and passing.path.endswith(self._ending)

    async def release(self) -> int:
        """Let it through; return what the API server answers."""
        self._released.set()
        return await self.status

    async def wait(self) -> None:
        self.arrived.set()
        await self._released.wait()


async def _let_pass(_: web.Request) -> web.Response | None:
    return None


async def _do_nothing(_: web.Request) -> None:
    """Go on."""


@dataclass(kw_only=True)
class Gate:
    """Passes requests on to an API server.

    Attributes:
        plane: The API server.
        keeps_what_was_sent: Whether a request goes on when its sender has gone, as what a network carries
            does; if not, it is given up, as by a load balancer.
        before: Asked before a request is passed on; its answer, if any, is given instead.
        after: Called when the API server has answered, and nobody was told yet.
        watch_s: A watch is closed after so long; None leaves them alone.
        seen: What came, in order.
        most_open: The most requests at once that waited for an answer, watches not counted.
    """

    plane: ControlPlane
    keeps_what_was_sent: bool = False
    before: Callable[[web.Request], Awaitable[web.Response | None]] = _let_pass
    after: Callable[[web.Request], Awaitable[None]] = _do_nothing
    watch_s: float | None = None
    port: int = field(default_factory=free_port)
    seen: list[Passing] = field(default_factory=list)
    most_open: int = 0
    _waiting: int = 0
    _watches: "set[asyncio.Task[None]]" = field(default_factory=set)
    _carries: asyncio.Event = field(default_factory=asyncio.Event)
    _held: Held | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, token: str, *, namespace: str, folder: Path) -> Path:
        """Write a kubeconfig that leads through here."""
        path = self.plane.kubeconfig(token, namespace=namespace, folder=folder)
        path.write_text(path.read_text(encoding="utf-8").replace(self.plane.url, self.url), encoding="utf-8")
        return path

    @asynccontextmanager
    async def standing(self) -> AsyncIterator["Gate"]:
        """Serve until the end."""
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(self.plane.folder / "tls.crt", self.plane.folder / "tls.key")
        theirs = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(self.plane.ca_file)), limit=0)
        forever = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=theirs, auto_decompress=False, timeout=forever) as http:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._handle(request, http)

            application = web.Application(client_max_size=64 * 1024 * 1024)
            application.router.add_route("*", "/{path:.*}", handle)
            gives_up = not self.keeps_what_was_sent
            runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=gives_up)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=ours).start()
            self.restore()
            try:
                yield self
            finally:
                self.cut_watches()
                await runner.cleanup()

    # What a test does.

    def opened(self) -> None:
        """Let everything pass from now on."""
        self.before, self.after, self.watch_s = _let_pass, _do_nothing, None

    def cut_watches(self) -> None:
        """Break all watches off."""
        for task in self._watches:
            task.cancel()

    def cut(self) -> None:
        """Carry nothing any more, in neither direction; nobody is told."""
        self._carries.clear()

    def restore(self) -> None:
        """Carry again."""
        self._carries.set()

    def hold(self, method: str, ending: str) -> Held:
        """Keep the next request of a method to a path that ends so on its way until it is let through."""
        self._held = Held(method, ending)
        return self._held

    def since(self, at_s: float) -> list[Passing]:
        return [one for one in self.seen if one.at_s >= at_s]

    # What passes.

    async def _handle(self, request: web.Request, http: aiohttp.ClientSession) -> web.StreamResponse:
        passing = Passing(
            at_s=CLOCK.now_s(),
            method=request.method,
            path=request.path,
            is_watch=request.query.get("watch") == "true",
        )
        self.seen.append(passing)
        self._waiting += not passing.is_watch
        self.most_open = max(self.most_open, self._waiting)
        try:
            answer = await self._answer(request, http, passing)
        except (Cut, aiohttp.ClientError, OSError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        finally:
            self._waiting -= not passing.is_watch
        passing.status = answer.status
        return answer

    async def _answer(
        self, request: web.Request, http: aiohttp.ClientSession, passing: Passing
    ) -> web.StreamResponse:
        content = await request.read()
        await self._carries.wait()
        held = self._held if self._held is not None and self._held.is_meant(passing) else None
        if held is not None:
            await held.wait()
        given = await self.before(request)
        if given is not None:
            return given
        url = URL(f"{self.plane.url}{request.raw_path}", encoded=True)
        headers = _passed_on(request.headers.items())
        async with http.request(request.method, url, headers=headers, data=content or None) as found:
            if held is not None:
                held.status.set_result(found.status)
            if passing.is_watch and found.ok:
                return await self._followed(request, found)
            body = await found.read()
            await self.after(request)
            await self._carries.wait()
            return web.Response(status=found.status, body=body, headers=_passed_on(found.headers.items()))

    async def _followed(self, request: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=found.status, headers=_passed_on(found.headers.items()))
        await response.prepare(request)

        async def pump() -> None:
            async for part in found.content.iter_any():
                await self._carries.wait()
                await response.write(part)

        task = asyncio.create_task(pump())
        self._watches.add(task)
        try:
            await asyncio.wait({task}, timeout=self.watch_s)
            if task.cancelled() or (task.done() and task.exception()):
                raise Cut
        finally:
            self._watches.discard(task)
            task.cancel()
            await asyncio.wait({task})
        await response.write_eof()
        return response


def _passed_on(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _OWN}
