"""Folding `step` over what the journal holds gives what the loop decided, hostile readings included."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.policy import DecodePoints, EngineProfile, Policy, PoolPolicy, PrefillPoints, Role, Targets
from connectors.base import Fleet, Idle, Observation, PoolState, Reading, Traffic, Unknown, Value
from planner.core.decision import Decision, StepKind
from planner.core.state import State, initial_state
from planner.core.step import step
from planner.serving.journal import Journal, open_journal_file
from planner.serving.reader import read_journal
from planner.serving.records import Started, Stepped
from predictors.base import Forecast, SeriesForecast

PROFILE = EngineProfile(
    name="two points a side",
    prefill=PrefillPoints(
        isl_tokens=(100.0, 1000.0, 4000.0, 8000.0),
        ttft_s=(0.02, 0.1, 0.4, 1.0),
        throughput_tokens_per_s_per_gpu=(5000.0, 10_000.0, 10_000.0, 8000.0),
    ),
    decode=DecodePoints(
        kv_usage_ratio=(0.1, 0.1, 0.5, 0.5, 0.9, 0.9),
        context_tokens=(500.0, 5000.0, 500.0, 5000.0, 500.0, 5000.0),
        itl_s=(0.01, 0.012, 0.02, 0.022, 0.04, 0.045),
        throughput_tokens_per_s_per_gpu=(500.0, 400.0, 1500.0, 1200.0, 2500.0, 2000.0),
        max_kv_tokens=200_000.0,
    ),
)
POLICY = Policy(
    pools=(
        PoolPolicy(name="prefill", role=Role.PREFILL, profile=PROFILE, scale_down_window_s=60.0),
        PoolPolicy(name="decode", role=Role.DECODE, profile=PROFILE, max_step_up=2),
    ),
    targets=Targets(ttft_s=0.3, itl_s=0.03),
    budget_gpus=12,
    interval_s=30.0,
)

Seen = tuple[StepKind, Observation, Forecast | None]


def readings(top: float) -> st.SearchStrategy[Reading]:
    usual = st.floats(min_value=0.0, max_value=top).map(lambda value: Value(value=value, at_s=0.0))
    hostile = st.floats().map(lambda value: Value(value=value, at_s=value))
    return st.one_of(usual, usual, usual, hostile, st.just(Idle(at_s=0.0)), st.just(Unknown(why="no answer")))


COUNTS = st.integers(min_value=0, max_value=6)
POOLS = st.builds(PoolState, desired=COUNTS, ready=COUNTS, starting=COUNTS, terminating=COUNTS)
FLEETS = st.builds(lambda prefill, decode: {"prefill": prefill, "decode": decode}, POOLS, POOLS).map(
    lambda pools: Fleet(at_s=0.0, pools=pools)
)
TRAFFIC = st.builds(
    Traffic,
    at_s=st.just(0.0),
    window_s=st.just(30.0),
    arrivals_rps=readings(50.0),
    isl_tokens=readings(8000.0),
    osl_tokens=readings(1000.0),
    ttft_s=readings(2.0),
    itl_s=readings(0.2),
    queued=readings(100.0),
)
OBSERVATIONS = st.builds(Observation, traffic=TRAFFIC, fleet=FLEETS | st.just(Unknown(why="refused")))
MEANS = st.floats(min_value=0.0, max_value=5000.0).map(lambda mean: SeriesForecast(mean=mean))
FORECASTS = st.builds(
    Forecast, arrivals_rps=MEANS, isl_tokens=st.none() | MEANS, osl_tokens=st.none() | MEANS
)
DAYS: st.SearchStrategy[list[Seen]] = st.lists(
    st.tuples(st.sampled_from(StepKind), OBSERVATIONS, st.none() | FORECASTS), min_size=1, max_size=8
)


def run(day: list[Seen], path: Path) -> tuple[list[Decision], State]:
    state = initial_state(POLICY)

    def head() -> Started:
        return Started(
            at_wall_s=0.0,
            now_s=0.0,
            version="0",
            target="a",
            policy=POLICY,
            forecast_policy=None,
            state=state,
        )

    # So small that the file is rotated after nearly every step.
    journal = Journal(
        open_journal_file(path, max_bytes=8000, keep=100), head=lambda: replace(head(), is_continued=True)
    )
    journal.append(head())
    decisions = []
    for number, (kind, observation, forecast) in enumerate(day):
        now_s = 30.0 * number
        state, decision = step(POLICY, state, observation, forecast, now_s=now_s, kind=kind)
        decisions.append(decision)
        journal.append(
            Stepped(
                at_wall_s=now_s,
                now_s=now_s,
                target="a",
                kind=kind,
                observation=observation,
                forecast=forecast,
                decision=decision,
                duration_s=0.0,
            )
        )
    journal.close()
    assert journal.write_errors == 0
    return decisions, state


def fold(path: Path) -> tuple[list[Decision], State | None]:
    policy, state, decisions = POLICY, None, []
    for record in read_journal(path, report=lambda line: pytest.fail(str(line))):
        if isinstance(record, Started):
            # The head of each rotated file must agree with the fold so far.
            assert state is None or repr(state) == repr(record.state)
            policy, state = record.policy, record.state
        elif isinstance(record, Stepped) and state is not None:
            state, decision = step(
                policy, state, record.observation, record.forecast, now_s=record.now_s, kind=record.kind
            )
            decisions.append(decision)
    return decisions, state


@settings(deadline=None, max_examples=60)
@given(day=DAYS)
def test_the_fold_of_the_journal_equals_the_loop(day: list[Seen]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        looped = run(day, path)
        folded = fold(path)

    assert repr(folded) == repr(looped)
