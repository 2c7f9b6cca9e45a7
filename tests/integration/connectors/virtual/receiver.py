"""A webhook's receiver on loopback that keeps a fleet, and a clock that does not let a test wait."""

import asyncio
import hashlib
import hmac
import json
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

# 2025-11-25T00:00:00Z
WALL_S = 1_764_028_800.0


class HurriedClock:
    """Every wait is over at once and on record."""

    def __init__(self, *, wall_origin_s: float = WALL_S) -> None:
        self.waits_s: list[float] = []
        self._now_s = 0.0
        self._wall_origin_s = wall_origin_s

    def now_s(self) -> float:
        return self._now_s

    def wall_s(self) -> float:
        return self._wall_origin_s + self._now_s

    async def sleep(self, duration_s: float) -> None:
        self.waits_s.append(duration_s)
        self._now_s += duration_s

    def pass_by(self, duration_s: float) -> None:
        """Let time go by that nobody waited for."""
        self._now_s += duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered instead; a status of 0 closes the connection without an answer."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_carried_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]

    def is_signed_with(self, secret: str) -> bool:
        """Verify the signature as the documentation tells it, without code of the product."""
        parts = dict(part.split("=") for part in self.headers["Setpoint-Signature"].split(","))
        signed = parts["t"].encode() + b"." + self.body
        return parts["v1"] == hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class Receiver:
    """An orchestrator whose engines are ready at once, and that knows the keys of what it carried out."""

    def __init__(self, **counts: int) -> None:
        self.counts = dict(counts)
        self.requests: list[Received] = []
        self.replies: deque[Reply] = deque()
        self.fleet: object = None
        self.decision: str | None = None
        self.url = ""
        # Answers to reads are written at once and wait here to be sent.
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_asked = asyncio.Event()
        self._keys: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, *, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/fleet"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def posts(self) -> list[Received]:
        return [request for request in self.requests if request.method == "POST"]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            method=request.method,
            path=request.path,
            headers=dict(request.headers),
            body=await request.read(),
        )
        self.requests.append(received)
        reply = self.replies.popleft() if self.replies else None
        if reply is None or reply.is_carried_out:
            self._carry_out(received)
        if reply is None:
            answer = web.json_response(self._fleet() if received.method == "GET" else {})
            self.is_asked.set()
            if received.method == "GET":
                await self.gate.wait()
            return answer
        if reply.status == 0:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=reply.status or 500, text=reply.text, headers=reply.headers)

    def _carry_out(self, received: Received) -> None:
        if received.method != "POST" or received.key in self._keys:
            return
        self._keys.add(received.key)
        pools = received.document["pools"]
        self.counts |= {name: pool["replicas"] for name, pool in pools.items()}

    def _fleet(self) -> object:
        if self.fleet is not None:
            return self.fleet
        pools = {name: pool_of(count) for name, count in self.counts.items()}
        return {"pools": pools, "decision": self.decision}


def pool_of(count: int) -> dict[str, int | None]:
    """Return a pool all of whose engines are ready."""
    return {
        "desired": count,
        "ready": count,
        "starting": 0,
        "terminating": 0,
        "failing": 0,
        "gpus_per_engine": None,
    }
