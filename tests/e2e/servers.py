"""The processes around the daemon, and the daemon itself: started, killed and started again by a test."""

import asyncio
import base64
import json
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from config.clock import SystemClock
from connectors.virtual.etcd_keys import Counts
from planner.serving.reader import UnreadLine, read_journal
from planner.serving.records import Record, Stepped
from tests.ports import free_port

CLOCK = SystemClock()
SCRIPT = str(Path(sys.executable).parent / "setpoint")
NAMESPACE = "llm"
SCRAPE_INTERVAL = "250ms"
# Unused; made once, since httpx would make one for every client.
_TLS = ssl.create_default_context()
_GATEWAY_PREFIX = f"v1/{NAMESPACE}/planner/"


async def until(condition: Callable[[], Awaitable[bool]], what: str, *, within_s: float = 20.0) -> float:
    """Wait for a condition, asking often; return how long it took."""
    began_s = CLOCK.now_s()
    while not await condition():
        assert CLOCK.now_s() - began_s < within_s, f"{what}: not within {within_s:g} s"
        await CLOCK.sleep(0.1)
    return CLOCK.now_s() - began_s


class Process:
    """A program with a port and a folder of its own, whose words go to a file there."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.program = program
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self.folder / f"{type(self).__name__.lower()}.log"

    async def spawn(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self.program, *arguments, stdout=log, stderr=log, env=environment, cwd=self.folder
            )

    async def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None

    async def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return await self._process.wait()

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def is_fine(self, path: str) -> bool:
        """Tell whether it answers 200 there."""
        try:
            answer = await self.get(path)
        except httpx.TransportError:
            assert not self.has_ended, self.log
            return False
        assert not self.has_ended, f"somebody else answers at {self.url}: {self.log}"
        return answer.status_code == httpx.codes.OK

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, verify=_TLS) as http:
            return await http.get(self.url + path)


class Prometheus(Process):
    """A real Prometheus."""

    async def start(self, *targets: str, scrape_interval: str = SCRAPE_INTERVAL) -> None:
        """Start it on what data there are; without targets it scrapes those of before."""
        if targets:
            job = {
                "job_name": "frontends",
                "static_configs": [{"targets": targets, "labels": {"dynamo_namespace": NAMESPACE}}],
            }
            pace = {"scrape_interval": scrape_interval, "scrape_timeout": scrape_interval}
            text = json.dumps({"global": pace, "scrape_configs": [job]})
            (self.folder / "prometheus.yml").write_text(text, encoding="utf-8")
        await self.spawn(
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=error",
        )
        await until(lambda: self.is_fine("/-/ready"), "Prometheus is ready")


class Etcd(Process):
    """A real etcd; `obey` is what its environment does with a decision."""

    obey: Callable[[Counts], None] = staticmethod(lambda _counts: None)

    async def start(self) -> None:
        peer = f"http://127.0.0.1:{free_port()}"
        urls = ("--listen-client-urls", self.url, "--advertise-client-urls", self.url)
        peers = ("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer)
        await self.spawn(
            *("--data-dir", str(self.folder / "etcd"), "--name", "test", "--initial-cluster", f"test={peer}"),
            *urls,
            *peers,
            *("--unsafe-no-fsync", "--heartbeat-interval=20", "--election-timeout=200"),
        )
        await until(lambda: self.is_fine("/health"), "etcd is healthy")

    async def stored(self) -> dict[str, str]:
        """Return the keys of the virtual connector by their short names."""
        body = {"key": _base64(_GATEWAY_PREFIX), "range_end": _base64(_GATEWAY_PREFIX[:-1] + "0")}
        async with httpx.AsyncClient(trust_env=False, verify=_TLS) as http:
            answer = (await http.post(f"{self.url}/v3/kv/range", json=body)).json()
        return {
            base64.b64decode(item["key"]).decode().removeprefix(_GATEWAY_PREFIX): (
                base64.b64decode(item.get("value", "")).decode()
            )
            for item in answer.get("kvs", ())
        }

    async def store(self, **numbers: int) -> None:
        """Write keys of the virtual connector, as an earlier planner did."""
        async with httpx.AsyncClient(trust_env=False, verify=_TLS) as http:
            for name, number in numbers.items():
                body = {"key": _base64(_GATEWAY_PREFIX + name), "value": _base64(str(number))}
                (await http.post(f"{self.url}/v3/kv/put", json=body)).raise_for_status()

    async def counts(self) -> tuple[int, int]:
        """Return the engines that were asked for: prefill, decode."""
        stored = await self.stored()
        return int(stored.get("num_prefill_workers", -1)), int(stored.get("num_decode_workers", -1))

    async def decision_id(self) -> int:
        return int((await self.stored())["decision_id"])


class Setpoint(Process):
    """The daemon, from its console script."""

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    async def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Start it under this environment alone; return once it is healthy."""
        await self.spawn("run", *arguments, environment=environment or {})
        await until(lambda: self.is_fine("/healthz"), f"Setpoint is healthy; see {self._log}")

    async def read(self, path: str) -> Any:  # noqa: ANN401 - JSON
        answer = await self.get(path)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    async def counts(self) -> tuple[int, int]:
        """Return what the last tick decided, as the API tells it."""
        state = await self.read("/api/v1/state")
        if state["decision"] is None:
            return -1, -1
        found = {pool["pool"]: pool["replicas"] for pool in state["decision"]["decision"]["pools"]}
        return found.get("prefill", -1), found.get("decode", -1)

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum over the series of a family that have these labels."""
        total = 0.0
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        for line in (await self.get("/metrics")).text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(label in series for label in wanted):
                total += float(value)
        return total

    async def ticks(self, number: int) -> None:
        """Wait for so many more ticks."""
        before = await self.metric("setpoint_steps_total", kind="tick")

        async def passed() -> bool:
            return await self.metric("setpoint_steps_total", kind="tick") >= before + number

        await until(passed, f"{number} more ticks")

    def records(self) -> list[Record]:
        unread: list[UnreadLine] = []
        records = list(read_journal(self.journal, report=unread.append))
        assert not unread, unread
        return records

    def steps(self) -> list[Stepped]:
        return [record for record in self.records() if isinstance(record, Stepped)]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
