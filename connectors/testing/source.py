"""What every metrics source must do, as checks that any test framework can run."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields

from config.errors import ObservationError
from connectors.base import Histogram, Idle, MetricsSource, Traffic, Unknown, Value
from connectors.testing.checks import Check, error_of, require, run_checks

_WINDOW_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSourceHarness:
    """A metrics source under test.

    Attributes:
        source: The source, fresh, its backend alive.
        break_backend: Makes the backend unreachable.
    """

    source: MetricsSource
    break_backend: Check


MetricsSourceFactory = Callable[[], AbstractAsyncContextManager[MetricsSourceHarness]]

# A rate or a gauge of an idle system is zero; only statistics of requests can have nothing to measure.
_NEVER_IDLE = frozenset({"arrivals_rps", "completions_rps", "in_flight", "queued", "kv_usage_ratio"})


class MetricsSourceConformance:
    """What every metrics source must do.

    Args:
        factory: Opens a fresh harness; called once per check.

    Example:
        >>> from contextlib import asynccontextmanager
        >>> from config.clock import VirtualClock
        >>> from connectors.testing import FakeMetricsSource, nothing
        >>> @asynccontextmanager
        ... async def factory():
        ...     source = FakeMetricsSource([], VirtualClock())
        ...     yield MetricsSourceHarness(source=source, break_backend=nothing)
        >>> len(asyncio.run(MetricsSourceConformance(factory).run_all()))
        6
    """

    def __init__(self, factory: MetricsSourceFactory) -> None:
        self._factory = factory

    def checks(self) -> tuple[Check, ...]:
        """Return every check, for frameworks that want one test per check."""
        return (
            self.observes_a_window_with_honest_readings,
            self.keeps_time,
            self.survives_concurrent_reads,
            self.turns_a_broken_backend_into_unknowns,
            self.gives_history_oldest_first,
            self.closes_twice,
        )

    async def run_all(self) -> tuple[str, ...]:
        """Run every check and return their names.

        Raises:
            ConformanceError: If any did not pass; the message lists each with its error.
        """
        return await run_checks(self.checks())

    async def observes_a_window_with_honest_readings(self) -> None:
        """Every number is finite and not negative, and what is missing says why."""
        async with self._factory() as harness:
            _require_honest(await harness.source.observe(_WINDOW_S))

    async def keeps_time(self) -> None:
        """A later observation does not end earlier."""
        async with self._factory() as harness:
            first = await harness.source.observe(_WINDOW_S)
            second = await harness.source.observe(_WINDOW_S)

            require(
                first.at_s <= second.at_s, f"time went back: a window at {first.at_s}, then at {second.at_s}"
            )

    async def survives_concurrent_reads(self) -> None:
        """Two observations at once are both answered."""
        async with self._factory() as harness:
            both = (harness.source.observe(_WINDOW_S), harness.source.observe(2 * _WINDOW_S))
            for traffic in await asyncio.gather(*both):
                _require_honest(traffic)

    async def turns_a_broken_backend_into_unknowns(self) -> None:
        """Without its backend a source answers, raises nothing, and knows no arrivals."""
        async with self._factory() as harness:
            await harness.break_backend()
            traffic = await harness.source.observe(_WINDOW_S)

            _require_honest(traffic)
            arrivals = traffic.arrivals_rps
            require(
                isinstance(arrivals, Unknown),
                f"expected unknown arrivals from a broken backend, found {arrivals}",
            )

    async def gives_history_oldest_first(self) -> None:
        """History is in order and honest; without its backend it is empty or an ObservationError."""
        async with self._factory() as harness:
            past = await harness.source.history(10 * _WINDOW_S, _WINDOW_S)
            for traffic in past:
                _require_honest(traffic)
            times_s = [traffic.at_s for traffic in past]
            require(times_s == sorted(times_s), f"history is not oldest first: {times_s}")

            await harness.break_backend()
            error = await error_of(harness.source.history(10 * _WINDOW_S, _WINDOW_S))
            require(
                error is None or isinstance(error, ObservationError),
                f"expected ObservationError from history without a backend, found {error!r}",
            )

    async def closes_twice(self) -> None:
        """Closing again is no error."""
        async with self._factory() as harness:
            await harness.source.close()
            await harness.source.close()


def _require_honest(traffic: Traffic) -> None:
    require(math.isfinite(traffic.at_s), f"at_s is {traffic.at_s}; expected the clock's seconds")
    is_window = math.isfinite(traffic.window_s) and traffic.window_s > 0.0
    require(is_window, f"window_s is {traffic.window_s}; expected a positive number of seconds")
    for field in fields(traffic):
        value = getattr(traffic, field.name)
        if isinstance(value, Histogram):
            _require_consistent(field.name, value)
        elif isinstance(value, Value | Idle | Unknown):
            _require_reading(field.name, value)


def _require_reading(name: str, found: Value | Idle | Unknown) -> None:
    if isinstance(found, Value):
        is_number = math.isfinite(found.value) and found.value >= 0.0
        require(is_number, f"{name} is {found.value}; expected a finite number, zero or more, or an Unknown")
    elif isinstance(found, Unknown):
        require(bool(found.why.strip()), f"{name} is unknown without a reason; put it into `why`")
    else:
        require(name not in _NEVER_IDLE, f"{name} is Idle; a rate or gauge of an idle system is Value(0)")


def _require_consistent(name: str, histogram: Histogram) -> None:
    bounds, counts = histogram.upper_bounds, histogram.counts
    require(len(bounds) == len(counts), f"{name} has {len(bounds)} bounds and {len(counts)} counts")
    require(list(bounds) == sorted(set(bounds)), f"{name}: the bounds do not ascend: {bounds}")
    require(
        all(math.isfinite(count) and count >= 0.0 for count in counts),
        f"{name}: a count is negative or not finite: {counts}",
    )
