"""What answers where etcd should, and what the daemon makes of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from config.clock import VirtualClock
from connectors.base import Replicas, Unknown
from connectors.virtual.etcd import EtcdActuator, EtcdTarget
from connectors.virtual.etcd_client import EtcdOptions
from planner.attempt import attempt, words
from tests.integration.errors.row import Row, judged, without_port
from tests.integration.errors.stage import LOAD, Stage

PREFIX = "v1/llm/planner/"
# Status and body by path; None closes the connection without an answer.
Answer = tuple[int, str] | None
Respond = Callable[[str], Answer]


def keys(values: Mapping[str, str], *, revision: int = 7) -> str:
    """Return what etcd says of these keys, written at one revision."""
    found = [
        {"key": _encode(PREFIX + name), "value": _encode(value), "mod_revision": str(revision)}
        for name, value in values.items()
    ]
    return json.dumps({"header": {"revision": str(revision)}, "kvs": found})


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


DONE = {"num_prefill_workers": "3", "num_decode_workers": "2", "decision_id": "4", "scaled_decision_id": "4"}


def _all(status: int, body: str) -> Respond:
    return lambda _path: (status, body)


def _writes(*, then: Answer, found: str = "") -> Respond:
    """Answer reads well, and writes with this; `found` is what is read after the first two reads."""
    reads = [keys(DONE)] * 2

    def respond(path: str) -> Answer:
        if path.endswith("/txn"):
            return then
        return 200, reads.pop(0) if reads else found or keys(DONE)

    return respond


_NO = json.dumps({"error": "etcdserver: permission denied", "code": 7})
_LOGIN = json.dumps({"error": "etcdserver: user name is empty", "code": 3})
READS: tuple[tuple[str, Respond], ...] = (
    ("etcd closes the connection", lambda _path: None),
    ("HTTP 503", _all(503, json.dumps({"error": "etcdserver: no leader"}))),
    ("HTTP 404: not etcd's gateway", _all(404, "404 page not found")),
    ("a page instead of JSON", _all(200, "<!doctype html>")),
    ("a login is wanted", _all(400, _LOGIN)),
    ("a count that is no number", _all(200, keys({**DONE, "num_decode_workers": "two"}))),
    ("a count that is negative", _all(200, keys({**DONE, "num_decode_workers": "-1"}))),
)
_OTHER = keys({**DONE, "num_prefill_workers": "9", "decision_id": "5"}, revision=9)
_UNDONE = keys({**DONE, "scaled_decision_id": "3"})
WRITES: tuple[tuple[str, Respond], ...] = (
    ("the write is refused", _writes(then=(403, _NO))),
    ("the answer to the write is lost", _writes(then=None)),
    ("a second writer", _writes(then=(200, json.dumps({"succeeded": False})), found=_OTHER)),
    ("the decision before is not carried out yet", lambda _path: (200, _UNDONE)),
)


async def etcd() -> list[Row]:
    """Read the fleet from each, tick on what was read; then try to scale with each."""
    rows = [await _read(what, respond) for what, respond in READS]
    return rows + [await _write(what, respond) for what, respond in WRITES]


async def _read(what: str, respond: Respond) -> Row:
    async with _gateway(respond) as url, _actuator(url) as actuator:
        found = await attempt(actuator.read)
    assert isinstance(found, Exception), found
    decision = Stage(LOAD).tick(LOAD, Unknown(why=without_port(words(found), url)))
    return judged(what, decision, seen="fleet unknown")


async def _write(what: str, respond: Respond) -> Row:
    async with _gateway(respond) as url, _actuator(url) as actuator:
        before = await actuator.read()
        error = await attempt(lambda: actuator.scale(Replicas.of(prefill=4, decode=2)))
    assert isinstance(error, Exception), error
    is_kept = {name: pool.desired for name, pool in before.pools.items()} == {"prefill": 3, "decode": 2}
    return Row(
        what=f"scaling up: {what}",
        says=(without_port(words(error), url),),
        effect=f"the fleet stays as it is; decided again at the next tick ({type(error).__name__})",
        is_kept=is_kept,
    )


@asynccontextmanager
async def _actuator(url: str) -> AsyncIterator[EtcdActuator]:
    options = EtcdOptions(endpoints=(url,), timeout_s=5.0)
    actuator = EtcdActuator(options, EtcdTarget(dynamo_namespace="llm"), VirtualClock())
    try:
        yield actuator
    finally:
        await actuator.close()


@asynccontextmanager
async def _gateway(respond: Respond) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(_header(head, "content-length")))
        answer = respond(head.split()[1].decode())
        if answer is not None:
            status, text = answer
            lines = f"HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
            writer.write(lines.encode() + text.encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        await server.wait_closed()


def _header(head: bytes, name: str) -> str:
    headers: Mapping[str, str] = dict(
        line.lower().split(": ", maxsplit=1) for line in head.decode().split("\r\n")[1:] if line
    )
    return headers[name]
