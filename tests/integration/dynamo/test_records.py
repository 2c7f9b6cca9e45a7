"""A Dynamo user's dashboards and searches find what they look for, and the page tells how it differs."""

import re

import pytest

from planner.serving.dynamo_series import DYNAMO_NAMES
from planner.serving.dynamo_states import LoadState, ThroughputState
from tests.integration.dynamo.expected import ABSENT, EVENTS, LOAD_STATES, THROUGHPUT_STATES, UNITS, Event
from tests.integration.dynamo.page import PAGE, UPDATE, examples, page
from tests.integration.dynamo.scenario import Run, run, samples

SHAPED = tuple(event for event in EVENTS if event.shape)
STATES = ("dynamo_planner_load_scaling_decision", "dynamo_planner_throughput_scaling_decision")
# Of the last tick's traffic: an idle interval has none of them.
OF_REQUESTS = ("ttft", "itl", "isl", "osl", "input_sequence", "output_sequence", "request_duration")


@pytest.fixture(scope="module")
def played() -> Run:
    return run()


def test_every_series_of_dynamo_is_shown_or_named_as_absent() -> None:
    assert set(DYNAMO_NAMES) | set(ABSENT) == set(UNITS)
    assert set(DYNAMO_NAMES) & set(ABSENT) == set()
    assert len(DYNAMO_NAMES) == len(set(DYNAMO_NAMES)) == 38


def test_under_load_every_series_has_one_value_without_labels(played: Run) -> None:
    values = samples(played.page)

    assert {name for name in values if "=" not in name} == set(DYNAMO_NAMES) - set(STATES)
    for name in set(DYNAMO_NAMES) - set(STATES):
        assert re.search(rf"^{name} \S+$", played.page, re.MULTILINE), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("planner:num_p_workers", 1.0),
        ("dynamo_planner_num_decode_replicas", 1.0),
        ("planner:observed_ttft", 150.0),
        ("dynamo_planner_observed_itl_ms", 10.0),
        ("planner:observed_request_rate", 30.0),
        ("planner:observed_request_duration", 3.15),
        ("dynamo_planner_observed_request_duration_seconds", 3.15),
        ("planner:observed_isl", 2000.0),
        ("dynamo_planner_predicted_requests_per_second", 30.0),
        ("planner:predicted_osl", 300.0),
        ("planner:predicted_num_p", 4.0),
        ("dynamo_planner_predicted_num_decode_replicas", 2.0),
        ("planner:gpu_hours", 2 * 2 * 30.0 / 3600.0),
        ("dynamo_planner_sla_target_ttft_ms", 300.0),
        ("dynamo_planner_sla_target_itl_ms", 20.0),
        ("dynamo_planner_throughput_scaling_decision=gpu_budget_reconcile", 1.0),
        ("dynamo_planner_throughput_scaling_decision=scale", 0.0),
        ("dynamo_planner_load_scaling_decision=no_change", 1.0),
    ],
)
def test_values_have_dynamos_units(played: Run, name: str, value: float) -> None:
    assert samples(played.page)[name] == pytest.approx(value)


def test_arrivals_over_an_engines_capacity_are_the_engines_that_the_log_says_are_needed(played: Run) -> None:
    values = samples(played.page)
    needed = [
        -(-values["planner:predicted_request_rate"] // values[f"dynamo_planner_engine_{role}_capacity{unit}"])
        for role, unit in (("prefill", "_requests_per_second"), ("decode", "_requests_per_second"))
    ]

    assert f"Predicted number of engine replicas: prefill={needed[0]:.0f}, decode={needed[1]:.0f}" in (
        played.lines
    )


def test_an_idle_interval_has_a_rate_of_zero_and_no_latency_or_length(played: Run) -> None:
    values = samples(played.idle_page)

    assert values["planner:observed_request_rate"] == 0.0
    gone = [name for name in values if "observed" in name and any(part in name for part in OF_REQUESTS)]
    assert gone == []


@pytest.mark.parametrize("event", SHAPED, ids=lambda event: event.name)
def test_each_line_has_dynamos_shape(played: Run, event: Event) -> None:
    line = examples(played).get(event.name, "")

    assert re.fullmatch(event.shape, line), f"{event.name}: expected {event.shape}, found {line!r}"


def test_no_line_in_dynamos_name_has_another_shape(played: Run) -> None:
    strange = [line for line in played.lines if not any(re.fullmatch(one.shape, line) for one in SHAPED)]

    assert strange == []


def test_the_lines_of_a_tick_come_in_dynamos_order(played: Run) -> None:
    observed = ("tick", "observed load", "observed latency", "workers", "factors", "forecast")
    sized = ("sizing, prefill", "sizing, decode", "result", "budget, warning", "summary (1.6.1)", "write")
    adapter = "write through a scaling adapter"
    order = (*observed, *sized, adapter)
    begins = [index for index, line in enumerate(played.lines) if line.startswith("New adjustment")]
    tick = played.lines[begins[1] : begins[2]]
    shapes = {event.name: event.shape for event in EVENTS}

    assert [next(name for name in order if re.fullmatch(shapes[name], line)) for line in tick] == [
        *order,
        "write",
    ]


def test_an_idle_interval_is_not_skipped(played: Run) -> None:
    at = next(index for index, line in enumerate(played.lines) if "num_req: 0.00 isl: nan" in line)
    rest = played.lines[at : at + 9]

    assert not any("skipping adjustment" in line for line in rest)
    assert "Predicted load: num_req=0.00, isl=2000.00, osl=300.00" in rest


def test_the_numbers_of_a_sizing_line_give_its_result(played: Run) -> None:
    sums = [re.search(r"calculation: ([\d.]+)\(.*/ ([\d.]+)\(.*= (\d+)\(", line) for line in played.lines]
    found = [match.groups() for match in sums if match]

    assert len(found) >= 8
    assert [one for one in found if int(one[2]) != -(-float(one[0]) // float(one[1]))] == []


def test_the_states_that_are_explained_are_dynamos() -> None:
    assert set(LOAD_STATES) <= {state.value for state in LoadState}
    assert set(THROUGHPUT_STATES) <= {state.value for state in ThroughputState}


def test_dynamos_series_add_little_to_the_page(played: Run) -> None:
    dynamos = [line for line in played.page.splitlines() if "planner:" in line or "dynamo_planner_" in line]

    assert sum(len(line) + 1 for line in dynamos) < 12_000


def test_the_page_shows_what_is_shown_and_said_today(played: Run) -> None:
    drawn, text = page(played), PAGE.read_text(encoding="utf-8")

    changed = set(drawn.splitlines()) ^ set(text.splitlines())
    assert text == drawn, f"write docs/dynamo-records.md again with `{UPDATE}`; these differ: {changed}"
