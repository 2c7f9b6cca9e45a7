"""What does the journal of an earlier process tell to the one that starts now?

Three things: the loads of its ticks, which teach the predictor; the rhythm of its ticks, which goes on; and
the state of the core, folded anew from the last steps. Only the end of the journal is read. So the fold does
not begin at the start of the process but a little before the longest window of any pool: correction factors
are taken from the decision there, wishes older than that window no longer count, and all else was seen since.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from config.clock import Clock
from config.errors import Malformed
from config.policy import Policy
from planner.core.decision import Demand, StepKind
from planner.core.state import State, initial_state
from planner.core.step import step
from planner.past import interval_of
from planner.serving.records import Stepped, from_line
from planner.serving.tail import Line, tail
from planner.warm_slots import Lived

# After a longer silence the wishes and the plan of before are history.
SILENCE_INTERVALS = 10
# Steps before the longest window of a pool, from which its wishes are made again.
_RUN_UP_INTERVALS = 20
# Ticks come late at times and never early: of so many the earliest shows the rhythm.
_RHYTHM_TICKS = 10
_LATE_SHARE = 0.25
# Ticks whose window is so much longer or shorter than the interval are of another one.
_LENGTH_SHARE = 0.1
# A step whose record tells of a longer time, or of a negative one, is damaged.
_LONGEST_STEP_S = 86_400.0
# Clocks of two processes differ by so much where nobody set one back.
_AHEAD_S = 1.0
# Records that are taken between two turns of the event loop.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """What the journal tells; times are on the shell's monotonic clock.

    Attributes:
        ticks: Its ticks, oldest first; each ended when the interval was over, not when it was decided.
        anchor_s: A time at which a tick was due; None if there was no tick.
        start_s: When the first process began that lived to see no tick; None if there is none.
        state: What `step` is given next; None if there is none to go on from.
        doubt: Why the state is not taken, in words; empty if it is, or none is there.
    """

    ticks: tuple[Lived, ...] = ()
    anchor_s: float | None = None
    start_s: float | None = None
    state: State | None = None
    doubt: str = ""


async def recollect(
    path: Path, *, policy: Policy, target: str, duration_s: float, clock: Clock
) -> Recollection:
    """Read the end of a journal, in turns with the event loop.

    Args:
        path: The file that the daemon writes to.
        policy: What `step` is given now; the pools must be those of then.
        target: The deployment; records of another one do not count.
        duration_s: How far back ticks are wanted.
        clock: The shell's.

    Raises:
        ConfigError: If there is no such journal.
        OSError: If it cannot be read.
    """
    now_s, wall_s = clock.now_s(), clock.wall_s()
    fold = _Fold(policy, target, now_s=now_s, ours_s=lambda at_wall_s: at_wall_s - wall_s + now_s)
    for number, line in enumerate(tail(path, since_wall_s=wall_s - duration_s - policy.interval_s)):
        fold.take(line)
        if number % _AT_ONCE == 0:
            await clock.sleep(0.0)
    return fold.found()


class _Fold:
    """Goes through the lines once."""

    def __init__(
        self, policy: Policy, target: str, *, now_s: float, ours_s: Callable[[float], float]
    ) -> None:
        self._policy, self._target = policy, target
        self._now_s, self._ours_s = now_s, ours_s
        self._silence_s = SILENCE_INTERVALS * policy.interval_s
        longest_s = max(max(pool.scale_up_window_s, pool.scale_down_window_s) for pool in policy.pools)
        self._fold_from_s = now_s - longest_s - _RUN_UP_INTERVALS * policy.interval_s
        self._pools = tuple(pool.name for pool in policy.pools)
        self._ticks: list[Lived] = []
        self._own_ticks_s: list[float] = []  # of the last process that had any
        self._is_anew = False
        self._start_s: float | None = None
        self._planned: Demand | None = None
        self._state: State | None = None
        self._last_s = now_s
        self._last_tick_s = -math.inf
        self._doubt = ""
        self._is_ours = False  # any step of it
        self._left_out = ""  # why the last one was that does not count

    def take(self, line: Line) -> None:
        if self._ours_s(line.at_wall_s) > self._now_s + _AHEAD_S:
            self._doubt = self._doubt or "its end is from the future; was the clock set back?"
        elif line.record == "started":
            self._begin(self._ours_s(line.at_wall_s))
        elif line.is_tick or (line.record == "stepped" and self._is_folded(line)):
            self._take_step(line)

    def found(self) -> Recollection:
        state, doubt = self._state, self._doubt
        if self._left_out and not self._is_ours:
            doubt = doubt or f"none of its steps counts; {self._left_out}"
        if state is not None and self._now_s - self._last_s > self._silence_s:
            state = _without_wishes(state)
        return Recollection(
            ticks=tuple(self._ticks),
            anchor_s=_earliest(self._own_ticks_s[-_RHYTHM_TICKS:], self._policy.interval_s),
            start_s=self._start_s,
            state=state,
            doubt=doubt,
        )

    def _begin(self, at_s: float) -> None:
        if not self._ticks and self._start_s is None:
            self._start_s = at_s
        self._is_anew = True

    def _is_folded(self, line: Line) -> bool:
        return self._ours_s(line.at_wall_s) >= self._fold_from_s

    def _take_step(self, line: Line) -> None:
        try:
            record = from_line(line.data)
        except Malformed as error:  # torn by a kill, damaged, or of another schema: one line less
            self._left_out = f"of the last one {error}"
            return
        if not isinstance(record, Stepped) or not _is_possible(record):
            self._left_out = "the last one is damaged"
        elif record.target != self._target:
            self._left_out = f"the last one is of another deployment: {record.target}"
        else:
            self._is_ours = True
            self._take_own(record, self._ours_s(record.at_wall_s))

    def _take_own(self, record: Stepped, at_s: float) -> None:
        if record.kind is StepKind.TICK:
            self._take_tick(record, at_s - record.duration_s)
        if at_s >= self._fold_from_s:
            self._step(record, at_s)

    def _take_tick(self, record: Stepped, at_s: float) -> None:
        traffic = record.observation.traffic
        if not self._is_of_another_length(traffic.window_s, since_s=at_s - self._last_tick_s):
            self._ticks.append(Lived(at_s=at_s, load=interval_of(traffic)))
        if self._is_anew:
            self._own_ticks_s.clear()
        self._is_anew = False
        self._last_tick_s = at_s
        self._own_ticks_s.append(at_s)
        self._planned = record.decision.demand or self._planned

    def _is_of_another_length(self, window_s: float, *, since_s: float) -> bool:
        """Tell whether a tick closed an interval of other settings, which predictors would take for theirs.

        A window may be longer because it has to hold some scrapes; then the ticks stand closer than that.
        """
        interval_s = self._policy.interval_s
        longest_s = (1.0 + _LENGTH_SHARE) * interval_s
        return window_s < (1.0 - _LENGTH_SHARE) * interval_s or (window_s > longest_s and since_s > longest_s)

    def _step(self, record: Stepped, at_s: float) -> None:
        found = tuple(pool.pool for pool in record.decision.pools)
        if found and found != self._pools:
            self._state, self._doubt = None, f"its pools are {', '.join(found)}"
            return
        since_s, self._last_s, self._doubt = at_s - self._last_s, at_s, ""
        if self._state is None or since_s > self._silence_s:
            self._state = self._seeded(record, at_s)
        else:
            self._state, _ = self._stepped(self._state, record, at_s)

    def _seeded(self, record: Stepped, at_s: float) -> State:
        last = self._state or initial_state(self._policy)
        state, _ = self._stepped(_without_wishes(last), record, at_s)
        ratios = {pool.pool: pool.correction_ratio for pool in record.decision.pools}
        pools = tuple(
            replace(memory, correction_ratio=ratios.get(memory.pool, memory.correction_ratio))
            for memory in state.pools
        )
        return replace(state, pools=pools, planned=state.planned or self._planned)

    def _stepped(self, state: State, record: Stepped, at_s: float) -> tuple[State, object]:
        return step(self._policy, state, record.observation, record.forecast, now_s=at_s, kind=record.kind)


def _is_possible(record: Stepped) -> bool:
    """Tell whether the times of a step can be true; comparisons with NaN are false."""
    return math.isfinite(record.at_wall_s) and 0.0 <= record.duration_s <= _LONGEST_STEP_S


def _earliest(ticks_s: list[float], interval_s: float) -> float | None:
    """Return when the last tick was due, by that of the last ones that was least late."""
    if not ticks_s:
        return None
    last_s = ticks_s[-1]
    phases = ((at_s - last_s + interval_s / 2.0) % interval_s - interval_s / 2.0 for at_s in ticks_s)
    return last_s + min(phase for phase in phases if abs(phase) <= _LATE_SHARE * interval_s)


def _without_wishes(state: State) -> State:
    """Keep what is true for long: corrections and lengths."""
    pools = tuple(replace(memory, desired=None, wishes=()) for memory in state.pools)
    return replace(state, pools=pools, planned=None, started_at_s=None, blind_since_s=None)
