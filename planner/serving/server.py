"""How does the API get onto a socket?

The only module that knows aiohttp, which costs 0.3 s and 30 MB to import: only what serves imports it, and
late.
"""

import errno
import os
from http import HTTPStatus
from typing import Self

from aiohttp import web

from config.errors import ConfigError
from planner.serving.api import Answer, Api, problem

# Nothing here is for a page of somebody else's, and nothing may be kept for later.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "setpoint",
    "X-Content-Type-Options": "nosniff",
}

# Nobody sends us anything.
MAX_REQUEST_BYTES = 1024

# Connections that are still open when the daemon ends are given so long.
SHUTDOWN_S = 1.0


class Server:
    """The API on a socket.

    Args:
        api: What is served.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        setting: What the user calls the section of these settings, for errors.
    """

    def __init__(self, api: Api, *, host: str, port: int, setting: str = "http") -> None:
        self.host = host
        self.port = port
        self._api = api
        self._setting = setting
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address to open; with the port that was taken once started."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: If that is not possible at this address and port.
        """
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except OSError as error:
            await runner.cleanup()
            raise self._refused(error) from error
        self._runner = runner
        self.port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening; a second call does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def _handle(self, request: web.Request) -> web.Response:
        if request.method not in {"GET", "HEAD"}:
            refusal = problem(HTTPStatus.METHOD_NOT_ALLOWED, "this API is read-only", hint="use GET")
            return _respond(refusal, {"Allow": "GET, HEAD"})
        return _respond(self._api.get(request.path, tuple(request.query.items())))

    def _refused(self, error: OSError) -> ConfigError:
        if error.errno == errno.EADDRINUSE:
            return ConfigError(
                f"port {self.port} on {self.host} is in use by another process",
                key=f"{self._setting}.port",
                hint="stop it, choose another port (--http-port; demo: --port), or set 0 to take a free one",
            )
        if error.errno in {errno.EACCES, errno.EPERM}:
            return ConfigError(
                f"this user may not listen on port {self.port}",
                key=f"{self._setting}.port",
                hint="choose a port from 1024 up",
            )
        # asyncio puts the address into the error's text once more, and since 3.13 it leaves out the number
        # where none of a host's addresses is one of ours.
        number = error.errno or errno.EADDRNOTAVAIL
        reason = os.strerror(number) if number > 0 else error.strerror
        return ConfigError(
            f"cannot listen on {self.host}: {reason}",
            key=f"{self._setting}.bind",
            hint="name an address of this machine, such as 127.0.0.1 or 0.0.0.0",
        )


def _respond(answer: Answer, headers: dict[str, str] | None = None) -> web.Response:
    fields = HEADERS | {"Content-Type": answer.content_type} | (headers or {})
    return web.Response(status=answer.status, body=answer.body, headers=fields)
