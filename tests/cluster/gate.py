"""The one way between a daemon and the API server: it can be cut, and one request can be held up in it.

It ends TLS and speaks HTTP on both sides, so that a request that was sent and is not there yet can be kept,
as a network does with a packet.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from tests.cluster.control_plane import ControlPlane
from tests.e2e.servers import free_port

# What belongs to one connection and not to the message.
_OWN = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


class Held:
    """A request that was sent and is on its way.

    Attributes:
        arrived: Set once there is one.
        status: What the API server answered, after it was let through.
    """

    def __init__(self, is_meant: Callable[[str, str], bool]) -> None:
        self.is_meant = is_meant
        self.arrived = asyncio.Event()
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._released = asyncio.Event()

    async def release(self) -> int:
        """Let it through; return what the API server answers."""
        self._released.set()
        return await self.status

    async def wait(self) -> None:
        self.arrived.set()
        await self._released.wait()


class Gate:
    """Passes requests on to the API server."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane, self.port = plane, free_port()
        self._open = asyncio.Event()
        self._open.set()
        self._held: Held | None = None
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    def kubeconfig(self, token: str, *, namespace: str, folder: Path) -> Path:
        """Write a kubeconfig that leads through the gate."""
        path = self._plane.kubeconfig(token, namespace=namespace, folder=folder)
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(self._plane.url, f"https://127.0.0.1:{self.port}"), encoding="utf-8")
        return path

    async def start(self) -> None:
        trust = ssl.create_default_context(cafile=str(self._plane.ca_file))
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=0), auto_decompress=False
        )
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        # A sender that is gone does not take back what it sent.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=False)
        await self._runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._plane.folder / "tls.crt", self._plane.folder / "tls.key")
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()

    def hold(self, method: str, ending: str) -> Held:
        """Keep the next request of a method to a path that ends so on its way until it is let through."""
        self._held = Held(lambda verb, path: verb == method and path.endswith(ending))
        return self._held

    def cut(self) -> None:
        """Carry nothing any more, in neither direction; nobody is told."""
        self._open.clear()

    def restore(self) -> None:
        """Carry again."""
        self._open.set()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self._open.wait()
        held = self._held
        if held is None or held.arrived.is_set() or not held.is_meant(request.method, request.path):
            held = None
        else:
            await held.wait()
        return await self._exchange(request, body, held)

    async def _exchange(self, request: web.Request, body: bytes, held: Held | None) -> web.StreamResponse:
        assert self._http is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        url = URL(f"{self._plane.url}{request.raw_path}", encoded=True)
        async with self._http.request(request.method, url, data=body or None, headers=headers) as answer:
            if held is not None:
                held.status.set_result(answer.status)
            response = web.StreamResponse(
                status=answer.status,
                headers={name: value for name, value in answer.headers.items() if name.lower() not in _OWN},
            )
            with suppress(OSError):  # who asked is gone
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    await self._open.wait()
                    await response.write(part)
            return response
