"""The loop: observe, step, record, act, sleep. It holds no arithmetic and no decision of its own.

Ticks come at a fixed rate on the injected clock, looks in between. One deadline bounds the observation of an
interval; an interval that overruns swallows the ticks that it missed. A part that fails ends the interval in
an explained hold; nothing but the stop signal ends the loop.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from config.clock import Clock, within
from config.errors import ConfigError, ObservationError, SetpointError
from config.policy import ForecastPolicy, Policy
from connectors.base import Actuator, Fleet, MetricsSource, Observation, Traffic, Unknown
from planner.core.decision import Decision, ReasonCode, StepKind, because
from planner.core.report import held
from planner.hands import Hands
from planner.serving.desk import Desk
from planner.serving.records import Reloaded, Started, Stepped, Stopped

if TYPE_CHECKING:
    from planner.embedding import Planner

# A look reads so many look intervals back, so that it sees more than one scrape.
_LOOK_WINDOWS = 4.0
# A tick in progress gets so long to finish after the stop signal, and the connectors to close.
_FINISH_S = 3.0
_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When the loop does what.

    Attributes:
        interval_s: Time between two ticks.
        look_interval_s: Time between two looks; 0 is no looks.
        deadline_s: Longest time that one observation may take.
        actuate: False only advises.
    """

    interval_s: float
    look_interval_s: float
    deadline_s: float
    actuate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a reload of the settings brought."""

    policy: Policy
    forecast_policy: ForecastPolicy
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop is connected to."""

    source: MetricsSource
    actuator: Actuator
    desk: Desk
    clock: Clock


class Daemon:
    """The autoscaler of one deployment.

    Args:
        planner: Decides.
        parts: The outside world.
        pace: When to do what.
        reload: Reads the settings again; raises ConfigError where they cannot be used.
    """

    def __init__(
        self,
        planner: "Planner",
        parts: Parts,
        pace: Pace,
        *,
        reload: Callable[[], Change] | None = None,
    ) -> None:
        self._planner = planner
        self._source, self._desk, self._clock = parts.source, parts.desk, parts.clock
        self._actuator = parts.actuator
        self._hands = Hands(parts.actuator, desk=parts.desk, clock=parts.clock)
        self._pace = pace
        self._reload = reload
        self._stop = asyncio.Event()
        self._cause = "asked to stop"
        self._is_reload_wanted = False
        self._is_busy = False

    def stop(self, cause: str) -> None:
        """End the loop after the step in progress; may be called from a signal handler."""
        self._cause = cause
        self._stop.set()

    def reload(self) -> None:
        """Read the settings again before the next step; may be called from a signal handler."""
        self._is_reload_wanted = True

    def opening(self, *, is_continued: bool = False) -> Started:
        """Return the record that opens a journal file at this moment."""
        board = self._desk.board
        return Started(
            at_wall_s=self._clock.wall_s(),
            now_s=self._clock.now_s(),
            version=board.version,
            target=board.target,
            policy=self._planner.policy,
            forecast_policy=self._planner.forecast_policy,
            state=self._planner.state,
            is_continued=is_continued,
        )

    async def run(self) -> None:
        """Run until `stop` is called."""
        self._desk.take(self.opening())
        loop = asyncio.ensure_future(self._loop())
        stop = asyncio.ensure_future(self._until_stopped())
        await asyncio.wait({loop, stop}, return_when=asyncio.FIRST_COMPLETED)
        await self._end(loop, stop)
        stopped = Stopped(
            at_wall_s=self._clock.wall_s(),
            now_s=self._clock.now_s(),
            target=self._desk.board.target,
            cause=self._cause,
        )
        self._desk.take(stopped)
        self._desk.journal.close()
        if loop.done() and not loop.cancelled():
            loop.result()

    async def _end(self, loop: asyncio.Future[None], stop: asyncio.Future[None]) -> None:
        if not loop.done() and self._is_busy:
            await asyncio.wait({loop}, timeout=_FINISH_S)
        for task in (loop, stop):
            task.cancel()
        await asyncio.wait({loop, stop})
        for part in (self._source, self._actuator):
            try:
                await asyncio.wait_for(part.close(), _CLOSE_S)
            except (SetpointError, TimeoutError, OSError) as error:
                self._desk.failed("shutdown", error)

    async def _until_stopped(self) -> None:
        await self._stop.wait()

    async def _loop(self) -> None:
        start_s, ticks = self._clock.now_s(), 1
        await self._step(StepKind.LOOK)
        while not self._stop.is_set():
            pace = self._pace
            tick_at_s = start_s + ticks * pace.interval_s
            self._desk.board.next_tick_at_s = tick_at_s
            await self._look_until(tick_at_s)
            await self._step(StepKind.TICK)
            if self._pace != pace:  # reloaded: the rate begins anew
                start_s, ticks = self._clock.now_s(), 1
                continue
            passed = int((self._clock.now_s() - start_s) / pace.interval_s)
            if passed > ticks:
                self._desk.skipped(passed - ticks)
            ticks = max(ticks, passed) + 1

    async def _look_until(self, tick_at_s: float) -> None:
        step_s = self._pace.look_interval_s
        while step_s > 0.0 and self._clock.now_s() + 1.5 * step_s <= tick_at_s:
            await self._clock.sleep(step_s)
            if self._stop.is_set():
                return
            await self._step(StepKind.LOOK)
        await self._clock.sleep(tick_at_s - self._clock.now_s())

    async def _step(self, kind: StepKind) -> None:
        """Take one step; whatever goes wrong, the loop goes on."""
        if self._stop.is_set():
            return
        self._is_busy = True
        try:
            self._take_reload()
            await self._observe_and_decide(kind)
        except Exception as error:  # noqa: BLE001 - the top of the tick: hold, record, go on
            self._desk.crashed("loop", error)
        finally:
            self._is_busy = False

    async def _observe_and_decide(self, kind: StepKind) -> None:
        began_s = self._clock.now_s()
        observation = await self._observe(kind)
        now_s = self._clock.now_s()
        decision = self._decide(observation, now_s=now_s, kind=kind)
        self._desk.take(
            Stepped(
                at_wall_s=self._clock.wall_s(),
                now_s=now_s,
                target=self._desk.board.target,
                kind=kind,
                observation=observation,
                forecast=self._planner.forecast,
                decision=decision,
                duration_s=now_s - began_s,
            )
        )
        if decision.is_change:
            limit_s = max(began_s + self._pace.interval_s - self._clock.now_s(), _CLOSE_S)
            await self._hands.carry_out(decision, is_advisory=not self._pace.actuate, limit_s=limit_s)

    def _decide(self, observation: Observation, *, now_s: float, kind: StepKind) -> Decision:
        try:
            decision = self._planner.step(observation, now_s=now_s, kind=kind)
        except SetpointError as error:
            self._desk.crashed("step", error)
            why = because(ReasonCode.INTERNAL, detail=str(error))
            return held(self._planner.policy, self._planner.state, (why,), now_s=now_s, kind=kind)
        self._desk.worked("step")
        return decision

    async def _observe(self, kind: StepKind) -> Observation:
        async with asyncio.TaskGroup() as group:
            traffic = group.create_task(self._traffic(kind))
            fleet = group.create_task(self._fleet())
        return Observation(traffic=traffic.result(), fleet=fleet.result())

    async def _traffic(self, kind: StepKind) -> Traffic:
        pace = self._pace
        look_s = min(_LOOK_WINDOWS * pace.look_interval_s, pace.interval_s) or pace.interval_s
        window_s = pace.interval_s if kind is StepKind.TICK else look_s
        try:
            traffic = await within(self._clock, self._source.observe(window_s), pace.deadline_s)
        except (SetpointError, TimeoutError, OSError) as error:
            self._desk.failed("source", error)
            return _nothing(self._clock.now_s(), window_s, f"the source failed: {error}")
        if isinstance(traffic.arrivals_rps, Unknown):
            self._desk.failed("source", ObservationError(traffic.arrivals_rps.why))
        else:
            self._desk.worked("source")
        return traffic

    async def _fleet(self) -> Fleet | Unknown:
        try:
            fleet = await within(self._clock, self._actuator.read(), self._pace.deadline_s)
        except (SetpointError, TimeoutError, OSError) as error:
            self._desk.failed("actuator", error)
            return Unknown(why=str(error))
        self._desk.worked("actuator")
        return fleet

    def _take_reload(self) -> None:
        if not self._is_reload_wanted or self._reload is None:
            return
        self._is_reload_wanted = False
        self._desk.journal.reopen()  # whoever rotates files sends the same signal
        problem = ""
        try:
            change = self._reload()
            self._planner.change(change.policy, change.forecast_policy)
            self._pace = change.pace
            self._desk.board.advisory = not change.pace.actuate
        except ConfigError as error:
            problem = str(error)
        started = self.opening()
        self._desk.take(
            Reloaded(
                at_wall_s=started.at_wall_s,
                now_s=started.now_s,
                target=started.target,
                policy=started.policy,
                forecast_policy=started.forecast_policy,
                state=started.state,
                problem=problem,
            )
        )


def _nothing(at_s: float, window_s: float, why: str) -> Traffic:
    unknown = Unknown(why=why)
    traffic = Traffic(at_s=at_s, window_s=window_s, arrivals_rps=unknown)
    return replace(traffic, isl_tokens=unknown, osl_tokens=unknown, ttft_s=unknown, itl_s=unknown)
