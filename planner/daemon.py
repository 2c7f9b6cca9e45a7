"""The loop: observe, step, record, act, sleep. It holds no arithmetic and no decision of its own.

Ticks come at a fixed rate on the injected clock, looks in between. One deadline bounds the observation of an
interval; an interval that overruns swallows the ticks that it missed. A part that fails ends the interval in
an explained hold; nothing but the stop signal ends the loop.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from config.clock import within
from planner.attempt import attempt, tell, words
from planner.core.decision import StepKind
from planner.mind import Mind
from planner.parts import Change, Pace, Parts
from planner.serving.records import Reloaded, Started, Stopped
from planner.turn import Slot, Turn
from planner.warm import WarmUp

__all__ = ["Change", "Daemon", "Pace", "Parts"]

# What is called the part of all that nobody foresaw between two rests.
_LOOP = "loop"
# The last look before a tick leaves it so many look intervals.
_LOOK_GAP = 1.5
# The look that greets the fleet is left out where a tick is due as soon as so many seconds from now, or as
# this share of the interval.
_GREETING_S = 0.5
_GREETING_SHARE = 0.25
# Real time, so that all is over within 5 s of the stop signal: a step in progress may finish, then whatever
# does not heed its cancellation is left behind, then the connectors may close.
_FINISH_S = 2.0
_CANCEL_S = 0.5
_CLOSE_S = 1.0


class Daemon:
    """The autoscaler of one deployment.

    Args:
        mind: Decides.
        parts: The outside world.
        pace: When to do what.
        reload: Reads the settings again; raises ConfigError where they cannot be used.
        warm_up: Teaches the mind the past before the first step; None starts cold.
    """

    def __init__(
        self,
        mind: Mind,
        parts: Parts,
        pace: Pace,
        *,
        reload: Callable[[], Change] | None = None,
        warm_up: WarmUp | None = None,
    ) -> None:
        self._mind = mind
        self._parts, self._desk, self._clock = parts, parts.desk, parts.clock
        self._turn = Turn(mind, parts)
        self._pace = pace
        self._reload, self._warm_up = reload, warm_up
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._cause = "the loop ended unasked"
        self._due_s = self._clock.now_s() + pace.interval_s
        self._is_busy = self._is_open = False

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
            policy=self._mind.policy,
            forecast_policy=self._mind.forecast_policy,
            state=self._mind.state,
            is_continued=is_continued,
        )

    async def run(self) -> None:
        """Run until `stop` is called."""
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

    async def close(self) -> None:
        """Release what the daemon is connected to; `run` does that itself, this is for one that never ran."""
        parts = (self._parts.source, self._parts.actuator, self._mind)
        closings = (attempt(partial(_close, part)) for part in parts)
        for error in await asyncio.gather(*closings):
            if error is not None:
                tell(self._desk, "shutdown", error)

    async def _end(self, loop: asyncio.Future[None], stop: asyncio.Future[None]) -> None:
        for task in (loop, stop):
            task.cancel()
        await asyncio.wait({loop, stop}, timeout=_CANCEL_S)
        self._open()
        await self.close()
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
        start_s = await self._begin()
        self._due_s = start_s + self._pace.interval_s
        if self._due_s - self._clock.now_s() > min(_GREETING_S, _GREETING_SHARE * self._pace.interval_s):
            await self._step(StepKind.LOOK)
        while not self._stop.is_set():
            await self._keep_rate(start_s)
            start_s = self._clock.now_s()

    async def _begin(self) -> float:
        """Learn the past; return the time from which ticks come at each interval."""
        start_s = self._clock.now_s()
        if self._warm_up is not None:
            begun = await attempt(self._warm_up.begin)
            if isinstance(begun, BaseException):
                tell(self._desk, "warm_up", begun)
            else:
                start_s = begun
        self._open()
        return start_s

    def _open(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._desk.take(self.opening())

    async def _keep_rate(self, start_s: float) -> None:
        """Tick at one rate, until a reload brings another."""
        pace, ticks = self._pace, 1
        while not self._stop.is_set() and self._pace.interval_s == pace.interval_s:
            self._due_s = self._desk.board.next_tick_at_s = start_s + ticks * pace.interval_s
            await self._look_until_due(pace)
            if self._pace.interval_s != pace.interval_s:
                return
            if self._warm_up is not None:
                deadline_s = self._pace.deadline_s
                await self._safely(partial(self._warm_up.again, due_s=self._due_s, deadline_s=deadline_s))
            self._due_s += pace.interval_s
            await self._step(StepKind.TICK)
            # A tick that is due just now is not missed yet.
            passed = math.ceil((self._clock.now_s() - start_s) / pace.interval_s) - 1
            if passed > ticks:
                await self._safely(partial(self._skip, passed - ticks))
            ticks = max(ticks, passed) + 1

    async def _skip(self, ticks: int) -> None:
        self._mind.skip(ticks)
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
                await self._step(StepKind.LOOK)

    async def _rest(self, duration_s: float) -> bool:
        """Sleep; return True if a reload was asked for meanwhile."""
        try:
            await within(self._clock, self._wake.wait(), duration_s)
        except TimeoutError:
            return False
        return True

    async def _step(self, kind: StepKind) -> None:
        if self._stop.is_set():
            return
        slot = Slot(kind=kind, pace=self._pace, due_s=self._due_s)
        is_done = await self._safely(partial(self._turn.take, slot))
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
            await self._mind.change(change.policy, change.forecast_policy, change.foresight)
            self._pace = change.pace
            self._desk.board.advisory = not change.pace.actuate


class _Closable(Protocol):
    async def close(self) -> None: ...


async def _close(part: _Closable) -> None:
    async with asyncio.timeout(_CLOSE_S):
        await part.close()
