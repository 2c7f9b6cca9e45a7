"""The webhook actuator against a real HTTP server: wishes, keys, signatures, retries, answers."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog

from config.clock import SystemClock
from config.errors import (
    ActuationError,
    ConfigError,
    Conflict,
    Malformed,
    ObservationError,
    Refused,
    Unreachable,
)
from connectors.base import PoolState, Replicas
from connectors.testing import ActuatorConformance, ActuatorHarness
from connectors.virtual.webhook import WebhookActuator
from connectors.virtual.webhook_options import WebhookOptions
from connectors.virtual.webhook_protocol import signature_of
from tests.integration.connectors.virtual.receiver import WALL_S, HurriedClock, Receiver, Reply, pool_of

if TYPE_CHECKING:
    from tests.integration.connectors.virtual.conftest import Certificates

KEY = "hunter2-is-the-key"
TENANT = "tenant-of-the-header"
WANTED = Replicas.of(prefill=2, decode=5)
OTHER = Replicas.of(prefill=3, decode=4)
Open = Callable[..., WebhookActuator]


@pytest.fixture
def clock() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver(prefill=1, decode=2)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def planner(receiver: Receiver, clock: HurriedClock) -> AsyncIterator[Open]:
    """Open actuators of this receiver; a second one is a planner that was started again."""
    opened: list[WebhookActuator] = []

    def make(*, at: HurriedClock = clock, chance: float = 1.0, **options: object) -> WebhookActuator:
        asked = replace(WebhookOptions(url=receiver.url, secret=KEY), **cast("dict[str, Any]", options))
        opened.append(WebhookActuator(asked, at, target="llm", chance=lambda: chance))
        return opened[-1]

    yield make
    for actuator in opened:
        await actuator.close()


@asynccontextmanager
async def harness() -> AsyncIterator[ActuatorHarness]:
    replicas = Replicas.of(prefill=1, decode=2)
    receiver = Receiver(**replicas)
    await receiver.start()
    options = WebhookOptions(url=receiver.url, secret=KEY, retries=1)
    actuator = WebhookActuator(options, HurriedClock(), target="llm")
    yield ActuatorHarness(actuator=actuator, replicas=replicas, break_backend=receiver.stop)
    await actuator.close()
    await receiver.stop()


async def test_the_webhook_conforms() -> None:
    assert len(await ActuatorConformance(harness).run_all()) == 11


# --- what is sent


async def test_a_decision_is_posted_with_its_key_and_a_signature(receiver: Receiver, planner: Open) -> None:
    await planner().scale(WANTED)

    (post,) = receiver.posts
    assert post.document == {
        "schema_version": 1,
        "target": "llm",
        "decision": post.key,
        "sequence": int(WALL_S * 1000),
        "at_unix_s": WALL_S,
        "pools": {
            "prefill": {"role": "prefill", "replicas": 2},
            "decode": {"role": "decode", "replicas": 5},
        },
    }
    assert post.headers["Content-Type"] == "application/json"
    assert post.headers["Accept-Encoding"] == "identity"
    assert post.headers["Setpoint-Signature"].startswith(f"t={int(WALL_S)},v1=")
    assert post.is_signed_with(KEY)
    assert not post.is_signed_with(KEY + "x")


async def test_a_read_is_signed_over_nothing_and_goes_to_its_own_address(
    receiver: Receiver, planner: Open
) -> None:
    receiver.fleet = {"pools": {"decode": {**pool_of(4), "starting": 1, "gpus_per_engine": 2}}}

    fleet = await planner(read_url=receiver.url + "/now").read()

    (get,) = receiver.requests
    assert (get.method, get.path, get.body) == ("GET", "/fleet/now", b"")
    assert get.is_signed_with(KEY)
    assert fleet.pools == {"decode": PoolState(desired=4, ready=4, starting=1, gpus_per_engine=2)}


async def test_without_a_secret_nothing_is_signed(receiver: Receiver, planner: Open) -> None:
    await planner(secret="").scale(WANTED)

    assert "Setpoint-Signature" not in receiver.posts[0].headers


async def test_own_headers_are_sent_and_do_not_replace_those_of_the_protocol(
    receiver: Receiver, planner: Open
) -> None:
    await planner(headers=(("X-Tenant", TENANT), ("Idempotency-Key", "always-the-same"))).scale(WANTED)

    (post,) = receiver.posts
    assert post.headers["X-Tenant"] == TENANT
    assert post.key == post.document["decision"]


async def test_a_secret_file_is_read_again_for_each_request(
    receiver: Receiver, planner: Open, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    actuator = planner(secret="", secret_file=file)
    for secret in ("first", "second"):
        file.write_text(f"{secret}\n", encoding="utf-8")
        await actuator.read()

        assert receiver.requests[-1].is_signed_with(secret)


async def test_without_its_secret_file_nothing_is_sent(
    receiver: Receiver, planner: Open, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    actuator = planner(secret="", secret_file=file)
    for words in ("No such file", "is empty"):
        with pytest.raises(ActuationError, match=words):
            await actuator.scale(WANTED)
        with pytest.raises(Unreachable, match=words):
            await actuator.read()
        file.write_text("\n", encoding="utf-8")

    assert receiver.requests == []


# --- one key for one wish


async def test_each_new_wish_has_a_new_key_and_a_higher_sequence(receiver: Receiver, planner: Open) -> None:
    actuator = planner()
    for wish in (WANTED, OTHER, WANTED):
        await actuator.scale(wish)

    sequences = [post.document["sequence"] for post in receiver.posts]
    assert len({post.key for post in receiver.posts}) == 3
    assert sequences == sorted(set(sequences))
    assert receiver.counts == dict(WANTED)


async def test_a_wish_whose_answer_was_lost_is_asked_again_under_its_key(
    receiver: Receiver, planner: Open, clock: HurriedClock
) -> None:
    actuator = planner(retries=0)
    receiver.replies.append(Reply(status=0, is_carried_out=True))
    with pytest.raises(ActuationError, match="was not handed over: cannot reach"):
        await actuator.scale(WANTED)
    clock.pass_by(30.0)

    await actuator.scale(WANTED)

    first, second = receiver.posts
    assert (first.key, first.body) == (second.key, second.body)
    assert first.headers["Setpoint-Signature"] != second.headers["Setpoint-Signature"]


async def test_a_fleet_that_somebody_else_changed_gets_the_same_counts_under_a_new_key(
    receiver: Receiver, planner: Open
) -> None:
    actuator = planner()
    await actuator.scale(WANTED)
    receiver.counts["decode"] = 9
    await actuator.read()

    await actuator.scale(WANTED)

    assert receiver.counts == dict(WANTED)
    assert len({post.key for post in receiver.posts}) == 2


@pytest.mark.parametrize("status", [409, 422])
async def test_a_clear_no_ends_a_wish(receiver: Receiver, planner: Open, status: int) -> None:
    actuator = planner()
    receiver.replies.append(Reply(status=status))
    with pytest.raises(ActuationError):
        await actuator.scale(WANTED)

    await actuator.scale(WANTED)

    first, second = receiver.posts
    assert second.document["sequence"] > first.document["sequence"]
    assert first.key != second.key


async def test_after_a_conflict_with_another_planner_the_order_goes_on_above_it(
    receiver: Receiver, planner: Open
) -> None:
    actuator = planner()
    receiver.replies.append(Reply(status=409, text="a later decision was carried out"))
    with pytest.raises(Conflict):
        await actuator.scale(WANTED)
    receiver.decision = f"{int((WALL_S + 60.0) * 1000)}-0123456789abcdef"
    await actuator.read()

    await actuator.scale(WANTED)

    assert receiver.posts[-1].document["sequence"] == int((WALL_S + 60.0) * 1000) + 1


async def test_what_was_just_read_is_not_asked_for(
    receiver: Receiver, planner: Open, clock: HurriedClock
) -> None:
    actuator = planner()
    await actuator.scale(WANTED)
    await actuator.read()
    await actuator.scale(WANTED)
    assert len(receiver.posts) == 1

    clock.pass_by(11.0)
    await actuator.scale(WANTED)

    assert len(receiver.posts) == 2
    assert receiver.posts[0].key == receiver.posts[1].key


async def test_a_read_that_overlaps_a_hand_over_tells_nothing(receiver: Receiver, planner: Open) -> None:
    actuator = planner()
    receiver.gate.clear()
    read = asyncio.create_task(actuator.read())
    await receiver.is_asked.wait()
    await actuator.scale(WANTED)
    receiver.gate.set()
    await read

    await actuator.scale(Replicas.of(prefill=1, decode=2))

    assert len(receiver.posts) == 2
    assert receiver.counts == {"prefill": 1, "decode": 2}


async def test_a_planner_that_was_started_again_asks_for_nothing_that_is_so(
    receiver: Receiver, planner: Open
) -> None:
    await planner().scale(WANTED)
    again = planner()
    await again.read()

    await again.scale(WANTED)

    assert len(receiver.posts) == 1


async def test_a_planner_that_was_started_again_knows_the_wish_that_the_receiver_names(
    receiver: Receiver, planner: Open, clock: HurriedClock
) -> None:
    await planner().scale(WANTED)
    receiver.decision = receiver.posts[0].key
    again = planner()
    await again.read()
    clock.pass_by(60.0)

    await again.scale(WANTED)

    assert receiver.posts[1].key == receiver.posts[0].key
    assert receiver.posts[1].body == receiver.posts[0].body


async def test_a_planner_that_was_started_again_takes_no_name_that_stands_for_something_else(
    receiver: Receiver, planner: Open, clock: HurriedClock
) -> None:
    await planner().scale(WANTED)
    receiver.decision = receiver.posts[0].key
    receiver.counts = dict(OTHER)
    again = planner()
    await again.read()
    clock.pass_by(60.0)

    await again.scale(OTHER)

    assert receiver.posts[1].key != receiver.posts[0].key


async def test_a_clock_that_was_set_back_does_not_number_a_wish_below_the_last_one(
    receiver: Receiver, planner: Open
) -> None:
    await planner().scale(WANTED)
    receiver.decision = receiver.posts[0].key
    again = planner(at=HurriedClock(wall_origin_s=WALL_S - 3600.0))
    await again.read()

    await again.scale(OTHER)

    first, second = (post.document["sequence"] for post in receiver.posts)
    assert second == first + 1


# --- attempts


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
async def test_a_hand_over_without_a_usable_answer_is_tried_again_with_the_same_key(
    receiver: Receiver, planner: Open, clock: HurriedClock, status: int
) -> None:
    receiver.replies.extend([Reply(status=status, is_carried_out=True)] * 3)

    await planner().scale(WANTED)

    assert len(receiver.posts) == 4
    assert len({(post.key, post.body) for post in receiver.posts}) == 1
    assert all(post.is_signed_with(KEY) for post in receiver.posts)
    assert clock.waits_s == [0.25, 0.5, 1.0]
    assert receiver.counts == dict(WANTED)


async def test_up_to_half_of_a_wait_is_left_to_chance(
    receiver: Receiver, planner: Open, clock: HurriedClock
) -> None:
    receiver.replies.extend([Reply(status=503)] * 7)

    await planner(chance=0.0, retries=7).scale(WANTED)

    assert clock.waits_s == [0.125, 0.25, 0.5, 1.0, 2.0, 2.5, 2.5]


async def test_after_the_last_attempt_the_error_says_what_was_answered_and_how_often(
    receiver: Receiver, planner: Open
) -> None:
    receiver.replies.extend([Reply(status=503, text='{"error": "no leader"}')] * 4)

    with pytest.raises(ActuationError, match=r"answered HTTP 503: no leader \(4 attempts\)"):
        await planner().scale(WANTED)


@pytest.mark.parametrize("asked", ["3", formatdate(WALL_S + 3.0, usegmt=True)])
async def test_a_receiver_that_asks_to_wait_is_left_alone_for_so_long(
    receiver: Receiver, planner: Open, clock: HurriedClock, asked: str
) -> None:
    receiver.replies.append(Reply(status=429, headers={"Retry-After": asked}))

    await planner().scale(WANTED)

    assert sum(clock.waits_s) == pytest.approx(3.0)
    assert len(receiver.posts) == 2


async def test_a_receiver_that_asks_for_a_long_wait_is_not_asked_before(
    receiver: Receiver, planner: Open, clock: HurriedClock
) -> None:
    actuator = planner()
    receiver.replies.append(Reply(status=503, headers={"Retry-After": "3600"}))
    for _ in range(2):
        with pytest.raises(ActuationError, match="asked to be left alone for 60 s more"):
            await actuator.scale(WANTED)
    assert len(receiver.posts) == 1
    assert sum(clock.waits_s) < 1.0

    clock.pass_by(61.0)
    await actuator.scale(WANTED)

    assert len(receiver.posts) == 2


@pytest.mark.parametrize("asked", ["-5", "soon", "9" * 400, ""])
async def test_a_wait_that_is_none_is_not_waited(
    receiver: Receiver, planner: Open, clock: HurriedClock, asked: str
) -> None:
    receiver.replies.append(Reply(status=429, headers={"Retry-After": asked}))
    actuator = planner()

    if asked.startswith("9"):
        with pytest.raises(ActuationError, match="left alone"):
            await actuator.scale(WANTED)
    else:
        await actuator.scale(WANTED)

    assert sum(clock.waits_s) <= 0.25


async def test_a_receiver_that_hangs_is_given_up_after_the_timeout() -> None:
    hold = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = WebhookOptions(url=f"http://127.0.0.1:{port}/", timeout_s=0.05, retries=1)
    actuator = WebhookActuator(options, HurriedClock(), target="llm")

    with pytest.raises(Unreachable, match=r"did not answer within 0\.05 s \(2 attempts\)"):
        await actuator.read()

    hold.set()
    server.close()
    await actuator.close()


async def test_a_receiver_that_drips_its_answer_is_given_up_after_the_timeout() -> None:
    ended = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with suppress(ConnectionError):
            for _ in range(1000):
                writer.write(b" ")
                await writer.drain()
                await SystemClock().sleep(0.02)
        writer.close()
        ended.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = WebhookOptions(url=f"http://127.0.0.1:{port}/", timeout_s=0.1, retries=0)
    actuator = WebhookActuator(options, HurriedClock(), target="llm")

    with pytest.raises(Unreachable, match=r"did not answer within 0\.1 s"):
        await actuator.read()

    await actuator.close()
    await ended.wait()
    server.close()


async def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, planner: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    fleet = await planner(retries=0).read()

    assert fleet.pools["decode"].desired == 2
    assert len(receiver.requests) == 1


# --- answers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422, 426])
async def test_a_receiver_that_says_no_is_not_asked_again(
    receiver: Receiver, planner: Open, clock: HurriedClock, status: int
) -> None:
    receiver.replies.append(Reply(status=status, text="no such\npool"))

    with pytest.raises(Refused, match=f"/fleet answered HTTP {status}: no such pool"):
        await planner().scale(WANTED)

    assert len(receiver.posts) == 1
    assert clock.waits_s == []


async def test_another_writer_is_a_conflict(receiver: Receiver, planner: Open) -> None:
    receiver.replies.append(Reply(status=409, text="changed by hand"))

    with pytest.raises(Conflict, match="changed by hand"):
        await planner().scale(WANTED)


@pytest.mark.parametrize("status", [401, 404, 409])
async def test_a_read_that_is_not_let_in_is_an_observation_error(
    receiver: Receiver, planner: Open, status: int
) -> None:
    receiver.replies.append(Reply(status=status))

    with pytest.raises(ObservationError, match=f"answered HTTP {status}"):
        await planner().read()


@pytest.mark.parametrize("location", ["http://elsewhere.test/fleet?key=abc", "/other", "//", ""])
async def test_a_redirect_is_not_followed(receiver: Receiver, planner: Open, location: str) -> None:
    actuator = planner()
    for _ in range(2):
        receiver.replies.append(Reply(status=307, headers={"Location": location}))

    with pytest.raises(ActuationError, match="HTTP 307") as caught:
        await actuator.scale(WANTED)
    with pytest.raises(ObservationError, match="HTTP 307"):
        await actuator.read()

    assert len(receiver.requests) == 2
    assert "abc" not in str(caught.value)


async def test_an_answer_that_is_too_long_is_refused_while_it_arrives(
    receiver: Receiver, planner: Open
) -> None:
    receiver.fleet = {"pools": {"x" * 2**21: pool_of(1)}}

    with pytest.raises(Malformed, match="sent more than 1048576 bytes"):
        await planner().read()


async def test_what_is_no_fleet_is_malformed(receiver: Receiver, planner: Open) -> None:
    receiver.fleet = {"pools": {"decode": {**pool_of(1), "ready": "one"}}}

    with pytest.raises(Malformed, match=r"/fleet: pool 'decode': ready is 'one'; expected a whole number"):
        await planner().read()


async def test_a_negative_count_is_refused_without_asking(receiver: Receiver, planner: Open) -> None:
    with pytest.raises(Refused, match="asked for -1 replicas"):
        await planner().scale(Replicas.of(decode=-1))

    assert receiver.requests == []


# --- secrets and TLS


async def test_no_secret_is_in_an_error_a_log_or_a_representation(receiver: Receiver, planner: Open) -> None:
    headers = (("X-Tenant", TENANT),)
    actuator = planner(headers=headers)
    echo = Reply(status=400, text=f"bad key {KEY} of {TENANT} " + "z" * 10_000)
    receiver.replies.extend([echo, Reply(status=302, headers={"Location": f"http://x.test/{KEY}"})])

    with structlog.testing.capture_logs() as logs:
        errors = await asyncio.gather(actuator.scale(WANTED), actuator.read(), return_exceptions=True)

    shown = f"{errors} {logs} {WebhookOptions(url=receiver.url, secret=KEY, headers=headers)!r}"
    assert "bad key *** of ***" in shown
    assert KEY not in shown
    assert TENANT not in shown
    assert len(shown) < 2000


@pytest.mark.parametrize("word", [KEY, TENANT])
async def test_no_secret_is_in_the_error_about_a_body_that_echoes_it(
    receiver: Receiver, planner: Open, word: str
) -> None:
    receiver.replies.append(Reply(status=200, text=f"got {word}"))

    with pytest.raises(Malformed, match="hold our secrets, not shown") as caught:
        await planner(headers=(("X-Tenant", TENANT),)).read()

    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("text", [f"unknown token {TENANT}", json.dumps({"error": f"{TENANT}?"})])
async def test_no_token_of_a_header_is_in_an_error_that_echoes_it_alone(
    receiver: Receiver, planner: Open, text: str
) -> None:
    receiver.replies.append(Reply(status=403, text=text))

    with pytest.raises(Refused, match=r"\*\*\*") as caught:
        await planner(headers=(("Authorization", f"Bearer {TENANT}"),)).scale(WANTED)

    assert TENANT not in str(caught.value)


async def test_no_signature_is_in_an_error_that_echoes_it(receiver: Receiver, planner: Open) -> None:
    at_s = int(WALL_S)
    expected = signature_of(b"", secret=KEY, at_unix_s=at_s)
    receiver.replies.append(Reply(status=401, text=f"bad signature {expected}"))

    with pytest.raises(ObservationError, match=rf"bad signature t={at_s},v1=\*\*\*") as caught:
        await planner().read()

    assert receiver.requests[0].headers["Setpoint-Signature"] == expected
    assert expected.partition("v1=")[2] not in str(caught.value)


@pytest.mark.parametrize("is_ascii", [True, False])
async def test_no_secret_is_in_the_error_about_a_body_that_escapes_it(
    receiver: Receiver, planner: Open, *, is_ascii: bool
) -> None:
    word = 'pä"ss\\word'
    receiver.replies.append(Reply(status=200, text=json.dumps({"pools": {word: 1}}, ensure_ascii=is_ascii)))

    with pytest.raises(Malformed, match="hold our secrets, not shown"):
        await planner(secret=word).read()


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"url": "ftp://a.test"}, "webhook.url"),
        ({"url": "http://user:hunter2@a.test"}, "webhook.url"),
        ({"url": "http://a.test", "read_url": "a.test"}, "webhook.read_url"),
        ({"url": "http://a.test", "secret": "a", "secret_file": Path("b")}, "webhook.secret"),
    ],
)
def test_options_that_no_request_can_be_made_from_are_refused(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(WebhookOptions(url="http://a.test"), **options)

    assert caught.value.key == key
    assert "hunter2" not in str(caught.value)


async def test_the_certificate_is_verified_unless_told_otherwise(
    certificates: "Certificates", clock: HurriedClock
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.cert, certificates.key)
    receiver = Receiver(decode=2)
    await receiver.start(tls=tls)
    trusting = WebhookOptions(url=receiver.url, ca_file=Path(certificates.ca), retries=0)
    careless = replace(trusting, ca_file=None, verify_tls=False)
    strict = replace(trusting, ca_file=None)

    for options in (trusting, careless):
        actuator = WebhookActuator(options, clock, target="llm")
        assert (await actuator.read()).pools["decode"].desired == 2
        await actuator.close()
    actuator = WebhookActuator(strict, clock, target="llm")
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await actuator.read()

    await actuator.close()
    await receiver.stop()


def test_an_authority_that_cannot_be_read_names_the_setting(clock: HurriedClock) -> None:
    options = WebhookOptions(url="https://a.test", ca_file=Path("/nonexistent/ca.pem"))

    with pytest.raises(ConfigError, match=r"webhook\.ca_file: cannot read certificates"):
        WebhookActuator(options, clock, target="llm")
