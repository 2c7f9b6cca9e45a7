"""What the client makes of every kind of answer, and what it sends."""

import asyncio
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from config.clock import VirtualClock
from config.errors import Malformed, ObservationError, SetpointError, Unreachable
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.options import HttpOptions
from tests.unit.connectors.prometheus.fake import ONE, URL, success, vector

WORD = "s3cret"
JSON = {"content-type": "application/json"}
Handler = Callable[[httpx.Request], httpx.Response]


def client_of(handler: Handler, options: HttpOptions, clock: VirtualClock | None = None) -> PrometheusClient:
    transport = httpx.MockTransport(handler)
    return PrometheusClient(URL, options=options, clock=clock or VirtualClock(), transport=transport)


def answering(status: int, text: str, **headers: str) -> Handler:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: httpx.Response(status, text=text, headers={**JSON, **named})


def raising(error: Exception) -> Handler:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise error

    return handler


BAD_QUERY = '{"status":"error","errorType":"bad_data","error":"parse error at char 3"}'
NATIVE = '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}'


def result(text: str, kind: str = "vector") -> Handler:
    return answering(200, f'{{"status":"success","data":{{"resultType":"{kind}","result":{text}}}}}')


CASES: list[tuple[str, Handler, type[SetpointError], str]] = [
    (
        "400 of Prometheus",
        answering(400, BAD_QUERY),
        ObservationError,
        "HTTP 400: bad_data: parse error at char 3",
    ),
    ("401", answering(401, "who?"), ObservationError, "check token, token_file or username and password"),
    ("403", answering(403, ""), ObservationError, "HTTP 403; these credentials may not read"),
    ("404", answering(404, "nope"), ObservationError, "check the address and its path prefix"),
    ("429", answering(429, "slow down"), Unreachable, "HTTP 429: slow down"),
    (
        "503 while starting",
        answering(503, "Service Unavailable"),
        Unreachable,
        "HTTP 503: Service Unavailable",
    ),
    ("long error page", answering(500, "x" * 1000), Unreachable, "x" * 200 + "…"),
    (
        "refused connection",
        raising(httpx.ConnectError("no")),
        Unreachable,
        "cannot reach http://prometheus.test",
    ),
    ("time-out", raising(httpx.ReadTimeout("slow")), Unreachable, "did not answer within 5 s"),
    ("closed connection", raising(httpx.RemoteProtocolError("gone")), Unreachable, "gone"),
    (
        "refusal after the TLS handshake",
        raising(ssl.SSLError(1, "tlsv13 alert certificate required")),
        Unreachable,
        "cannot reach http://prometheus.test:9090/api/v1/query: ",
    ),
    (
        "reset socket",
        raising(ConnectionResetError(104, "Connection reset by peer")),
        Unreachable,
        "Connection reset by peer",
    ),
    ("refused header", raising(httpx.LocalProtocolError("Bearer s3cret")), ObservationError, "check headers"),
    (
        "redirect",
        answering(302, "", location="https://sso.test/login?k=s3cret"),
        Malformed,
        "sso.test/login (HTTP",
    ),
    ("login page", answering(200, "<html>", content_type="text/html"), Malformed, "answered with text/html"),
    ("not JSON", answering(200, "ok"), Malformed, "expected JSON, found 'ok'"),
    ("JSON list", answering(200, "[]"), Malformed, "expected a JSON object, found list"),
    ("error with 200", answering(200, BAD_QUERY), Malformed, "bad_data: parse error at char 3"),
    (
        "long error with 200",
        answering(200, json.dumps({"status": "error", "errorType": "bad", "error": "x" * 1000})),
        Malformed,
        f"bad: {'x' * 195}…",
    ),
    ("nested too deep", answering(200, "[" * 4000), Malformed, "expected JSON"),
    (
        "type that is no text",
        answering(200, '{"status":"success","data":{"resultType":[]}}'),
        Malformed,
        "[]",
    ),
    ("no samples", result('[{"metric":{},"values":[]}]', "matrix"), Malformed, "list of samples, found []"),
    ("number beyond floats", result('[{"metric":{},"value":[1,' + "9" * 400 + "]}]"), Malformed, "a sample"),
    ("no data", answering(200, '{"status":"success"}'), Malformed, "no data object"),
    (
        "other type",
        result("[1,2]", "string"),
        Malformed,
        "expected a result of type matrix or scalar or vector",
    ),
    ("no list", result("{}"), Malformed, "expected a list of results, found dict"),
    ("no labels", result("[7]"), Malformed, "expected a series with its labels, found 7"),
    ("native histogram", answering(200, NATIVE), Malformed, "found a native histogram"),
    ("no value", result('[{"metric":{}}]'), Malformed, "expected a series with a value, found none"),
    (
        "garbage sample",
        result('[{"metric":{},"value":"x"}]'),
        Malformed,
        "expected a sample of time and value",
    ),
    ("garbage number", result('[{"metric":{},"value":[1,"x"]}]'), Malformed, "found [1, 'x']"),
    (
        "garbage range",
        result('[{"metric":{},"values":7}]', "matrix"),
        Malformed,
        "expected a list of samples",
    ),
    ("huge", answering(200, "x" * 5000), Malformed, "sent more than 4096 bytes"),
    ("bad encoding", raising(httpx.DecodingError("gzip")), Malformed, "not encoded as it says"),
]


@pytest.mark.parametrize(("handler", "kind", "words"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
async def test_an_unusable_answer_says_what_was_found(
    handler: Handler, kind: type[SetpointError], words: str
) -> None:
    client = client_of(handler, HttpOptions(retries=0, query_timeout_s=5.0, max_response_bytes=4096))

    with pytest.raises(ObservationError) as caught:
        await client.query("up")

    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_server_that_drips_is_cut_off() -> None:
    async def drip(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    transport = httpx.MockTransport(drip)
    options = HttpOptions(query_timeout_s=0.01)
    client = PrometheusClient(URL, options=options, clock=VirtualClock(), transport=transport)

    with pytest.raises(Unreachable, match=r"did not answer within 0\.01 s"):
        await client.query("up")


async def test_queries_are_forms_and_results_are_data() -> None:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return vector([(ONE, "NaN"), ({}, "+Inf")])

    found = await client_of(handler, HttpOptions()).query('up{a="b&c"}')

    assert (requests[0].method, requests[0].url.path) == ("POST", "/api/v1/query")
    assert parse_qs(requests[0].content.decode())["query"] == ['up{a="b&c"}']
    assert [dict(series.labels) for series in found.series] == [ONE, {}]
    assert [str(series.points[0].value) for series in found.series] == ["nan", "inf"]


async def test_range_queries_name_their_range() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        form = parse_qs(request.content.decode())
        assert (form["start"], form["end"], form["step"]) == (["10.000"], ["20.500"], ["5.000"])
        return success("matrix", [{"metric": {}, "values": [[10, "1"], [15, "2"]]}])

    found = await client_of(handler, HttpOptions()).query_range(
        "x", start_wall_s=10, end_wall_s=20.5, step_s=5
    )

    assert [point.value for point in found.series[0].points] == [1.0, 2.0]


async def test_a_servers_doubts_are_handed_on() -> None:
    client = client_of(lambda _: vector([], warnings=["store down"], infos=["hm"]), HttpOptions())

    assert (await client.query("up")).warnings == ("store down",)


@pytest.mark.parametrize("fault", [429, 500, 503, httpx.ConnectError("no"), ssl.SSLError("late")], ids=repr)
async def test_passing_faults_are_retried_with_growing_waits(fault: int | Exception) -> None:
    clock = VirtualClock()
    times_s: list[float] = []

    def handler(_request: httpx.Request) -> httpx.Response:
        times_s.append(clock.now_s())
        if len(times_s) > 2:
            return vector([])
        if isinstance(fault, int):
            return httpx.Response(fault)
        raise fault

    client = client_of(handler, HttpOptions(retries=2, backoff_s=0.5), clock)
    task = asyncio.ensure_future(client.query("up"))
    await clock.advance(10.0)

    assert (await task).series == ()
    assert times_s == [0.0, 0.5, 1.5]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_not_repeated(status: int) -> None:
    attempts: list[int] = []

    def handler(_request: httpx.Request) -> httpx.Response:
        attempts.append(status)
        return httpx.Response(status)

    with pytest.raises(ObservationError):
        await client_of(handler, HttpOptions(retries=5)).query("up")

    assert attempts == [status]


async def test_an_echoing_server_cannot_put_secrets_into_errors() -> None:
    names = ("authorization", "x-tenant")

    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text="".join(str(request.headers.get(name, "")) for name in names))

    options = [
        HttpOptions(token=WORD, headers=(("x-tenant", f"{WORD}-2"),)),
        HttpOptions(username="me", password=WORD),
    ]
    for one in options:
        with pytest.raises(ObservationError) as caught:
            await client_of(echo, one).query("up")

        assert "***" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in one.secrets())


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        answering(200, json.dumps({"status": "error", "error": f"who is Bearer {WORD}?"})),
        answering(200, json.dumps({"status": "success", "data": {"resultType": WORD}})),
        answering(200, "x" * 77 + WORD),
        answering(200, WORD, content_type=f"text/{WORD}"),
        answering(302, "", location=f"https://sso.test/{WORD}"),
    ],
    ids=["error", "type", "excerpt", "content type", "redirect"],
)
async def test_an_answer_that_is_accepted_cannot_put_secrets_into_errors_either(
    answer: Handler, tmp_path: Path, *, is_file: bool
) -> None:
    (tmp_path / "token").write_text(WORD, encoding="utf-8")
    options = HttpOptions(token_file=tmp_path / "token") if is_file else HttpOptions(token=WORD)

    with pytest.raises(Malformed) as caught:
        await client_of(answer, options).query("up")

    assert "s3c" not in str(caught.value)


async def test_warnings_are_few_and_short_and_show_no_secret() -> None:
    texts = [WORD, "x" * 10_000, *"abc"]
    body = {"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": texts}

    found = await client_of(answering(200, json.dumps(body)), HttpOptions(token=WORD)).query("up")

    assert WORD not in "".join(found.warnings)
    assert [len(text) < 250 for text in found.warnings] == [True, True, True]


async def test_a_secret_is_hidden_before_a_long_answer_is_cut() -> None:
    handler = answering(400, "x" * 197 + WORD)

    with pytest.raises(ObservationError) as caught:
        await client_of(handler, HttpOptions(token=WORD)).query("up")

    assert "s3c" not in str(caught.value)


def accepting(tokens: set[str]) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        known = request.headers.get("authorization") in {f"Bearer {token}" for token in tokens}
        return vector([]) if known else httpx.Response(401)

    return handler


async def test_a_replaced_token_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n", encoding="utf-8")
    accepted = {"first"}
    client = client_of(accepting(accepted), HttpOptions(token_file=path))
    await client.query("up")

    path.write_text("second-token\n", encoding="utf-8")
    accepted.symmetric_difference_update({"first", "second-token"})

    assert (await client.query("up")).series == ()


async def test_a_token_that_is_refused_is_read_again_even_if_the_file_looks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("token-1", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    accepted = {"token-1"}
    client = client_of(accepting(accepted), HttpOptions(token_file=path))
    await client.query("up")

    path.write_text("token-2", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    accepted.symmetric_difference_update({"token-1", "token-2"})

    assert (await client.query("up")).series == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read token_file"), (b"a\nb", "more than one line"), (b"\xff\xfe", "not text")],
    ids=["absent", "two lines", "binary"],
)
async def test_an_unusable_token_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(Unreachable) as caught:
        await client_of(accepting(set()), HttpOptions(token_file=path)).query("up")

    assert words in str(caught.value)
    assert str(path) in str(caught.value)
