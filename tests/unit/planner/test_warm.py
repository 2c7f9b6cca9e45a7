"""A daemon that starts with what was: what it learns, when it ticks, and what stands in no one's way."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from typing_extensions import override

from config.clock import VirtualClock
from config.errors import Malformed, Unreachable
from config.load import load
from config.policies import forecast_policy_from, policy_from
from config.settings import Settings
from connectors.base import Idle, Replicas, Traffic, Unknown, Value
from connectors.testing import FakeActuator, FakeMetricsSource
from planner.core.decision import StepKind
from planner.core.step import step
from planner.core.words import explain, headline
from planner.daemon import Change, Daemon, Pace, Parts
from planner.mind import Mind
from planner.serving.desk import Desk
from planner.serving.journal import Journal, open_journal_file
from planner.serving.log import configure, get_logger
from planner.serving.records import Started, Stepped
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile
from planner.warm import WarmUp, WarmUpOptions
from predictors.base import LoadInterval
from predictors.load import LoadForecaster

INTERVAL_S = 30.0
WALL_S = 1.7e9  # twenty seconds after a multiple of the interval
UNKNOWN = Unknown(why="nothing was scraped")


def settings(**asked: str) -> Settings:
    flags = asked | {
        "targets.ttft": "300ms",
        "targets.itl": "25ms",
        "budget_gpus": "20",
        "forecast.predictor": "kalman",
        "look_interval": "0s",
    }
    return load(flags=flags, environment={}).settings


def traffic(rps: float | None, *, at_s: float = 0.0) -> Traffic:
    arrivals = UNKNOWN if rps is None else Value(value=rps, at_s=at_s)
    length = UNKNOWN if rps is None else Idle(at_s=at_s) if rps == 0.0 else Value(value=800.0, at_s=at_s)
    return Traffic(
        at_s=at_s, window_s=INTERVAL_S, arrivals_rps=arrivals, isl_tokens=length, osl_tokens=length
    )


def load_of(rps: float | None) -> LoadInterval:
    if not rps:
        return LoadInterval(arrivals_rps=rps)
    return LoadInterval(arrivals_rps=rps, isl_tokens=800.0, osl_tokens=800.0)


class Archive(FakeMetricsSource):
    """A source whose history is what was in each interval, the last one ending at a multiple of it."""

    def __init__(self, clock: VirtualClock, rates: Sequence[float | None], *, now_rps: float | None) -> None:
        super().__init__([traffic(now_rps)], clock)
        self._wall = clock
        self.rates = list(rates)
        self.trouble: Exception | None = None
        self.delay_s = 0.0
        self.longest_s = math.inf  # of more than this it never tells
        self.asked: list[tuple[float, float]] = []

    @override
    async def history(self, duration_s: float, step_s: float) -> tuple[Traffic, ...]:
        self.asked.append((self._wall.now_s(), duration_s))
        await self._wall.sleep(self.delay_s if duration_s <= self.longest_s else 3600.0)
        if self.trouble is not None:
            raise self.trouble
        last_s = self._wall.now_s() - self._wall.wall_s() % step_s
        ages = range(len(self.rates) - 1, -1, -1)
        past = [traffic(rps, at_s=last_s - age * step_s) for rps, age in zip(self.rates, ages, strict=True)]
        return tuple(one for one in past if one.at_s >= self._wall.now_s() - duration_s)


class Rig:
    """A daemon on a virtual clock that starts with what was."""

    def __init__(
        self,
        folder: Path,
        rates: Sequence[float | None] = (),
        *,
        now_rps: float | None = 5.0,
        wall_s: float = WALL_S,
        intervals: int = 300,
        trace: tuple[LoadInterval, ...] = (),
        **flags: str,
    ) -> None:
        asked = settings(**flags)
        self.clock = VirtualClock(wall_origin_s=wall_s)
        self.source = Archive(self.clock, rates, now_rps=now_rps)
        self.log = StringIO()
        configure(level="info", style="console", stream=self.log, clock=self.clock)
        path = folder / "journal.jsonl"
        self.desk = Desk(
            board=StatusBoard(clock=self.clock, version="0", target="llm", advisory=False),
            journal=Journal(open_journal_file(path)),
            logger=get_logger(),
            explain=explain,
            headline=headline,
        )
        self.policy = forecast_policy_from(asked)
        self.mind = Mind(policy_from(asked, embedded_profile()), self.policy, clock=self.clock)
        actuator = FakeActuator(Replicas.of(prefill=3, decode=3), self.clock)
        parts = Parts(source=self.source, actuator=actuator, desk=self.desk, clock=self.clock)
        options = WarmUpOptions(intervals=intervals, journal=path, trace=trace)
        pace = Pace(
            interval_s=asked.interval,
            look_interval_s=asked.look_interval,
            deadline_s=asked.deadline_s,
            actuate=False,
        )
        self.daemon = Daemon(
            self.mind, parts, pace, reload=self._change, warm_up=WarmUp(self.mind, parts, options)
        )
        self.asked = asked
        self.task: asyncio.Future[None] | None = None

    def _change(self) -> Change:
        self.policy = forecast_policy_from(self.asked)
        return Change(
            policy=policy_from(self.asked, embedded_profile()),
            forecast_policy=self.policy,
            pace=Pace(
                interval_s=self.asked.interval,
                look_interval_s=self.asked.look_interval,
                deadline_s=self.asked.deadline_s,
                actuate=False,
            ),
        )

    async def start(self) -> "Rig":
        self.task = asyncio.ensure_future(self.daemon.run())
        # Whatever gives way to the event loop again and again is through after some turns.
        for _ in range(40):
            await self.clock.advance(0.0)
        return self

    async def advance(self, duration_s: float) -> None:
        await self.clock.advance(duration_s)
        for _ in range(10):
            await self.clock.advance(0.0)

    async def stop(self) -> None:
        self.daemon.stop("the test is over")
        assert self.task is not None
        await self.task

    async def kill(self) -> None:
        """End it as a power cut does: no record of the end."""
        assert self.task is not None
        self.desk.journal.close()
        self.desk.journal = Journal()
        await self.stop()

    def ticks(self) -> list[Stepped]:
        return [
            record
            for record in self.desk.journal.recent()
            if isinstance(record, Stepped) and record.kind is StepKind.TICK
        ]

    def times(self) -> list[float]:
        return [round(tick.now_s - tick.duration_s, 3) for tick in self.ticks()]

    def started(self) -> Started:
        return next(record for record in self.desk.journal.recent() if isinstance(record, Started))


def assert_taught(rig: Rig, *loads: float | None) -> None:
    """The forecast of the newest tick is that of a forecaster that was fed these loads."""
    forecaster = LoadForecaster(rig.policy)
    for rps in loads:
        forecaster.learn(load_of(rps))
    tick = rig.ticks()[-1]
    assert tick.forecast is not None
    assert tick.forecast == forecaster.forecast(tick.forecast.made_at_s)


def assert_replayed(rig: Rig) -> None:
    """The records of a process that went on from a journal can be replayed alone."""
    policy, state = rig.mind.policy, rig.started().state
    for record in rig.desk.journal.recent():
        if isinstance(record, Stepped):
            seen, forecast = record.observation, record.forecast
            state, decision = step(policy, state, seen, forecast, now_s=record.now_s, kind=record.kind)
            assert decision == record.decision
    assert state == rig.mind.state


RATES = (3.0, 4.0, None, 6.0, 0.0, 5.0, 7.0)


async def test_a_start_with_history_forecasts_as_one_that_was_always_there(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, RATES).start()

    await rig.advance(10.0)

    assert rig.times() == [10.0]  # the next multiple of the interval in Unix time
    assert_taught(rig, *RATES, 5.0)
    assert "warmed  intervals=7  journal=0  source=6  unknown=1  trace=0" in rig.log.getvalue()
    assert "oldest=2023-11-14T22:10:00Z" in rig.log.getvalue()
    await rig.stop()


async def test_lengths_of_the_past_serve_the_first_tick(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, (3.0, 4.0)).start()

    lengths = rig.started().state.lengths

    assert (lengths.isl_tokens, lengths.isl_at_s) == (800.0, -20.0)
    assert (lengths.osl_tokens, lengths.osl_at_s) == (800.0, -20.0)
    await rig.stop()


async def test_an_older_trace_is_learned_first_and_leading_zeros_after_it_are_dropped(tmp_path: Path) -> None:
    trace = tuple(load_of(rps) for rps in (20.0, 30.0, 25.0))
    rig = await Rig(tmp_path, (0.0, 0.0, 4.0), trace=trace).start()

    await rig.advance(10.0)

    forecaster = LoadForecaster(rig.policy)
    for interval in trace:
        forecaster.learn(interval)
    forecaster.end_warm_up()
    for rps in (0.0, 0.0, 4.0, 5.0):
        forecaster.learn(load_of(rps))
    tick = rig.ticks()[-1]
    assert tick.forecast is not None
    assert tick.forecast == forecaster.forecast(tick.forecast.made_at_s)
    assert tick.forecast.points == 5
    await rig.stop()


async def test_a_trace_alone_warms_a_start_that_is_cold_otherwise(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, RATES, intervals=0, trace=(load_of(20.0),)).start()

    await rig.advance(30.0)

    assert rig.times() == [30.0]
    assert rig.source.asked == []
    tick = rig.ticks()[-1]
    assert tick.forecast is not None
    assert tick.forecast.points == 2
    await rig.stop()


async def test_a_source_without_history_is_a_cold_start_and_no_trouble(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, ()).start()

    await rig.advance(60.0)

    assert rig.times() == [30.0, 60.0]
    assert len(rig.source.asked) == 1
    assert "warm" not in rig.log.getvalue()
    assert "warm_up" not in rig.desk.board.parts
    await rig.stop()


async def test_a_restart_goes_on_where_the_journal_ends_and_asks_for_the_gap_alone(tmp_path: Path) -> None:
    first = await Rig(tmp_path, (3.0, 4.0), intervals=4).start()
    await first.advance(10.0 + 3 * INTERVAL_S + 5.0)
    before = first.ticks()
    await first.kill()
    assert len(before) == 4

    down_s = 105.0 + 2 * INTERVAL_S
    rig = Rig(tmp_path, (8.0, 9.0), wall_s=WALL_S + down_s, now_rps=6.0, intervals=4)
    await rig.start()
    await rig.advance(25.0)

    assert rig.times() == [25.0]
    ((_, duration_s),) = rig.source.asked
    assert 2 * INTERVAL_S <= duration_s < 4 * INTERVAL_S
    assert "warmed  intervals=4  journal=2  source=2  unknown=0" in rig.log.getvalue()
    assert_taught(rig, 5.0, 5.0, 8.0, 9.0, 6.0)
    state = rig.started().state
    assert [memory.wishes for memory in state.pools] != [(), ()]
    assert state.planned == before[-1].decision.demand
    assert_replayed(rig)
    await rig.stop()


async def test_looks_after_a_restart_compare_with_the_forecast_of_before(tmp_path: Path) -> None:
    first = await Rig(tmp_path, ()).start()
    await first.advance(2 * INTERVAL_S)
    last = first.ticks()[-1]
    await first.kill()

    rig = await Rig(tmp_path, (), wall_s=WALL_S + 2 * INTERVAL_S + 5.0).start()

    (look,) = [record for record in rig.desk.journal.recent() if isinstance(record, Stepped)]
    assert look.kind is StepKind.LOOK
    assert look.forecast is not None
    assert last.forecast is not None
    assert look.forecast.made_at_s == pytest.approx(-5.0)
    assert replace(look.forecast, made_at_s=0.0) == replace(last.forecast, made_at_s=0.0)
    await rig.stop()


async def test_what_neither_journal_nor_source_saw_is_unknown(tmp_path: Path) -> None:
    first = await Rig(tmp_path, (), intervals=4).start()
    await first.advance(60.0)
    await first.kill()

    rig = Rig(tmp_path, (), wall_s=WALL_S + 60.0 + 2 * INTERVAL_S + 3.0, now_rps=6.0, intervals=4)
    await rig.start()
    await rig.advance(27.0)

    assert rig.times() == [27.0]
    assert_taught(rig, 5.0, 5.0, None, None, 6.0)
    await rig.stop()


async def test_a_daemon_that_is_killed_again_and_again_still_ticks(tmp_path: Path) -> None:
    at_s, ticks = 0.0, 0
    for _ in range(5):
        rig = await Rig(tmp_path, (), wall_s=WALL_S + at_s, intervals=4).start()
        await rig.advance(14.0)
        ticks += len(rig.ticks())
        await rig.kill()
        at_s += 14.0

    assert ticks == 2  # after 30 s and after 60 s


async def test_a_source_that_is_away_is_tried_again_before_each_tick_until_a_load_was_seen(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, RATES, now_rps=None)
    rig.source.trouble = Unreachable("cannot reach Prometheus")
    await rig.start()
    await rig.advance(29.0)
    rig.source.push(traffic(5.0))  # from the second tick on
    await rig.advance(1.0)
    assert rig.times() == [30.0]
    assert not rig.desk.board.parts["warm_up"].is_ok
    assert "cannot reach Prometheus" in rig.log.getvalue()

    rig.source.trouble = None
    await rig.advance(30.0)

    # Its ticks are twenty seconds off the multiples of the interval, where windows end.
    assert [at_s for at_s, _ in rig.source.asked] == [0.0, 30.0, 60.0]
    assert_taught(rig, *RATES, 5.0)
    assert rig.desk.board.parts["warm_up"].is_ok
    await rig.advance(60.0)
    assert len(rig.source.asked) == 3
    await rig.stop()


async def test_another_interval_is_learned_from_the_source_anew(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, RATES, trace=(load_of(3.0),)).start()
    await rig.advance(30.0)

    rig.asked = settings(interval="60s")
    rig.source.rates = [2.0, 4.0]
    rig.daemon.reload()
    await rig.advance(60.0)

    assert_taught(rig, 2.0, 4.0, 5.0)
    assert "trace=0" in rig.log.getvalue()
    assert len(rig.source.asked) == 2
    await rig.stop()


async def test_a_load_that_is_seen_first_ends_the_attempts(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RATES)
    rig.source.trouble = Unreachable("HTTP 404")
    await rig.start()

    await rig.advance(120.0)

    assert [at_s for at_s, _ in rig.source.asked] == [0.0, 30.0]
    assert rig.desk.board.parts["warm_up"].is_ok
    assert_taught(rig, 5.0, 5.0, 5.0, 5.0)
    await rig.stop()


async def test_a_history_of_unknown_windows_is_said_and_is_a_cold_start(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, (None, None), now_rps=None).start()

    await rig.advance(30.0)

    assert rig.times() == [30.0]
    assert "nothing is known of the last" in rig.desk.board.parts["warm_up"].why
    assert "nothing was scraped" in rig.desk.board.parts["warm_up"].why
    await rig.stop()


async def test_a_source_that_does_not_answer_is_not_waited_for_without_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RATES)
    rig.source.delay_s = 3600.0
    await rig.start()
    await rig.advance(19.0)
    assert rig.desk.board.policy is None  # starting still, and alive

    await rig.advance(20.0)

    assert len(rig.ticks()) == 1
    assert "no answer within 20 s" in rig.log.getvalue()
    await rig.stop()


@pytest.mark.parametrize("intervals", [300, 5000])
@pytest.mark.parametrize("deadline", ["24s", "27s"])
async def test_a_source_that_hangs_does_not_cost_ticks(tmp_path: Path, deadline: str, intervals: int) -> None:
    rig = Rig(tmp_path, RATES, intervals=intervals, deadline=deadline)
    rig.source.hang()
    rig.source.delay_s = 3600.0
    await rig.start()

    await rig.advance(12 * INTERVAL_S + 5.0)

    # The wait of the start lasts into the second interval where there is a shorter past to ask for.
    ticks = 11 if intervals == 300 else 10
    assert len(rig.ticks()) == ticks
    assert len({at_s for at_s, _ in rig.source.asked}) >= ticks + 1
    assert "the interval overran" not in rig.log.getvalue()
    rig.source.release()
    await rig.stop()


async def test_a_past_that_takes_too_long_is_cut_short_and_that_is_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RATES, intervals=5000)
    rig.source.longest_s = 302 * INTERVAL_S
    await rig.start()
    await rig.advance(20.0)

    await rig.advance(20.0)

    assert [at_s for at_s, _ in rig.source.asked] == [0.0, 20.0]
    # The last of them ended during the wait, and is what the first tick saw, late.
    assert_taught(rig, *RATES[:-1], 5.0, 5.0)
    assert "the past takes too long, a shorter one was read" in rig.log.getvalue()
    assert 'why="no answer within 20 s"  intervals=300  left_out=4700' in rig.log.getvalue()
    assert "trouble" not in rig.log.getvalue()
    await rig.stop()


async def test_a_past_that_is_cut_short_in_vain_is_trouble_of_the_warm_start(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RATES, intervals=5000)
    rig.source.delay_s = 3600.0
    await rig.start()
    await rig.advance(20.0)

    await rig.advance(20.0)

    assert [at_s for at_s, _ in rig.source.asked][:2] == [0.0, 20.0]
    assert "no answer within 20 s" in rig.desk.board.parts["warm_up"].why
    assert "a shorter one was read" not in rig.log.getvalue()
    await rig.stop()


@pytest.mark.parametrize(
    ("trouble", "asked"), [(Unreachable("did not answer within 10 s"), 2), (Malformed("no JSON"), 1)]
)
async def test_only_what_fails_by_time_is_asked_for_less(
    tmp_path: Path, trouble: Exception, asked: int
) -> None:
    rig = Rig(tmp_path, RATES, intervals=5000)
    rig.source.trouble = trouble
    await rig.start()

    assert len(rig.source.asked) == asked
    await rig.stop()


async def test_a_gap_that_is_short_anyway_is_not_asked_for_twice(tmp_path: Path) -> None:
    first = await Rig(tmp_path, (), intervals=310).start()
    await first.advance(310 * INTERVAL_S)
    await first.kill()

    rig = Rig(tmp_path, (), intervals=310, wall_s=WALL_S + 312 * INTERVAL_S)
    rig.source.delay_s = 3600.0
    await rig.start()
    await rig.advance(20.5)

    assert len(rig.source.asked) == 1
    await rig.stop()


async def test_a_stop_during_the_warm_start_is_obeyed_and_on_record(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RATES)
    rig.source.delay_s = 3600.0
    await rig.start()

    await rig.stop()

    assert [record.record for record in rig.desk.journal.recent()] == ["started", "stopped"]


async def test_a_journal_that_cannot_be_read_costs_itself_only(tmp_path: Path) -> None:
    rig = Rig(tmp_path, RATES)
    (tmp_path / "journal.jsonl.1").mkdir()
    await rig.start()

    await rig.advance(10.0)

    assert "Is a directory" in rig.log.getvalue()
    assert_taught(rig, *RATES, 5.0)
    await rig.stop()


async def test_a_journal_that_was_lost_is_trouble_until_one_is_read(tmp_path: Path) -> None:
    lost = Rig(tmp_path, RATES)
    (tmp_path / "journal.jsonl.1").mkdir()
    lost.source.trouble = Unreachable("cannot reach Prometheus")
    await lost.start()
    lost.source.trouble = None
    await lost.advance(3 * INTERVAL_S)

    assert "works again" not in lost.log.getvalue()
    assert not lost.desk.board.parts["warm_up"].is_ok
    assert "Is a directory" in lost.desk.board.parts["warm_up"].why
    await lost.kill()

    (tmp_path / "journal.jsonl.1").rmdir()
    rig = await Rig(tmp_path, RATES, wall_s=WALL_S + 100.0).start()
    assert "warm_up" not in rig.desk.board.parts
    assert "journal=3" in rig.log.getvalue()
    await rig.stop()


async def test_a_journal_of_another_deployment_is_told_in_one_warning(tmp_path: Path) -> None:
    first = await Rig(tmp_path, ()).start()
    await first.advance(60.0)
    await first.kill()
    path = tmp_path / "journal.jsonl"
    path.write_text(path.read_text().replace('"target":"llm"', '"target":"chat"'))

    rig = await Rig(tmp_path, (), wall_s=WALL_S + 70.0).start()

    assert rig.log.getvalue().count("warning") == 1
    assert "the state of before is not taken" in rig.log.getvalue()
    assert "of another deployment: chat" in rig.log.getvalue()
    await rig.stop()


async def test_a_state_of_other_pools_is_told(tmp_path: Path) -> None:
    first = await Rig(tmp_path, ()).start()
    await first.advance(30.0)
    await first.kill()
    path = tmp_path / "journal.jsonl"
    path.write_text(path.read_text().replace('"pool":"prefill"', '"pool":"reader"'))

    rig = await Rig(tmp_path, (), wall_s=WALL_S + 40.0).start()

    assert "the state of before is not taken" in rig.log.getvalue()
    assert "its pools are reader, decode" in rig.log.getvalue()
    assert rig.started().state.planned is None
    await rig.stop()
