"""The Dynamo dialect against a real Prometheus that scrapes two exporters every second."""

from collections.abc import AsyncIterator, Callable

import pytest

from connectors.base import Idle, Reading, Traffic, Unknown, Value
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.scrape import ScrapeOptions, ScrapeSource
from connectors.prometheus.source import PrometheusSource, SourceOptions
from tests.integration.connectors.prometheus.rig import CLOCK, Frontend, Prometheus, until

pytestmark = pytest.mark.slow
WINDOW_S = 4.0


def source_on(prometheus: Prometheus, *, model: str, namespace: str = "prod") -> PrometheusSource:
    return PrometheusSource(
        PrometheusClient(prometheus.url, options=HttpOptions(query_timeout_s=3.0), clock=CLOCK),
        dialect=dynamo(),
        scope=Scope(model=model, namespace=namespace),
        clock=CLOCK,
        options=SourceOptions(percentile_ratio=0.9),
    )


def scraping(model: str, *addresses: str) -> ScrapeSource:
    return ScrapeSource(
        [f"http://{address}" for address in addresses],
        dialect=dynamo(),
        scope=Scope(model=model),
        clock=CLOCK,
        options=ScrapeOptions(percentile_ratio=0.9),
    )


@pytest.fixture
async def source(
    prometheus: Prometheus, frontends: tuple[Frontend, Frontend]
) -> AsyncIterator[PrometheusSource]:
    """A source on a server that scrapes both exporters."""
    prometheus.scrape(*(f"127.0.0.1:{one.port}" for one in frontends), dynamo_namespace="prod")
    await prometheus.start()
    made = source_on(prometheus, model="ORG/Model-1.5")
    yield made
    await made.close()


async def seen(source: PrometheusSource, condition: Callable[[Traffic], bool]) -> Traffic:
    """Return the first window that fulfills the condition."""
    last: list[Traffic] = []

    async def is_met() -> bool:
        last[:] = [await source.observe(WINDOW_S)]
        return condition(last[0])

    try:
        await until(is_met)
    except AssertionError as error:
        raise AssertionError(last) from error
    return last[0]


def number(reading: Reading) -> float:
    assert isinstance(reading, Value), reading
    return reading.value


def why(reading: Reading) -> str:
    assert isinstance(reading, Unknown), reading
    return reading.why


async def test_a_day_with_two_frontends(
    source: PrometheusSource, prometheus: Prometheus, frontends: tuple[Frontend, Frontend]
) -> None:
    """One server lives through what a day brings, since starting it anew takes longer than each part."""
    first, second = frontends

    await _nothing_scraped_yet_is_unknown(source)
    await _fresh_frontends_are_idle(source)
    await _unequal_load_is_weighted(source, first, second)
    await _what_is_misspelled_is_unknown_under_load(prometheus, first)
    await _a_dead_exporter_makes_arrivals_unknown(source, second)
    await _a_dead_prometheus_makes_all_unknown_and_recovers(source, prometheus)


async def _nothing_scraped_yet_is_unknown(source: PrometheusSource) -> None:
    traffic = await source.observe(WINDOW_S)

    assert "no scrape target matches" in why(traffic.arrivals_rps)


async def _fresh_frontends_are_idle(source: PrometheusSource) -> None:
    traffic = await seen(source, lambda found: isinstance(found.arrivals_rps, Value))

    assert number(traffic.arrivals_rps) == 0.0
    assert number(traffic.in_flight) == 0.0
    assert isinstance(traffic.isl_tokens, Idle)
    assert isinstance(traffic.ttft_quantile_s, Idle)
    assert "not exported" in why(traffic.kv_usage_ratio)


def _is_wholly_scraped(found: Traffic) -> bool:
    # The questions of one look are asked at once, and a scrape may come between two of them.
    readings = (found.arrivals_rps, found.isl_tokens, found.ttft_s)
    return all(isinstance(one, Value) and (one.samples or 0) >= 399 for one in readings)


async def _unequal_load_is_weighted(source: PrometheusSource, first: Frontend, second: Frontend) -> None:
    first.serve_requests(300, isl_tokens=100.0)
    second.serve_requests(100, isl_tokens=500.0)
    second.in_flight = 3.0

    traffic = await seen(source, _is_wholly_scraped)

    assert number(traffic.arrivals_rps) == pytest.approx(400 / traffic.window_s, rel=0.01)
    assert isinstance(traffic.arrivals_rps, Value)
    assert traffic.arrivals_rps.estimator == "started"
    assert number(traffic.isl_tokens) == pytest.approx(200.0)
    assert number(traffic.ttft_s) == pytest.approx(0.25)
    assert 0.0 < number(traffic.ttft_quantile_s) <= 0.47
    assert number(traffic.in_flight) == number(traffic.queued) == 3.0
    assert "nothing was measured yet of 3 requests in flight" in why(traffic.osl_tokens)


async def _what_is_misspelled_is_unknown_under_load(prometheus: Prometheus, first: Frontend) -> None:
    model = source_on(prometheus, model="org/modle-1.5")
    namespace = source_on(prometheus, model="org/model-1.5", namespace="prd")
    direct = scraping("org/modle-1.5", f"127.0.0.1:{first.port}")

    found = [(await one.observe(WINDOW_S)) for one in (model, namespace, direct, direct)]
    for one in (model, namespace, direct):
        await one.close()

    misspelled = "no series of model 'org/modle-1.5'; the frontend has: org/model-1.5"
    wrong = "no scrape target has dynamo_namespace 'prd'; the frontends have: prod"
    assert [why(one.arrivals_rps) for one in found] == [misspelled, wrong, misspelled, misspelled]
    assert [why(one.ttft_s) for one in found] == [why(one.in_flight) for one in found]


async def _a_dead_exporter_makes_arrivals_unknown(source: PrometheusSource, second: Frontend) -> None:
    await second.stop()

    traffic = await seen(source, lambda found: isinstance(found.arrivals_rps, Unknown))

    assert "1 of 2 frontends is down" in why(traffic.arrivals_rps)
    assert str(second.port) in why(traffic.in_flight)


async def _a_dead_prometheus_makes_all_unknown_and_recovers(
    source: PrometheusSource, prometheus: Prometheus
) -> None:
    await prometheus.kill()
    blind = await source.observe(WINDOW_S)
    await prometheus.start()
    traffic = await seen(source, lambda found: "is down" in getattr(found.arrivals_rps, "why", ""))

    assert "cannot reach" in why(blind.arrivals_rps)
    assert "cannot reach" in why(blind.in_flight)
    assert "1 of 2 frontends is down" in why(traffic.arrivals_rps)


async def test_an_old_frontend_with_a_strange_model_is_read_alike_through_prometheus_and_directly(
    prometheus: Prometheus, frontends: tuple[Frontend, Frontend]
) -> None:
    model = 'we"ird\\{m}.*|(?i)+$ \n ü'
    for one in frontends:
        one.model, one.started = model.lower(), None
    addresses = [f"127.0.0.1:{one.port}" for one in frontends]
    prometheus.scrape(*addresses, dynamo_namespace="prod")
    await prometheus.start()
    through = source_on(prometheus, model=model)
    direct = scraping(model, *addresses)
    await seen(through, lambda found: isinstance(found.arrivals_rps, Value))
    await direct.observe(WINDOW_S)

    frontends[0].serve_requests(60, isl_tokens=300.0)
    frontends[1].in_flight = 20.0
    frontends[1].serve_requests(20, isl_tokens=700.0)
    ours = await direct.observe(WINDOW_S)
    theirs = await seen(through, lambda found: getattr(found.arrivals_rps, "samples", 0.0) > 99.0)
    await through.close()
    await direct.close()

    assert isinstance(ours.arrivals_rps, Value)
    assert isinstance(theirs.arrivals_rps, Value)
    assert ours.arrivals_rps.estimator == theirs.arrivals_rps.estimator == "completed+inflight"
    assert ours.arrivals_rps.samples == pytest.approx(100.0)
    assert theirs.arrivals_rps.samples == pytest.approx(100.0)
    assert number(ours.isl_tokens) == pytest.approx(number(theirs.isl_tokens)) == pytest.approx(400.0)
    assert number(ours.ttft_quantile_s) == pytest.approx(number(theirs.ttft_quantile_s))
    assert number(ours.in_flight) == number(theirs.in_flight) == 20.0


async def test_a_model_that_is_served_beside_a_busy_one_is_idle_until_it_is_asked_for(
    prometheus: Prometheus, frontends: tuple[Frontend, Frontend]
) -> None:
    first, second = frontends
    first.serve_requests(50)
    second.served = ("org/other",)
    prometheus.scrape(*(f"127.0.0.1:{one.port}" for one in frontends), dynamo_namespace="prod")
    await prometheus.start()
    source = source_on(prometheus, model="Org/Other")

    traffic = await seen(source, lambda found: isinstance(found.arrivals_rps, Value))
    await source.close()

    assert number(traffic.arrivals_rps) == number(traffic.in_flight) == 0.0
    assert isinstance(traffic.ttft_s, Idle)
