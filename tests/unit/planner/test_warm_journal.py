"""What a process that starts learns from the journal of the one before."""

import asyncio
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from config.clock import VirtualClock
from config.load import load
from config.policies import policy_from
from config.policy import Policy
from connectors.base import Fleet, Idle, Observation, PoolState, Traffic, Unknown, Value
from planner.core.decision import StepKind
from planner.core.state import State, initial_state
from planner.core.step import step
from planner.serving.records import Record, Started, Stepped, Stopped, to_line
from planner.simulation.profile import embedded_profile
from planner.warm_journal import Recollection, recollect
from predictors.base import UNSEEN, Forecast, LoadInterval, SeriesForecast

INTERVAL_S = 30.0
ORIGIN_WALL_S = 1.7e9
# The process before counted its monotonic time from another origin than the one that reads.
OTHER_ORIGIN_S = 5000.0
FLAGS = {
    "targets.ttft": "300ms",
    "targets.itl": "25ms",
    "budget_gpus": "20",
    "correction.smoothing": "0.5",
    "pools.prefill.scale_down_window": "3m",
}
POLICY = policy_from(load(flags=FLAGS, environment={}).settings, embedded_profile())
COLD = initial_state(POLICY)


def seen(rps: float | None, *, ttft_s: float = 0.1, prefill: int = 2) -> Observation:
    unknown, idle = Unknown(why="away"), Idle(at_s=0.0)
    length = unknown if rps is None else idle if rps == 0.0 else Value(value=1000.0, at_s=0.0)
    return Observation(
        traffic=Traffic(
            at_s=0.0,
            window_s=INTERVAL_S,
            arrivals_rps=unknown if rps is None else Value(value=rps, at_s=0.0),
            isl_tokens=length,
            osl_tokens=length,
            ttft_s=Value(value=ttft_s, at_s=0.0),
            itl_s=Value(value=0.02, at_s=0.0),
            request_duration_s=Value(value=5.0, at_s=0.0),
        ),
        fleet=Fleet(
            at_s=0.0,
            pools={
                "prefill": PoolState(desired=prefill, ready=prefill),
                "decode": PoolState(desired=3, ready=3),
            },
        ),
    )


def forecast_of(rps: float | None) -> Forecast | None:
    if rps is None:
        return None
    mean = SeriesForecast(mean=1000.0 if rps else 0.0)
    return Forecast(
        made_at_s=0.0,
        horizon_s=60.0,
        predictor="constant",
        arrivals_rps=SeriesForecast(mean=rps),
        isl_tokens=mean,
        osl_tokens=mean,
        points=1,
    )


@dataclass
class Process:
    """One process that ticks and writes it down; time is that of its own clock."""

    policy: Policy = POLICY
    target: str = "llm"
    state: State = COLD
    records: tuple[Record, ...] = ()

    def start(self, now_s: float) -> None:
        self._write(
            Started(
                at_wall_s=self.wall_s(now_s),
                now_s=now_s,
                version="0",
                target=self.target,
                policy=self.policy,
                forecast_policy=None,
                state=self.state,
            )
        )

    def step(
        self, rps: float | None, *, now_s: float, kind: StepKind = StepKind.TICK, took_s: float = 0.25
    ) -> None:
        observation, forecast = seen(rps, ttft_s=0.1 + 0.01 * (rps or 0.0)), forecast_of(rps)
        self.state, decision = step(
            self.policy, self.state, observation, forecast, now_s=now_s + took_s, kind=kind
        )
        self._write(
            Stepped(
                at_wall_s=self.wall_s(now_s + took_s),
                now_s=now_s + took_s,
                target=self.target,
                kind=kind,
                observation=observation,
                forecast=forecast,
                decision=decision,
                duration_s=took_s,
            )
        )

    def day(self, rates: Sequence[float | None], *, begin_s: float = OTHER_ORIGIN_S) -> None:
        self.start(begin_s)
        for number, rps in enumerate(rates, start=1):
            now_s = begin_s + INTERVAL_S * number
            self.step(rps, now_s=now_s - 10.0, kind=StepKind.LOOK)
            self.step(rps, now_s=now_s)

    @staticmethod
    def wall_s(now_s: float) -> float:
        return ORIGIN_WALL_S + now_s - OTHER_ORIGIN_S

    def _write(self, record: Record) -> None:
        self.records = (*self.records, record)


async def recalled(
    records: Iterable[Record], folder: Path, *, after_s: float, policy: Policy = POLICY, intervals: int = 300
) -> Recollection:
    """Read a journal as a process does that starts so long after the origin."""
    path = folder / "journal.jsonl"
    path.write_text("".join(f"{to_line(record)}\n" for record in records))
    return await recollect(
        path,
        policy=policy,
        target="llm",
        duration_s=intervals * INTERVAL_S,
        clock=VirtualClock(wall_origin_s=ORIGIN_WALL_S + after_s),
    )


def shifted(state: State, by_s: float) -> State:
    """Return a state whose times are on a clock that shows so much more."""
    pools = tuple(
        replace(
            memory, wishes=tuple(replace(wish, at_s=round(wish.at_s + by_s, 3)) for wish in memory.wishes)
        )
        for memory in state.pools
    )
    lengths = replace(
        state.lengths,
        isl_at_s=round(state.lengths.isl_at_s + by_s, 3) if state.lengths.isl_tokens else 0.0,
        osl_at_s=round(state.lengths.osl_at_s + by_s, 3) if state.lengths.osl_tokens else 0.0,
    )
    blind = None if state.blind_since_s is None else round(state.blind_since_s + by_s, 3)
    return replace(state, pools=pools, lengths=lengths, blind_since_s=blind, started_at_s=None)


RATES = (4.0, 16.0, 60.0, 60.0, 8.0, None, 8.0, 0.0, 12.0)


async def test_the_state_is_that_of_the_process_before_on_our_clock(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)

    found = await recalled(process.records, tmp_path, after_s=300.0)

    assert found.state is not None
    assert found.doubt == ""
    assert shifted(found.state, 0.0) == shifted(process.state, -OTHER_ORIGIN_S - 300.0)
    assert {len(memory.wishes) > 1 for memory in found.state.pools} == {True}
    assert {memory.correction_ratio != 1.0 for memory in found.state.pools} == {True}


async def test_of_a_long_journal_the_end_is_enough(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES * 20)
    lasted_s = 180 * INTERVAL_S

    found = await recalled(process.records, tmp_path, after_s=lasted_s + 20.0, intervals=60)

    assert found.state is not None
    assert shifted(found.state, 0.0) == shifted(process.state, -OTHER_ORIGIN_S - lasted_s - 20.0)
    assert 60 <= len(found.ticks) <= 61


async def test_ticks_are_told_with_what_they_saw_and_when_they_were_due(tmp_path: Path) -> None:
    process = Process()
    process.day((4.0, None, 0.0))

    found = await recalled(process.records, tmp_path, after_s=100.0)

    assert [one.load for one in found.ticks] == [
        LoadInterval(arrivals_rps=4.0, isl_tokens=1000.0, osl_tokens=1000.0),
        UNSEEN,
        LoadInterval(arrivals_rps=0.0),
    ]
    assert [one.at_s for one in found.ticks] == [pytest.approx(at_s - 100.0) for at_s in (30, 60, 90)]
    assert found.anchor_s == pytest.approx(-10.0)


async def test_the_rhythm_is_that_of_the_ticks_that_were_least_late(tmp_path: Path) -> None:
    process = Process()
    process.start(OTHER_ORIGIN_S)
    for number, late_s in enumerate((0.2, 0.0, 3.0, 4.0), start=1):
        process.step(4.0, now_s=OTHER_ORIGIN_S + INTERVAL_S * number + late_s)

    found = await recalled(process.records, tmp_path, after_s=130.0)

    assert found.anchor_s == pytest.approx(-10.0)


async def test_the_last_process_that_ticked_gives_the_rhythm(tmp_path: Path) -> None:
    process = Process()
    process.day((4.0, 4.0))
    process.day((4.0,), begin_s=OTHER_ORIGIN_S + 72.0)
    for begin_s in (110.0, 115.0):  # two that were killed at once
        process.start(OTHER_ORIGIN_S + begin_s)

    found = await recalled(process.records, tmp_path, after_s=120.0)

    assert found.anchor_s == pytest.approx(102.0 - 120.0)


async def test_processes_that_see_no_tick_do_not_put_it_off(tmp_path: Path) -> None:
    process = Process()
    for begin_s in (0.0, 11.0, 22.0):
        process.start(OTHER_ORIGIN_S + begin_s)

    found = await recalled(process.records, tmp_path, after_s=29.0)

    assert (found.anchor_s, found.state, found.ticks) == (None, None, ())
    assert found.start_s == pytest.approx(-29.0)


async def test_a_process_that_ended_long_ago_leaves_no_wishes_and_no_plan(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)

    found = await recalled(process.records, tmp_path, after_s=9 * INTERVAL_S + 11 * INTERVAL_S)

    assert found.state is not None
    assert {(memory.desired, memory.wishes) for memory in found.state.pools} == {(None, ())}
    assert (found.state.planned, found.state.blind_since_s) == (None, None)
    ratios = [memory.correction_ratio for memory in process.state.pools]
    assert [memory.correction_ratio for memory in found.state.pools] == ratios
    assert len(found.ticks) == len(RATES)


async def test_a_state_of_other_pools_is_not_taken_and_that_is_said(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)
    renamed = replace(POLICY, pools=(replace(POLICY.pools[0], name="reader"), POLICY.pools[1]))

    found = await recalled(process.records, tmp_path, after_s=300.0, policy=renamed)

    assert found.state is None
    assert found.doubt == "its pools are prefill, decode"
    assert len(found.ticks) == len(RATES)


async def test_the_records_of_another_deployment_do_not_count(tmp_path: Path) -> None:
    process = Process(target="other")
    process.day(RATES)

    found = await recalled(process.records, tmp_path, after_s=300.0)

    assert (found.ticks, found.state, found.anchor_s) == ((), None, None)
    assert found.doubt == "none of its steps counts; the last one is of another deployment: other"


async def test_a_journal_of_another_schema_says_so(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)
    path = tmp_path / "journal.jsonl"
    lines = "".join(f"{to_line(record)}\n" for record in process.records)
    path.write_text(lines.replace('{"schema":1', '{"schema":2'))
    clock = VirtualClock(wall_origin_s=ORIGIN_WALL_S + 300.0)

    found = await recollect(path, policy=POLICY, target="llm", duration_s=9000.0, clock=clock)

    assert (found.ticks, found.state) == ((), None)
    assert found.doubt.startswith("none of its steps counts; of the last one expected schema 1, found 2")


async def test_a_few_steps_of_another_deployment_among_ours_are_no_doubt(tmp_path: Path) -> None:
    process, other = Process(), Process(target="other")
    process.day(RATES[:4])
    other.day(RATES[4:], begin_s=OTHER_ORIGIN_S + 4 * INTERVAL_S)

    for records in ((*process.records, *other.records), (*other.records, *process.records)):
        found = await recalled(records, tmp_path, after_s=300.0)

        assert len(found.ticks) == 4
        assert found.doubt == ""


async def test_lines_that_cannot_be_read_cost_themselves_only(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)
    path = tmp_path / "journal.jsonl"
    lines = [to_line(record) for record in process.records]
    lines[6] = lines[6][:200]
    path.write_text(
        "\n".join(lines) + '\n{"schema":1,"record":"stepped","at_wall_s":1700000271.0,"kind":"tick"'
    )
    clock = VirtualClock(wall_origin_s=ORIGIN_WALL_S + 300.0)

    found = await recollect(path, policy=POLICY, target="llm", duration_s=9000.0, clock=clock)

    assert len(found.ticks) == len(RATES) - 1
    assert found.state is not None


@pytest.mark.parametrize("duration", ['"NaN"', '"Infinity"', '"-Infinity"', "1e300", "-1e300", "-0.5"])
async def test_a_step_that_took_no_possible_time_is_damaged(tmp_path: Path, duration: str) -> None:
    process = Process()
    process.day(RATES)
    path = tmp_path / "journal.jsonl"
    lines = [to_line(record) for record in process.records]
    lines[-1] = lines[-1].replace('"duration_s":0.25', f'"duration_s":{duration}')
    path.write_text("\n".join(lines))
    clock = VirtualClock(wall_origin_s=ORIGIN_WALL_S + 280.0)

    found = await recollect(path, policy=POLICY, target="llm", duration_s=9000.0, clock=clock)

    assert [tick.load.arrivals_rps for tick in found.ticks] == list(RATES[:-1])
    assert found.anchor_s == pytest.approx(-40.0)


async def test_a_step_at_no_possible_time_is_damaged(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)
    path = tmp_path / "journal.jsonl"
    lines = [to_line(record) for record in process.records]
    lines[-1] = f'{lines[-1][:-1]},"at_wall_s":"NaN"}}'  # of two with one name the last one counts
    path.write_text("\n".join(lines))
    clock = VirtualClock(wall_origin_s=ORIGIN_WALL_S + 280.0)

    found = await recollect(path, policy=POLICY, target="llm", duration_s=9000.0, clock=clock)

    assert len(found.ticks) == len(RATES) - 1


@pytest.mark.parametrize("interval_s", [10.0, 45.0, 60.0])
async def test_ticks_of_another_interval_are_not_taken_for_ours(tmp_path: Path, interval_s: float) -> None:
    process = Process()
    process.day(RATES)
    ours = replace(POLICY, interval_s=interval_s)

    found = await recalled(process.records, tmp_path, after_s=280.0, policy=ours)

    assert found.ticks == ()
    assert found.anchor_s is not None  # the rhythm goes on all the same
    assert found.state is not None


async def test_windows_that_had_to_hold_some_scrapes_are_those_of_our_interval(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)
    wide = tuple(
        replace(
            record,
            observation=replace(
                record.observation, traffic=replace(record.observation.traffic, window_s=4.0 * INTERVAL_S)
            ),
        )
        if isinstance(record, Stepped)
        else record
        for record in process.records
    )

    found = await recalled(wide, tmp_path, after_s=280.0)

    # Of the first one nobody can tell how long it was.
    assert [tick.load.arrivals_rps for tick in found.ticks] == list(RATES[1:])


async def test_what_is_from_the_future_is_not_taken_and_that_is_said(tmp_path: Path) -> None:
    process = Process()
    process.day(RATES)

    found = await recalled(
        process.records, tmp_path, after_s=100.0
    )  # the clock was set back by three minutes

    assert [tick.load.arrivals_rps for tick in found.ticks] == list(RATES[:3])
    assert found.state is not None
    assert all(wish.at_s <= 0.0 for pool in found.state.pools for wish in pool.wishes)
    assert "future" in found.doubt


async def test_an_empty_journal_tells_nothing(tmp_path: Path) -> None:
    assert await recalled((), tmp_path, after_s=0.0) == Recollection()


async def test_a_silence_within_the_journal_ends_the_wishes_before_it(tmp_path: Path) -> None:
    first, second = Process(), Process()
    first.day((60.0, 60.0))
    first.records = (
        *first.records,
        Stopped(
            at_wall_s=Process.wall_s(OTHER_ORIGIN_S + 61.0),
            now_s=OTHER_ORIGIN_S + 61.0,
            target="llm",
            cause="SIGTERM",
        ),
    )
    second.day((4.0, 4.0), begin_s=OTHER_ORIGIN_S + 60.0 + 11 * INTERVAL_S)

    found = await recalled((*first.records, *second.records), tmp_path, after_s=460.0)

    assert found.state is not None
    assert [memory.wishes[0].at_s for memory in found.state.pools] == [pytest.approx(-49.75)] * 2


@pytest.mark.slow
@examples(deadline=None, max_examples=25)
@given(
    rates=st.lists(
        st.none() | st.sampled_from([0.0, 2.0, 20.0, 60.0]) | st.floats(0.0, 80.0), min_size=1, max_size=12
    ),
    killed=st.integers(min_value=1, max_value=3),
)
def test_who_goes_on_from_the_journal_decides_as_who_never_stopped(
    rates: list[float | None], killed: int
) -> None:
    process = Process()
    process.day(rates)
    after_s = INTERVAL_S * (len(rates) + killed)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(recalled(process.records, Path(folder), after_s=after_s))
    assert found.state is not None

    state, truth = found.state, process.state
    for number, rps in enumerate((5.0, 40.0, 5.0), start=1):
        at_s = INTERVAL_S * number
        observation, forecast = seen(rps, prefill=6), forecast_of(rps)
        state, decided = step(POLICY, state, observation, forecast, now_s=at_s, kind=StepKind.TICK)
        there_s = OTHER_ORIGIN_S + after_s + at_s
        truth, expected = step(POLICY, truth, observation, forecast, now_s=there_s, kind=StepKind.TICK)
        assert dict(decided.replicas) == dict(expected.replicas)
        assert [pool.correction_ratio for pool in decided.pools] == [
            pytest.approx(pool.correction_ratio) for pool in expected.pools
        ]
