"""Fakes for tests of whatever uses a source or an actuator: scripted, and able to fail or hang on demand."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from config.clock import Clock
from connectors.base import Fleet, Replicas, Traffic, Unknown
from connectors.virtual.memory import MemoryActuator, ScaleCall


class FakeMetricsSource:
    """Answer each `observe` with the next traffic of a script; the last one stays.

    The answer carries the clock's time and the window that was asked for, whatever the script says.

    Args:
        traffics: The script; empty means that arrivals are unknown.
        clock: Where `at_s` comes from.
        past: What `history` answers, oldest first.

    Example:
        >>> from config.clock import VirtualClock
        >>> from connectors.base import Value
        >>> quiet = Traffic(at_s=0.0, window_s=0.0, arrivals_rps=Value(value=0.0, at_s=0.0))
        >>> source = FakeMetricsSource([quiet], VirtualClock())
        >>> asyncio.run(source.observe(30.0)).arrivals_rps.kind
        'value'
        >>> source.break_backend("the server is gone")
        >>> asyncio.run(source.observe(30.0)).arrivals_rps
        Unknown(why='the server is gone', kind='unknown')
    """

    def __init__(self, traffics: Iterable[Traffic], clock: Clock, *, past: Iterable[Traffic] = ()) -> None:
        self._script = deque(traffics)
        self._clock = clock
        self._past = tuple(past)
        self._broken = "" if self._script else "the script of this fake is empty"
        self._error: Exception | None = None
        self._gate = asyncio.Event()
        self._gate.set()
        self._windows_s: list[float] = []
        self._closes = 0

    @property
    def windows_s(self) -> tuple[float, ...]:
        """The window of each call of `observe`, oldest first, hanging and failing ones included."""
        return tuple(self._windows_s)

    @property
    def closes(self) -> int:
        """How often `close` was called."""
        return self._closes

    def push(self, *traffics: Traffic) -> None:
        """Append to the script."""
        self._script.extend(traffics)
        self._broken = ""

    def break_backend(self, why: str) -> None:
        """Answer only unknowns from now on, as a source does whose server is gone."""
        self._broken = why

    def mend_backend(self) -> None:
        """Answer from the script again."""
        self._broken = "" if self._script else "the script of this fake is empty"

    def fail_next(self, error: Exception) -> None:
        """Raise this at the next call of `observe` or `history`, as a faulty source might."""
        self._error = error

    def hang(self) -> None:
        """Let calls wait until `release`."""
        self._gate.clear()

    def release(self) -> None:
        """Let calls that hang, and later ones, go on."""
        self._gate.set()

    async def observe(self, window_s: float) -> Traffic:
        """Return the next traffic of the script."""
        self._windows_s.append(window_s)
        await self._pass()
        if self._broken:
            unknown = Unknown(why=self._broken)
            return Traffic(at_s=self._clock.now_s(), window_s=window_s, arrivals_rps=unknown)
        traffic = self._script.popleft() if len(self._script) > 1 else self._script[0]
        return replace(traffic, at_s=self._clock.now_s(), window_s=window_s)

    async def history(self, duration_s: float, step_s: float) -> tuple[Traffic, ...]:
        """Return the past that was given, limited to as many steps as the duration holds."""
        await self._pass()
        steps = int(duration_s // step_s)
        return self._past[max(0, len(self._past) - steps) :]

    async def close(self) -> None:
        """Count the call."""
        self._closes += 1

    async def _pass(self) -> None:
        await self._gate.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScaleFailure:
    error: Exception
    is_applied: bool


class FakeActuator:
    """A fleet in memory that records every request and fails or hangs on demand.

    Args:
        replicas: The pools and their first counts.
        clock: Where time comes from.
        startup_s: Time that a new engine needs before it is ready.

    Example:
        >>> from config.clock import VirtualClock
        >>> from config.errors import Conflict
        >>> actuator = FakeActuator(Replicas.of(decode=1), VirtualClock())
        >>> actuator.fail_next_scale(Conflict("somebody was faster"))
        >>> asyncio.run(actuator.scale(Replicas.of(decode=2)))
        Traceback (most recent call last):
        config.errors.Conflict: somebody was faster
        >>> len(actuator.requests), len(actuator.calls)
        (1, 0)
    """

    def __init__(self, replicas: Replicas, clock: Clock, *, startup_s: float = 0.0) -> None:
        self._fleet = MemoryActuator(replicas, clock, startup_s=startup_s)
        self._requests: list[Replicas] = []
        self._read_errors: deque[Exception] = deque()
        self._scale_failures: deque[_ScaleFailure] = deque()
        self._gate = asyncio.Event()
        self._gate.set()
        self._closes = 0

    @property
    def requests(self) -> tuple[Replicas, ...]:
        """Every request to scale, oldest first, failed ones included."""
        return tuple(self._requests)

    @property
    def calls(self) -> tuple[ScaleCall, ...]:
        """Every request that was carried out, with its time, oldest first."""
        return self._fleet.calls

    @property
    def closes(self) -> int:
        """How often `close` was called."""
        return self._closes

    def fail_next_read(self, *errors: Exception) -> None:
        """Raise these, one per call of `read`."""
        self._read_errors.extend(errors)

    def fail_next_scale(self, *errors: Exception, is_applied: bool = False) -> None:
        """Raise these, one per call of `scale`.

        Args:
            errors: What is raised.
            is_applied: If True the request is carried out before the error, as when an answer is lost.
        """
        self._scale_failures.extend(_ScaleFailure(error=error, is_applied=is_applied) for error in errors)

    def hang(self) -> None:
        """Let calls wait until `release`."""
        self._gate.clear()

    def release(self) -> None:
        """Let calls that hang, and later ones, go on."""
        self._gate.set()

    async def read(self) -> Fleet:
        """Return the fleet, or raise the next scripted error."""
        await self._gate.wait()
        if self._read_errors:
            raise self._read_errors.popleft()
        return await self._fleet.read()

    async def scale(self, replicas: Replicas) -> None:
        """Record the request and carry it out, or raise the next scripted error."""
        self._requests.append(replicas)
        await self._gate.wait()
        failure = self._scale_failures.popleft() if self._scale_failures else None
        if failure is None or failure.is_applied:
            await self._fleet.scale(replicas)
        if failure is not None:
            raise failure.error

    async def close(self) -> None:
        """Count the call."""
        self._closes += 1
