"""The HTTP server, asked over a real socket."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx
import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from connectors.base import Unknown, Value
from planner.core.decision import Decision
from planner.serving.api import Api
from planner.serving.codec import from_json
from planner.serving.journal import Journal
from planner.serving.metrics import Metrics
from planner.serving.records import Record, Started, Stepped
from planner.serving.server import Server
from planner.serving.status import Status, StatusBoard

Make = Callable[[float], Stepped]
Words = Callable[[Decision], tuple[str, ...]]
Line = Callable[[Decision], str]


class Daemon:
    """What a daemon would keep, and a client that asks it."""

    def __init__(self, board: StatusBoard, *, words: Words, head_line: Line) -> None:
        self.board = board
        self.journal = Journal()
        self.metrics = Metrics(board)
        self.api = Api(
            board=board, journal=self.journal, metrics=self.metrics, explain=words, headline=head_line
        )
        self.server = Server(self.api, host="127.0.0.1", port=0)

    def take(self, *records: Record) -> None:
        for record in records:
            self.board.take(record)
            self.metrics.take(record)
            self.journal.append(record)

    async def ask(self, path: str, *, method: str = "GET", content: bytes = b"") -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.server.url, trust_env=False) as client:
            return await client.request(method, path, content=content)


@pytest.fixture
async def daemon(board: StatusBoard, words: Words, head_line: Line) -> AsyncIterator[Daemon]:
    made = Daemon(board, words=words, head_line=head_line)
    async with made.server:
        yield made


async def test_port_zero_takes_a_free_port_and_tells_it(daemon: Daemon) -> None:
    answer = await daemon.ask("/")

    assert daemon.server.port > 0
    assert answer.status_code == 200
    assert "scaling llama" in answer.text
    assert "/api/v1/state" in answer.text


async def test_answers_are_neither_kept_nor_embedded(daemon: Daemon) -> None:
    headers = (await daemon.ask("/api/v1/state")).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "setpoint"
    assert "access-control-allow-origin" not in headers


async def test_metrics_are_served_as_prometheus_reads_them(
    daemon: Daemon, started: Started, make_tick: Make
) -> None:
    daemon.take(started, make_tick(30.0))
    answer = await daemon.ask("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'setpoint_replicas_desired{pool="prefill",target="llama"} 3.0' in answer.text


async def test_the_loop_is_healthy_until_it_misses_three_intervals(
    daemon: Daemon, clock: VirtualClock, started: Started, make_tick: Make
) -> None:
    daemon.take(started, make_tick(0.0))
    await clock.advance(90.0)
    in_time = await daemon.ask("/healthz")
    await clock.advance(1.0)
    late = await daemon.ask("/healthz")

    assert (in_time.status_code, in_time.text) == (200, "ok\n")
    assert (late.status_code, late.text) == (503, "no tick for 91.0 s; expected one every 30 s\n")


async def test_a_loop_that_never_ticked_becomes_unhealthy_too(
    daemon: Daemon, clock: VirtualClock, started: Started
) -> None:
    starting = await daemon.ask("/healthz")
    daemon.take(started)
    await clock.advance(91.0)

    assert (starting.status_code, starting.text) == (200, "starting\n")
    assert (await daemon.ask("/healthz")).status_code == 503


async def test_the_daemon_is_ready_after_the_first_good_step_and_stays_so(
    daemon: Daemon, make_hold: Make, make_tick: Make
) -> None:
    answers = [await daemon.ask("/readyz")]
    for record in (make_hold(30.0), make_tick(60.0), make_hold(90.0)):
        daemon.take(record)
        answers.append(await daemon.ask("/readyz"))

    assert [answer.status_code for answer in answers] == [503, 503, 200, 200]
    assert answers[0].text == "no tick yet\n"
    assert answers[1].text == "no good reading yet. blind_arrivals prometheus did not answer\n"


async def test_the_state_before_the_first_tick_has_no_guesses(daemon: Daemon) -> None:
    state = (await daemon.ask("/api/v1/state")).json()

    assert state["target"] == "llama"
    assert state["advisory"] is True
    assert state["decision"] is None
    assert state["observation"] is None
    assert state["next_tick_in_s"] is None


async def test_the_state_tells_what_is_seen_expected_and_decided(
    daemon: Daemon, clock: VirtualClock, started: Started, make_tick: Make
) -> None:
    daemon.take(started, make_tick(30.0))
    daemon.board.next_tick_at_s = 60.0
    daemon.board.report("source", is_ok=False, detail="HTTP 503")
    await clock.advance(40.0)
    state = (await daemon.ask("/api/v1/state")).json()

    assert state["uptime_s"] == 40.0
    assert state["next_tick_in_s"] == 20.0
    assert state["observation_age_s"] == 12.0
    assert state["observation"]["traffic"]["arrivals_rps"]["value"] == 12.34
    assert state["observation"]["fleet"]["pools"]["prefill"]["starting"] == 1
    assert state["forecast"]["arrivals_rps"]["mean"] == 13.0
    assert state["decision"]["headline"].startswith("prefill 2→3 (load)")
    assert state["decision"]["words"] == ["prefillload", "decodeminimum"]
    assert state["decision"]["decision"]["pools"][0]["replicas"] == 3
    assert state["policy"]["targets"]["ttft_s"] == 0.3
    assert state["policy"]["pools"][1] == {
        "pool": "decode",
        "role": "decode",
        "profile": "some-engine",
        "gpus_per_engine": 1,
        "min_replicas": 1,
        "max_replicas": 6,
    }
    assert state["parts"] == [{"part": "source", "is_ok": False, "age_s": 40.0, "detail": "HTTP 503"}]


async def test_a_client_reads_the_state_back_as_the_same_classes(
    daemon: Daemon, started: Started, make_tick: Make, make_look: Make
) -> None:
    daemon.take(started, make_tick(30.0), make_look(35.0))
    status = from_json(Status, (await daemon.ask("/api/v1/state")).content)

    assert status.decision is not None
    assert status.look is not None
    assert status.decision.decision == make_tick(30.0).decision
    assert status.look.decision == make_look(35.0).decision
    assert status.observation == make_look(35.0).observation


async def test_a_hostile_reading_is_still_strict_json(daemon: Daemon, make_tick: Make) -> None:
    tick = make_tick(30.0)
    arrivals, queued = Value(value=float("nan"), at_s=0.0), Unknown(why="\ud800<script>")
    traffic = replace(tick.observation.traffic, arrivals_rps=arrivals, queued=queued)
    daemon.take(replace(tick, observation=replace(tick.observation, traffic=traffic)))
    answer = await daemon.ask("/api/v1/state")
    state = json.loads(answer.content, parse_constant=pytest.fail)

    assert state["observation"]["traffic"]["arrivals_rps"]["value"] == "NaN"


async def test_decisions_come_oldest_first_and_say_when_there_are_more(
    daemon: Daemon, make_tick: Make
) -> None:
    daemon.take(*(make_tick(30.0 * number) for number in range(1, 5)))
    few = (await daemon.ask("/api/v1/decisions?limit=2")).json()
    everything = (await daemon.ask("/api/v1/decisions")).json()

    assert [view["decision"]["at_s"] for view in few["decisions"]] == [90.0, 120.0]
    assert few["is_cut"] is True
    assert len(everything["decisions"]) == 4
    assert everything["is_cut"] is False
    assert everything["decisions"][0]["words"] == ["prefillload", "decodeminimum"]


async def test_decisions_are_filtered_by_time_and_kind(
    daemon: Daemon, make_tick: Make, make_look: Make
) -> None:
    daemon.take(make_tick(30.0), make_look(35.0), make_tick(60.0))
    later = (await daemon.ask("/api/v1/decisions?since=1700000030")).json()
    ticks = (await daemon.ask("/api/v1/decisions?kind=tick")).json()

    assert [view["kind"] for view in later["decisions"]] == ["look", "tick"]
    assert [view["at_wall_s"] for view in ticks["decisions"]] == [1_700_000_030.0, 1_700_000_060.0]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", "limit: expected a whole number from 1 to 50, found '0'"),
        ("limit=51", "limit: expected a whole number from 1 to 50, found '51'"),
        ("limit=-1", "limit: expected a whole number from 1 to 50, found '-1'"),
        ("limit=ten", "limit: expected a whole number from 1 to 50, found 'ten'"),
        ("limit=%D9%A3", "limit: expected a whole number from 1 to 50, found '٣'"),
        ("limit=", "limit: expected a whole number from 1 to 50, found ''"),
        ("since=yesterday", "since: expected Unix time in seconds, found 'yesterday'"),
        ("since=nan", "since: expected Unix time in seconds, found 'nan'"),
        ("kind=tock", "kind: expected tick or look, found 'tock'"),
        ("limit=1&limit=2", "a parameter is given twice"),
        ("from=1", "unknown parameter 'from'"),
    ],
)
async def test_a_bad_parameter_is_refused_with_what_was_expected(
    daemon: Daemon, query: str, error: str
) -> None:
    answer = await daemon.ask(f"/api/v1/decisions?{query}")

    assert answer.status_code == 400
    assert answer.json() == {
        "error": error,
        "hint": "the parameters are limit, since and kind, each at most once",
    }


async def test_an_unknown_address_lists_the_known_ones(daemon: Daemon) -> None:
    answer = await daemon.ask("/api/v2/state")

    assert answer.status_code == 404
    assert answer.json()["error"] == "there is nothing at /api/v2/state"
    assert "/api/v1/state" in answer.json()["hint"]


@pytest.mark.parametrize("path", ["/api/v1/state", "/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_changed(daemon: Daemon, method: str, path: str) -> None:
    answer = await daemon.ask(path, method=method, content=b"{}")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.json()["error"] == "this API is read-only"


async def test_head_has_the_headers_of_get_and_no_body(daemon: Daemon) -> None:
    answer = await daemon.ask("/metrics", method="HEAD")

    assert answer.status_code == 200
    assert answer.content == b""


async def test_a_slash_at_the_end_is_forgiven(daemon: Daemon) -> None:
    assert (await daemon.ask("/api/v1/state/")).status_code == 200


async def test_a_port_in_use_is_an_error_that_says_what_to_do(daemon: Daemon) -> None:
    second = Server(daemon.api, host="127.0.0.1", port=daemon.server.port)

    with pytest.raises(ConfigError) as caught:
        await second.start()
    assert str(caught.value) == (
        f"http.port: port {daemon.server.port} on 127.0.0.1 is in use by another process; "
        "stop it, choose another port (--http-port; demo: --port), or set 0 to take a free one"
    )
    await second.stop()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
async def test_an_address_that_is_not_ours_is_an_error(daemon: Daemon, host: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"http\.bind: cannot listen on {host}: [^(]*; name an address of this"
    ):
        await Server(daemon.api, host=host, port=0).start()


async def test_a_stopped_server_frees_its_port(daemon: Daemon) -> None:
    await daemon.server.stop()
    await daemon.server.stop()

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", daemon.server.port)) != 0


async def test_the_url_of_an_ipv6_address_has_brackets(daemon: Daemon) -> None:
    assert Server(daemon.api, host="::1", port=80).url == "http://[::1]:80"
