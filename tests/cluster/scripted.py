"""An API server that answers what a test says, over HTTP or HTTPS, and a clock whose waits pass at once."""

import asyncio
import json
import secrets
import shutil
import ssl
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from config.clock import VirtualClock


class HastyClock:
    """A clock whose waits pass at once; it keeps what they were."""

    def __init__(self, *, wall_origin_s: float = 1_767_225_600.0) -> None:
        self.waits_s: list[float] = []
        self._clock = VirtualClock(wall_origin_s=wall_origin_s)

    def now_s(self) -> float:
        return self._clock.now_s()

    def wall_s(self) -> float:
        return self._clock.wall_s()

    async def sleep(self, duration_s: float) -> None:
        self.waits_s.append(duration_s)
        await self._clock.advance(max(0.0, duration_s))


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered.

    Attributes:
        body: Text, bytes or JSON.
        hangs: Nothing is answered, and the connection stays open.
        stays_open: The connection stays open after the body.
        is_cut: The body ends before it is complete.
        raw: Bytes in place of an HTTP answer.
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    stays_open: bool = False
    is_cut: bool = False
    raw: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Received:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(kw_only=True)
class ScriptedServer:
    """Answers in the order of `replies`, then with `otherwise`."""

    url: str
    replies: deque[Reply] = field(default_factory=deque)
    otherwise: Callable[[Received], Reply] = field(default=lambda _: Reply())
    received: list[Received] = field(default_factory=list)

    def kubeconfig(
        self,
        folder: Path,
        *,
        user: Mapping[str, Any] | None = None,
        cluster: Mapping[str, Any] | None = None,
        namespace: str = "llm",
    ) -> Path:
        """Write a kubeconfig for this server."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "c", "cluster": {"server": self.url, **(cluster or {})}}],
            "users": [{"name": "u", "user": dict(user or {"token": "t0ken-of-ours"})}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        }
        path = folder / f"kubeconfig-{secrets.token_hex(4)}"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path


@asynccontextmanager
async def scripted(context: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Serve on a free port of this machine until the end."""
    open_writers: set[asyncio.StreamWriter] = set()
    scheme = "https" if context else "http"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await _answer(found, reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    found = ScriptedServer(url=f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield found
    finally:
        server.close()
        for writer in open_writers:
            writer.close()
        for writer in open_writers:
            with suppress(ConnectionError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()


async def _answer(server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    first = await reader.readline()
    if not first:
        writer.close()
        return
    method, target, _ = first.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    received = Received(method=method, target=target, headers=headers, body=body)
    server.received.append(received)
    reply = server.replies.popleft() if server.replies else server.otherwise(received)
    if reply.hangs:
        return
    writer.write(reply.raw or _http(reply))
    await writer.drain()
    if not reply.stays_open:
        writer.close()


def _http(reply: Reply) -> bytes:
    content = reply.body if isinstance(reply.body, bytes) else b""
    if not isinstance(reply.body, bytes):
        content = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
    headers = {"Content-Type": "application/json", "Connection": "close", **reply.headers}
    if not reply.stays_open:
        headers["Content-Length"] = str(len(content) + (10 if reply.is_cut else 0))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} Said\r\n{head}\r\n".encode() + content


def tls_of(folder: Path, *, name: str = "IP:127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for a name; return the server's side of it and its file."""
    program = shutil.which("openssl")
    assert program, "openssl is not installed"
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=server"),
            *("-addext", f"subjectAltName={name}"),
        ],
        capture_output=True,
        check=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
