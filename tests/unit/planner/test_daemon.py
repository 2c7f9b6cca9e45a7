"""The loop on a virtual clock, with connectors that fail, hang and lie on demand."""

import asyncio
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import pytest
from typing_extensions import override

from config.clock import VirtualClock
from config.errors import (
    ActuationError,
    ConfigError,
    Conflict,
    InternalError,
    Refused,
    Unreachable,
)
from config.load import load
from config.policies import forecast_policy_from, policy_from
from config.settings import Settings
from connectors.base import Fleet, Observation, Replicas, Traffic, Value
from connectors.testing import FakeActuator, FakeMetricsSource
from planner.core.decision import Decision, ReasonCode, StepKind
from planner.core.words import explain, headline
from planner.daemon import Change, Daemon, Pace, Parts
from planner.mind import Mind
from planner.serving.desk import Desk
from planner.serving.journal import Journal, open_journal_file
from planner.serving.log import configure, get_logger
from planner.serving.records import Actuated, Outcome, Record, Reloaded, Started, Stepped, Stopped
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T", bound=Record)

QUIET, BUSY = 1.0, 60.0


def traffic(rps: float) -> Traffic:
    return Traffic(
        at_s=0.0,
        window_s=30.0,
        arrivals_rps=Value(value=rps, at_s=0.0),
        isl_tokens=Value(value=1000.0, at_s=0.0),
        osl_tokens=Value(value=150.0, at_s=0.0),
    )


def settings(**flags: str) -> Settings:
    base = {"targets.ttft": "300ms", "targets.itl": "25ms", "budget_gpus": "20", "actuate": "true"}
    asked = {key.replace("__", "."): value for key, value in flags.items()}
    return load(flags=base | asked, environment={}).settings


def pace_of(asked: Settings) -> Pace:
    return Pace(
        interval_s=asked.interval,
        look_interval_s=asked.look_interval,
        deadline_s=asked.deadline_s,
        actuate=asked.actuate,
    )


def change_of(asked: Settings) -> Change:
    return Change(
        policy=policy_from(asked, embedded_profile()),
        forecast_policy=forecast_policy_from(asked),
        pace=pace_of(asked),
    )


class ScriptedSource(FakeMetricsSource):
    """Takes its time on the clock before an answer, answers nonsense, or raises what no `Exception` is."""

    def __init__(self, clock: VirtualClock, *, rps: float) -> None:
        super().__init__([traffic(rps)], clock)
        self.clock = clock
        self.delays_s: list[float] = []
        self.is_lying = False
        self.raises: BaseException | None = None

    @override
    async def observe(self, window_s: float) -> Traffic:
        await self.clock.sleep(self.delays_s.pop(0) if self.delays_s else 0.0)
        if self.raises is not None:
            raise self.raises
        seen = await super().observe(window_s)
        return cast("Traffic", None) if self.is_lying else seen


class ScriptedActuator(FakeActuator):
    """Says yes and does nothing, answers nonsense, or does not come to an end."""

    is_deaf = False
    is_lying = False
    is_closing_forever = False
    closing: Exception | None = None
    raises: Exception | None = None

    @override
    async def read(self) -> Fleet:
        if self.raises is not None:
            raise self.raises
        fleet = await super().read()
        return cast("Fleet", {}) if self.is_lying else fleet

    @override
    async def scale(self, replicas: Replicas) -> None:
        await super().scale(Replicas(()) if self.is_deaf else replicas)

    @override
    async def close(self) -> None:
        await super().close()
        if self.closing is not None:
            raise self.closing
        if self.is_closing_forever:
            await asyncio.Event().wait()


class SynchronousSource(ScriptedSource):
    """A third party's source that forgot the `async`, and may raise before anybody awaits it."""

    closing: Exception | None = None

    @override
    def close(self) -> None:  # type: ignore[override]
        if self.closing is not None:
            raise self.closing


class FaultyMind(Mind):
    """Raises at the next step or over skipped ticks, or finds its predictor at a loss, on demand."""

    fault: Exception | None = None
    gap: Exception | None = None
    doubt: Exception | None = None
    skipped: tuple[int, ...] = ()
    closing: Exception | None = None
    closes = 0

    @override
    async def close(self) -> None:
        self.closes += 1
        await super().close()
        if self.closing is not None:
            raise self.closing

    @override
    def skip(self, intervals: int) -> None:
        self.skipped = (*self.skipped, intervals)
        if self.gap is not None:
            raise self.gap
        super().skip(intervals)

    @override
    async def foresee(self, observation: Observation, *, now_s: float) -> None:
        await super().foresee(observation, now_s=now_s)
        self.trouble = self.doubt

    @override
    def decide(self, observation: Observation, *, now_s: float, kind: StepKind) -> Decision:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        return super().decide(observation, now_s=now_s, kind=kind)


class Rig:
    """A daemon on fakes, and what it recorded."""

    def __init__(
        self,
        asked: Settings | None = None,
        *,
        rps: float = QUIET,
        journal: Journal | None = None,
        clock: VirtualClock | None = None,
        source: "type[ScriptedSource]" = ScriptedSource,
        deadline_s: float | None = None,
    ) -> None:
        asked = asked or settings()
        self.clock = clock or VirtualClock(wall_origin_s=1.7e9)
        self.source = source(self.clock, rps=rps)
        self.actuator = ScriptedActuator(Replicas.of(prefill=1, decode=1), self.clock)
        self.log = StringIO()
        configure(level="debug", style="console", stream=self.log, clock=self.clock)
        self.desk = Desk(
            board=StatusBoard(clock=self.clock, version="0", target="a", advisory=not asked.actuate),
            journal=journal or Journal(ring_records=10_000),
            logger=get_logger(),
            explain=explain,
            headline=headline,
        )
        self.mind = FaultyMind(
            policy_from(asked, embedded_profile()), forecast_policy_from(asked), clock=self.clock
        )
        self.next_change: Callable[[], Change] = lambda: change_of(asked)
        parts = Parts(source=self.source, actuator=self.actuator, desk=self.desk, clock=self.clock)
        pace = pace_of(asked) if deadline_s is None else replace(pace_of(asked), deadline_s=deadline_s)
        self.daemon = Daemon(self.mind, parts, pace, reload=self.change)
        self.task: asyncio.Future[None] | None = None

    def change(self) -> Change:
        return self.next_change()

    async def start(self) -> None:
        self.task = asyncio.ensure_future(self.daemon.run())
        await self.clock.advance(0.0)

    async def stop(self) -> None:
        self.daemon.stop("the test is over")
        await self.end()

    async def end(self) -> None:
        assert self.task is not None
        async with asyncio.timeout(5.0):
            await self.task

    async def reload(self, asked: Settings) -> None:
        self.next_change = lambda: change_of(asked)
        self.daemon.reload()
        await self.clock.advance(0.0)

    def of(self, kind: type[T]) -> list[T]:
        return [record for record in self.desk.journal.recent() if isinstance(record, kind)]

    def steps(self, kind: StepKind = StepKind.TICK) -> list[Stepped]:
        return [record for record in self.of(Stepped) if record.kind is kind]

    def times(self, kind: StepKind = StepKind.TICK) -> list[float]:
        return [record.now_s for record in self.steps(kind)]

    def outcomes(self) -> list[Outcome]:
        return [record.outcome for record in self.of(Actuated)]

    def count(self, series: str) -> float:
        page = self.desk.metrics.render().decode()
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(series))


async def started(asked: Settings | None = None, *, rps: float = QUIET) -> Rig:
    rig = Rig(asked, rps=rps)
    await rig.start()
    return rig


def codes(step: Stepped) -> set[ReasonCode]:
    return {reason.code for reason in step.decision.reasons}


def details(step: Stepped) -> str:
    return " | ".join(reason.detail for reason in step.decision.reasons)


def without_looks() -> Settings:
    return settings(look_interval="0s")


# The rate.


async def test_the_first_tick_comes_one_full_interval_after_the_start_and_looks_come_in_between() -> None:
    rig = await started()

    await rig.clock.advance(30.0)

    assert rig.times() == [30.0]
    assert rig.times(StepKind.LOOK) == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    await rig.stop()


async def test_a_tick_that_takes_time_does_not_move_the_next_one() -> None:
    rig = await started(without_looks())
    rig.source.delays_s = [7.0, 3.0, 11.0]

    await rig.clock.advance(120.0)

    # What a step is given as the time is when its observation was there.
    assert rig.times() == [37.0, 63.0, 101.0, 120.0]
    assert [record.duration_s for record in rig.steps()] == [7.0, 3.0, 11.0, 0.0]
    await rig.stop()


async def test_looks_that_take_time_do_not_move_the_tick() -> None:
    rig = await started()
    rig.source.delays_s = [1.5] * 3

    await rig.clock.advance(30.0)

    assert rig.times() == [30.0]
    await rig.stop()


async def test_a_look_that_hangs_delays_the_tick_by_less_than_another_look() -> None:
    rig = await started()
    await rig.clock.advance(24.0)
    rig.source.hang()
    await rig.clock.advance(7.0)
    rig.source.release()
    await rig.clock.advance(29.0)

    first, second = rig.steps()
    assert rig.times(StepKind.LOOK)[5] == pytest.approx(30.25)
    assert first.now_s - first.duration_s == pytest.approx(30.25)
    assert not first.decision.is_hold
    assert second.now_s == 60.0
    await rig.stop()


async def test_what_a_source_hands_over_at_its_own_deadline_is_not_lost() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.source.delays_s = [24.0]

    await rig.clock.advance(60.0)

    assert not rig.steps()[0].decision.is_hold
    assert rig.times() == [54.0, 60.0]
    await rig.stop()


async def test_no_looks_are_taken_where_none_are_wanted() -> None:
    rig = await started(without_looks())

    await rig.clock.advance(90.0)

    assert rig.times(StepKind.LOOK) == [0.0]  # the one that greets the fleet
    assert rig.times() == [30.0, 60.0, 90.0]
    await rig.stop()


async def test_a_tick_reads_its_whole_interval_and_a_look_a_few_looks_back() -> None:
    rig = await started()

    await rig.clock.advance(30.0)

    assert rig.source.windows_s == (*[20.0] * 6, 30.0)
    await rig.stop()


async def test_ticks_that_an_overrun_swallowed_are_skipped_and_counted() -> None:
    rig = Rig(without_looks(), deadline_s=100.0)
    await rig.start()
    rig.source.delays_s = [70.0]

    await rig.clock.advance(150.0)

    assert rig.times() == [100.0, 120.0, 150.0]
    assert rig.count("setpoint_ticks_skipped_total") == 2.0
    assert rig.mind.skipped == (2,)
    assert "the interval overran" in rig.log.getvalue()
    await rig.stop()


async def test_trouble_over_skipped_ticks_does_not_end_the_loop_and_is_over_with_the_next_tick() -> None:
    rig = Rig(without_looks(), deadline_s=100.0)
    await rig.start()
    rig.mind.gap = ZeroDivisionError("by zero")
    rig.source.delays_s = [70.0]
    await rig.clock.advance(100.0)
    trouble = rig.desk.board.parts["loop"]

    await rig.clock.advance(20.0)

    assert trouble.why == "ZeroDivisionError: by zero"
    assert rig.times()[-1] == 120.0
    assert rig.desk.board.parts["loop"].is_ok
    await rig.stop()


async def test_a_tick_that_is_due_just_when_the_one_before_ends_is_not_skipped() -> None:
    rig = Rig(without_looks(), deadline_s=30.0)
    await rig.start()
    rig.source.delays_s = [30.0]

    await rig.clock.advance(90.0)

    assert rig.times() == [60.0, 60.0, 90.0]
    assert rig.count("setpoint_ticks_skipped_total") == 0.0
    await rig.stop()


class LeapingClock(VirtualClock):
    """Leaps ahead on demand, as that of a machine that slept."""

    leap_s = 0.0

    @override
    def now_s(self) -> float:
        return super().now_s() + self.leap_s


@pytest.mark.parametrize("look_interval", ["0s", "5s"])
async def test_a_clock_that_leaps_ahead_brings_one_late_tick_and_no_burst(look_interval: str) -> None:
    clock = LeapingClock()
    rig = Rig(settings(look_interval=look_interval), clock=clock)
    await rig.start()
    await rig.clock.advance(30.0)

    clock.leap_s = 86_407.0
    await rig.clock.advance(35.0)

    # Unknown intervals that are learned give way to the event loop, and this clock moves on meanwhile.
    late, *others = [step.now_s - step.duration_s for step in rig.steps()][1:]
    assert late in {86_407.0 + 60.0, 86_407.0 + 35.0}  # when the sleeper woke
    assert all(time % 30.0 == 0.0 for time in others)
    assert len(others) <= 1
    assert rig.count("setpoint_ticks_skipped_total") > 2000.0
    assert not rig.steps()[-1].decision.is_hold
    await rig.stop()


async def test_the_board_says_when_the_next_tick_is_due() -> None:
    rig = await started()

    await rig.clock.advance(47.0)

    assert rig.desk.board.next_tick_at_s == 60.0
    await rig.stop()


# Parts that fail.


async def test_a_source_that_hangs_costs_its_deadline_and_ends_in_an_explained_hold() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.source.hang()

    await rig.clock.advance(55.2)
    rig.source.release()
    await rig.clock.advance(4.8)

    held, seen = rig.steps()
    assert held.now_s == pytest.approx(55.2)
    assert held.decision.is_hold
    assert codes(held) == {ReasonCode.BLIND_ARRIVALS}
    assert details(held) == "the source failed: no answer within 25.2 s"
    assert not seen.decision.is_hold
    await rig.stop()


async def test_an_actuator_that_hangs_costs_its_deadline_and_ends_in_an_explained_hold() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.hang()

    await rig.clock.advance(55.2)
    rig.actuator.release()
    await rig.clock.advance(4.8)

    held, seen = rig.steps()
    assert held.now_s == pytest.approx(55.2)
    assert codes(held) == {ReasonCode.BLIND_FLEET}
    assert details(held) == "no answer within 25.2 s"
    assert dict(held.decision.replicas) == {"prefill": 1, "decode": 1}
    assert not seen.decision.is_hold
    await rig.stop()


async def test_both_sides_hanging_share_one_deadline() -> None:
    rig = await started(without_looks())
    rig.source.hang()
    rig.actuator.hang()

    await rig.clock.advance(55.2)

    (held,) = rig.steps()
    assert held.now_s == pytest.approx(55.2)
    assert codes(held) == {ReasonCode.BLIND_ARRIVALS, ReasonCode.BLIND_FLEET}
    rig.source.release()
    rig.actuator.release()
    await rig.stop()


FAULTS = [
    pytest.param(ValueError("no JSON"), "ValueError: no JSON", id="foreign"),
    pytest.param(KeyError("data"), "KeyError: 'data'", id="foreign lookup"),
    pytest.param(RuntimeError(), "RuntimeError", id="foreign without words"),
    pytest.param(TimeoutError(), "TimeoutError", id="time-out without words"),
    pytest.param(OSError("no route to host"), "no route to host", id="system"),
    pytest.param(Unreachable("nobody is there"), "nobody is there", id="foreseen"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
async def test_whatever_a_source_raises_is_an_explained_hold(fault: Exception, words: str) -> None:
    rig = await started(without_looks())
    rig.source.fail_next(fault)

    await rig.clock.advance(60.0)

    held, seen = rig.steps()
    assert held.decision.is_hold
    assert details(held) == f"the source failed: {words}"
    assert not seen.decision.is_hold
    assert rig.count('setpoint_errors_total{part="source"') == 1.0
    assert "works again" in rig.log.getvalue()
    await rig.stop()


@pytest.mark.parametrize(("fault", "words"), FAULTS)
async def test_whatever_an_actuator_raises_at_reading_is_an_explained_hold(
    fault: Exception, words: str
) -> None:
    rig = await started(without_looks())
    rig.actuator.fail_next_read(fault)

    await rig.clock.advance(60.0)

    held, seen = rig.steps()
    assert held.decision.is_hold
    assert details(held) == words
    assert not seen.decision.is_hold
    await rig.stop()


async def test_an_unforeseen_error_is_logged_with_its_traceback() -> None:
    rig = await started(without_looks())
    rig.source.fail_next(ValueError("no JSON"))

    await rig.clock.advance(30.0)

    assert "Traceback" in rig.log.getvalue()
    assert "ValueError: no JSON" in rig.log.getvalue()
    await rig.stop()


async def test_a_source_that_cancels_itself_does_not_end_the_loop() -> None:
    rig = await started(without_looks())
    rig.source.raises = asyncio.CancelledError()
    await rig.clock.advance(30.0)
    rig.source.raises = None

    await rig.clock.advance(30.0)

    held, seen = rig.steps()
    assert details(held) == "the source failed: CancelledError"
    assert not seen.decision.is_hold
    await rig.stop()


async def test_connectors_that_answer_something_else_are_an_explained_hold() -> None:
    rig = await started(without_looks())
    rig.source.is_lying = rig.actuator.is_lying = True

    await rig.clock.advance(30.0)

    (held,) = rig.steps()
    assert codes(held) == {ReasonCode.BLIND_ARRIVALS, ReasonCode.BLIND_FLEET}
    assert "expected Traffic of the connector, found NoneType" in details(held)
    assert "expected Fleet of the connector, found dict" in details(held)
    await rig.stop()


async def test_an_unknown_load_is_a_hold_in_the_source_s_own_words() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.source.break_backend("HTTP 503 from the store")

    await rig.clock.advance(30.0)

    (held,) = rig.steps()
    assert held.decision.is_hold
    assert details(held) == "HTTP 503 from the store"
    assert rig.desk.board.parts["source"].why == "HTTP 503 from the store"
    await rig.stop()


@pytest.mark.parametrize("fault", [InternalError("a curve is missing"), ZeroDivisionError("by zero")])
async def test_a_step_that_fails_is_an_explained_hold_of_what_was_decided_last(fault: Exception) -> None:
    rig = await started(without_looks(), rps=BUSY)
    await rig.clock.advance(30.0)
    rig.mind.fault = fault

    await rig.clock.advance(60.0)

    good, held, again = rig.steps()
    assert held.decision.is_hold
    assert codes(held) == {ReasonCode.INTERNAL}
    assert str(fault) in details(held)
    assert held.decision.replicas == good.decision.replicas
    assert not again.decision.is_hold
    assert rig.desk.board.parts["step"].is_ok
    await rig.stop()


async def test_a_predictor_that_fails_is_reported_until_it_works_again() -> None:
    rig = await started()
    rig.mind.doubt = ValueError("too few points")
    await rig.clock.advance(30.0)
    health = rig.desk.board.parts["predictor"]
    rig.mind.doubt = None

    await rig.clock.advance(30.0)

    assert not health.is_ok
    assert "too few points" in health.why
    assert rig.desk.board.parts["predictor"].is_ok
    await rig.stop()


async def test_a_journal_that_cannot_be_written_does_not_matter() -> None:
    rig = Rig(rps=BUSY, journal=Journal(open_journal_file(Path("/dev/full"))))
    await rig.start()

    await rig.clock.advance(60.0)

    assert len(rig.times()) == 2
    assert rig.outcomes()[0] is Outcome.APPLIED
    assert not rig.desk.board.parts["journal"].is_ok
    assert rig.count("setpoint_journal_write_errors_total") == len(rig.desk.journal.recent())
    await rig.stop()


# Acting.


async def test_advice_is_recorded_and_asks_nothing() -> None:
    rig = await started(settings(actuate="false"), rps=BUSY)

    await rig.clock.advance(30.0)

    (actuated,) = rig.of(Actuated)
    assert actuated.outcome is Outcome.ADVISORY
    assert actuated.replicas == rig.steps()[0].decision.replicas.pools
    assert rig.actuator.requests == ()
    await rig.stop()


async def test_a_decision_is_carried_out_and_read_back() -> None:
    rig = await started(rps=BUSY)

    await rig.clock.advance(60.0)

    assert rig.outcomes() == [Outcome.APPLIED]
    assert rig.actuator.requests == (rig.steps()[0].decision.replicas,)
    assert rig.steps()[0].decision.replicas.decode > 1
    await rig.stop()


async def test_nothing_is_asked_where_nothing_changes() -> None:
    rig = await started(rps=QUIET)

    await rig.clock.advance(120.0)

    assert rig.actuator.requests == ()
    assert rig.of(Actuated) == []
    await rig.stop()


async def test_a_refusal_is_not_repeated_before_the_next_tick() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.fail_next_scale(Refused("the quota is used up"))
    await rig.clock.advance(59.0)
    requests = len(rig.actuator.requests)

    await rig.clock.advance(1.0)

    assert requests == 1
    assert rig.outcomes() == [Outcome.REFUSED, Outcome.APPLIED]
    assert rig.of(Actuated)[0].detail == "the quota is used up"
    assert rig.steps()[0].decision.replicas == rig.steps()[1].decision.replicas
    await rig.stop()


async def test_a_passing_failure_is_retried_with_growing_waits() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.fail_next_scale(ActuationError("busy"), ActuationError("busy"))

    await rig.clock.advance(31.0)

    assert [call.at_s for call in rig.actuator.calls] == [pytest.approx(30.0 + 0.2 + 0.4)]
    assert rig.outcomes() == [Outcome.APPLIED]
    await rig.stop()


async def test_a_lasting_failure_is_given_up_and_decided_again_at_the_next_tick() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.fail_next_scale(*[ActuationError("etcd is away")] * 3)

    await rig.clock.advance(60.0)

    assert rig.outcomes() == [Outcome.FAILED, Outcome.APPLIED]
    assert rig.of(Actuated)[0].detail == "etcd is away"
    assert len(rig.actuator.requests) == 4
    assert rig.steps()[1].decision.replicas == rig.steps()[0].decision.replicas
    await rig.stop()


async def test_an_answer_that_was_lost_does_no_harm() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.fail_next_scale(ActuationError("the answer was lost"), is_applied=True)

    await rig.clock.advance(90.0)

    assert rig.outcomes() == [Outcome.APPLIED]
    assert len({tuple(request.pools) for request in rig.actuator.requests}) == 1
    await rig.stop()


async def test_what_somebody_else_just_changed_is_not_overwritten() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.fail_next_scale(Conflict("somebody else scaled it"))

    await rig.clock.advance(59.0)

    assert len(rig.actuator.requests) == 1
    assert rig.outcomes() == [Outcome.FAILED]
    assert rig.of(Actuated)[0].detail == "somebody else scaled it"
    await rig.stop()


async def test_what_was_not_done_though_it_was_promised_is_found_out() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.is_deaf = True
    await rig.clock.advance(30.0)
    rig.actuator.is_deaf = False

    await rig.clock.advance(30.0)

    assert rig.outcomes() == [Outcome.FAILED, Outcome.APPLIED]
    assert "read back prefill=1, decode=1" in rig.of(Actuated)[0].detail
    await rig.stop()


async def test_scaling_that_hangs_is_given_up_before_the_next_tick() -> None:
    rig = await started(without_looks(), rps=BUSY)
    await rig.clock.advance(29.0)
    rig.source.delays_s = [1.0]
    await rig.clock.advance(1.5)
    rig.actuator.hang()

    await rig.clock.advance(29.4)
    rig.actuator.release()
    await rig.clock.advance(0.1)

    assert rig.outcomes() == [Outcome.FAILED, Outcome.APPLIED]
    assert rig.of(Actuated)[0].detail.startswith("no answer within")
    assert rig.times() == [31.0, 60.0]
    assert rig.count("setpoint_ticks_skipped_total") == 0.0
    await rig.stop()


@pytest.mark.parametrize(("fault", "words"), [FAULTS[0], FAULTS[1], FAULTS[2], FAULTS[4]])
async def test_whatever_scaling_raises_is_on_record(fault: Exception, words: str) -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.fail_next_scale(fault)

    await rig.clock.advance(60.0)

    assert rig.outcomes() == [Outcome.FAILED, Outcome.APPLIED]
    assert rig.of(Actuated)[0].detail == words
    await rig.stop()


async def test_a_decision_is_on_record_before_it_is_carried_out() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.fail_next_scale(Refused("no"))

    await rig.clock.advance(30.0)

    assert [record.record for record in rig.desk.journal.recent()][-2:] == ["stepped", "actuated"]
    await rig.stop()


# Stopping.


async def test_a_stop_between_steps_ends_at_once_with_everything_closed_and_on_record() -> None:
    rig = await started()
    await rig.clock.advance(42.0)

    await rig.stop()

    assert isinstance(rig.desk.journal.recent()[-1], Stopped)
    assert rig.of(Stopped)[0].cause == "the test is over"
    assert (rig.source.closes, rig.actuator.closes) == (1, 1)


@pytest.mark.parametrize("closing", [None, LookupError("no session")], ids=["in vain", "with an error"])
async def test_connectors_that_cannot_be_closed_do_not_keep_the_stop_from_the_record(
    closing: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SynchronousSource, "closing", closing)
    rig = Rig(source=SynchronousSource)
    await rig.start()
    rig.actuator.closing = LookupError("no such session")

    await rig.stop()

    assert isinstance(rig.desk.journal.recent()[-1], Stopped)
    assert rig.actuator.closes == 1
    assert rig.count("setpoint_errors_total") == 2.0
    assert "LookupError: no such session" in rig.log.getvalue()


async def test_a_stop_ends_what_forecasts() -> None:
    rig = await started()

    await rig.stop()

    assert rig.mind.closes == 1


async def test_a_mind_that_cannot_be_closed_does_not_keep_the_stop_from_the_record() -> None:
    rig = await started()
    rig.mind.closing = OSError("no such process")

    await rig.stop()

    assert isinstance(rig.desk.journal.recent()[-1], Stopped)
    assert "no such process" in rig.log.getvalue()


async def test_a_stop_before_the_start_runs_nothing() -> None:
    rig = Rig()
    rig.daemon.stop("changed my mind")

    await rig.start()
    await rig.end()

    assert [record.record for record in rig.desk.journal.recent()] == ["started", "stopped"]


async def test_the_first_stop_is_the_one_on_record() -> None:
    rig = await started()

    rig.daemon.stop("SIGTERM")
    rig.daemon.stop("SIGINT")
    await rig.end()
    rig.daemon.stop("again")

    assert [record.cause for record in rig.of(Stopped)] == ["SIGTERM"]
    assert rig.source.closes == 1


async def test_a_tick_in_progress_may_finish_after_the_stop() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.source.hang()
    await rig.clock.advance(31.0)

    rig.daemon.stop("SIGTERM")
    await rig.clock.advance(1.0)
    rig.source.release()
    await rig.end()

    assert [record.record for record in rig.desk.journal.recent()][-3:] == ["stepped", "actuated", "stopped"]
    assert rig.outcomes() == [Outcome.APPLIED]


@pytest.mark.slow
async def test_a_tick_that_hangs_is_abandoned_in_time_even_where_a_connector_does_not_close() -> None:
    rig = await started(without_looks(), rps=BUSY)
    rig.actuator.is_closing_forever = True
    rig.source.hang()
    await rig.clock.advance(31.0)

    await rig.stop()  # fails after 5 s

    assert rig.steps() == []
    assert isinstance(rig.desk.journal.recent()[-1], Stopped)
    assert rig.source.closes == 1
    assert "shutdown" in rig.log.getvalue()


@pytest.mark.slow
async def test_scaling_that_the_stop_cut_short_is_on_record() -> None:
    rig = await started(without_looks(), rps=BUSY)
    await rig.clock.advance(29.0)
    rig.source.delays_s = [1.0]
    await rig.clock.advance(1.5)
    rig.actuator.hang()
    await rig.clock.advance(1.0)

    await rig.stop()

    assert rig.outcomes() == [Outcome.FAILED]
    assert rig.of(Actuated)[0].detail == "stopped before it was confirmed"
    assert isinstance(rig.desk.journal.recent()[-1], Stopped)


async def test_who_cancels_the_daemon_gets_it_cleaned_up() -> None:
    rig = await started()
    assert rig.task is not None

    rig.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rig.task

    assert isinstance(rig.desk.journal.recent()[-1], Stopped)
    assert (rig.source.closes, rig.actuator.closes) == (1, 1)


# Reading the settings again.


async def test_a_reload_takes_effect_at_once_and_is_on_record() -> None:
    rig = await started(without_looks(), rps=BUSY)
    await rig.clock.advance(40.0)
    before = rig.steps()[0].decision

    await rig.reload(settings(look_interval="0s", budget_gpus="3"))
    await rig.clock.advance(20.0)

    (reloaded,) = rig.of(Reloaded)
    assert (reloaded.now_s, reloaded.problem, reloaded.policy.budget_gpus) == (40.0, "", 3)
    assert before.committed_gpus > 3
    assert rig.steps()[1].decision.gpus == 3
    await rig.stop()


async def test_a_reload_during_a_tick_waits_for_its_end() -> None:
    rig = await started(without_looks())
    rig.source.delays_s = [5.0]
    await rig.clock.advance(31.0)

    await rig.reload(settings(look_interval="0s", budget_gpus="3"))
    await rig.clock.advance(10.0)

    (tick,), (reloaded,) = rig.steps(), rig.of(Reloaded)
    assert (tick.now_s, tick.decision.budget_gpus) == (35.0, 20)
    assert reloaded.now_s == 35.0
    await rig.stop()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (ConfigError("not a number", key="budget_gpus"), "budget_gpus: not a number"),
        (InternalError("no curve"), "no curve"),
        (OSError("the disk is gone"), "the disk is gone"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
async def test_settings_that_cannot_be_read_leave_those_in_force(fault: Exception, words: str) -> None:
    rig = await started(without_looks(), rps=BUSY)

    def refuse() -> Change:
        raise fault

    rig.next_change = refuse
    rig.daemon.reload()
    await rig.clock.advance(30.0)

    (reloaded,) = rig.of(Reloaded)
    assert reloaded.problem == words
    assert reloaded.policy == rig.of(Started)[0].policy
    assert "the settings before stay in force" in rig.log.getvalue()
    assert not rig.steps()[0].decision.is_hold
    assert rig.count('setpoint_reloads_total{outcome="refused"') == 1.0
    await rig.stop()


async def test_a_predictor_that_is_not_known_leaves_all_settings_in_force() -> None:
    rig = await started(without_looks())

    await rig.reload(settings(forecast__predictor="crystal-ball", budget_gpus="3", interval="10s"))
    await rig.clock.advance(30.0)

    (reloaded,) = rig.of(Reloaded)
    assert "crystal-ball" in reloaded.problem
    assert reloaded.policy.budget_gpus == 20
    assert rig.times() == [30.0]
    await rig.stop()


async def test_another_interval_begins_a_new_rate() -> None:
    rig = await started(without_looks())
    await rig.clock.advance(40.0)

    await rig.reload(settings(look_interval="0s", interval="60s"))
    await rig.clock.advance(120.0)

    # The first window of the new length begins after the last tick of the old.
    assert rig.times() == [30.0, 100.0, 160.0]
    assert rig.source.windows_s[1:] == (30.0, 60.0, 60.0)
    await rig.stop()


async def test_a_shorter_interval_does_not_wait_for_the_end_of_the_longer_one() -> None:
    rig = await started(settings(interval="10m"))
    await rig.clock.advance(12.0)

    await rig.reload(settings(interval="10s"))
    await rig.clock.advance(21.0)

    assert rig.times() == [22.0, 32.0]
    await rig.stop()


async def test_other_settings_do_not_move_the_tick() -> None:
    rig = await started(settings(actuate="false"), rps=BUSY)
    await rig.clock.advance(40.0)

    await rig.reload(settings(actuate="true", look_interval="2s"))
    await rig.clock.advance(20.0)

    assert rig.times() == [30.0, 60.0]
    assert rig.outcomes() == [Outcome.ADVISORY, Outcome.APPLIED]
    assert not rig.desk.board.advisory
    assert rig.times(StepKind.LOOK)[-2:] == [56.0, 58.0]
    await rig.stop()


async def test_signals_that_keep_coming_do_not_keep_the_tick_away() -> None:
    rig = await started(without_looks())

    for _ in range(60):
        await rig.reload(without_looks())
        await rig.clock.advance(1.0)

    assert rig.times() == [30.0, 60.0]
    await rig.stop()


async def test_a_reload_keeps_what_was_learned() -> None:
    rig = await started(without_looks(), rps=BUSY)
    await rig.clock.advance(95.0)
    state = rig.mind.state

    await rig.reload(settings(look_interval="0s", forecast__predictor="kalman"))

    assert rig.mind.state == state
    assert rig.of(Reloaded)[0].state == state
    await rig.clock.advance(30.0)
    forecast = rig.steps()[-1].forecast
    assert forecast is not None
    assert (forecast.predictor, forecast.points) == ("kalman", 4)
    await rig.stop()


async def test_a_record_that_opens_a_file_carries_what_is_in_force_now() -> None:
    rig = await started(rps=BUSY)
    await rig.clock.advance(30.0)

    head = rig.daemon.opening(is_continued=True)

    assert head.state == rig.mind.state
    assert head.state != rig.of(Started)[0].state
    assert head.is_continued
    await rig.stop()
