"""The loop: observe, step, record, act, sleep. It holds no arithmetic and no decision of its own.

Ticks come at a fixed rate on the injected clock, looks in between. One deadline bounds the observation of an
interval; an interval that overruns swallows the ticks that it missed. A part that fails ends the interval in
an explained hold; nothing but the stop signal ends the loop.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from config.clock import Clock, within
from config.policy import ForecastPolicy, Policy
from connectors.base import Actuator, MetricsSource, Observation
from planner.attempt import attempt, tell, words
from planner.core.decision import Decision, ReasonCode, StepKind, because
from planner.core.report import held
from planner.eyes import Eyes
from planner.hands import Hands
from planner.serving.desk import Desk
from planner.serving.records import Reloaded, Started, Stepped, Stopped

if TYPE_CHECKING:
    from planner.embedding import Planner

# What is called the part of all that nobody foresaw between two rests.
_LOOP = "loop"
# A look reads so many look intervals back, so that it sees more than one scrape.
_LOOK_WINDOWS = 4.0
# The last look before a tick leaves it so many look intervals.
_LOOK_GAP = 1.5
# Real time, so that all is over within 5 s of the stop signal: a step in progress may finish, then whatever
# does not heed its cancellation is left behind, then the connectors may close.
_FINISH_S = 2.0
_CANCEL_S = 0.5
_CLOSE_S = 1.0
# Scaling is given this share of the time until the next tick, and so long where that is nearly due.
_SCALING_SHARE = 0.9
_LEAST_SCALING_S = 1.0


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
        self._parts, self._desk, self._clock = parts, parts.desk, parts.clock
        self._eyes = Eyes(parts.source, parts.actuator, desk=parts.desk, clock=parts.clock)
        self._hands = Hands(parts.actuator, desk=parts.desk, clock=parts.clock)
        self._pace = pace
        self._reload = reload
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._cause = "the loop ended unasked"
        self._due_s = self._clock.now_s() + pace.interval_s
        self._is_busy = False

    def stop(self, cause: str) -> None:
        """End the loop after the step in progress; may be called from a signal handler."""
        if not self._stop.is_set():
            self._cause = cause
            self._stop.set()

    def reload(self) -> None:
        """Read the settings again, between two steps; may be called from a signal handler."""
        self._wake.set()

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
        try:
            await asyncio.wait({loop, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._is_busy:
                await asyncio.wait({loop}, timeout=_FINISH_S)
        finally:
            await self._end(loop, stop)
        if loop.done() and not loop.cancelled():
            loop.result()

    async def _end(self, loop: asyncio.Future[None], stop: asyncio.Future[None]) -> None:
        for task in (loop, stop):
            task.cancel()
        await asyncio.wait({loop, stop}, timeout=_CANCEL_S)
        parts = (self._parts.source, self._parts.actuator)
        closings = (attempt(partial(_close, part)) for part in parts)
        for error in await asyncio.gather(*closings):
            if error is not None:
                tell(self._desk, "shutdown", error)
        stopped = Stopped(
            at_wall_s=self._clock.wall_s(),
            now_s=self._clock.now_s(),
            target=self._desk.board.target,
            cause=self._cause,
        )
        self._desk.take(stopped)
        self._desk.journal.close()

    async def _until_stopped(self) -> None:
        await self._stop.wait()

    async def _loop(self) -> None:
        start_s = self._clock.now_s()
        self._due_s = start_s + self._pace.interval_s
        await self._step(StepKind.LOOK, self._pace)
        while not self._stop.is_set():
            await self._keep_rate(start_s)
            start_s = self._clock.now_s()

    async def _keep_rate(self, start_s: float) -> None:
        """Tick at one rate, until a reload brings another."""
        pace, ticks = self._pace, 1
        while not self._stop.is_set() and self._pace.interval_s == pace.interval_s:
            self._due_s = self._desk.board.next_tick_at_s = start_s + ticks * pace.interval_s
            await self._look_until_due(pace)
            if self._pace.interval_s != pace.interval_s:
                return
            self._due_s += pace.interval_s
            await self._step(StepKind.TICK, pace)
            # A tick that is due just now is not missed yet.
            passed = math.ceil((self._clock.now_s() - start_s) / pace.interval_s) - 1
            if passed > ticks:
                await self._safely(partial(self._skip, passed - ticks))
            ticks = max(ticks, passed) + 1

    async def _skip(self, ticks: int) -> None:
        self._planner.skip(ticks)
        self._desk.skipped(ticks)

    async def _look_until_due(self, pace: Pace) -> None:
        while not self._stop.is_set() and self._pace.interval_s == pace.interval_s:
            step_s, left_s = self._pace.look_interval_s, self._due_s - self._clock.now_s()
            is_last = step_s <= 0.0 or left_s < _LOOK_GAP * step_s
            is_woken = await self._rest(left_s if is_last else step_s)
            if is_woken:
                await self._safely(self._take_reload)
            elif is_last or self._clock.now_s() >= self._due_s:
                return
            else:
                await self._step(StepKind.LOOK, self._pace)

    async def _rest(self, duration_s: float) -> bool:
        """Sleep; return True if a reload was asked for meanwhile."""
        try:
            await within(self._clock, self._wake.wait(), duration_s)
        except TimeoutError:
            return False
        return True

    async def _step(self, kind: StepKind, pace: Pace) -> None:
        if self._stop.is_set():
            return
        is_done = await self._safely(lambda: self._observe_and_decide(kind, pace))
        if is_done and kind is StepKind.TICK and _LOOP in self._desk.board.parts:
            self._desk.worked(_LOOP)

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do work between two rests and tell whether it was done; whatever goes wrong, the loop goes on."""
        self._is_busy = True
        try:
            error = await attempt(work)
        finally:
            self._is_busy = False
        if error is not None:
            self._desk.crashed(_LOOP, error)
        return error is None

    async def _observe_and_decide(self, kind: StepKind, pace: Pace) -> None:
        began_s, is_look = self._clock.now_s(), kind is StepKind.LOOK
        window_s = min(_LOOK_WINDOWS * pace.look_interval_s, pace.interval_s) if is_look else 0.0
        # A look that waits for an answer delays the tick by less than another look.
        left_s = max(self._due_s - began_s, pace.look_interval_s)
        limit_s = min(pace.deadline_s, left_s) if is_look else pace.deadline_s
        observation = await self._eyes.observe(window_s or pace.interval_s, limit_s=limit_s)
        now_s = self._clock.now_s()
        decision = await self._decide(observation, now_s=now_s, kind=kind)
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
            limit_s = max(_SCALING_SHARE * (self._due_s - self._clock.now_s()), _LEAST_SCALING_S)
            await self._hands.carry_out(decision, is_advisory=not self._pace.actuate, limit_s=limit_s)

    async def _decide(self, observation: Observation, *, now_s: float, kind: StepKind) -> Decision:
        async def decide() -> Decision:
            return self._planner.step(observation, now_s=now_s, kind=kind)

        decision = await attempt(decide)
        if self._planner.trouble is not None:
            tell(self._desk, "predictor", self._planner.trouble)
        elif kind is StepKind.TICK:
            self._desk.worked("predictor")
        if isinstance(decision, BaseException):
            self._desk.crashed("step", decision)
            why = because(ReasonCode.INTERNAL, detail=words(decision))
            return held(self._planner.policy, self._planner.state, (why,), now_s=now_s, kind=kind)
        self._desk.worked("step")
        return decision

    async def _take_reload(self) -> None:
        self._wake.clear()
        self._desk.journal.reopen()  # whoever rotates files sends the same signal
        if self._reload is None:
            return
        problem = await attempt(self._change)
        started = self.opening()
        self._desk.take(
            Reloaded(
                at_wall_s=started.at_wall_s,
                now_s=started.now_s,
                target=started.target,
                policy=started.policy,
                forecast_policy=started.forecast_policy,
                state=started.state,
                problem=words(problem) if problem else "",
            )
        )

    async def _change(self) -> None:
        if self._reload is not None:
            change = self._reload()
            self._planner.change(change.policy, change.forecast_policy)
            self._pace = change.pace
            self._desk.board.advisory = not change.pace.actuate


async def _close(part: MetricsSource | Actuator) -> None:
    async with asyncio.timeout(_CLOSE_S):
        await part.close()
