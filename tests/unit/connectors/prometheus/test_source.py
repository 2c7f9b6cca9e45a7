"""Every way in which Prometheus can leave us blind, and what exactly is then unknown."""

import asyncio
import contextlib
from collections.abc import Mapping

import httpx
import pytest

from connectors.base import Histogram, Idle, Reading, Traffic, Unknown, Value
from connectors.prometheus.dialect import Scope
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.queries import Question
from connectors.prometheus.source import SourceOptions
from tests.unit.connectors.prometheus.fake import (
    ONE,
    OTHER,
    WINDOW_S,
    FakePrometheus,
    Reply,
    buckets,
    scraped,
    source_of,
    success,
    vector,
)

TTFT = buckets({"0": 0, "0.1": 50, "0.47": 90, "+Inf": 100}, total=12.5, count=100)
ISL = buckets({"100": 10, "430.0": 40, "+Inf": 40}, total=8000, count=40)


async def seen(replies: Mapping[Question, Reply]) -> Traffic:
    return await source_of(replies).observe(WINDOW_S)


def number(reading: Reading) -> float:
    assert isinstance(reading, Value), reading
    return reading.value


def why(reading: Reading) -> str:
    assert isinstance(reading, Unknown), reading
    return reading.why


def readings(traffic: Traffic) -> list[Reading]:
    names = [name for name in Traffic.__slots__ if not name.endswith(("at_s", "window_s", "_histogram"))]
    return [getattr(traffic, name) for name in names]


async def test_a_busy_window_is_read_whole() -> None:
    traffic = await seen(
        {
            Question.STARTED: [(ONE, 90), (OTHER, 35)],
            Question.REFUSED: [(ONE, 5)],
            Question.COMPLETED: [(ONE, 60), (OTHER, 30)],
            Question.IN_FLIGHT: [(ONE, 4), (OTHER, 1)],
            Question.QUEUED: [(ONE, 2)],
            Question.TTFT: TTFT,
            Question.ISL: ISL,
            Question.DURATION: buckets({}, total=30, count=20),
            Question.KV_USAGE: [({}, 0.35)],
        }
    )

    assert traffic.arrivals_rps == Value(value=2.0, at_s=0.0, samples=120.0, estimator="started")
    assert number(traffic.completions_rps) == 1.5
    assert (number(traffic.in_flight), number(traffic.queued), number(traffic.kv_usage_ratio)) == (
        5.0,
        2.0,
        0.35,
    )
    assert number(traffic.ttft_s) == 0.125
    assert number(traffic.ttft_quantile_s) == pytest.approx(0.47)
    assert number(traffic.isl_tokens) == 200.0
    assert traffic.isl_histogram == Histogram(
        upper_bounds=(100.0, 430.0, float("inf")), counts=(10.0, 30.0, 0.0)
    )
    assert number(traffic.request_duration_s) == 1.5


async def test_without_a_counter_of_arrivals_the_change_in_flight_is_added_to_completions() -> None:
    traffic = await seen(
        {
            Question.COMPLETED: [(ONE, 60)],
            Question.IN_FLIGHT: [(ONE, 40)],
            Question.IN_FLIGHT_BEFORE: [(ONE, 10)],
        }
    )

    assert traffic.arrivals_rps == Value(value=1.5, at_s=0.0, samples=90.0, estimator="completed+inflight")


async def test_frontends_of_two_versions_are_each_read_in_their_own_way() -> None:
    traffic = await seen(
        {
            Question.STARTED: [(ONE, 60)],
            Question.COMPLETED: [(ONE, 10), (OTHER, 20)],
            Question.IN_FLIGHT: [(ONE, 50), (OTHER, 12)],
            Question.IN_FLIGHT_BEFORE: [(OTHER, 2)],
        }
    )

    assert traffic.arrivals_rps == Value(
        value=1.5, at_s=0.0, samples=90.0, estimator="started, completed+inflight"
    )


async def test_a_fresh_frontend_is_idle_and_its_rates_are_zero() -> None:
    traffic = await seen({})

    assert traffic.arrivals_rps == Value(value=0.0, at_s=0.0, samples=0.0, estimator="no request seen")
    assert number(traffic.completions_rps) == number(traffic.in_flight) == number(traffic.queued) == 0.0
    assert traffic.ttft_s == traffic.ttft_quantile_s == traffic.isl_tokens == Idle(at_s=0.0)
    assert (traffic.isl_histogram, traffic.osl_histogram) == (None, None)


async def test_increases_of_zero_are_idle() -> None:
    traffic = await seen({Question.TTFT: buckets({"1": 0, "+Inf": 0}, total=0, count=0)})

    assert traffic.ttft_s == Idle(at_s=0.0)


async def test_requests_that_wait_without_a_first_token_are_not_idle() -> None:
    traffic = await seen({Question.STARTED: [(ONE, 7)], Question.IN_FLIGHT: [(ONE, 7)]})

    assert why(traffic.ttft_s) == "nothing was measured yet of 7 requests in flight"


async def test_a_scrape_or_two_that_are_missing_do_not_blind() -> None:
    for missing in ({55}, {30, 25}, {5, 0}):
        ages_s = [age_s for age_s in range(300, -1, -5) if age_s not in missing]

        traffic = await seen({Question.SCRAPES: scraped(ONE, ages_s=ages_s), Question.STARTED: [(ONE, 60)]})

        assert number(traffic.arrivals_rps) == 1.0


MISNAMED: list[tuple[str, Mapping[Question, Reply], str]] = [
    ("misspelled", {Question.MODELS: [({"model": "mm"}, 4)]}, "no series of model 'm'; the frontend has: mm"),
    (
        "many models, nearest first",
        {Question.MODELS: [({"model": name}, 4) for name in ("y", "xm", "z", "ma", "Qm\n")]},
        "no series of model 'm'; the frontend has: ma, xm, 'Qm\\n', …",
    ),
    (
        "whether it is there is not known",
        {Question.MODELS: httpx.Response(503, text="busy")},
        "HTTP 503: busy",
    ),
    (
        "namespace misspelled",
        {
            Question.TARGETS: [],
            Question.NAMESPACES: [({"dynamo_namespace": "nss"}, 2), ({}, 2)],
            Question.MODELS: [({"model": "mm"}, 4)],
        },
        "no scrape target has dynamo_namespace 'ns'; the frontends have: nss",
    ),
    (
        "no namespace",
        {Question.TARGETS: [], Question.NAMESPACES: [({}, 2)]},
        "no scrape target has dynamo_namespace 'ns'; the frontends that are scraped have no such label",
    ),
    (
        "the namespace is on the series but not on `up`",
        {Question.TARGETS: [], Question.NAMESPACES: [({"dynamo_namespace": "ns"}, 2)]},
        "no scrape target matches",
    ),
    (
        "which namespaces there are is not known",
        {Question.TARGETS: [], Question.NAMESPACES: httpx.ConnectError("gone")},
        "no scrape target matches",
    ),
]


@pytest.mark.parametrize(("replies", "words"), [pytest.param(*case[1:], id=case[0]) for case in MISNAMED])
async def test_what_is_misspelled_is_unknown_and_not_idle(
    replies: Mapping[Question, Reply], words: str
) -> None:
    traffic = await seen(replies)

    assert all(words in why(reading) for reading in readings(traffic))


async def test_a_model_that_is_known_is_idle_without_requests() -> None:
    traffic = await seen({Question.MODELS: [({"model": "other"}, 9), ({"model": "M"}, 1)]})

    assert number(traffic.arrivals_rps) == number(traffic.in_flight) == 0.0
    assert isinstance(traffic.ttft_s, Idle)


async def test_requests_of_the_model_prove_that_it_is_there() -> None:
    traffic = await seen({Question.STARTED: [(ONE, 60)], Question.MODELS: httpx.ConnectError("gone")})

    assert number(traffic.arrivals_rps) == 1.0


async def test_a_frontend_that_is_down_may_be_the_one_that_knows_the_model() -> None:
    traffic = await seen({Question.TARGETS: DOWN, Question.MODELS: [({"model": "other"}, 9)]})

    assert "1 of 2 frontends is down" in why(traffic.arrivals_rps)


async def test_without_a_model_nobody_is_asked_for_models() -> None:
    scope = Scope(namespace="ns")
    transport = FakePrometheus({}, scope=scope)

    await source_of({}, scope=scope, transport=transport).observe(WINDOW_S)

    assert not [one for one in transport.asked if "count by (model)" in one]


DOWN = [(ONE, 1), (OTHER, 0)]
OLD = [300.0 - 5 * i for i in range(40)]
BLIND: list[tuple[str, Mapping[Question, Reply], str]] = [
    ("no target", {Question.TARGETS: []}, "no scrape target matches"),
    (
        "all down",
        {Question.TARGETS: [(ONE, 0), (OTHER, 0)]},
        "2 of 2 frontends are down (not scraped): a:8000",
    ),
    ("never scraped", {Question.SCRAPES: success("matrix", [])}, "nothing was scraped from them lately"),
    ("scraped once", {Question.SCRAPES: scraped(ONE, ages_s=[1.0])}, "only once so far; a rate needs two"),
    ("stale", {Question.SCRAPES: scraped(ONE, ages_s=OLD)}, "stale: the newest scrape is 105 s old"),
    (
        "new",
        {Question.SCRAPES: scraped(ONE, ages_s=[6.0, 1.0])},
        "new to Prometheus: 2 scrapes in 60 s, expected 12",
    ),
    (
        "gap",
        {Question.SCRAPES: scraped(ONE, ages_s=[*OLD, 6.0, 1.0])},
        "interrupted: 2 scrapes in 60 s, expected 12",
    ),
    (
        "gap at the beginning",
        {Question.SCRAPES: scraped(ONE, ages_s=[*OLD, *range(40, 0, -5)])},
        "interrupted: 8 scrapes in 60 s, expected 12",
    ),
    (
        "new, with most of the window",
        {Question.SCRAPES: scraped(ONE, ages_s=range(40, 0, -5))},
        "new to Prometheus: 8 scrapes in 60 s, expected 12",
    ),
    (
        "scraped too seldom for an increase",
        {Question.SCRAPES: scraped(ONE, OTHER, ages_s=range(295, 0, -45))},
        "a window of 60 s holds too few scrapes, which come every 45 s",
    ),
    ("targets fail", {Question.TARGETS: httpx.Response(422, text="no")}, "HTTP 422: no"),
    (
        "scrapes fail",
        {Question.SCRAPES: httpx.ConnectError("gone")},
        "cannot reach http://prometheus.test:9090",
    ),
    (
        "partial targets of VictoriaMetrics",
        {Question.TARGETS: vector([(ONE, 1)], isPartial=True)},
        "partial answer: the server marks it as partial",
    ),
    ("partial targets", {Question.TARGETS: vector([(ONE, 1)], warnings=["one"])}, "partial answer: one"),
]


@pytest.mark.parametrize(("replies", "words"), [pytest.param(*case[1:], id=case[0]) for case in BLIND])
async def test_without_trust_in_the_targets_all_is_unknown(
    replies: Mapping[Question, Reply], words: str
) -> None:
    busy: dict[Question, Reply] = {Question.STARTED: [(ONE, 90)], Question.TTFT: TTFT}

    traffic = await seen({**busy, **replies})

    assert all(words in why(reading) for reading in readings(traffic))


async def test_one_frontend_that_is_down_hides_sums_but_not_latencies() -> None:
    traffic = await seen({Question.TARGETS: DOWN, Question.STARTED: [(ONE, 90)], Question.TTFT: TTFT})

    sums = (traffic.arrivals_rps, traffic.completions_rps, traffic.in_flight, traffic.queued)
    assert all("1 of 2 frontends is down (not scraped): b:8000" in why(reading) for reading in sums)
    assert number(traffic.ttft_s) == 0.125
    assert "whether there was anything is not known: 1 of 2" in why(traffic.isl_tokens)


BROKEN: list[tuple[str, Reply, str]] = [
    ("http 400", httpx.Response(400, text="bad"), "HTTP 400: bad"),
    ("http 503", httpx.Response(503, text="busy"), "HTTP 503: busy"),
    ("time-out", httpx.ReadTimeout("slow"), "did not answer within 10 s"),
    ("login page", httpx.Response(200, text="<html>"), "expected JSON"),
    (
        "cut off",
        httpx.Response(200, text='{"status":', headers={"content-type": "application/json"}),
        "expected JSON, found 10 bytes that break off",
    ),
    ("status error", httpx.Response(200, json={"status": "error", "error": "boom"}), "no error type: boom"),
    (
        "partial",
        vector([(ONE, 9)], warnings=["store a is down", "b too"]),
        "partial answer: store a is down; b too",
    ),
    ("NaN", [(ONE, "NaN")], "the value is nan"),
    ("infinite", [(ONE, "+Inf")], "the value is inf"),
    ("negative", [(ONE, "-3")], "the value is negative: -3"),
    ("other type", success("string", [1, "x"]), "expected a result of type"),
]


@pytest.mark.parametrize(("reply", "words"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN])
async def test_one_broken_answer_costs_only_the_readings_that_rest_on_it(reply: Reply, words: str) -> None:
    traffic = await seen({Question.QUEUED: reply, Question.TTFT: reply, Question.STARTED: [(ONE, 60)]})

    assert words in why(traffic.queued)
    assert words in why(traffic.ttft_s)
    assert words in why(traffic.ttft_quantile_s)
    assert number(traffic.arrivals_rps) == 1.0
    assert isinstance(traffic.itl_s, Idle)


@pytest.mark.parametrize(
    "question", [Question.STARTED, Question.REFUSED, Question.COMPLETED, Question.IN_FLIGHT_BEFORE]
)
async def test_arrivals_are_unknown_as_soon_as_one_of_their_parts_is(question: Question) -> None:
    parts: dict[Question, Reply] = {Question.COMPLETED: [(ONE, 60)], Question.IN_FLIGHT: [(ONE, 3)]}

    traffic = await seen({**parts, question: [(ONE, "NaN")]})

    assert why(traffic.arrivals_rps) == "the value is nan"


async def test_counted_arrivals_do_not_need_the_estimate() -> None:
    traffic = await seen({Question.STARTED: [(ONE, 60)], Question.IN_FLIGHT_BEFORE: [(ONE, "NaN")]})

    assert number(traffic.arrivals_rps) == 1.0


HISTOGRAMS: list[tuple[str, Reply, str]] = [
    ("bad bound", buckets({"x": 1, "+Inf": 1}, total=1, count=1), "a bucket's bound is not a number: le='x'"),
    ("no open bucket", buckets({"1": 1}, total=1, count=1), 'lack the one of le="+Inf"'),
    ("no sum", [({"le": "1"}, 1), ({"le": "+Inf"}, 1), ({"le": "count"}, 1)], "without its sum"),
    ("infinite sum", buckets({"+Inf": 1}, total="+Inf", count=1), "the value is inf"),
]


@pytest.mark.parametrize(("reply", "words"), [pytest.param(*case[1:], id=case[0]) for case in HISTOGRAMS])
async def test_a_histogram_that_makes_no_sense_is_unknown(reply: Reply, words: str) -> None:
    traffic = await seen({Question.ITL: reply})

    assert words in why(traffic.itl_s)
    assert words in why(traffic.itl_quantile_s)


async def test_a_histogram_without_buckets_still_has_a_mean() -> None:
    traffic = await seen({Question.ITL: buckets({}, total=5, count=100)})

    assert number(traffic.itl_s) == 0.05
    assert "no buckets are exported" in why(traffic.itl_quantile_s)


async def test_bounds_that_differ_only_in_writing_are_one_bucket() -> None:
    both = buckets({"1": 10, "1.0": 20, "+Inf": 40}, total=40, count=40)

    traffic = await seen({Question.ISL: both})

    assert traffic.isl_histogram == Histogram(upper_bounds=(1.0, float("inf")), counts=(30.0, 10.0))


async def test_a_quantile_above_all_bounds_says_so() -> None:
    traffic = await seen({Question.ITL: buckets({"2": 50, "+Inf": 100}, total=500, count=100)})

    assert traffic.itl_quantile_s == Value(
        value=2.0, at_s=0.0, samples=100.0, estimator="beyond the last bucket"
    )


async def test_the_window_holds_at_least_four_scrapes() -> None:
    source = source_of({}, options=SourceOptions(scrape_interval_s=15.0))

    traffic = await source.observe(10.0)

    assert traffic.window_s == WINDOW_S == 60.0


async def test_the_scrape_interval_is_learned_from_the_scrapes() -> None:
    every_15_s = scraped(ONE, OTHER, ages_s=[300.0 - 15.0 * i for i in range(21)])
    source = source_of({Question.SCRAPES: every_15_s}, options=SourceOptions())

    traffic = await source.observe(10.0)

    assert traffic.window_s == WINDOW_S == 60.0
    assert number(traffic.arrivals_rps) == 0.0


async def test_a_scrape_interval_that_was_set_too_short_yields_to_the_real_one() -> None:
    every_15_s = scraped(ONE, OTHER, ages_s=[300.0 - 15.0 * i for i in range(21)])
    source = source_of(
        {Question.SCRAPES: every_15_s, Question.STARTED: [(ONE, 90)]},
        options=SourceOptions(scrape_interval_s=5.0),
    )
    await source.observe(WINDOW_S)

    traffic = await source.observe(10.0)

    assert traffic.window_s == WINDOW_S == 60.0
    assert number(traffic.arrivals_rps) == 1.5


async def test_a_server_that_never_answers_ends_at_the_deadline() -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError(request)

    source = source_of(
        {}, http=HttpOptions(), options=SourceOptions(observe_timeout_s=0.02), transport=Silent()
    )

    traffic = await source.observe(WINDOW_S)

    assert all(
        why(reading) == "no answer from http://prometheus.test:9090 within 0.02 s"
        for reading in readings(traffic)
    )


async def test_all_questions_are_out_before_the_first_answer() -> None:
    class Counting(httpx.AsyncBaseTransport):
        waiting = 0
        most = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            del request
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await asyncio.Event().wait()
            self.waiting -= 1
            return vector([])

    transport = Counting()
    await source_of({}, transport=transport).observe(WINDOW_S)

    assert transport.most >= 12
