"""An exporter that speaks like Dynamo's frontend, under a load that the test sets.

Its counters are exact functions of time: who reads them at two moments finds just the set rate in between.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

from config.clock import SystemClock

CLOCK = SystemClock()
MODEL = "llama-3.1-8b"
_TTFT_S = (0, 0.0022, 0.0047, 0.01, 0.022, 0.047, 0.1, 0.22, 0.47, 1, 2.2, 4.7, 10, 22, 48, 100, 220, 480)
_ITL_S = (0, 0.0019, 0.0035, 0.0067, 0.013, 0.024, 0.045, 0.084, 0.16, 0.3, 0.56, 1.1, 2)
_DURATION_S = (0, 2, 4, 8, 16, 32, 64, 130, 260, 510)
_ISL_TOKENS = (0, 100, 210, 430, 870, 1800, 3600, 7400, 15000, 31000, 63000, 130000)
_OSL_TOKENS = (0, 100, 210, 430, 880, 1800, 3700, 7600, 16000, 32000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the users do, and how the engines fare."""

    rate_rps: float
    isl_tokens: float = 3000.0
    osl_tokens: float = 400.0
    ttft_s: float = 0.06
    itl_s: float = 0.006

    @property
    def duration_s(self) -> float:
        return self.ttft_s + self.osl_tokens * self.itl_s


IDLE = Load(rate_rps=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """One histogram: what is observed, how long after a request's arrival, how often."""

    name: str
    bounds: tuple[float, ...]
    value: Callable[[Load], float]
    delay: Callable[[Load], float]
    times: Callable[[Load], float] = lambda _load: 1.0


def _first(load: Load) -> float:
    return load.ttft_s


def _last(load: Load) -> float:
    return load.duration_s


_FAMILIES = (
    _Family(
        name="input_sequence_tokens", bounds=_ISL_TOKENS, value=lambda load: load.isl_tokens, delay=_first
    ),
    _Family(name="time_to_first_token_seconds", bounds=_TTFT_S, value=lambda load: load.ttft_s, delay=_first),
    _Family(
        name="output_sequence_tokens", bounds=_OSL_TOKENS, value=lambda load: load.osl_tokens, delay=_last
    ),
    _Family(
        name="request_duration_seconds", bounds=_DURATION_S, value=lambda load: load.duration_s, delay=_last
    ),
    _Family(
        name="inter_token_latency_seconds",
        bounds=_ITL_S,
        value=lambda load: load.itl_s,
        delay=_last,
        times=lambda load: load.osl_tokens - 1.0,
    ),
)


class Frontend:
    """A frontend on a port of its own.

    Args:
        counts_arrivals: Whether it has the counter of started requests, which Dynamo 0.9 lacks.
    """

    def __init__(self, *, counts_arrivals: bool = True) -> None:
        self._counts_arrivals = counts_arrivals
        self._phases: list[tuple[float, Load]] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def carry(self, load: Load) -> None:
        """Serve this load from now on."""
        self._phases.append((CLOCK.now_s(), load))

    def forget(self) -> None:
        """Begin anew, as a process does that was started again: all counters at zero, no request seen."""
        self._phases.clear()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(text="\n".join(self._lines(CLOCK.now_s())) + "\n")

    def _lines(self, now_s: float) -> Iterator[str]:
        yield "dynamo_frontend_disconnected_clients 0"
        started = self._grown(now_s)
        if started <= 0.0:
            return  # families come with the first request
        completed = self._grown(now_s, delay_of=lambda load: load.duration_s)
        model = f'model="{MODEL}"'
        kind = f'{model},endpoint="chat_completions",request_type="stream"'
        if self._counts_arrivals:
            yield f"dynamo_frontend_requests_started_total{{{kind}}} {started}"
        yield f'dynamo_frontend_requests_total{{{kind},status="success"}} {completed}'
        yield f"dynamo_frontend_inflight_requests{{{model}}} {started - completed}"
        queued = started - self._grown(now_s, delay_of=lambda load: load.ttft_s)
        yield f"dynamo_frontend_queued_requests{{{model}}} {queued}"
        yield from self._histograms(now_s)

    def _histograms(self, now_s: float) -> Iterator[str]:
        for family in _FAMILIES:
            yield from self._histogram(family, now_s)

    def _histogram(self, family: "_Family", now_s: float) -> Iterator[str]:
        name, labels = f"dynamo_frontend_{family.name}", f'model="{MODEL}"'
        for bound in (*family.bounds, math.inf):

            def within(load: Load, bound: float = bound) -> float:
                return family.times(load) if family.value(load) <= bound else 0.0

            le = "+Inf" if bound == math.inf else f"{bound:g}"
            yield f'{name}_bucket{{{labels},le="{le}"}} {self._grown(now_s, within, delay_of=family.delay)}'
        total = self._grown(
            now_s, lambda load: family.times(load) * family.value(load), delay_of=family.delay
        )
        yield f"{name}_sum{{{labels}}} {total}"
        yield f"{name}_count{{{labels}}} {self._grown(now_s, family.times, delay_of=family.delay)}"

    def _grown(
        self,
        now_s: float,
        weight_of: Callable[[Load], float] = lambda _load: 1.0,
        *,
        delay_of: Callable[[Load], float] = lambda _load: 0.0,
    ) -> float:
        """Return the sum of a weight over all requests that came at least their delay ago."""
        total = 0.0
        ends = [*self._phases[1:], (now_s, IDLE)]
        for (begin_s, load), (end_s, _) in zip(self._phases, ends, strict=True):
            length_s = max(0.0, min(end_s, now_s - delay_of(load)) - begin_s)
            total += load.rate_rps * length_s * weight_of(load)
        return total
