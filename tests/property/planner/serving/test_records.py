"""Whatever the daemon sees and decides reads back as it was, hostile numbers and words included."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.policy import ForecastPolicy, Policy
from connectors.base import (
    Fleet,
    Histogram,
    Idle,
    Observation,
    PoolHold,
    PoolReplicas,
    PoolState,
    Replicas,
    Traffic,
    Unknown,
    Value,
)
from planner.core.decision import Decision
from planner.core.state import State
from planner.serving.codec import from_json, to_json
from planner.serving.records import Actuated, Record, Reloaded, Started, Stepped, Stopped, from_line, to_line
from predictors.base import Forecast

# Lone surrogates too: a server can send them in JSON, and they must not cost a record.
WORDS = st.text(alphabet=st.characters(codec=None), max_size=12)
READINGS = st.one_of(st.builds(Value), st.builds(Idle), st.builds(Unknown, why=WORDS))
POOLS: st.SearchStrategy[Mapping[str, PoolState]] = st.dictionaries(
    WORDS,
    st.builds(
        PoolState,
        unschedulable=st.integers(0, 9),
        why_failing=WORDS,
        hold=st.none() | st.builds(PoolHold, why=WORDS),
        most=st.none() | st.integers(0, 9),
        grace_s=st.none() | st.floats(),
    ),
    max_size=3,
)
FLEETS = st.one_of(st.builds(Fleet, pools=POOLS, standby=WORDS), st.builds(Unknown))
TRAFFIC = st.builds(
    Traffic,
    arrivals_rps=READINGS,
    completions_rps=READINGS,
    isl_tokens=READINGS,
    osl_tokens=READINGS,
    isl_histogram=st.none() | st.builds(Histogram),
    ttft_s=READINGS,
    itl_quantile_s=READINGS,
    queued=READINGS,
    kv_usage_ratio=READINGS,
)
OBSERVATIONS = st.builds(Observation, traffic=TRAFFIC, fleet=FLEETS)
STEPS = st.builds(Stepped, observation=OBSERVATIONS, forecast=st.none() | st.builds(Forecast))
VALUES: st.SearchStrategy[object] = st.one_of(
    OBSERVATIONS,
    st.builds(Policy),
    st.builds(ForecastPolicy),
    st.builds(State),
    st.builds(Forecast),
    st.builds(Decision),
    st.builds(Replicas, st.tuples(st.builds(PoolReplicas), st.builds(PoolReplicas))),
)
RECORDS: st.SearchStrategy[Record] = st.one_of(
    STEPS, st.builds(Started), st.builds(Actuated), st.builds(Reloaded), st.builds(Stopped)
)


def refuse(token: str) -> float:
    raise AssertionError(f"{token} is not JSON")


@given(value=VALUES)
def test_every_value_reads_back_as_it_was(value: object) -> None:
    text = to_json(value)

    # By representation, in which a NaN equals itself and an enum member differs from its string.
    assert repr(from_json(type(value), text)) == repr(value)


@given(record=RECORDS)
def test_every_record_is_one_line_of_strict_ascii_json_and_reads_back_as_it_was(record: Record) -> None:
    line = to_line(record)

    assert line.isascii()
    assert line.splitlines() == [line]
    assert json.loads(line, parse_constant=refuse)["schema"] == 1
    assert repr(from_line(line)) == repr(record)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_finite_numbers_read_back_to_the_last_bit(value: float) -> None:
    traffic = Traffic(at_s=0.0, window_s=30.0, arrivals_rps=Value(value=value, at_s=0.0))

    assert from_json(Traffic, to_json(traffic)) == traffic


def test_a_fleet_of_a_read_only_mapping_reads_back_equal() -> None:
    fleet = Fleet(at_s=1.0, pools=MappingProxyType({"decode": PoolState(desired=1, ready=1)}))

    assert from_json(Fleet, to_json(fleet)) == fleet


def test_a_fleet_that_was_written_before_there_were_holds_and_standbys_is_still_read() -> None:
    before = (
        '{"at_s":1.0,"pools":{"decode":{"desired":2,"ready":1,"starting":1,"terminating":0,"failing":0,'
        '"gpus_per_engine":4}}}'
    )

    state = PoolState(desired=2, ready=1, starting=1, gpus_per_engine=4)

    assert from_json(Fleet, before) == Fleet(at_s=1.0, pools={"decode": state})


def test_what_is_not_plain_data_is_refused_and_not_guessed() -> None:
    hostile = Idle(at_s=cast("float", object()))

    with pytest.raises(TypeError, match="expected plain data, found object"):
        to_json(hostile)


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    written = to_json(Value(value=np.float64(1.5), at_s=np.float32(2.0).item(), samples=np.float64("inf")))

    assert from_json(Value, written) == Value(value=1.5, at_s=2.0, samples=float("inf"))


@pytest.mark.parametrize("number", [np.int64(3), np.float32(3.0)], ids=["integer", "single precision"])
def test_numbers_of_numpy_that_python_does_not_know_are_written_as_numbers(number: object) -> None:
    count = PoolState(desired=0, ready=cast("int", number))

    assert from_json(PoolState, to_json(count)) == PoolState(desired=0, ready=3)
