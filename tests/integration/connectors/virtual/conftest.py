"""A real etcd that a test can stop, kill and start again on the same data."""

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest


class EtcdServer:
    """One etcd process on free ports with its own folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._client_port, self._peer_port = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._client_port}"

    def start(self) -> None:
        """Return once etcd serves: it tells its readiness as it would tell systemd."""
        peer = f"http://127.0.0.1:{self._peer_port}"
        command = [self._program, "--data-dir", str(self._folder / "data"), "--name", "test"]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", f"test={peer}", "--unsafe-no-fsync"]
        command += ["--heartbeat-interval=20", "--election-timeout=200"]
        with _notifications() as (listener, address), (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={"NOTIFY_SOCKET": address})
            assert listener.recv(64) == b"READY=1"
        health = httpx.get(f"{self.url}/health", trust_env=False)
        assert health.json() == {"health": "true"}

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
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

    def put(self, key: str, value: str) -> None:
        self.post("/v3/kv/put", {"key": _encode(key), "value": _encode(value)})

    def delete(self, key: str) -> None:
        self.post("/v3/kv/deleterange", {"key": _encode(key)})

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

    def values(self) -> dict[str, str]:
        return {key: value for key, (value, _) in self.stored().items()}

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


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="session")
def etcd_program() -> str:
    found = shutil.which("etcd")
    if found:
        return found
    message = "etcd is not installed (Debian: etcd-server)"
    if os.environ.get("CI"):  # noqa: TID251 - tests only
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def etcd(etcd_program: str, tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(etcd_program, tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.resume()
        server.kill()
