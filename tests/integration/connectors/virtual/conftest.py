"""A real etcd that a test can stop, kill and start again on the same data."""

import asyncio
import base64
import contextlib
import signal
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from config.clock import VirtualClock
from connectors.virtual.environment import EtcdEnvironment
from connectors.virtual.etcd import EtcdActuator, EtcdTarget
from connectors.virtual.etcd_client import EtcdOptions
from tests.ports import free_port

Answer = tuple[int, bytes]
Program = Callable[[str, str], str]
Respond = Callable[[str, bytes], Awaitable[Answer | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files: an authority, and a certificate of 127.0.0.1 that it signed, for server and client."""

    ca: str
    cert: str
    key: str


class EtcdServer:
    """One etcd process on free ports with its own folder."""

    def __init__(self, program: str, folder: Path, *, tls: Certificates | None = None) -> None:
        self._program = program
        self._folder = folder
        self._tls = tls
        self._client_port, self._peer_port = free_port(), free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._client_port}"

    async def start(self) -> None:
        """Return once etcd serves: it tells its readiness as it would tell systemd."""
        peer = f"http://127.0.0.1:{self._peer_port}"
        command = [self._program, "--data-dir", str(self._folder / "data"), "--name", "test"]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", f"test={peer}", "--unsafe-no-fsync"]
        command += ["--heartbeat-interval=20", "--election-timeout=200"]
        if self._tls:
            command += ["--cert-file", self._tls.cert, "--key-file", self._tls.key]
            command += ["--trusted-ca-file", self._tls.ca, "--client-cert-auth"]
        with _notifications() as (listener, address), (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=log, env={"NOTIFY_SOCKET": address}
            )
            assert listener.recv(64) == b"READY=1"
        async with httpx.AsyncClient(trust_env=False, verify=self._context()) as http:
            health = await http.get(f"{self.url}/health")
        assert health.json()["health"] == "true"

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._tls.ca if self._tls else None)
        if self._tls:
            context.load_cert_chain(self._tls.cert, self._tls.key)
        return context

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def post(self, path: str, body: dict[str, object], *, token: str = "") -> dict[str, object]:
        """Speak to the gateway as an independent client does."""
        headers = {"Authorization": token} if token else {}
        response = httpx.post(self.url + path, json=body, headers=headers, trust_env=False)
        response.raise_for_status()
        answer: dict[str, object] = response.json()
        return answer

    async def forward(self, path: str, body: bytes) -> Answer:
        """Pass a request on, as a gateway does."""
        async with httpx.AsyncClient(trust_env=False) as http:
            response = await http.post(self.url + path, content=body)
        return response.status_code, response.content

    def put(self, key: str, value: str) -> None:
        self.post("/v3/kv/put", {"key": _encode(key), "value": _encode(value)})

    def stored(self) -> dict[str, tuple[str, int]]:
        """Return every key with its value and the revision of its last write."""
        entries = self.post("/v3/kv/range", {"key": "AA==", "range_end": "AA=="}).get("kvs", [])
        assert isinstance(entries, list)
        return {
            base64.b64decode(entry["key"]).decode(): (
                base64.b64decode(entry.get("value", "")).decode(),
                int(entry["mod_revision"]),
            )
            for entry in entries
        }

    def own(self) -> dict[str, str]:
        """Return the values of the virtual connector's keys by their short names."""
        prefix = "v1/llm/planner/"
        return {key.removeprefix(prefix): value for key, (value, _) in self.stored().items()}

    def clear(self) -> None:
        self.post("/v3/kv/deleterange", {"key": "AA==", "range_end": "AA=="})

    def compact(self) -> None:
        newest = max(revision for _, revision in self.stored().values())
        self.post("/v3/kv/compaction", {"revision": str(newest)})


@contextlib.contextmanager
def _notifications() -> Iterator[tuple[socket.socket, str]]:
    # Not in the test's folder: the path of a socket may have about a hundred characters only.
    with (
        tempfile.TemporaryDirectory(prefix="etcd") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        address = f"{folder}/notify"
        listener.bind(address)
        listener.settimeout(20)
        yield listener, address


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
async def certificates(tmp_path: Path, program: Program) -> Certificates:
    made = Certificates(ca=f"{tmp_path}/ca.pem", cert=f"{tmp_path}/cert.pem", key=f"{tmp_path}/key.pem")
    ca_key = f"{tmp_path}/ca-key.pem"
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    authority = [*new, "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign"]
    leaf = [*new, "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-CA", made.ca]
    leaf += ["-CAkey", ca_key, "-addext", "basicConstraints=critical,CA:FALSE"]
    for command in (
        [*authority, "-keyout", ca_key, "-out", made.ca],
        [*leaf, "-keyout", made.key, "-out", made.cert],
    ):
        openssl = await asyncio.create_subprocess_exec(
            program("openssl", "openssl"), *command, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await openssl.communicate()
        assert openssl.returncode == 0, errors
    return made


@pytest.fixture
async def tls_etcd(certificates: Certificates, tmp_path: Path, program: Program) -> AsyncIterator[EtcdServer]:
    server = EtcdServer(program("etcd", "etcd-server"), tmp_path, tls=certificates)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


@pytest.fixture
async def etcd(tmp_path: Path, program: Program) -> AsyncIterator[EtcdServer]:
    server = EtcdServer(program("etcd", "etcd-server"), tmp_path)
    try:
        await server.start()
        yield server
    finally:
        server.resume()
        await server.kill()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def planner(etcd: EtcdServer, clock: VirtualClock) -> AsyncIterator[Callable[..., EtcdActuator]]:
    """Start planners: the same one again is a restart, a second one is a competitor."""
    opened: list[EtcdActuator] = []

    def start(*urls: str, timeout_s: float = 1.0) -> EtcdActuator:
        options = EtcdOptions(endpoints=urls or (etcd.url,), timeout_s=timeout_s)
        opened.append(EtcdActuator(options, EtcdTarget(dynamo_namespace="llm"), clock))
        return opened[-1]

    yield start
    for actuator in opened:
        await actuator.close()


@pytest.fixture
async def environment(etcd: EtcdServer) -> AsyncIterator[EtcdEnvironment]:
    found = EtcdEnvironment(EtcdOptions(endpoints=(etcd.url,)), dynamo_namespace="llm")
    yield found
    await found.close()


@pytest.fixture
async def gateway() -> AsyncIterator[Callable[[Respond], Awaitable[str]]]:
    """Serve HTTP by a function of path and body; None closes the connection without an answer."""
    servers: list[asyncio.Server] = []
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(respond: Respond) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handlers.add(asyncio.current_task())
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:  # the client went away before it asked
                writer.close()
                return
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = await reader.readexactly(int(length.split(b":")[1]))
            answer = await respond(head.split()[1].decode(), body)
            if answer is not None:
                status, content = answer
                lines = f"HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
                writer.write(lines.encode() + content)
            writer.close()
            await writer.wait_closed()

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0))
        host, port = servers[-1].sockets[0].getsockname()
        return f"http://{host}:{port}"

    yield serve
    for server in servers:
        server.close()
        await server.wait_closed()
    # A request may still be on its way when its client has gone.
    await asyncio.gather(*(task for task in handlers if task is not None), return_exceptions=True)
