"""What the client makes of answers that etcd gives, and of those that it does not."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from config.errors import Malformed, ObservationError, SetpointError, Unreachable
from connectors.virtual.etcd_answers import CompactedError
from connectors.virtual.etcd_client import EtcdClient, EtcdOptions, KeyValue

if TYPE_CHECKING:
    from tests.integration.connectors.virtual.conftest import Certificates, EtcdServer

Answer = tuple[int, bytes]
Serve = Callable[[Callable[[str, bytes], Awaitable[Answer | None]]], Awaitable[str]]


async def range_from(serve: Serve, answer: Answer) -> tuple[KeyValue, ...]:
    async def respond(_path: str, _body: bytes) -> Answer:
        return answer

    client = EtcdClient(EtcdOptions(endpoints=(await serve(respond),)))
    try:
        return await client.read_prefix("a/")
    finally:
        await client.close()


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


async def test_only_keys_under_the_prefix_are_read(etcd: "EtcdServer") -> None:
    for key in ("a", "a/", "a/b", "a0", "b/a"):
        etcd.put(key, f"value of {key}")
    client = EtcdClient(EtcdOptions(endpoints=(etcd.url,)))

    found = await client.read_prefix("a/")
    await client.close()

    assert [item.key for item in found] == ["a/", "a/b"]
    assert found[1].value == "value of a/b"


async def test_the_past_is_read_until_it_is_compacted(etcd: "EtcdServer") -> None:
    etcd.put("a/b", "first")
    etcd.put("a/b", "")
    client = EtcdClient(EtcdOptions(endpoints=(etcd.url,)))

    now, past = await client.read_prefix("a/"), await client.read_prefix("a/", revision=2)
    etcd.compact()
    with pytest.raises(CompactedError, match="compacted"):
        await client.read_prefix("a/", revision=2)
    await client.close()

    assert now == (KeyValue(key="a/b", value="", mod_revision=3),)
    assert past == (KeyValue(key="a/b", value="first", mod_revision=2),)


async def test_a_value_changes_only_at_the_revision_that_was_read(etcd: "EtcdServer") -> None:
    client = EtcdClient(EtcdOptions(endpoints=(etcd.url,)))

    created = await client.put_if_unchanged({"a": "1"}, revisions={"a": 0})
    again = await client.put_if_unchanged({"a": "2"}, revisions={"a": 0})
    changed = await client.put_if_unchanged({"a": "3"}, revisions={"a": created})
    await client.close()

    assert (created, again, changed) == (2, 0, 3)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>welcome</html>", "expected a JSON object"),
        (b"[]", "expected a JSON object"),
        (b'{"kvs": 3}', "expected a list of keys"),
        (b'{"kvs": [3]}', "expected a key with its revision"),
        (b'{"kvs": [{"key": "YQ=="}]}', "expected a revision"),
        (b'{"kvs": [{"key": "YQ==", "mod_revision": "-1"}]}', "expected a revision"),
        (b'{"kvs": [{"key": "%%", "mod_revision": "1"}]}', "not base64"),
        (b'{"kvs": [{"key": "YQ==", "mod_revision": "1", "value": "/w=="}]}', "the value of a is not base64"),
    ],
    ids=["html", "list", "no list", "no object", "no revision", "negative", "no base64", "no UTF-8"],
)
async def test_an_answer_that_cannot_be_read_is_malformed(gateway: Serve, body: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        await range_from(gateway, (200, body))


async def test_numbers_may_be_strings_or_numbers_and_values_may_be_absent(gateway: Serve) -> None:
    entries = [
        {"key": text("a/x"), "mod_revision": "9007199254740993"},
        {"key": text("a/y"), "mod_revision": 4},
    ]

    found = await range_from(gateway, (200, json.dumps({"kvs": entries}).encode()))

    assert [item.mod_revision for item in found] == [9007199254740993, 4]
    assert found[0].value == ""


async def test_a_server_without_the_gateway_is_malformed(gateway: Serve) -> None:
    with pytest.raises(Malformed, match="not etcd's HTTP gateway"):
        await range_from(gateway, (404, b"Not Found"))


async def test_a_server_that_is_unwell_is_unreachable_with_its_words(gateway: Serve) -> None:
    with pytest.raises(Unreachable, match=r"HTTP 503 \(etcdserver: no leader\)"):
        await range_from(gateway, (503, b'{"error": "etcdserver: no leader", "code": 14}'))


async def test_a_login_without_a_token_is_malformed(gateway: Serve) -> None:
    async def respond(_path: str, _body: bytes) -> Answer:
        return 200, b"{}"

    user = EtcdOptions(endpoints=(await gateway(respond),), username="planner")
    client = EtcdClient(user)

    with pytest.raises(Malformed, match="sent no token"):
        await client.read_prefix("a/")
    await client.close()


@pytest.mark.parametrize("status", [200, 400, 404, 500])
async def test_a_server_that_echoes_the_login_cannot_put_the_password_into_errors(
    gateway: Serve, status: int
) -> None:
    async def echo(_path: str, body: bytes) -> Answer:
        return status, b"you said: " + body

    typed = "hunter2"
    client = EtcdClient(EtcdOptions(endpoints=(await gateway(echo),), username="planner", password=typed))

    with pytest.raises(SetpointError) as caught:
        await client.read_prefix("a/")
    await client.close()

    assert typed not in str(caught.value)


async def test_a_server_with_many_words_is_cut_short(gateway: Serve) -> None:
    with pytest.raises(Unreachable) as caught:
        await range_from(gateway, (503, json.dumps({"error": "x" * 10_000}).encode()))

    assert len(str(caught.value)) < 500


async def test_an_answer_without_end_is_not_read_to_its_end(gateway: Serve) -> None:
    just_enough = b'{"more": "' + b"x" * (4 * 2**20 - 12) + b'"}'

    assert await range_from(gateway, (200, just_enough)) == ()
    for status in (200, 400, 503):
        with pytest.raises(Malformed, match="/v3/kv/range sent more than 4194304 bytes"):
            await range_from(gateway, (status, just_enough + b" "))


async def test_a_server_that_never_answers_is_given_up_in_time(gateway: Serve) -> None:
    released = asyncio.Event()

    async def respond(_path: str, _body: bytes) -> None:
        await released.wait()

    client = EtcdClient(EtcdOptions(endpoints=(await gateway(respond),), timeout_s=0.1))

    with pytest.raises(ObservationError, match=r"no answer within 0\.1 s"):
        await client.read_prefix("a/")
    released.set()
    await client.close()


async def test_the_endpoint_that_answered_is_asked_first(etcd: "EtcdServer", gateway: Serve) -> None:
    asked = []

    async def respond(path: str, _body: bytes) -> None:
        asked.append(path)

    client = EtcdClient(EtcdOptions(endpoints=(await gateway(respond), etcd.url)))
    await client.read_prefix("a/")
    await client.read_prefix("a/")
    await client.close()

    assert asked == ["/v3/kv/range"]


async def test_rights_that_changed_since_the_login_make_a_second_one(gateway: Serve) -> None:
    asked = []

    async def respond(path: str, _body: bytes) -> Answer:
        asked.append(path.rsplit("/", 1)[1])
        if path == "/v3/auth/authenticate":
            return 200, b'{"token": "a"}'
        if asked.count("range") == 1:
            return 400, b'{"error": "etcdserver: revision of auth store is old", "code": 3}'
        return 200, b"{}"

    client = EtcdClient(EtcdOptions(endpoints=(await gateway(respond),), username="planner"))
    await client.read_prefix("a/")
    await client.close()

    assert asked == ["authenticate", "range", "authenticate", "range"]


async def test_a_proxy_in_the_environment_is_not_used(
    etcd: "EtcdServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = EtcdClient(EtcdOptions(endpoints=(etcd.url,)))

    found = await client.read_prefix("a/")
    await client.close()

    assert found == ()


# --- certificates


async def test_a_server_and_a_client_with_certificates_of_one_authority_trust_each_other(
    tls_etcd: "EtcdServer", certificates: "Certificates"
) -> None:
    client = EtcdClient(
        EtcdOptions(
            endpoints=(tls_etcd.url,),
            ca_file=certificates.ca,
            cert_file=certificates.cert,
            key_file=certificates.key,
        )
    )

    written = await client.put_if_unchanged({"a": "1"}, revisions={"a": 0})
    await client.close()

    assert written == 2


async def test_a_server_of_an_unknown_authority_is_not_trusted(tls_etcd: "EtcdServer") -> None:
    client = EtcdClient(EtcdOptions(endpoints=(tls_etcd.url,)))

    with pytest.raises(Unreachable, match="certificate verify failed"):
        await client.read_prefix("a/")
    await client.close()


async def test_a_client_without_the_certificate_that_etcd_wants_is_not_let_in(
    tls_etcd: "EtcdServer", certificates: "Certificates"
) -> None:
    client = EtcdClient(EtcdOptions(endpoints=(tls_etcd.url,), ca_file=certificates.ca))

    with pytest.raises(ObservationError, match=tls_etcd.url):
        await client.read_prefix("a/")
    await client.close()
