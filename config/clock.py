"""Time, as a thing that is passed in: the only module that asks the machine what time it is."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable
from typing import Protocol, TypeVar

T = TypeVar("T")

# Cancelled work gets so long to put its things away; work that does not heed is left behind.
_CANCEL_S = 0.5


class Clock(Protocol):
    """Where the shell gets its time from."""

    def now_s(self) -> float:
        """Return monotonic seconds since an arbitrary origin; never steps back."""
        ...

    def wall_s(self) -> float:
        """Return seconds since the Unix epoch, for logs and the wire only."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Return after so many seconds of this clock; at once if not positive."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_s(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Return the wall clock."""
        return time.time()

    async def sleep(self, duration_s: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(max(0.0, duration_s))


class ScaledClock:
    """A clock that runs faster than another by a constant factor, for the demo.

    Args:
        base: The clock that really passes.
        speed_ratio: Seconds of this clock per second of the base; positive.
        start_wall_s: What `wall_s` reads at the start; the base's wall clock if None.
    """

    def __init__(self, base: Clock, *, speed_ratio: float, start_wall_s: float | None = None) -> None:
        self._base = base
        self._speed_ratio = speed_ratio
        self._origin_s = base.now_s()
        self._wall_origin_s = base.wall_s() if start_wall_s is None else start_wall_s

    def now_s(self) -> float:
        """Return accelerated seconds since this clock was made."""
        return (self._base.now_s() - self._origin_s) * self._speed_ratio

    def wall_s(self) -> float:
        """Return the accelerated wall clock."""
        return self._wall_origin_s + self.now_s()

    async def sleep(self, duration_s: float) -> None:
        """Sleep so many accelerated seconds."""
        await self._base.sleep(duration_s / self._speed_ratio)


class VirtualClock:
    """A clock that stands still until a test or a simulation moves it.

    Sleepers wake in the order of their deadlines, equal deadlines in the order of their request.

    Example:
        >>> clock = VirtualClock(wall_origin_s=1_700_000_000.0)
        >>> clock.now_s(), clock.wall_s()
        (0.0, 1700000000.0)
    """

    def __init__(self, *, wall_origin_s: float = 0.0) -> None:
        self._now_s = 0.0
        self._wall_origin_s = wall_origin_s
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_s(self) -> float:
        """Return the seconds that this clock was moved so far."""
        return self._now_s

    def wall_s(self) -> float:
        """Return the wall origin plus the seconds that this clock was moved."""
        return self._wall_origin_s + self._now_s

    async def sleep(self, duration_s: float) -> None:
        """Wait until somebody moves the clock past the deadline."""
        if duration_s <= 0.0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + duration_s, next(self._order), future))
        await future

    async def advance(self, duration_s: float) -> None:
        """Move the clock, waking each sleeper at its own deadline and letting tasks settle in between."""
        end_s = self._now_s + duration_s
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            deadline_s, _, future = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, deadline_s)
            if not future.done():
                future.set_result(None)
            await self._settle()
        self._now_s = end_s

    async def _settle(self) -> None:
        # A task that was woken may wake others; a bounded number of turns lets such chains run out
        # without waiting for tasks that are blocked on real input or output.
        for _ in range(100):
            await asyncio.sleep(0)


async def within(clock: Clock, work: Awaitable[T], limit_s: float) -> T:
    """Return the result of the work, if it comes within so many seconds of the clock.

    Raises:
        TimeoutError: If it does not; the work is cancelled, and left behind where it does not heed that.
    """
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(limit_s))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise TimeoutError(f"no answer within {round(limit_s, 3):g} s")
        return task.result()
    finally:
        await _end(timer)
        await _end(task)


async def _end(task: "asyncio.Future[T] | asyncio.Future[None]") -> None:
    task.add_done_callback(_hear)
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_S)


def _hear(task: "asyncio.Future[T] | asyncio.Future[None]") -> None:
    """Take note of what abandoned work raised, so that the event loop does not call it lost."""
    if not task.cancelled():
        task.exception()
