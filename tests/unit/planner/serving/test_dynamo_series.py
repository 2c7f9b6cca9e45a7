"""Dynamo's series follow the records, and what is not known has none."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.base import Fleet, Observation, PoolState
from planner.serving.dynamo_series import DYNAMO_NAMES
from planner.serving.metrics import Metrics
from planner.serving.records import Started, Stepped
from planner.serving.status import StatusBoard

Make = Callable[[float], Stepped]


class Page:
    def __init__(self, board: StatusBoard) -> None:
        self.board = board
        self.metrics = Metrics(board, has_process=False)

    def take(self, *records: Stepped | Started) -> None:
        for record in records:
            self.board.take(record)
            self.metrics.take(record)

    def values(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.metrics.render().decode())
        found = [sample for family in families for sample in family.samples if sample.name in DYNAMO_NAMES]
        return {sample.name: float(sample.value) for sample in found if not sample.labels}

    def text(self) -> str:
        return self.metrics.render().decode()

    def state(self, name: str) -> list[str]:
        families = text_string_to_metric_families(self.metrics.render().decode())
        found = [sample for family in families for sample in family.samples if sample.name == name]
        return [sample.labels[name] for sample in found if sample.value == 1.0]


@pytest.fixture
def page(board: StatusBoard) -> Page:
    return Page(board)


def test_before_the_first_tick_there_are_gpu_hours_of_zero_and_no_guesses(page: Page) -> None:
    assert page.values() == {"planner:gpu_hours": 0.0, "dynamo_planner_gpu_hours": 0.0}
    assert page.state("dynamo_planner_throughput_scaling_decision") == ["unset"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("planner:num_p_workers", 1.0),
        ("planner:num_d_workers", 4.0),
        ("planner:observed_ttft", 200.0),
        ("dynamo_planner_observed_ttft_ms", 200.0),
        ("planner:p_correction_factor", 1.1),
        ("planner:predicted_request_rate", 13.0),
        ("planner:predicted_num_p", 3.0),
        ("planner:predicted_num_d", 4.0),
        ("dynamo_planner_estimated_ttft_ms", 250.0),
        ("dynamo_planner_engine_prefill_capacity_requests_per_second", 5.0),
    ],
)
def test_a_tick_shows_in_dynamos_units(
    page: Page, started: Started, make_tick: Make, *, name: str, value: float
) -> None:
    page.take(started, make_tick(30.0))

    assert page.values()[name] == pytest.approx(value)


@pytest.mark.parametrize(
    "name",
    [
        "planner:observed_itl",
        "planner:observed_request_duration",
        "planner:predicted_osl",
        "dynamo_planner_estimated_itl_ms",
        "dynamo_planner_engine_decode_capacity_requests_per_second",
    ],
    ids=["idle", "not read", "never forecast", "not expected", "not solved"],
)
def test_what_is_not_known_has_no_series(page: Page, started: Started, make_tick: Make, name: str) -> None:
    page.take(started, make_tick(30.0))

    assert name not in page.values()


def test_a_fleet_that_is_not_seen_has_no_workers_and_adds_no_gpu_hours(
    page: Page, started: Started, make_tick: Make, make_hold: Make
) -> None:
    page.take(started, make_tick(30.0))
    before = page.values()["planner:gpu_hours"]
    page.take(make_hold(60.0))

    assert "planner:num_p_workers" not in page.values()
    assert page.values()["planner:gpu_hours"] == before == pytest.approx(5 * 30.0 / 3600.0)


def test_gpu_hours_grow_by_the_interval_at_ticks_only_and_count_gpus(
    page: Page, started: Started, make_tick: Make, make_look: Make
) -> None:
    tick = make_tick(30.0)
    pools = tuple(replace(pool, gpus_per_engine=2) for pool in tick.decision.pools)
    page.take(started, make_look(5.0), replace(tick, decision=replace(tick.decision, pools=pools)))

    assert page.values()["dynamo_planner_gpu_hours"] == pytest.approx(5 * 2 * 30.0 / 3600.0)


def test_gpu_hours_follow_the_interval_that_is_set(page: Page, started: Started, make_tick: Make) -> None:
    page.take(replace(started, policy=replace(started.policy, interval_s=60.0)), make_tick(60.0))

    assert page.values()["planner:gpu_hours"] == pytest.approx(5 * 60.0 / 3600.0)


def test_what_a_tick_decided_stays_though_advice_is_not_followed_and_looks_find_nothing(
    page: Page, started: Started, make_tick: Make, make_look: Make
) -> None:
    page.take(started, make_look(5.0), make_tick(30.0), make_look(35.0), make_look(40.0))

    values = page.values()
    assert values["planner:predicted_num_p"] == values["dynamo_planner_predicted_num_prefill_replicas"] == 3.0
    assert 'setpoint_replicas_desired{pool="prefill",target="llama"} 3.0' in page.text()


def test_what_a_look_adds_is_decided_until_the_next_tick(
    page: Page, started: Started, make_tick: Make, make_look: Make
) -> None:
    quiet = make_look(35.0)
    prefill, decode = quiet.decision.pools
    surge = replace(quiet, decision=replace(quiet.decision, pools=(replace(prefill, replicas=5), decode)))
    page.take(started, make_tick(30.0), surge, make_look(40.0))
    after_the_look = page.values()["planner:predicted_num_p"]
    page.take(make_tick(60.0))

    assert (after_the_look, page.values()["planner:predicted_num_p"]) == (5.0, 3.0)


def test_a_look_sets_the_load_decision_which_the_next_tick_leaves(
    page: Page, started: Started, make_tick: Make, make_look: Make
) -> None:
    page.take(started, make_look(5.0), make_tick(30.0))

    assert page.state("dynamo_planner_load_scaling_decision") == ["no_change"]
    assert page.state("dynamo_planner_throughput_scaling_decision") == ["scale"]


def test_a_fleet_without_one_of_the_pools_counts_none_of_it(
    page: Page, started: Started, make_tick: Make
) -> None:
    tick = make_tick(30.0)
    fleet = Fleet(at_s=30.0, pools={"decode": PoolState(desired=4, ready=3)})
    page.take(started, replace(tick, observation=Observation(traffic=tick.observation.traffic, fleet=fleet)))

    assert page.values()["planner:num_d_workers"] == 3.0
    assert "planner:num_p_workers" not in page.values()
