"""A real Prometheus and exporters that speak like Dynamo's frontend."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiohttp import web

from config.clock import SystemClock
from tests.ports import free_port

CLOCK = SystemClock()
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
PRESENCE = "dynamo_frontend_disconnected_clients 0\n"


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 15.0) -> None:
    """Wait for a condition, asking often."""
    deadline_s = CLOCK.now_s() + within_s
    while not await condition():
        assert CLOCK.now_s() < deadline_s, f"not within {within_s} s"
        await CLOCK.sleep(0.1)


@dataclass
class Frontend:
    """An exporter whose counters the test moves."""

    model: str = "org/model-1.5"
    started: float | None = 0.0
    completed: float = 0.0
    in_flight: float = 0.0
    prompt_tokens: float = 0.0
    seen: bool = False
    served: tuple[str, ...] = ()
    port: int = 0
    scrapes: int = 0
    _runner: web.AppRunner | None = field(default=None, repr=False)

    def serve_requests(self, count: int, *, isl_tokens: float = 500.0) -> None:
        self.seen = True
        self.completed += count
        self.prompt_tokens += count * isl_tokens
        if self.started is not None:
            self.started += count

    def text(self) -> str:
        served = (f'dynamo_frontend_model_context_length{{model="{name}"}} 8192\n' for name in self.served)
        return PRESENCE + "".join(served) + (self._families() if self.seen else "")

    def _families(self) -> str:
        labels = f'model="{self.model.translate(_ESCAPES)}"'
        kind = f'{labels},endpoint="completions",request_type="stream"'
        lines = [
            f'dynamo_frontend_requests_total{{{kind},status="success"}} {self.completed}',
            f"dynamo_frontend_inflight_requests{{{labels}}} {self.in_flight}",
            f"dynamo_frontend_queued_requests{{{labels}}} {self.in_flight}",
        ]
        if self.started is not None:
            lines.append(f"dynamo_frontend_requests_started_total{{{kind}}} {self.started}")
        lines += self._histogram("input_sequence_tokens", labels, self.prompt_tokens, bound="870")
        lines += self._histogram("time_to_first_token_seconds", labels, self.completed * 0.25, bound="0.47")
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str, labels: str, total: float, *, bound: str) -> list[str]:
        family = f"dynamo_frontend_{name}"
        return [
            f'{family}_bucket{{{labels},le="0"}} 0',
            f'{family}_bucket{{{labels},le="{bound}"}} {self.completed}',
            f'{family}_bucket{{{labels},le="+Inf"}} {self.completed}',
            f"{family}_sum{{{labels}}} {total}",
            f"{family}_count{{{labels}}} {self.completed}",
        ]

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port or 0, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, _request: web.Request) -> web.Response:
        self.scrapes += 1
        return web.Response(text=self.text())


@dataclass
class Prometheus:
    """A server of our own, on a free port, in a folder of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def scrape(self, *targets: str, **labels: str) -> None:
        group = {"targets": list(targets), "labels": labels}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "frontends", "static_configs": [group]}] if targets else [],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=30d",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=error",
        )
        await until(self.is_ready)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def is_ready(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"{self.url}/-/ready")).is_success
            except httpx.TransportError:
                return False
