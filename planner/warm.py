"""How does a daemon start with what was, rather than blind?

From a trace of before the service, from the journal of the process before, and from the metrics source for
all that the journal leaves untold. The journal also hands over the state of the core and the rhythm of the
ticks; without it ticks come at multiples of the interval in Unix time, where windows of the past end too.
A past that is longer than a forecaster needs and takes too long is cut short to what it needs.
Whatever fails costs that part only: the daemon then starts cold, and tries the source again before each tick
until it has seen a load.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from config.clock import within
from config.errors import ObservationError, Unreachable
from connectors.base import Traffic, Unknown
from planner.attempt import attempt, tell, words
from planner.core.state import Lengths, State, initial_state
from planner.eyes import GRACE_RATIO
from planner.mind import Mind
from planner.parts import Parts
from planner.past import interval_of
from planner.serving.log import get_logger
from planner.warm_journal import Recollection, recollect
from planner.warm_slots import Lived, Rhythm, Warmth, merged, uncovered_s
from predictors.base import LoadInterval
from predictors.load import kept_intervals

PART = "warm_up"
# Longest wait for the history; a start waits longer than a tick, which has to come.
_LONGEST_S = 20.0
_LEAST_S = 2.0
# Of the time that an interval leaves beside its observation, so much goes to another attempt: a source that
# hangs must not cost ticks. Where nothing is left an attempt gets this share of the interval all the same.
_SPARE_SHARE = 0.5
_LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpOptions:
    """What is learned at the start.

    Attributes:
        intervals: So many of the past; 0 starts cold.
        journal: The journal of the process before; None if there is none.
        trace: What was before the service, oldest first.
    """

    intervals: int
    journal: Path | None = None
    trace: tuple[LoadInterval, ...] = ()


class WarmUp:
    """Teaches a mind the past.

    Args:
        mind: Who is taught.
        parts: The outside world.
        options: What is learned.
    """

    def __init__(self, mind: Mind, parts: Parts, options: WarmUpOptions) -> None:
        self._mind, self._source = mind, parts.source
        self._desk, self._clock = parts.desk, parts.clock
        self._options = options
        self._interval_s = mind.policy.interval_s
        self._is_pending = False
        self._lost: BaseException | None = None  # why the journal could not be read

    async def begin(self) -> float:
        """Learn what can be learned, before the first step.

        Returns:
            The time from which ticks come at each interval, on the shell's monotonic clock.
        """
        now_s, interval_s = self._clock.now_s(), self._mind.policy.interval_s
        if self._options.intervals == 0:
            await self._learn(merged((), (), rhythm=Rhythm(last_s=now_s, interval_s=interval_s), most=1))
            return now_s
        on_grid_s = now_s - self._clock.wall_s() % interval_s
        memory = await self._recollect()
        anchor_s = on_grid_s if memory.anchor_s is None else memory.anchor_s
        rhythm = Rhythm.of(anchor_s, interval_s=interval_s, now_s=now_s)
        limit_s = max(min(_LONGEST_S, interval_s), _LEAST_S)
        warmth = await self._gather(memory.ticks, rhythm, limit_s=limit_s)
        self._resume(memory, warmth)
        await self._learn(warmth)
        if self._mind.state.planned is not None:  # looks go on as well
            await self._mind.expect(now_s=rhythm.last_s)
        if memory.anchor_s is None and not warmth.recent:
            start_s = now_s if memory.start_s is None else memory.start_s
            # An interval that ended while the source was waited for is over: the next tick is not late.
            return Rhythm.of(start_s, interval_s=interval_s, now_s=self._clock.now_s()).last_s
        return rhythm.last_s

    async def again(self, *, due_s: float, deadline_s: float) -> None:
        """Try the source again, before the tick that is due; nothing once a load was seen.

        After a reload that brought another interval nothing is learned yet, and the source is asked as well.

        Args:
            due_s: When the tick is due.
            deadline_s: Longest time that the observation of this tick may take.
        """
        self._notice_interval()
        if not self._is_pending:
            return
        if self._mind.is_informed:
            self._is_pending = False
            self._worked("the load is learned as it comes")
            return
        interval_s = self._mind.policy.interval_s
        rhythm = Rhythm(last_s=due_s - interval_s, interval_s=interval_s)
        spare_s = due_s + interval_s - self._clock.now_s() - GRACE_RATIO * deadline_s
        limit_s = max(_SPARE_SHARE * spare_s, _LEAST_SHARE * interval_s)
        attempts = 2 if self._kept < self._options.intervals else 1
        warmth = await self._gather((), rhythm, limit_s=min(_LONGEST_S, limit_s / attempts))
        if warmth.recent:
            await self._learn(warmth)

    def _notice_interval(self) -> None:
        interval_s = self._mind.policy.interval_s
        if interval_s != self._interval_s:
            # The trace was read in intervals of the old length.
            self._interval_s, self._options = interval_s, replace(self._options, trace=())
            self._is_pending = self._options.intervals > 0

    async def _recollect(self) -> Recollection:
        path = self._options.journal
        if path is None:
            return Recollection()
        found = await attempt(
            partial(
                recollect,
                path,
                policy=self._mind.policy,
                target=self._desk.board.target,
                duration_s=self._options.intervals * self._mind.policy.interval_s,
                clock=self._clock,
            )
        )
        if isinstance(found, BaseException):
            self._lost = found
            tell(self._desk, PART, found)
            return Recollection()
        if found.doubt:
            get_logger().warning("the state of before is not taken", journal=str(path), why=found.doubt)
        return found

    async def _gather(self, ticks: Sequence[Lived], rhythm: Rhythm, *, limit_s: float) -> Warmth:
        """Put together what the journal tells and what the source tells within the limit, or twice that."""
        most = self._options.intervals
        whole_s, kept_s = self._uncovered_s(ticks, rhythm, most), self._uncovered_s(ticks, rhythm, self._kept)
        history = await self._read(whole_s, rhythm, limit_s=limit_s)
        if isinstance(history, TimeoutError | Unreachable) and kept_s < whole_s:
            late, history = history, await self._read(kept_s, rhythm, limit_s=limit_s)
            if not isinstance(history, BaseException):
                self._tell_cut(late)
        self._is_pending = isinstance(history, BaseException)
        if isinstance(history, BaseException):
            tell(self._desk, PART, history)
            history = ()
        return merged(ticks, history, rhythm=rhythm, most=most)

    @property
    def _kept(self) -> int:
        """So many intervals a forecaster needs; more are read only if there is time."""
        return min(self._options.intervals, kept_intervals(self._mind.forecast_policy))

    def _uncovered_s(self, ticks: Sequence[Lived], rhythm: Rhythm, most: int) -> float:
        return uncovered_s(ticks, rhythm=rhythm, most=most, now_s=self._clock.now_s())

    def _tell_cut(self, late: BaseException) -> None:
        get_logger().warning(
            "the past takes too long, a shorter one was read",
            why=words(late),
            intervals=self._kept,
            left_out=self._options.intervals - self._kept,
        )

    async def _read(
        self, duration_s: float, rhythm: Rhythm, *, limit_s: float
    ) -> Sequence[Lived] | BaseException:
        if duration_s <= 0.0:
            return ()
        return await attempt(partial(self._history, duration_s, rhythm.interval_s, limit_s))

    async def _history(self, duration_s: float, step_s: float, limit_s: float) -> Sequence[Lived]:
        """Read the history of the source.

        Raises:
            ObservationError: If there is one, and not a single window in it is known.
        """
        found = await within(self._clock, self._source.history(duration_s, step_s), limit_s)
        lived = [Lived(at_s=traffic.at_s, load=interval_of(traffic)) for traffic in found]
        if lived and all(one.load.arrivals_rps is None for one in lived):
            raise ObservationError(f"nothing is known of the last {duration_s:.0f} s: {_why(found[-1])}")
        return lived

    def _resume(self, memory: Recollection, warmth: Warmth) -> None:
        state = memory.state or initial_state(self._mind.policy)
        self._mind.resume(replace(state, lengths=_newer(state, warmth.lengths())))

    async def _learn(self, warmth: Warmth) -> None:
        if not self._is_pending and PART in self._desk.board.parts:
            self._worked()
        if not warmth.recent and not self._options.trace:
            return
        await self._mind.recall(older=self._options.trace, recent=warmth.recent)
        ago_s = self._clock.now_s() - warmth.oldest_s
        oldest = datetime.fromtimestamp(self._clock.wall_s() - ago_s, UTC) if warmth.recent else None
        get_logger().info(
            "warmed",
            intervals=len(warmth.recent),
            journal=warmth.from_journal,
            source=warmth.from_source,
            unknown=warmth.unknown,
            trace=len(self._options.trace),
            oldest=f"{oldest:%Y-%m-%dT%H:%M:%SZ}" if oldest else "the trace alone",
        )

    def _worked(self, detail: str = "") -> None:
        """Say that the past is learned; without the journal it never is whole, until the next start."""
        if self._lost is None:
            self._desk.worked(PART, detail)
        else:
            self._desk.board.report(PART, is_ok=False, detail=words(self._lost))


def _newer(state: State, lengths: Lengths) -> Lengths:
    """Return the lengths of the state, and where it has none or older ones, those of the past."""
    found = state.lengths
    if lengths.isl_tokens is not None and (found.isl_tokens is None or found.isl_at_s < lengths.isl_at_s):
        found = replace(found, isl_tokens=lengths.isl_tokens, isl_at_s=lengths.isl_at_s)
    if lengths.osl_tokens is not None and (found.osl_tokens is None or found.osl_at_s < lengths.osl_at_s):
        found = replace(found, osl_tokens=lengths.osl_tokens, osl_at_s=lengths.osl_at_s)
    return found


def _why(traffic: Traffic) -> str:
    arrivals = traffic.arrivals_rps
    return arrivals.why if isinstance(arrivals, Unknown) else "its numbers are absurd"
