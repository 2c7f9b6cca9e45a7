"""Traffic from the frontends' own text: what is known when, and what of it is unknown when one is down."""

from collections.abc import Mapping

import httpx
import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from connectors.base import Idle, Reading, Traffic, Unknown, Value
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.scrape import ScrapeOptions, ScrapeSource

ALIVE = "dynamo_frontend_disconnected_clients 0\n"
FAMILY = "dynamo_frontend_"
A, B = "http://a.test:8000/metrics", "http://b.test:8000/metrics"


class Frontends(httpx.AsyncBaseTransport):
    """Endpoints whose texts the test sets; an exception or a status stands for a fault."""

    def __init__(self, **texts: str | int | Exception) -> None:
        self.texts: dict[str, str | int | Exception] = dict(texts)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        found = self.texts[request.url.host.partition(".")[0]]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(200, text=found) if isinstance(found, str) else httpx.Response(found)


class Rig:
    """A source on a clock that the test moves."""

    def __init__(self, frontends: Frontends, *, model: str | None = "M") -> None:
        self.frontends = frontends
        self.clock = VirtualClock()
        self.source = ScrapeSource(
            [f"http://{name}.test:8000" for name in frontends.texts],
            dialect=dynamo(),
            scope=Scope(model=model, namespace="ignored"),
            clock=self.clock,
            options=ScrapeOptions(percentile_ratio=0.5, http=HttpOptions(retries=0)),
            transport=frontends,
        )

    async def after(
        self, duration_s: float, *, window_s: float = 60.0, **texts: str | int | Exception
    ) -> Traffic:
        await self.clock.advance(duration_s)
        self.frontends.texts.update(texts)
        return await self.source.observe(window_s)


def text(*, model: str = "m", **families: float) -> str:
    lines = (f'{FAMILY}{name}{{model="{model}"}} {value}\n' for name, value in families.items())
    return ALIVE + "".join(lines)


def ttft(counts: Mapping[str, float], *, total: float) -> str:
    family = f"{FAMILY}time_to_first_token_seconds"
    lines = [f'{family}_bucket{{model="m",le="{le}"}} {count}\n' for le, count in counts.items()]
    return "".join(
        [*lines, f'{family}_sum{{model="m"}} {total}\n', f'{family}_count{{model="m"}} {counts["+Inf"]}\n']
    )


def number(reading: Reading) -> float:
    assert isinstance(reading, Value), reading
    return reading.value


def why(reading: Reading) -> str:
    assert isinstance(reading, Unknown), reading
    return reading.why


async def test_the_first_scrape_knows_gauges_only() -> None:
    traffic = await Rig(Frontends(a=text(requests_started_total=900, inflight_requests=3))).after(0.0)

    assert why(traffic.arrivals_rps) == why(traffic.ttft_s) == "waiting for a second scrape: a rate needs two"
    assert number(traffic.in_flight) == 3.0


async def test_the_second_scrape_knows_rates_and_latencies() -> None:
    rig = Rig(Frontends(a=text(requests_started_total=900) + ttft({"1": 5, "+Inf": 5}, total=2.0)))
    await rig.after(0.0)

    now = text(requests_started_total=960, queued_requests=4) + ttft({"1": 25, "+Inf": 25}, total=12.0)
    traffic = await rig.after(30.0, a=now)

    assert traffic.window_s == 30.0
    assert traffic.arrivals_rps == Value(value=2.0, at_s=30.0, samples=60.0, estimator="started")
    assert (number(traffic.ttft_s), number(traffic.ttft_quantile_s)) == (0.5, 0.5)
    assert number(traffic.queued) == 4.0


async def test_a_frontend_without_requests_is_idle() -> None:
    rig = Rig(Frontends(a=ALIVE))
    await rig.after(0.0)

    traffic = await rig.after(30.0)

    assert number(traffic.arrivals_rps) == number(traffic.in_flight) == 0.0
    assert traffic.ttft_s == traffic.isl_tokens == Idle(at_s=30.0)
    assert "not exported by the frontends" in why(traffic.kv_usage_ratio)


async def test_an_old_frontend_is_estimated_from_completions_and_requests_in_flight() -> None:
    rig = Rig(Frontends(a=text(requests_total=100, inflight_requests=2)))
    await rig.after(0.0)

    traffic = await rig.after(10.0, a=text(requests_total=130, inflight_requests=12))

    assert traffic.arrivals_rps == Value(value=4.0, at_s=10.0, samples=40.0, estimator="completed+inflight")
    assert number(traffic.completions_rps) == 3.0


async def test_what_never_was_demand_is_left_out() -> None:
    def counted(started: int, served: int, wrong: int, embedded: int) -> str:
        kinds = {
            f'{FAMILY}requests_started_total{{model="m",endpoint="completions"}}': started,
            f'{FAMILY}requests_started_total{{model="m",endpoint="embeddings"}}': embedded,
            f'{FAMILY}requests_total{{model="m",endpoint="completions",error_type="overload"}}': served,
            f'{FAMILY}requests_total{{model="m",endpoint="completions",error_type="validation"}}': wrong,
        }
        return ALIVE + "".join(f"{series} {value}\n" for series, value in kinds.items())

    rig = Rig(Frontends(a=counted(0, 0, 0, 0)))
    await rig.after(0.0)

    traffic = await rig.after(10.0, a=counted(100, 50, 20, 500))

    assert (number(traffic.arrivals_rps), number(traffic.completions_rps)) == (8.0, 5.0)


NAMED = 'dynamo_frontend_model_context_length{model="m"} 8192\n'
HOLDS: list[tuple[str, str, str]] = [
    ("misspelled", text(model="mm", requests_started_total=960), "the frontend has: mm"),
    ("only served", ALIVE + NAMED.replace('"m"', '"mm"'), "the frontend has: mm"),
    (
        "many",
        "".join(text(model=name, requests_total=1) for name in ("mxx", "y", "my", "z", "mx")),
        "the frontend has: mx, my, mxx, …",
    ),
]


@pytest.mark.parametrize(("page", "words"), [pytest.param(*case[1:], id=case[0]) for case in HOLDS])
async def test_where_only_other_models_are_nothing_is_known_of_ours(page: str, words: str) -> None:
    rig = Rig(Frontends(a=page, b=ALIVE))
    first = await rig.after(0.0)

    traffic = await rig.after(30.0)

    expected = f"no series of model 'M'; {words}"
    assert why(first.in_flight) == why(traffic.arrivals_rps) == why(traffic.ttft_s) == expected
    assert why(traffic.in_flight) == why(traffic.kv_usage_ratio) == expected


async def test_a_model_that_is_served_but_was_not_asked_for_is_idle() -> None:
    busy = text(model="other", requests_started_total=960)
    rig = Rig(Frontends(a=busy, b=ALIVE + NAMED))
    await rig.after(0.0)

    traffic = await rig.after(30.0)

    assert number(traffic.arrivals_rps) == number(traffic.in_flight) == 0.0
    assert traffic.ttft_s == Idle(at_s=30.0)


async def test_without_a_model_all_models_count() -> None:
    rig = Rig(Frontends(a=text(model="x", requests_total=0)), model=None)
    await rig.after(0.0)

    traffic = await rig.after(30.0, a=text(model="x", requests_total=30))

    assert number(traffic.arrivals_rps) == 1.0


async def test_a_frontend_that_is_down_may_be_the_one_that_knows_the_model() -> None:
    rig = Rig(Frontends(a=text(model="other", requests_total=0), b=text(requests_total=0)))
    await rig.after(0.0)

    traffic = await rig.after(30.0, b=503)

    assert "1 of 2 frontends is down" in why(traffic.arrivals_rps)


async def test_a_model_that_the_frontend_lost_is_unknown_while_others_are_there() -> None:
    rig = Rig(Frontends(a=text(requests_total=0)))
    await rig.after(0.0)

    traffic = await rig.after(30.0, a=text(model="renamed", requests_total=90))

    assert why(traffic.arrivals_rps) == "no series of model 'M'; the frontend has: renamed"


async def test_two_frontends_add_up_and_other_models_do_not_count() -> None:
    start = text(requests_started_total=0) + text(model="other", requests_started_total=0)
    rig = Rig(Frontends(a=start, b=start))
    await rig.after(0.0)

    traffic = await rig.after(
        10.0,
        a=text(requests_started_total=30) + text(model="other", requests_started_total=500),
        b=text(model="M", requests_started_total=10),
    )

    assert number(traffic.arrivals_rps) == 4.0


async def test_a_restart_in_the_window_loses_nothing_that_was_seen() -> None:
    rig = Rig(Frontends(a=text(requests_started_total=1000)))
    await rig.after(0.0)
    await rig.after(10.0, a=text(requests_started_total=1050))
    await rig.after(10.0, a=ALIVE)

    traffic = await rig.after(10.0, a=text(requests_started_total=10))

    assert number(traffic.arrivals_rps) == 2.0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (httpx.ConnectError("refused"), f"cannot reach {B}: refused"),
        (httpx.ReadTimeout("slow"), f"{B} did not answer within 10 s"),
        (503, f"{B} answered HTTP 503"),
        ("<html>", f"{B}: expected the Prometheus text format"),
        (ALIVE.replace("dynamo", "node"), f"{B}: no metric begins with dynamo_frontend_"),
    ],
    ids=["refused", "time-out", "503", "login page", "other server"],
)
async def test_a_frontend_that_is_down_hides_sums_but_not_latencies(
    fault: str | int | Exception, words: str
) -> None:
    start = text(requests_started_total=0) + ttft({"1": 0, "+Inf": 0}, total=0.0)
    rig = Rig(Frontends(a=start, b=start))
    await rig.after(0.0)

    now = text(requests_started_total=30) + ttft({"1": 10, "+Inf": 10}, total=2.0)
    traffic = await rig.after(10.0, a=now, b=fault)

    sums = (traffic.arrivals_rps, traffic.completions_rps, traffic.in_flight, traffic.queued)
    assert all(f"1 of 2 frontends is down: {words}" in why(reading) for reading in sums)
    assert number(traffic.ttft_s) == 0.2


async def test_all_frontends_down_is_all_unknown() -> None:
    gone = httpx.ConnectError("gone")

    traffic = await Rig(Frontends(a=gone, b=gone)).after(0.0)

    assert "2 of 2 frontends are down" in why(traffic.arrivals_rps)
    assert why(traffic.arrivals_rps) == why(traffic.ttft_s) == why(traffic.in_flight)


async def test_rates_are_unknown_after_a_long_interruption_until_there_are_two_scrapes_again() -> None:
    rig = Rig(Frontends(a=text(requests_started_total=0)))
    await rig.after(0.0)
    await rig.after(10.0, a=httpx.ConnectError("gone"))

    back = await rig.after(300.0, a=text(requests_started_total=500))
    later = await rig.after(10.0, a=text(requests_started_total=520))

    assert "scraping was interrupted for 310 s" in why(back.arrivals_rps)
    assert number(later.arrivals_rps) == 2.0


async def test_short_looks_and_long_ticks_share_the_scrapes() -> None:
    rig = Rig(Frontends(a=text(requests_started_total=0)))
    for second in range(0, 120, 5):
        await rig.after(5.0, window_s=5.0, a=text(requests_started_total=second))

    look = await rig.after(5.0, window_s=5.0, a=text(requests_started_total=215))
    tick = await rig.source.observe(60.0)

    assert number(look.arrivals_rps) == 20.0
    assert number(tick.arrivals_rps) == pytest.approx((215 - 60) / 60.0)


async def test_endpoints_keep_no_history() -> None:
    source = Rig(Frontends(a=ALIVE)).source

    assert await source.history(3600.0, 60.0) == ()
    await source.close()


def test_a_source_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="no address to scrape"):
        Rig(Frontends())
