"""A Prometheus that knows the answers to a dialect's questions by heart."""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

import httpx

from config.clock import VirtualClock
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.queries import Queries, Question
from connectors.prometheus.source import PrometheusSource, SourceOptions

NOW_S = 1_700_000_000.0
WINDOW_S = 60.0
URL = "http://prometheus.test:9090"

SCOPE = Scope(model="m", namespace="ns")
OPTIONS = SourceOptions(percentile_ratio=0.9, scrape_interval_s=5.0)

Row = tuple[Mapping[str, str], object]
Reply = Sequence[Row] | httpx.Response | Exception

ONE = {"job": "frontends", "instance": "a:8000"}
OTHER = {"job": "frontends", "instance": "b:8000"}


def success(kind: str, result: object, **further: object) -> httpx.Response:
    """Return what Prometheus sends; a dict as JSON text keeps NaN out of the encoder's way."""
    document = {"status": "success", "data": {"resultType": kind, "result": result}, **further}
    return httpx.Response(200, text=json.dumps(document), headers={"content-type": "application/json"})


def vector(rows: Sequence[Row], **further: object) -> httpx.Response:
    result = [{"metric": dict(labels), "value": [NOW_S, str(value)]} for labels, value in rows]
    return success("vector", result, **further)


def scraped(
    *targets: Mapping[str, str], ages_s: Sequence[float] = tuple(range(300, -1, -5))
) -> httpx.Response:
    """Return when targets were scraped, by default every five seconds."""
    values = [[NOW_S - age_s, "0"] for age_s in ages_s]
    return success("matrix", [{"metric": dict(labels), "values": values} for labels in targets])


def buckets(counts: Mapping[str, object], *, total: object, count: object) -> list[Row]:
    rows: list[Row] = [({"le": le}, value) for le, value in counts.items()]
    return [*rows, ({"le": "sum"}, total), ({"le": "count"}, count)]


class FakePrometheus(httpx.AsyncBaseTransport):
    """Answers each question with what the test says, everything else with an empty vector."""

    def __init__(
        self, replies: Mapping[Question, Reply], *, scope: Scope, window_s: float = WINDOW_S
    ) -> None:
        healthy: dict[Question, Reply] = {
            Question.TARGETS: [(ONE, 1), (OTHER, 1)],
            Question.SCRAPES: scraped(ONE, OTHER),
        }
        self._replies = {**healthy, **replies}
        queries = Queries(dynamo(), scope)
        self._questions = {text: one for one, text in queries.of_window(window_s).items()}
        self._questions[queries.namespaces] = Question.NAMESPACES
        # A source that does not know the scrape interval yet asks with the window that it was given.
        self._questions[queries.scrapes(10.0)] = Question.SCRAPES
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        promql = parse_qs((await request.aread()).decode())["query"][0]
        self.asked.append(promql)
        reply = self._replies.get(self._questions[promql], [])
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, httpx.Response):
            return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
        return vector(reply)


def source_of(
    replies: Mapping[Question, Reply],
    *,
    scope: Scope = SCOPE,
    http: HttpOptions | None = None,
    options: SourceOptions = OPTIONS,
    transport: httpx.AsyncBaseTransport | None = None,
) -> PrometheusSource:
    clock = VirtualClock(wall_origin_s=NOW_S)
    client = PrometheusClient(
        URL,
        options=http or HttpOptions(retries=0),
        clock=clock,
        transport=transport or FakePrometheus(replies, scope=scope),
    )
    return PrometheusSource(client, dialect=dynamo(), scope=scope, clock=clock, options=options)
