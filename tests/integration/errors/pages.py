"""What a scraped metrics page can hold, and what a tick makes of it."""

from collections.abc import Callable

import httpx

from config.clock import VirtualClock
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.scrape import ScrapeOptions, ScrapeSource
from tests.integration.errors.row import Row
from tests.integration.errors.stage import INTERVAL_S, Stage

RATE_RPS = 20
_FAMILY = "dynamo_frontend_"
_LENGTHS = {"input_sequence_tokens": 2000.0, "output_sequence_tokens": 300.0}
_LATENCIES = {
    "time_to_first_token_seconds": 0.15,
    "inter_token_latency_seconds": 0.01,
    "request_duration_seconds": 3.2,
}


def page(requests: int) -> str:
    """Return what a frontend exports after so many requests."""
    label = '{model="m"}'
    lines = [
        f"{_FAMILY}requests_started_total{label} {requests}",
        f"{_FAMILY}requests_total{label} {requests}",
        f"{_FAMILY}inflight_requests{label} 60",
        f"{_FAMILY}queued_requests{label} 0",
    ]
    for name, mean in (_LENGTHS | _LATENCIES).items():
        lines.append(f'{_FAMILY}{name}_bucket{{model="m",le="+Inf"}} {requests}')
        lines.append(f"{_FAMILY}{name}_sum{label} {requests * mean}")
        lines.append(f"{_FAMILY}{name}_count{label} {requests}")
    return "\n".join([*lines, ""])


Spoil = Callable[[str], httpx.Response]


def _fails(error: httpx.TransportError) -> Spoil:
    def spoil(_good: str) -> httpx.Response:
        raise error

    return spoil


def _started(value: str) -> Spoil:
    def spoil(good: str) -> httpx.Response:
        lines = good.splitlines()
        return httpx.Response(200, text="\n".join([f"{lines[0].rpartition(' ')[0]} {value}", *lines[1:], ""]))

    return spoil


PAGES: tuple[tuple[str, Spoil], ...] = (
    ("connection refused", _fails(httpx.ConnectError("All connection attempts failed"))),
    ("no answer in time", _fails(httpx.ReadTimeout(""))),
    ("HTTP 404", lambda _good: httpx.Response(404, text="404 page not found")),
    ("HTTP 503", lambda _good: httpx.Response(503)),
    ("a page of HTML", lambda _good: httpx.Response(200, html="<!doctype html><title>Log in</title>")),
    ("an empty page", lambda _good: httpx.Response(200, text="")),
    ("another server's page", lambda good: httpx.Response(200, text=good.replace("dynamo_frontend", "node"))),
    ("only another model", lambda good: httpx.Response(200, text=good.replace('"m"', '"m-8b"'))),
    ("a page that is cut within a number", lambda good: httpx.Response(200, text=good[: good.index("00\n")])),
    ("a value that is no number", _started("many")),
    ("a counter that is NaN", _started("NaN")),
    ("a counter that is infinite", _started("+Inf")),
    ("a counter that is negative", _started("-5")),
    ("a page beyond the limit of size", lambda good: httpx.Response(200, text=good + "\n" * 100_000)),
)


async def pages() -> list[Row]:
    """Show each page after a good one, and take a tick on what the source makes of it."""
    rows = [await _row(what, spoil) for what, spoil in PAGES]
    return [*rows, await _row("counters that begin again: the frontend restarted", _restarted)]


def _restarted(_good: str) -> httpx.Response:
    # All that arrived since the last page arrived after the restart.
    return httpx.Response(200, text=page(int(RATE_RPS * INTERVAL_S)))


async def _row(what: str, spoil: Spoil) -> Row:
    clock = VirtualClock()
    broken: list[Spoil] = []

    def respond(_request: httpx.Request) -> httpx.Response:
        good = page(int(RATE_RPS * clock.now_s()))
        return broken[0](good) if broken else httpx.Response(200, text=good)

    source = ScrapeSource(
        ["http://frontend.test:8000/metrics"],
        dialect=dynamo(),
        scope=Scope(model="m"),
        clock=clock,
        options=ScrapeOptions(http=HttpOptions(retries=0, max_response_bytes=65_536)),
        transport=httpx.MockTransport(respond),
    )
    await source.observe(INTERVAL_S)
    await clock.advance(INTERVAL_S)
    stage = Stage(await source.observe(INTERVAL_S))
    await clock.advance(INTERVAL_S)
    await source.observe(INTERVAL_S)
    broken.append(spoil)
    await clock.advance(INTERVAL_S)
    row = stage.row(what, await source.observe(INTERVAL_S))
    await source.close()
    return row
