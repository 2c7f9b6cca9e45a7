"""What the client does with an API server that is slow, busy, garbled or talkative."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from config.errors import ConfigError, Standby
from connectors.kubernetes.answers import BROKEN, CERTIFICATE, MALFORMED, TIMEOUT, UNCONNECTED
from connectors.kubernetes.api import ApiError, Patch
from connectors.kubernetes.calls import Passage
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.options import ApiOptions
from tests.cluster.scripted import HastyClock, Reply, ScriptedServer, scripted, tls_of

POD = "/api/v1/namespaces/llm/pods/a"
EVENTS = "/api/v1/namespaces/llm/events"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted() as found:
        yield found


@pytest.fixture
async def client(server: ScriptedServer, clock: HastyClock, tmp_path: Path) -> AsyncIterator[KubeClient]:
    found = _client(server, clock, tmp_path)
    yield found
    await found.close()


def _client(
    server: ScriptedServer, clock: HastyClock, folder: Path, options: ApiOptions | None = None
) -> KubeClient:
    asked = options or ApiOptions(requests_per_second=1000.0)
    asked = replace(asked, kubeconfig=asked.kubeconfig or server.kubeconfig(folder))
    return KubeClient(asked, clock, chance=lambda: 0.5)


def _status(code: int, message: str = "", reason: str = "") -> dict[str, object]:
    return {"kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason}


async def _refused(client: KubeClient, path: str = POD) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await client.get(path)
    return caught.value


async def test_a_request_carries_who_we_are_and_its_query(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(body={"kind": "Pod"}))

    found = await client.get(POD, {"labelSelector": "app in (a,b)", "limit": "5"})

    assert found == {"kind": "Pod"}
    assert server.received[0].target == f"{POD}?labelSelector=app+in+%28a%2Cb%29&limit=5"
    assert server.received[0].headers["authorization"] == "Bearer t0ken-of-ours"
    assert server.received[0].headers["user-agent"] == "setpoint"


async def test_a_write_carries_its_kind_and_our_name(server: ScriptedServer, client: KubeClient) -> None:
    await client.patch(POD, {"spec": {"replicas": 3}}, Patch.MERGE, {"dryRun": "All"})

    received = server.received[0]
    assert (received.method, received.body) == ("PATCH", b'{"spec":{"replicas":3}}')
    assert received.target == f"{POD}?fieldManager=setpoint&dryRun=All"
    assert received.headers["content-type"] == "application/merge-patch+json"


async def test_a_busy_server_is_left_alone_for_as_long_as_it_says(
    server: ScriptedServer, clock: HastyClock, client: KubeClient
) -> None:
    date = format_datetime(datetime.fromtimestamp(clock.wall_s() + 5.0, tz=UTC), usegmt=True)
    server.replies.extend(
        [
            Reply(status=429, headers={"Retry-After": "2"}),
            Reply(status=429, headers={"Retry-After": date}),
            Reply(body={"kind": "Pod"}),
        ]
    )

    found = await client.get(POD)

    assert found == {"kind": "Pod"}
    assert clock.waits_s == pytest.approx([2.0 + 0.125, 5.0 - 2.125 + 0.25])


async def test_a_server_that_wants_long_rest_gets_it_from_the_caller(
    server: ScriptedServer, clock: HastyClock, client: KubeClient
) -> None:
    server.replies.append(Reply(status=429, headers={"Retry-After": "60"}))

    error = await _refused(client)

    assert (error.status, error.retry_after_s, clock.waits_s) == (429, 60.0, [])


async def test_what_may_pass_is_tried_again_with_growing_waits(
    server: ScriptedServer, clock: HastyClock, client: KubeClient
) -> None:
    server.replies.extend([Reply(status=500), Reply(status=503), Reply(status=502), Reply(status=504)])

    error = await _refused(client)

    assert error.status == 504
    assert len(server.received) == 4
    assert clock.waits_s == [0.125, 0.25, 0.5]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 422, 501])
async def test_what_would_be_answered_the_same_is_asked_once(
    server: ScriptedServer, client: KubeClient, status: int
) -> None:
    server.otherwise = lambda _: Reply(status=status, body=_status(status, "no", "Because"))

    error = await _refused(client)

    assert (error.status, error.reason, len(server.received)) == (status, "Because", 1)
    assert str(error) == f"the API server answered {status} to GET {POD}: no"


@pytest.mark.parametrize(
    ("reply", "path", "sent"),
    [
        (Reply(status=500), EVENTS, 1),
        (Reply(status=504), EVENTS, 1),
        (Reply(raw=b"gar"), EVENTS, 1),
        (Reply(status=429), EVENTS, 2),
        (Reply(status=503), EVENTS, 2),
        (Reply(status=500), REVIEWS, 2),
    ],
)
async def test_creating_is_repeated_only_if_it_was_not_carried_out(
    server: ScriptedServer, client: KubeClient, reply: Reply, *, path: str, sent: int
) -> None:
    server.replies.append(reply)
    outcomes = await asyncio.gather(client.post(path, {}), return_exceptions=True)

    assert len(server.received) == sent
    assert isinstance(outcomes[0], ApiError) is (sent == 1)


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ({"spec": {"replicas": 2}}, Patch.MERGE, 2),
        (
            [{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/a", "value": 2}],
            Patch.JSON,
            2,
        ),
        ([{"op": "add", "path": "/a/-", "value": 1}], Patch.JSON, 1),
    ],
)
async def test_a_patch_is_repeated_if_it_says_the_same_twice(
    server: ScriptedServer, client: KubeClient, body: object, *, kind: Patch, sent: int
) -> None:
    server.replies.append(Reply(status=500))
    await asyncio.gather(client.patch(POD, body, kind), return_exceptions=True)

    assert len(server.received) == sent


async def test_what_has_to_be_so_is_asked_again_before_a_write_is_repeated(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.otherwise = lambda _: Reply(status=503)
    led = iter([True, True, False])

    def check() -> None:
        if not next(led):
            raise Standby("b leads")

    with pytest.raises(Standby, match="b leads"):
        await client.patch(POD, {"spec": {"replicas": 3}}, Patch.MERGE, before=check)

    assert len(server.received) == 2


async def test_a_server_that_hangs_is_given_up(
    server: ScriptedServer, clock: HastyClock, tmp_path: Path
) -> None:
    server.otherwise = lambda _: Reply(hangs=True)
    client = _client(server, clock, tmp_path, ApiOptions(timeout_s=0.1, retries=1))

    error = await _refused(client)
    await client.close()

    assert (error.status, error.reason, len(server.received)) == (0, TIMEOUT, 2)
    assert str(error) == f"{server.url} did not answer within 0.1 s"


async def test_cancellation_passes_at_once(server: ScriptedServer, client: KubeClient) -> None:
    server.otherwise = lambda _: Reply(hangs=True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.get(POD)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(body="<html>hello</html>"), MALFORMED),
        (Reply(body=["a", "list"]), MALFORMED),
        (Reply(body=b"\xff\xfe\x00"), MALFORMED),
        (Reply(raw=b"this is no HTTP at all\r\n\r\n"), BROKEN),
        (Reply(body={"kind": "Pod"}, is_cut=True), BROKEN),
        (Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}), BROKEN),
    ],
)
async def test_garbage_is_an_error_of_ours(
    server: ScriptedServer, client: KubeClient, reply: Reply, reason: str
) -> None:
    server.otherwise = lambda _: reply

    error = await _refused(client)

    assert error.reason == reason
    assert "\n" not in str(error)


@pytest.mark.slow
async def test_an_endless_answer_is_refused(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(body=b" " * (65 * 1024 * 1024)))

    error = await _refused(client)

    assert error.reason == MALFORMED
    assert "more than 67108864 bytes" in str(error)


async def test_a_redirect_is_not_followed(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}))

    error = await _refused(client)

    assert (error.status, len(server.received)) == (302, 1)


@pytest.mark.parametrize(
    "said",
    [
        "we got Authorization: Bearer t0ken-of-ours and did not like it",
        "bad token t0ken-of-ours",
        "Cookie: session=t0ken-of-ours",
        'header {"authorization": "Bearer t0ken-of-ours"}',
    ],
)
async def test_credentials_that_a_server_repeats_are_not_passed_on(
    server: ScriptedServer, client: KubeClient, said: str
) -> None:
    server.replies.append(Reply(status=400, body=_status(400, said)))

    error = await _refused(client)

    assert "t0ken-of-ours" not in str(error)
    assert "***" in str(error)


async def test_a_servers_words_are_one_bounded_line(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(status=400, body=_status(400, "line\n\x1b[31m" + "x" * 5000)))

    text = str(await _refused(client))

    assert len(text) < 500
    assert text.isprintable()


async def test_a_kubeconfig_that_changed_is_read_when_the_server_refuses(
    server: ScriptedServer, clock: HastyClock, tmp_path: Path
) -> None:
    path = server.kubeconfig(tmp_path)
    server.otherwise = lambda received: Reply(
        status=200 if received.headers["authorization"] == "Bearer new" else 401
    )
    client = _client(server, clock, tmp_path, ApiOptions(kubeconfig=path))
    first = await _refused(client)
    path.write_text(path.read_text(encoding="utf-8").replace("t0ken-of-ours", "new"), encoding="utf-8")

    await clock.sleep(10.0)
    await client.get(POD)
    await client.close()

    assert first.status == 401
    assert [received.headers["authorization"][7:] for received in server.received] == [
        "t0ken-of-ours",
        "t0ken-of-ours",
        "new",
    ]


async def test_requests_are_paced(server: ScriptedServer, clock: HastyClock, tmp_path: Path) -> None:
    client = _client(server, clock, tmp_path, ApiOptions(requests_per_second=2.0))

    for _ in range(8):
        await client.get(POD)
    await client.close()

    assert clock.waits_s == pytest.approx([0.5, 0.5])


async def test_what_is_passed_on_is_not_held_back(
    server: ScriptedServer, clock: HastyClock, tmp_path: Path
) -> None:
    client = _client(server, clock, tmp_path, ApiOptions(requests_per_second=2.0))

    for _ in range(20):
        await client.forward(Passage(method="POST", path=POD, content=b""))
    await client.close()

    assert clock.waits_s == []


async def test_a_refused_connection_says_what_to_check(clock: HastyClock, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = ScriptedServer(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        client = _client(server, clock, tmp_path, ApiOptions(retries=1))

        error = await _refused(client)
        created = await asyncio.gather(client.post(EVENTS, {}), return_exceptions=True)
    await client.close()

    assert error.reason == UNCONNECTED
    assert "nothing listens at" in str(error)
    assert "Connection refused" in str(error)
    assert isinstance(created[0], ApiError)
    assert len(clock.waits_s) == 2


async def test_a_name_that_is_none_says_so(clock: HastyClock, tmp_path: Path) -> None:
    client = _client(
        ScriptedServer(url="https://nowhere.invalid:6443"), clock, tmp_path, ApiOptions(retries=0)
    )

    error = await _refused(client)
    await client.close()

    assert error.reason == UNCONNECTED
    assert "the name of https://nowhere.invalid:6443 cannot be resolved" in str(error)


@pytest.mark.parametrize(
    ("name", "is_known", "words"),
    [
        ("IP:127.0.0.1", False, "not signed by an authority that we know"),
        ("DNS:elsewhere", True, "is for another name"),
    ],
)
async def test_a_certificate_that_does_not_fit_says_what_to_set(
    clock: HastyClock, tmp_path: Path, name: str, words: str, *, is_known: bool
) -> None:
    context, certificate = tls_of(tmp_path, name=name)
    async with scripted(context) as server:
        client = _client(
            server, clock, tmp_path, ApiOptions(retries=0, ca_file=certificate if is_known else None)
        )

        error = await _refused(client)
        await client.close()

    assert error.reason == CERTIFICATE
    assert words in str(error)


@pytest.mark.parametrize(
    "options", [{"verify_tls": False}, {"ca_file": True}, {"cluster": True}, {"server_name": True}]
)
async def test_a_certificate_is_trusted_by_what_the_user_says(
    clock: HastyClock, tmp_path: Path, options: dict[str, bool]
) -> None:
    name = "DNS:elsewhere" if "server_name" in options else "IP:127.0.0.1"
    context, certificate = tls_of(tmp_path, name=name)
    cluster: dict[str, str] = {}
    if options.keys() & {"cluster", "server_name"}:
        cluster["certificate-authority"] = str(certificate)
    if "server_name" in options:
        cluster["tls-server-name"] = "elsewhere"
    async with scripted(context) as server:
        client = _client(
            server,
            clock,
            tmp_path,
            ApiOptions(
                kubeconfig=server.kubeconfig(tmp_path, cluster=cluster),
                verify_tls=options.get("verify_tls", True),
                ca_file=certificate if "ca_file" in options else None,
            ),
        )

        found = await client.get(POD)
        await client.close()

    assert found == {}


async def test_an_authority_that_cannot_be_read_is_an_error_of_the_settings(
    server: ScriptedServer, clock: HastyClock, tmp_path: Path
) -> None:
    client = _client(server, clock, tmp_path, ApiOptions(ca_file=tmp_path / "absent.pem"))

    with pytest.raises(ConfigError) as caught:
        await client.open()

    assert caught.value.key == "kubernetes.ca_file"
    assert (await _refused(client)).reason == "Configuration"


@pytest.mark.parametrize("way", ["setting", "kubeconfig", "environment"])
async def test_a_proxy_is_used(
    server: ScriptedServer, clock: HastyClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, way: str
) -> None:
    behind = ScriptedServer(url="http://api.internal:6443")
    cluster = {"proxy-url": server.url} if way == "kubeconfig" else {}
    if way == "environment":
        monkeypatch.setenv("http_proxy", server.url)
    client = _client(
        server,
        clock,
        tmp_path,
        ApiOptions(
            kubeconfig=behind.kubeconfig(tmp_path, cluster=cluster),
            proxy=server.url if way == "setting" else "",
        ),
    )

    await client.get(POD)
    await client.close()

    assert server.received[0].target == f"http://api.internal:6443{POD}"


async def test_what_is_on_this_machine_is_reached_directly(
    server: ScriptedServer, clock: HastyClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = _client(server, clock, tmp_path)

    await client.get(POD)
    await client.close()

    assert server.received[0].target == POD


@pytest.mark.parametrize("is_plugin", [False, True])
async def test_a_client_certificate_says_who_we_are_and_may_rotate(
    clock: HastyClock, tmp_path: Path, *, is_plugin: bool
) -> None:
    context, certificate = tls_of(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    user = _plugin_user(tmp_path) if is_plugin else _certificate_user(tmp_path)
    async with scripted(context) as server:
        kubeconfig = server.kubeconfig(
            tmp_path, user=user, cluster={"certificate-authority": str(certificate)}
        )
        client = _client(server, clock, tmp_path, ApiOptions(kubeconfig=kubeconfig, retries=0))
        first = await client.get(POD)
        server.replies.append(Reply(status=401))
        (tmp_path / "mine.crt").write_bytes(certificate.read_bytes() + b"\n")
        second = await client.get(POD)
        await client.close()

    assert (first, second, len(server.received)) == ({}, {}, 3)
    assert "authorization" not in server.received[0].headers


def _certificate_user(folder: Path) -> dict[str, object]:
    for name in ("crt", "key"):
        (folder / f"mine.{name}").write_bytes((folder / f"server.{name}").read_bytes())
    return {"client-certificate": str(folder / "mine.crt"), "client-key": str(folder / "mine.key")}


def _plugin_user(folder: Path) -> dict[str, object]:
    """Return a user whose plugin hands out a certificate that differs each time."""
    program = folder / "plugin.py"
    program.write_text(
        f"import json, pathlib, time\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        f"certificate = f'{{time.time_ns()}}\\n' + (folder / 'server.crt').read_text()\n"
        f"key = (folder / 'server.key').read_text()\n"
        f"status = {{'clientCertificateData': certificate, 'clientKeyData': key}}\n"
        f"print(json.dumps({{'apiVersion': 'v1', 'kind': 'ExecCredential', 'status': status}}))\n",
        encoding="utf-8",
    )
    return {"exec": {"apiVersion": "v1", "command": sys.executable, "args": [str(program)]}}


def _lines(*lines: str) -> bytes:
    return "".join(lines).encode()


async def _watched(client: KubeClient, **query: str) -> list[str]:
    return [event.item["metadata"]["name"] async for event in client.watch(EVENTS, query)]


def _event(name: str, kind: str = "ADDED") -> str:
    return f'{{"type":"{kind}","object":{{"metadata":{{"name":"{name}"}}}}}}\n'


async def test_a_watch_asks_for_bookmarks_and_an_end(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(body=_lines(_event("a"), _event("b"))))

    seen = await _watched(client, resourceVersion="7")

    assert seen == ["a", "b"]
    assert (
        server.received[0].target
        == f"{EVENTS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=7"
    )


async def test_a_line_of_a_watch_may_be_long(server: ScriptedServer, client: KubeClient) -> None:
    long = "x" * (3 * 1024 * 1024)
    server.replies.append(Reply(body=_lines(_event(long), _event("b"))))

    seen = await _watched(client)

    assert [len(name) for name in seen] == [len(long), 1]


async def test_a_line_of_a_watch_is_bounded(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(body=b"x" * (9 * 1024 * 1024), stays_open=True))

    with pytest.raises(ApiError) as caught:
        await _watched(client)

    assert caught.value.reason == MALFORMED


async def test_half_a_line_at_the_end_of_a_watch_is_none(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(body=_lines(_event("a"), _event("b")[:20])))

    assert await _watched(client) == ["a"]


async def test_a_watch_that_is_too_old_is_gone(server: ScriptedServer, client: KubeClient) -> None:
    status = '{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version: 1 (9)"}'
    server.replies.append(Reply(body=_lines(f'{{"type":"ERROR","object":{status}}}\n')))

    with pytest.raises(ApiError) as caught:
        await _watched(client)

    assert caught.value.status == 410
    assert "too old resource version" in str(caught.value)


@pytest.mark.parametrize("line", ["no JSON\n", "[]\n", '{"type":1,"object":{}}\n', '{"type":"ADDED"}\n'])
async def test_a_line_that_is_none_ends_the_watch(
    server: ScriptedServer, client: KubeClient, line: str
) -> None:
    server.replies.append(Reply(body=line))

    with pytest.raises(ApiError) as caught:
        await _watched(client)

    assert caught.value.reason == MALFORMED


async def test_a_watch_that_broke_says_so(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(body=_event("a"), is_cut=True))

    with pytest.raises(ApiError) as caught:
        await _watched(client)

    assert (caught.value.status, caught.value.reason) == (0, BROKEN)


async def test_a_watch_that_is_silent_for_too_long_is_dead(
    server: ScriptedServer, clock: HastyClock, tmp_path: Path
) -> None:
    server.replies.append(Reply(body=_event("a"), stays_open=True))
    client = _client(server, clock, tmp_path, ApiOptions(timeout_s=0.1))

    with pytest.raises(ApiError) as caught:
        await _watched(client, timeoutSeconds="0")
    await client.close()

    assert caught.value.reason == TIMEOUT


async def test_a_watch_that_is_refused_is_not_repeated(server: ScriptedServer, client: KubeClient) -> None:
    server.otherwise = lambda _: Reply(status=503, headers={"Retry-After": "3"})

    with pytest.raises(ApiError) as caught:
        await _watched(client)

    assert (caught.value.status, caught.value.retry_after_s, len(server.received)) == (503, 3.0, 1)


async def test_what_is_passed_on_comes_back_as_it_is(server: ScriptedServer, client: KubeClient) -> None:
    server.replies.append(Reply(status=404, body={"error": "no such series"}))
    passage = Passage(method="POST", path="/p", query="a=b", headers={"X-A": "b"}, content=b"query=up")

    passed = await client.forward(passage)

    assert (passed.status, passed.content) == (404, b'{"error": "no such series"}')
    assert (server.received[0].target, server.received[0].body) == ("/p?a=b", b"query=up")
    assert server.received[0].headers["x-a"] == "b"
