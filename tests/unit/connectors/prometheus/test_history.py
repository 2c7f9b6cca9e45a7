"""What past windows are made of, and which of them are unknown."""

import json
from collections.abc import Mapping
from itertools import pairwise
from urllib.parse import parse_qs

import httpx
import pytest

from config.clock import VirtualClock
from config.errors import Malformed, ObservationError, Unreachable
from connectors.base import Idle, Unknown, Value
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.queries import Queries, Question
from connectors.prometheus.source import PrometheusSource, SourceOptions
from tests.unit.connectors.prometheus.fake import NOW_S, ONE, URL, scraped, success, vector

STEP_S = 60.0
SCRAPE_INTERVAL_S = 15.0
ANY = Scope()
Rows = list[tuple[Mapping[str, str], list[float | None]]]


class Archive(httpx.AsyncBaseTransport):
    """A server whose series are lists of numbers, the last one being the end; None is a gap.

    The beginning of each window was scraped where the window was, unless the series say otherwise. Its clock
    is ahead of ours, and what it is asked now is what models and targets there are.
    """

    def __init__(
        self,
        series: Mapping[Question, Rows],
        *,
        warnings: list[str] | None = None,
        ahead_s: float = 0.0,
        scope: Scope = ANY,
        models: tuple[str, ...] = (),
    ) -> None:
        whole = series.get(Question.SCRAPE_COUNT, [])
        self._series = {Question.START_COUNT: whole, **series}
        self._warnings = warnings or []
        self._ahead_s = ahead_s
        queries = Queries(dynamo(), scope)
        questions = queries.of_history(STEP_S, scrape_interval_s=SCRAPE_INTERVAL_S)
        self._questions = {text: question for question, text in questions.items()}
        ages_s = [SCRAPE_INTERVAL_S * number for number in range(9)]
        self._now = {queries.scrapes(STEP_S): scraped(ONE, ages_s=ages_s[::-1])}
        answers = {
            Question.TARGETS: vector([(ONE, 1)]),
            Question.MODELS: vector([({"model": name}, 1) for name in models]),
        }
        self._now |= {text: answers[question] for question, text in queries.of_names().items()}
        self.ranges: list[tuple[float, float]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        form = {name: found[0] for name, found in parse_qs((await request.aread()).decode()).items()}
        if form["query"] == "time()":
            return success("scalar", [NOW_S, str(NOW_S + self._ahead_s)])
        if form["query"] in self._now:
            answer = self._now[form["query"]]
            return httpx.Response(200, headers=answer.headers, content=answer.content)
        self.ranges.append((float(form["start"]), float(form["end"])))
        rows = self._series.get(self._questions[form["query"]], [])
        result = [
            {"metric": dict(labels), "values": list(self._values(numbers, form))} for labels, numbers in rows
        ]
        return success("matrix", result, warnings=self._warnings)

    def _values(self, numbers: list[float | None], form: Mapping[str, str]) -> list[tuple[float, str]]:
        first_s = NOW_S + self._ahead_s - (len(numbers) - 1) * STEP_S
        return [
            (at_s, json.dumps(number))
            for index, number in enumerate(numbers)
            if number is not None
            and float(form["start"]) <= (at_s := first_s + index * STEP_S) <= float(form["end"])
        ]


def source_on(
    archive: httpx.AsyncBaseTransport, *, timeout_s: float = 5.0, scope: Scope = ANY, wall_s: float = 0.0
) -> PrometheusSource:
    clock = VirtualClock(wall_origin_s=wall_s)
    client = PrometheusClient(URL, options=HttpOptions(retries=0), clock=clock, transport=archive)
    options = SourceOptions(history_timeout_s=timeout_s)
    return PrometheusSource(client, dialect=dynamo(), scope=scope, clock=clock, options=options)


async def test_past_windows_are_read_oldest_first() -> None:
    archive = Archive(
        {
            Question.SCRAPE_COUNT: [({}, [4.0] * 4)],
            Question.STARTED: [(ONE, [0.0, 60.0, 120.0, 180.0])],
            Question.IN_FLIGHT: [(ONE, [0.0] * 4)],
            Question.ISL: [
                ({"le": "sum"}, [0.0, 600.0, 6000.0, 900.0]),
                ({"le": "count"}, [0.0, 6.0, 6.0, 9.0]),
            ],
        }
    )

    found = await source_on(archive).history(3 * STEP_S, STEP_S)

    assert [one.at_s for one in found] == [-120.0, -60.0, 0.0]
    assert [one.arrivals_rps for one in found] == [
        Value(value=rate, at_s=at_s, samples=60.0 * rate, estimator="started")
        for rate, at_s in ((1.0, -120.0), (2.0, -60.0), (3.0, 0.0))
    ]
    assert [getattr(one.isl_tokens, "value", None) for one in found] == [100.0, 1000.0, 100.0]
    assert {type(one.osl_tokens) for one in found} == {Idle}
    assert {one.ttft_s for one in found} == {Unknown(why="not read by this source")}


async def test_gaps_and_outages_are_unknown_and_not_zero() -> None:
    archive = Archive(
        {
            Question.SCRAPE_COUNT: [({}, [4.0, None, 1.0, 4.0, 4.0])],
            Question.DOWN: [({}, [None, None, None, 1.0, None])],
            Question.STARTED: [(ONE, [60.0, None, 60.0, 60.0, 60.0])],
        }
    )

    found = await source_on(archive).history(5 * STEP_S, STEP_S)

    assert [getattr(one.arrivals_rps, "why", "") for one in found] == [
        "",
        "nothing was scraped",
        "scraping was interrupted: 1 scrapes, expected 4",
        "frontends that were down: 1",
        "",
    ]


async def test_a_window_whose_beginning_was_not_scraped_is_unknown_and_no_small_load() -> None:
    archive = Archive(
        {
            Question.SCRAPE_COUNT: [({}, [None, 3.0, 4.0])],
            Question.START_COUNT: [({}, [None, None, 1.0])],
            Question.STARTED: [(ONE, [None, 30.0, 60.0])],
        }
    )

    found = await source_on(archive).history(3 * STEP_S, STEP_S)

    assert [getattr(one.arrivals_rps, "why", "") for one in found] == [
        "nothing was scraped",
        "the beginning of the window was not scraped, so what came then is not counted",
        "",
    ]


async def test_windows_end_at_multiples_of_the_step_on_our_clock_whatever_the_server_s_says() -> None:
    archive = Archive({Question.SCRAPE_COUNT: [({}, [4.0] * 3)]}, ahead_s=7.0)

    found = await source_on(archive, wall_s=NOW_S + 25.0).history(3 * STEP_S, STEP_S)

    assert NOW_S % STEP_S == 20.0
    assert [one.at_s for one in found] == [-165.0, -105.0, -45.0]
    assert {one.window_s for one in found} == {STEP_S}
    assert set(archive.ranges) == {(NOW_S + 7.0 - 165.0, NOW_S + 7.0 - 45.0)}


async def test_the_history_of_a_model_that_is_misspelled_is_no_idle_service() -> None:
    scope = Scope(model="lama")
    archive = Archive({Question.SCRAPE_COUNT: [({}, [4.0] * 3)]}, scope=scope, models=("llama",))

    with pytest.raises(ObservationError, match="no series of model 'lama'; the frontend has: llama"):
        await source_on(archive, scope=scope).history(3 * STEP_S, STEP_S)


async def test_a_long_history_is_read_in_pieces_that_fit_together() -> None:
    steps = 2_400
    archive = Archive({Question.SCRAPE_COUNT: [({}, [4.0] * steps)]})

    found = await source_on(archive).history(steps * STEP_S, STEP_S)

    assert len(found) == steps
    assert {getattr(one.arrivals_rps, "value", None) for one in found} == {0.0}
    pieces = sorted(set(archive.ranges))
    assert len(pieces) == 3
    assert all(later[0] - earlier[1] == STEP_S for earlier, later in pairwise(pieces))
    assert pieces[-1][1] == NOW_S


async def test_a_partial_history_is_refused() -> None:
    archive = Archive({}, warnings=["store is down"])

    with pytest.raises(Malformed, match="partial answer: store is down"):
        await source_on(archive).history(STEP_S, STEP_S)


async def test_a_history_that_cannot_be_read_is_an_error() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(403))

    with pytest.raises(ObservationError, match="HTTP 403"):
        await source_on(transport).history(STEP_S, STEP_S)


async def test_a_history_that_takes_too_long_is_an_error() -> None:
    archive = Archive({Question.SCRAPE_COUNT: [({}, [4.0] * 10)]})

    with pytest.raises(Unreachable, match="was not read within 0 s"):
        await source_on(archive, timeout_s=0.0).history(10 * STEP_S, STEP_S)
