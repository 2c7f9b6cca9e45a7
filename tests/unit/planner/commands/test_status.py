"""A person and a program see in `status` what a daemon holds, asked over a real socket."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import pytest

from config.clock import VirtualClock
from connectors.base import Fleet, HoldKind, PoolHold, PoolState
from planner.commands.client import ask
from planner.commands.readings import expected
from planner.commands.status import status_of, text
from planner.core.words import explain, headline
from planner.serving.records import Actuated, Outcome, Record
from planner.serving.status import Health, Status, StatusBoard
from predictors.base import Quantile, SeriesForecast


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]


def row(shown: str, name: str) -> list[str]:
    return next(line for line in shown.splitlines() if line.startswith(f"{name} ")).split()


def test_a_person_sees_engines_load_latency_and_health(setpoint: Run, daemon_url: str) -> None:
    answered = setpoint("status", "--url", daemon_url)

    assert answered.code == 0
    assert answered.err == ""
    assert "advising only for llama" in answered.out
    assert "next decision in 12 s" in answered.out
    assert row(answered.out, "prefill")[:5] == ["prefill", "3", "3", "3", "0"]
    assert "5 of 8 GPUs are committed" in answered.out
    assert row(answered.out, "load")[1:3] == ["20", "requests/s"]
    assert " ".join(row(answered.out, "TTFT")) == "TTFT 150 ms 450 ms above 150 ms 300 ms"
    assert "source failing since its last try 0 s ago: prometheus did not answer" in answered.out
    assert "parts ok: actuator" in answered.out
    assert "- prefill: 20.00 requests/s of 2000 prompt" in answered.out


def test_a_program_gets_the_json_of_the_daemon(setpoint: Run, daemon_url: str) -> None:
    answered = setpoint("status", "--url", daemon_url, "--output", "json")

    assert json.loads(answered.out).keys() == json.loads(ask(daemon_url, "/api/v1/state")).keys()
    assert answered.err == ""


def test_an_address_needs_no_protocol(setpoint: Run, daemon_url: str) -> None:
    assert setpoint("status", "--url", daemon_url.removeprefix("http://")).code == 0


def test_something_else_at_the_address_is_said_so(setpoint: Run, daemon_url: str) -> None:
    answered = setpoint("status", "--url", f"{daemon_url}/elsewhere")

    assert answered.code == 1
    assert (
        "answered 404 (there is nothing at /elsewhere/api/v1/state); is it a Setpoint daemon?" in answered.err
    )


def test_a_daemon_that_has_decided_nothing_yet_says_so(board: StatusBoard) -> None:
    shown = text(board.status(explain=explain, headline=headline))

    assert "No decision yet." in shown
    assert "not ready: no tick yet" in shown


def test_a_blind_daemon_says_what_it_cannot_see(board: StatusBoard, morning: Sequence[Record]) -> None:
    for record in morning[:4]:
        board.take(record)

    shown = text(board.status(explain=explain, headline=headline))

    assert row(shown, "load")[1] == "unknown"
    assert "load unknown: prometheus did not answer" in shown
    assert "Decided" in shown
    assert "holding: the offered load is not known (prometheus did not answer)" in shown
    assert "- what to do: see blind_arrivals in docs/decisions.md" in shown


def test_a_long_reason_why_a_part_fails_is_broken_to_fit_the_terminal(
    board: StatusBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    why = "nothing listens at https://127.0.0.1:6443 (Connection refused); check that the API server is up"
    board.report("actuator", is_ok=False, detail=why)

    lines = text(board.status(explain=explain, headline=headline)).splitlines()

    assert max(map(len, lines)) <= 80
    assert "actuator failing since its last try 0 s ago:" in lines
    assert "  nothing listens at https://127.0.0.1:6443 (Connection refused); check that the" in lines


def seen_on_a_cluster(status: Status, prefill: PoolState, *, standby: str = "") -> Status:
    assert status.observation is not None
    assert isinstance(status.observation.fleet, Fleet)
    pools = {**status.observation.fleet.pools, "prefill": prefill}
    fleet = replace(status.observation.fleet, pools=pools, standby=standby)
    return replace(status, observation=replace(status.observation, fleet=fleet))


def test_targets_holds_and_engines_that_fail_are_shown(board: StatusBoard, morning: Sequence[Record]) -> None:
    for record in morning:
        board.take(record)
    prefill = PoolState(
        desired=4,
        ready=2,
        failing=2,
        why_failing="2 wait for GPUs that nobody has",
        hold=PoolHold(kind=HoldKind.ROLLING_OUT, why="1 of 4 is new"),
        target="deployment prefill",
    )

    status = seen_on_a_cluster(board.status(explain=explain, headline=headline), prefill)
    shown = text(status)

    assert row(shown, "prefill")[:7] == ["prefill", "4", "3", "2", "0", "0", "2"]
    assert "prefill is deployment prefill" in shown
    assert "prefill is left alone: 1 of 4 is new" in shown
    assert "prefill fails: 2 wait for GPUs that nobody has" in shown
    assert "scaling for" not in shown


def test_a_terminal_of_80_columns_breaks_no_name_of_a_pool(
    board: StatusBoard, morning: Sequence[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for record in morning[:4]:
        board.take(record)
    target = "dynamographdeployment llama-3-3-70b-disaggregated:VllmPrefillWorker"
    prefill = PoolState(desired=4, ready=4, target=target)

    status = seen_on_a_cluster(board.status(explain=explain, headline=headline), prefill)
    shown = text(status)

    assert max(map(len, shown.splitlines())) <= 80
    assert row(shown, "prefill")[0] == "prefill"
    assert row(shown, "decode")[0] == "decode"
    assert f"prefill is {target}" in shown.replace("\n", " ")


def test_a_standby_says_so_and_who_leads(board: StatusBoard, morning: Sequence[Record]) -> None:
    for record in morning:
        board.take(record)
    board.advisory = False
    status = board.status(explain=explain, headline=headline)
    waits = seen_on_a_cluster(status, PoolState(desired=3, ready=3), standby="setpoint-0 holds the lease")

    assert "standby for llama" in text(waits)
    assert "standby: setpoint-0 holds the lease; decisions are written only once this process leads" in text(
        waits
    )
    assert "scaling for llama" in text(status)
    assert waits.ready.is_ok


def test_the_quantile_that_was_sized_for_is_named(board: StatusBoard, morning: Sequence[Record]) -> None:
    for record in morning:
        board.take(record)
    status = board.status(explain=explain, headline=headline)
    assert status.policy is not None
    assert status.forecast is not None
    spread = (Quantile(level_ratio=0.5, value=20.0), Quantile(level_ratio=0.9, value=28.0))
    uncertain = replace(status.forecast, arrivals_rps=SeriesForecast(mean=21.0, quantiles=spread))
    policy = replace(status.policy, size_quantile_ratio=0.9)

    shown = text(replace(status, policy=policy, forecast=uncertain))

    assert " 21 requests/s (sized for p90: 28)" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_a_forecast_that_is_late_says_so(board: StatusBoard, morning: Sequence[Record]) -> None:
    for record in morning:
        board.take(record)
    status = board.status(explain=explain, headline=headline)
    assert status.forecast is not None
    late = replace(status.forecast, predictor="arima", late_intervals=3)

    assert "forecast by arima, 3 intervals late" in text(replace(status, forecast=late))
    assert "late" not in text(status)
    assert "arima, 9 intervals, 3 intervals late)" in expected(replace(late, points=9))


def test_an_expected_latency_above_its_target_is_marked(
    board: StatusBoard, morning: Sequence[Record]
) -> None:
    for record in morning:
        board.take(record)
    status = board.status(explain=explain, headline=headline)
    assert status.decision is not None
    slow = replace(status.decision, decision=replace(status.decision.decision, expected_itl_s=0.0341))

    shown = text(replace(status, decision=slow))

    assert "34.1 ms above" in shown


def test_a_refused_decision_is_told(board: StatusBoard, morning: Sequence[Record]) -> None:
    for record in morning:
        board.take(record)
    board.take(
        Actuated(
            at_wall_s=0.0,
            now_s=0.0,
            target="llama",
            replicas=(),
            outcome=Outcome.REFUSED,
            detail="quota exceeded",
        )
    )

    assert "not scaled (refused): quota exceeded" in text(board.status(explain=explain, headline=headline))


def test_a_loop_that_stopped_is_told_first(board: StatusBoard) -> None:
    status = replace(
        board.status(explain=explain, headline=headline),
        alive=Health(is_ok=False, why="no tick for 100.0 s"),
    )

    assert "not alive: no tick for 100.0 s" in text(status).splitlines()[1]


def test_text_from_a_daemon_cannot_drive_the_terminal(morning: Sequence[Record]) -> None:
    board = StatusBoard(clock=VirtualClock(), version="1\x1b[2J", target="a\nb", advisory=True)
    board.report("source", is_ok=False, detail="\x1b]0;title\x07")
    for record in morning:
        board.take(record)

    shown = text(board.status(explain=explain, headline=headline))

    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "a\\nb" in shown


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_status_fits_the_terminal(daemon_url: str, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    assert max(map(len, text(status_of(daemon_url)).splitlines())) <= int(columns)
