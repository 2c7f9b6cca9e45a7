"""How do the intervals of several sources become one past?

Ticks come in a rhythm: each interval of the past ends where a tick was due. What a source tells is put where
it ended; what nobody tells is unknown, and neither a zero nor left out, because predictors count intervals.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from planner.core.state import Lengths
from predictors.base import UNSEEN, LoadInterval

_TOLERANCE_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """An interval of the past.

    Attributes:
        at_s: When it ended, on the shell's monotonic clock.
        load: What it showed.
    """

    at_s: float
    load: LoadInterval


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """When ticks were due.

    Attributes:
        last_s: The last time that one was, on the shell's monotonic clock.
        interval_s: Time between two.
    """

    last_s: float
    interval_s: float

    @classmethod
    def of(cls, anchor_s: float, *, interval_s: float, now_s: float) -> "Rhythm":
        """Return the rhythm that has a tick at the anchor.

        Example:
            >>> Rhythm.of(3.0, interval_s=10.0, now_s=35.0).last_s
            33.0
        """
        passed = math.floor((now_s - anchor_s + _TOLERANCE_S) / interval_s)
        return cls(last_s=anchor_s + passed * interval_s, interval_s=interval_s)

    def index(self, at_s: float) -> int:
        """Return which interval ended then: 0 is the last one, -1 the one before."""
        return round((at_s - self.last_s) / self.interval_s)

    def at_s(self, index: int) -> float:
        """Return when an interval ended."""
        return self.last_s + index * self.interval_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """The past as one.

    Attributes:
        recent: The intervals, oldest first, the first one known.
        rhythm: When they ended.
        from_journal: How many are known from the journal.
        from_source: How many are known from the metrics source.
    """

    recent: tuple[LoadInterval, ...]
    rhythm: Rhythm
    from_journal: int
    from_source: int

    @property
    def unknown(self) -> int:
        """How many nobody could tell."""
        return len(self.recent) - self.from_journal - self.from_source

    @property
    def oldest_s(self) -> float:
        """When the first one ended."""
        return self.rhythm.at_s(1 - len(self.recent))

    def lengths(self) -> Lengths:
        """Return the last known lengths; idle intervals do not make them older.

        Example:
            >>> seen, idle = LoadInterval(arrivals_rps=1.0, isl_tokens=9.0), LoadInterval(arrivals_rps=0.0)
            >>> rhythm = Rhythm(last_s=60.0, interval_s=30.0)
            >>> Warmth(recent=(seen, idle), rhythm=rhythm, from_journal=0, from_source=2).lengths()
            Lengths(isl_tokens=9.0, isl_at_s=60.0, osl_tokens=None, osl_at_s=0.0)
        """
        isl, isl_at_s = self._last(tuple(load.isl_tokens for load in self.recent))
        osl, osl_at_s = self._last(tuple(load.osl_tokens for load in self.recent))
        return Lengths(isl_tokens=isl, isl_at_s=isl_at_s, osl_tokens=osl, osl_at_s=osl_at_s)

    def _last(self, tokens: tuple[float | None, ...]) -> tuple[float | None, float]:
        value, at_s = None, 0.0
        for index, (load, found) in enumerate(zip(self.recent, tokens, strict=True), 1 - len(tokens)):
            value = value if found is None else found
            if found is not None or (load.arrivals_rps == 0.0 and value is not None):
                at_s = self.rhythm.at_s(index)
        return value, at_s


def merged(journal: Iterable[Lived], source: Iterable[Lived], *, rhythm: Rhythm, most: int) -> Warmth:
    """Put the past together; where both tell of an interval, the journal counts.

    What the daemon did not see then stays unknown to it: so it goes on as if it had not been restarted.

    Args:
        journal: The ticks of an earlier process.
        source: The windows of the metrics source.
        rhythm: When ticks were due.
        most: So many intervals, back from the last.
    """
    told = _by_index(journal, rhythm, most=most)
    read = _by_index(source, rhythm, most=most)
    loads = [told.get(index, read.get(index, UNSEEN)) for index in range(1 - most, 1)]
    known = [index for index, load in enumerate(loads, 1 - most) if load.arrivals_rps is not None]
    recent = tuple(loads[known[0] + most - 1 :]) if known else ()
    return Warmth(
        recent=recent,
        rhythm=rhythm,
        from_journal=sum(index in told for index in known),
        from_source=sum(index not in told for index in known),
    )


def uncovered_s(journal: Iterable[Lived], *, rhythm: Rhythm, most: int, now_s: float) -> float:
    """Return how far back the journal leaves something untold; 0 where it tells of every interval.

    Example:
        >>> rhythm = Rhythm(last_s=90.0, interval_s=30.0)
        >>> ticks = [Lived(at_s=at_s, load=UNSEEN) for at_s in (30.0, 60.0)]
        >>> uncovered_s(ticks, rhythm=rhythm, most=3, now_s=100.0)
        40.0
        >>> uncovered_s([*ticks, Lived(at_s=90.0, load=UNSEEN)], rhythm=rhythm, most=3, now_s=100.0)
        0.0
    """
    told = _by_index(journal, rhythm, most=most)
    missing = [index for index in range(1 - most, 1) if index not in told]
    return now_s - rhythm.at_s(missing[0]) + rhythm.interval_s if missing else 0.0


def _by_index(lived: Iterable[Lived], rhythm: Rhythm, *, most: int) -> Mapping[int, LoadInterval]:
    found = {rhythm.index(one.at_s): one.load for one in lived}
    return {index: load for index, load in found.items() if -most < index <= 0}
