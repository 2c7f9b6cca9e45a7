"""The Prometheus page shows what is known, and nothing else."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.policy import Policy, Targets
from connectors.base import (
    Fleet,
    HoldKind,
    Observation,
    PoolHold,
    PoolReplicas,
    PoolState,
    Traffic,
    Unknown,
    Value,
)
from planner.core.decision import StepKind
from planner.core.state import initial_state
from planner.serving.dynamo_series import DYNAMO_NAMES
from planner.serving.metrics import Metrics, table
from planner.serving.records import Actuated, Outcome, Reloaded, Started, Stepped
from planner.serving.status import StatusBoard

DOCS = Path(__file__).resolve().parents[4] / "docs" / "metrics.md"

Make = Callable[[float], Stepped]


class Page:
    """A board and its metrics, and what their page says."""

    def __init__(self, board: StatusBoard) -> None:
        self.board = board
        self.metrics = Metrics(board, has_process=False)

    def take(self, *records: Stepped | Started | Actuated | Reloaded) -> None:
        for record in records:
            self.board.take(record)
            self.metrics.take(record)

    def value(self, name: str, **labels: str) -> float | None:
        wanted = {"target": "llama"} | labels
        for family in text_string_to_metric_families(self.metrics.render().decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == wanted:
                    return float(sample.value)
        return None

    def names(self) -> set[str]:
        return set(re.findall(r"^# TYPE (\S+) ", self.metrics.render().decode(), re.MULTILINE))

    def own_names(self) -> set[str]:
        return self.names() - set(DYNAMO_NAMES)


@pytest.fixture
def page(board: StatusBoard) -> Page:
    return Page(board)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("setpoint_replicas_desired", {"pool": "prefill"}, 3.0),
        ("setpoint_replicas_requested", {"pool": "prefill"}, 2.0),
        ("setpoint_replicas_needed", {"pool": "decode"}, 3.0),
        ("setpoint_replicas_ready", {"pool": "decode"}, 4.0),
        ("setpoint_replicas_starting", {"pool": "prefill"}, 1.0),
        ("setpoint_replicas_terminating", {"pool": "decode"}, 1.0),
        ("setpoint_replicas_failing", {"pool": "decode"}, 0.0),
        ("setpoint_pool_gpus", {"pool": "prefill"}, 3.0),
        ("setpoint_gpus_committed", {}, 8.0),
        ("setpoint_gpu_budget", {}, 8.0),
        ("setpoint_pool_demand_tokens_per_second", {"pool": "prefill"}, 39_000.0),
        ("setpoint_engine_capacity_tokens_per_second", {"pool": "prefill"}, 15_000.0),
        ("setpoint_pool_utilization_ratio", {"pool": "prefill"}, 0.8),
        ("setpoint_pool_expected_latency_seconds", {"pool": "prefill"}, 0.25),
        ("setpoint_correction_ratio", {"pool": "prefill"}, 1.1),
        ("setpoint_arrivals_rps", {}, 12.34),
        ("setpoint_isl_tokens", {}, 3000.0),
        ("setpoint_osl_tokens", {}, 150.0),
        ("setpoint_ttft_seconds", {"quantile": "mean"}, 0.2),
        ("setpoint_ttft_seconds", {"quantile": "0.95"}, 0.4),
        ("setpoint_observation_age_seconds", {}, 2.0),
        ("setpoint_forecast_arrivals_rps", {"quantile": "mean"}, 13.0),
        ("setpoint_forecast_arrivals_rps", {"quantile": "0.95"}, 26.0),
        ("setpoint_forecast_isl_tokens", {"quantile": "0.5"}, 3000.0),
        ("setpoint_forecast_points", {}, 7.0),
        ("setpoint_forecast_late_intervals", {}, 2.0),
        ("setpoint_expected_ttft_seconds", {}, 0.25),
        ("setpoint_target_ttft_seconds", {}, 0.3),
        ("setpoint_target_itl_seconds", {}, 0.03),
        ("setpoint_target_percentile_ratio", {}, 0.95),
        ("setpoint_advisory", {}, 1.0),
        ("setpoint_ready", {}, 1.0),
        ("setpoint_hold", {}, 0.0),
        ("setpoint_last_tick_timestamp_seconds", {}, 1_700_000_030.0),
        ("setpoint_interval_seconds", {}, 30.0),
        ("setpoint_info", {"version": "0.1.0"}, 1.0),
        ("setpoint_decisions_total", {"pool": "prefill", "direction": "up", "reason": "load"}, 1.0),
        ("setpoint_decisions_total", {"pool": "decode", "direction": "none", "reason": "minimum"}, 1.0),
        ("setpoint_steps_total", {"kind": "tick"}, 1.0),
        ("setpoint_steps_total", {"kind": "look"}, 0.0),
        ("setpoint_unknown_readings_total", {"signal": "queued"}, 1.0),
        ("setpoint_actuations_total", {"outcome": "failed"}, 0.0),
        ("setpoint_ticks_skipped_total", {}, 0.0),
        ("setpoint_journal_write_errors_total", {}, 0.0),
        ("setpoint_gpu_seconds_total", {}, 0.0),
        ("setpoint_tick_duration_seconds_count", {}, 1.0),
        ("setpoint_tick_duration_seconds_bucket", {"le": "0.025"}, 1.0),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_tick_shows_on_the_page(
    *, page: Page, started: Started, make_tick: Make, name: str, labels: dict[str, str], value: float
) -> None:
    page.take(started, make_tick(30.0))

    assert page.value(name, **labels) == pytest.approx(value)


def test_holds_engines_without_room_and_leadership_are_shown_by_pool(page: Page, make_tick: Make) -> None:
    tick = make_tick(30.0)
    prefill = PoolState(
        desired=3,
        ready=1,
        failing=2,
        unschedulable=2,
        hold=PoolHold(kind=HoldKind.PAUSED, why="by Ada"),
    )
    fleet = Fleet(at_s=30.0, pools={"prefill": prefill}, standby="setpoint-0 leads")

    page.metrics.take(tick)
    page.board.take(replace(tick, observation=replace(tick.observation, fleet=fleet)))

    assert page.value("setpoint_replicas_unschedulable", pool="prefill") == 2.0
    assert page.value("setpoint_pool_hold", pool="prefill", kind="paused") == 1.0
    assert page.value("setpoint_pool_hold", pool="prefill", kind="rolling_out") == 0.0
    assert page.value("setpoint_leader") == 0.0


def test_who_only_advises_does_not_lead(page: Page, make_tick: Make) -> None:
    for is_advisory in (False, True):
        page.board.advisory = is_advisory
        page.metrics.take(make_tick(30.0))
        page.board.take(make_tick(30.0))

        assert page.value("setpoint_leader") == float(not is_advisory)


def test_who_leads_is_not_guessed_while_the_fleet_is_not_read(page: Page, make_tick: Make) -> None:
    page.board.advisory = False
    tick = make_tick(30.0)

    page.board.take(tick)
    assert page.value("setpoint_leader") == 1.0

    page.board.take(replace(tick, observation=replace(tick.observation, fleet=Unknown(why="down"))))
    assert page.value("setpoint_leader") is None


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("setpoint_itl_seconds", {"quantile": "mean"}),
        ("setpoint_queued_requests", {}),
        ("setpoint_in_flight_requests", {}),
        ("setpoint_forecast_osl_tokens", {"quantile": "mean"}),
        ("setpoint_expected_itl_seconds", {}),
        ("setpoint_pool_utilization_ratio", {"pool": "decode"}),
    ],
    ids=["idle", "unknown", "not read", "never forecast", "not expected", "not solved"],
)
def test_what_is_not_known_has_no_series(
    *, page: Page, started: Started, make_tick: Make, name: str, labels: dict[str, str]
) -> None:
    page.take(started, make_tick(30.0))

    assert page.value(name, **labels) is None


def test_a_value_that_became_unknown_is_gone_and_not_stale(
    page: Page, started: Started, make_tick: Make, make_hold: Make
) -> None:
    page.take(started, make_tick(30.0))
    seen = page.value("setpoint_arrivals_rps"), page.value("setpoint_replicas_ready", pool="decode")
    page.take(make_hold(60.0))

    assert seen == (12.34, 4.0)
    assert page.value("setpoint_arrivals_rps") is None
    assert page.value("setpoint_replicas_ready", pool="decode") is None
    assert page.value("setpoint_forecast_arrivals_rps", quantile="mean") is None
    assert page.value("setpoint_replicas_desired", pool="decode") == 4.0


def test_a_number_that_is_not_finite_has_no_series(page: Page, make_tick: Make) -> None:
    tick = make_tick(30.0)
    hostile = Traffic(at_s=float("-inf"), window_s=30.0, arrivals_rps=Value(value=float("nan"), at_s=0.0))
    page.take(replace(tick, observation=Observation(traffic=hostile, fleet=tick.observation.fleet)))

    assert page.value("setpoint_arrivals_rps") is None
    assert page.value("setpoint_observation_age_seconds") is None


def test_a_hold_is_counted_by_its_reason_and_what_was_not_read_by_its_signal(
    page: Page, make_hold: Make
) -> None:
    page.take(make_hold(30.0))

    assert page.value("setpoint_holds_total", reason="blind_arrivals") == 1.0
    assert page.value("setpoint_hold") == 1.0
    assert page.value("setpoint_ready") == 0.0
    for signal in ("arrivals", "queued", "fleet", "forecast"):
        assert page.value("setpoint_unknown_readings_total", signal=signal) == 1.0
    assert page.value("setpoint_unknown_readings_total", signal="in_flight") is None


def test_a_quiet_look_is_a_step_and_no_decision(page: Page, make_tick: Make, make_look: Make) -> None:
    page.take(make_tick(30.0), make_look(35.0))

    assert page.value("setpoint_steps_total", kind="look") == 1.0
    assert page.value("setpoint_decisions_total", pool="prefill", direction="none", reason="load") is None
    assert page.value("setpoint_tick_duration_seconds_count") == 1.0


def test_a_look_that_adds_engines_is_a_decision(page: Page, make_tick: Make) -> None:
    page.take(replace(make_tick(30.0), kind=StepKind.LOOK))

    assert page.value("setpoint_decisions_total", pool="prefill", direction="up", reason="load") == 1.0


def test_gpu_time_is_what_was_committed_between_steps(page: Page, make_tick: Make, make_look: Make) -> None:
    page.take(make_tick(30.0), make_look(35.0), make_tick(60.0))

    assert page.value("setpoint_gpu_seconds_total") == 8.0 * 30.0


def test_outcomes_reloads_errors_and_overruns_are_counted(page: Page, started: Started) -> None:
    pools = tuple(PoolReplicas(pool=pool.name, role=pool.role, count=1) for pool in started.policy.pools)
    page.take(
        Actuated(at_wall_s=0.0, now_s=0.0, target="llama", replicas=pools, outcome=Outcome.REFUSED),
        reloaded(started.policy, problem=""),
        reloaded(started.policy, problem="bad file"),
    )
    page.metrics.error("source")
    page.metrics.skipped(3)
    page.metrics.journal_error()

    assert page.value("setpoint_actuations_total", outcome="refused") == 1.0
    assert page.value("setpoint_reloads_total", outcome="taken") == 1.0
    assert page.value("setpoint_reloads_total", outcome="refused") == 1.0
    assert page.value("setpoint_errors_total", part="source") == 1.0
    assert page.value("setpoint_ticks_skipped_total") == 3.0
    assert page.value("setpoint_journal_write_errors_total") == 1.0


def reloaded(policy: Policy, *, problem: str) -> Reloaded:
    return Reloaded(
        at_wall_s=0.0,
        now_s=0.0,
        target="llama",
        policy=policy,
        forecast_policy=None,
        state=initial_state(policy),
        problem=problem,
    )


def test_the_health_of_parts_is_shown(page: Page) -> None:
    page.board.report("source", is_ok=True)
    page.board.report("actuator", is_ok=False, detail="refused")

    assert page.value("setpoint_part_healthy", part="source") == 1.0
    assert page.value("setpoint_part_healthy", part="actuator") == 0.0


def test_a_target_that_is_a_mean_labels_its_quantile_with_the_word(
    page: Page, started: Started, make_tick: Make
) -> None:
    means = replace(started.policy, targets=Targets(ttft_s=0.3, itl_s=0.03))
    page.take(replace(started, policy=means), make_tick(30.0))

    assert page.value("setpoint_ttft_seconds", quantile="target") == 0.4
    assert page.value("setpoint_target_percentile_ratio") is None


def test_before_the_first_tick_the_page_is_valid_and_holds_no_guesses(page: Page) -> None:
    assert page.value("setpoint_info", version="0.1.0") == 1.0
    assert page.value("setpoint_gpu_budget") is None
    assert page.value("setpoint_replicas_desired", pool="decode") is None


def test_hostile_label_values_do_not_break_the_page(page: Page) -> None:
    page.metrics.error('a"b\\c\nd')

    assert page.value("setpoint_errors_total", part='a"b\\c\nd') == 1.0


def test_names_follow_the_conventions_of_prometheus(page: Page) -> None:
    rows = [line.split(" | ") for line in table().splitlines()[2:]]

    assert page.own_names() == {row[0].strip("|` ") for row in rows}
    for row in rows:
        name, kind = row[0].strip("|` "), row[1]
        assert name.startswith("setpoint_")
        assert name.endswith("_total") == (kind == "counter")
        assert not re.search(r"_(ms|milliseconds|percent)(_|$)", name)


def test_the_page_has_the_memory_of_the_process_if_asked(board: StatusBoard) -> None:
    assert b"process_resident_memory_bytes" in Metrics(board).render()


def test_no_series_tells_when_a_counter_was_made(page: Page) -> None:
    assert b"_created" not in page.metrics.render()


def test_the_documentation_has_the_table_of_the_code() -> None:
    assert table() in DOCS.read_text(), (
        "write the output of planner.serving.metrics.table() into docs/metrics.md"
    )
