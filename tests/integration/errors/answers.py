"""What Prometheus, or whatever answers at its address, can say, and what a tick makes of it."""

import json
from collections.abc import Mapping

import httpx

from connectors.base import Traffic
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.queries import Question
from tests.integration.errors.row import Row
from tests.integration.errors.stage import Stage
from tests.unit.connectors.prometheus.fake import (
    ONE,
    OTHER,
    WINDOW_S,
    Reply,
    buckets,
    scraped,
    source_of,
    success,
    vector,
)

Replies = Mapping[Question, Reply]
JSON = {"content-type": "application/json"}
# 20 requests/s of 2000 prompt and 300 output tokens, within the targets.
BUSY: Replies = {
    Question.STARTED: [(ONE, 800), (OTHER, 400)],
    Question.COMPLETED: [(ONE, 800), (OTHER, 400)],
    Question.ISL: buckets({"4000": 1200, "+Inf": 1200}, total=2_400_000, count=1200),
    Question.OSL: buckets({"500": 1200, "+Inf": 1200}, total=360_000, count=1200),
    Question.TTFT: buckets({"0.3": 1200, "+Inf": 1200}, total=180, count=1200),
    Question.ITL: buckets({"0.02": 1200, "+Inf": 1200}, total=12, count=1200),
    Question.DURATION: buckets({"10": 1200, "+Inf": 1200}, total=3780, count=1200),
    Question.IN_FLIGHT: [(ONE, 42), (OTHER, 21)],
    Question.QUEUED: [(ONE, 0), (OTHER, 0)],
}
_LIMIT_BYTES = 65_536
_OLD = tuple(300.0 - 5.0 * number for number in range(40))
_HALF = (*_OLD, 20.0, 15.0, 5.0, 0.0)


def _error(status: int, kind: str, text: str) -> httpx.Response:
    document = {"status": "error", "errorType": kind, "error": text}
    return httpx.Response(status, text=json.dumps(document), headers=JSON)


# The same to whatever is asked.
WHOLE: tuple[tuple[str, Reply], ...] = (
    ("connection refused", httpx.ConnectError("All connection attempts failed")),
    ("a name that is not known", httpx.ConnectError("[Errno -2] Name or service not known")),
    ("no answer in time", httpx.ReadTimeout("")),
    ("the connection ends midway", httpx.RemoteProtocolError("peer closed connection without a response")),
    (
        "HTTP 400",
        _error(400, "bad_data", "invalid parameter: parse error"),
    ),
    ("HTTP 401", httpx.Response(401)),
    ("HTTP 403", httpx.Response(403)),
    ("HTTP 404", httpx.Response(404, text="404 page not found")),
    ("HTTP 429", httpx.Response(429, text="too many requests")),
    ("HTTP 500", _error(500, "internal", "expanding series: disk")),
    ("HTTP 503", httpx.Response(503, text="upstream connect error")),
    ("a redirect", httpx.Response(302, headers={"location": "https://login.test/?to=prometheus"})),
    ("a page instead of JSON", httpx.Response(200, html="<!doctype html><title>Log in</title>")),
    ("a page that claims to be JSON", httpx.Response(200, text="<!doctype html>", headers=JSON)),
    ("JSON that is cut", httpx.Response(200, text='{"status":"success","data":{"resul', headers=JSON)),
    ("a JSON list", httpx.Response(200, text="[]", headers=JSON)),
    ("an answer without data", httpx.Response(200, text='{"status":"success"}', headers=JSON)),
    ("an answer beyond the limit of size", httpx.Response(200, content=b" " * 100_000, headers=JSON)),
    (
        "`status: error` with HTTP 200",
        _error(200, "execution", "query timed out"),
    ),
    ("another type of result", success("string", [1, "up"])),
    ("a result that is no list", success("vector", "none")),
    ("a series without labels", success("vector", [{"value": [1, "1"]}])),
    ("a sample that is no number", success("vector", [{"metric": {}, "value": [1, "many"]}])),
    ("a sample without a time", success("vector", [{"metric": {}, "value": ["1"]}])),
    ("a native histogram", success("vector", [{"metric": {}, "histogram": [1, {}]}])),
    ("a warning that the answer is partial", vector([(ONE, 1)], warnings=["store-1: no response"])),
)
# Only these answers are broken; the others stay as they were.
SINGLE: tuple[tuple[str, Replies], ...] = (
    ("arrivals are NaN", {Question.STARTED: [(ONE, "NaN"), (OTHER, 400)]}),
    ("arrivals are infinite", {Question.STARTED: [(ONE, "+Inf"), (OTHER, 400)]}),
    ("arrivals are -1", {Question.STARTED: [(ONE, "-1"), (OTHER, 400)]}),
    ("arrivals are absurdly many", {Question.STARTED: [(ONE, "1e30"), (OTHER, 400)]}),
    ("the question for arrivals is not answered in time", {Question.STARTED: httpx.ReadTimeout("")}),
    ("prompt lengths are not answered in time", {Question.ISL: httpx.ReadTimeout("")}),
    ("prompts of less than a token", {Question.ISL: buckets({"+Inf": 1200}, total=12, count=1200)}),
    ("buckets without the open one", {Question.ISL: buckets({"4000": 9}, total=9, count=9)}),
    ("TTFT is NaN", {Question.TTFT: buckets({"0.3": "NaN", "+Inf": "NaN"}, total="NaN", count="NaN")}),
    ("ITL is not answered in time", {Question.ITL: httpx.ReadTimeout("")}),
    ("no target is there", {Question.TARGETS: []}),
    (
        "no target has the namespace that is set",
        {Question.TARGETS: [], Question.NAMESPACES: [({"dynamo_namespace": "llm"}, 2)]},
    ),
    ("all targets are down", {Question.TARGETS: [(ONE, 0), (OTHER, 0)]}),
    ("one of two frontends is down", {Question.TARGETS: [(ONE, 1), (OTHER, 0)]}),
    ("nothing was scraped", {Question.SCRAPES: success("matrix", [])}),
    ("the newest scrapes are stale", {Question.SCRAPES: scraped(ONE, OTHER, ages_s=_OLD)}),
    (
        "half of the scrapes are missing, at the beginning",
        {Question.SCRAPES: scraped(ONE, ages_s=range(30, -1, -5))},
    ),
    ("most of the scrapes are missing", {Question.SCRAPES: scraped(ONE, OTHER, ages_s=_HALF)}),
)


async def answers() -> list[Row]:
    """Give each answer to a source that read well before, and take a tick on what it makes of it."""
    rows = [
        Stage(await _seen(BUSY)).row(what, await _seen(dict.fromkeys(Question, reply)))
        for what, reply in WHOLE
    ]
    rows += [Stage(await _seen(BUSY)).row(what, await _seen({**BUSY, **broken})) for what, broken in SINGLE]
    nothing = dict.fromkeys((Question.ISL, Question.OSL), httpx.ReadTimeout(""))
    traffic = await _seen({**BUSY, **nothing})
    rows.append(Stage(await _seen(BUSY)).row("lengths are not answered for four intervals", traffic, ticks=4))
    misspelled: Replies = {Question.MODELS: [({"model": "m-8b"}, 4)]}
    rows.append(Stage(await _seen(BUSY)).row("the model that is set is not there", await _seen(misspelled)))
    # Truly idle engines go, as soon as the window allows; so here it is the one that is set by default.
    rows.append(
        Stage(await _seen(BUSY), {}).row(
            "no series though all targets are up: an idle system", await _seen({})
        )
    )
    return rows


async def _seen(replies: Replies) -> Traffic:
    source = source_of(replies, http=HttpOptions(retries=0, max_response_bytes=_LIMIT_BYTES))
    traffic = await source.observe(WINDOW_S)
    await source.close()
    return traffic
