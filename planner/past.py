"""What of the past is a predictor told, and what would another one be told?

The one place that keeps it: the loads of the last intervals, those that nobody observed included.
"""

from collections import deque
from collections.abc import Iterable

from connectors.base import Reading, Traffic, Unknown, Value
from planner.core.sight import MOST_RPS, length, number, usable
from predictors.base import UNSEEN, LoadInterval


class Past:
    """The loads of the last intervals, oldest first.

    Args:
        most: So many intervals are kept.

    Attributes:
        older: What was learned from a trace, before the intervals of the service itself.

    Example:
        >>> past = Past(most=300)
        >>> past.skip(1)
        >>> [interval.arrivals_rps for interval in past.take(LoadInterval(arrivals_rps=2.0))]
        [None, 2.0]
        >>> past.is_known, len(past.recent)
        (True, 2)
    """

    def __init__(self, *, most: int) -> None:
        self.older: tuple[LoadInterval, ...] = ()
        self._most = most
        self._recent: deque[LoadInterval] = deque(maxlen=most)
        self._skipped = 0

    @property
    def recent(self) -> tuple[LoadInterval, ...]:
        """The intervals of the service itself."""
        return tuple(self._recent)

    @property
    def before(self) -> tuple[LoadInterval, ...]:
        """What of the older trace is worth telling: not what the service's own intervals push out again.

        Example:
            >>> past = Past(most=3)
            >>> past.replace(older=(LoadInterval(arrivals_rps=1.0), UNSEEN, UNSEEN), recent=(UNSEEN, UNSEEN))
            >>> len(past.older), len(past.before)
            (3, 1)
        """
        if not self._recent:
            return self.older
        return self.older[max(0, len(self.older) + len(self._recent) - self._most) :]

    @property
    def is_known(self) -> bool:
        """True if the load of any of these is known."""
        return any(interval.arrivals_rps is not None for interval in self._recent)

    def skip(self, intervals: int) -> None:
        """Take note of intervals that nobody observed; to the predictor they are unknown, not absent."""
        self._skipped = min(self._skipped + intervals, self._most)

    def take(self, interval: LoadInterval) -> tuple[LoadInterval, ...]:
        """Keep the interval that just ended; return what is to be learned now, skipped ones before it."""
        passed = (*(UNSEEN,) * self._skipped, interval)
        self._skipped = 0
        self._recent.extend(passed)
        return passed

    def replace(self, *, older: Iterable[LoadInterval], recent: Iterable[LoadInterval]) -> None:
        """Forget what was kept, and keep this instead."""
        self.older = tuple(older)
        self._recent = deque(recent, maxlen=self._most)
        self._skipped = 0

    def keep(self, *, most: int) -> None:
        """Keep so many intervals from now on."""
        self._most = most
        self._recent = deque(self._recent, maxlen=most)


def interval_of(traffic: Traffic) -> LoadInterval:
    """Pick out what a predictor learns from; an idle system has a load of zero and no lengths."""
    arrivals = usable(traffic.arrivals_rps, most=MOST_RPS)
    return LoadInterval(
        arrivals_rps=None if isinstance(arrivals, Unknown) else number(arrivals),
        isl_tokens=_known(length(traffic.isl_tokens)),
        osl_tokens=_known(length(traffic.osl_tokens)),
    )


def _known(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) else None
