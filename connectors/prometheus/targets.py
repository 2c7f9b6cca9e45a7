"""Whether what Prometheus says about the scrape targets lets us believe the rest of its answers.

An empty answer means nothing was there to count only if every target is up, was scraped lately, and often
enough in the window. This module says so, or why not.
"""

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.base import Unknown
from connectors.prometheus.answers import QueryResult, Series

Target = tuple[str, str]
# Scraped later than so many intervals, a target counts as stale; remote storage adds some seconds of its own.
_STALE_INTERVALS = 3.0
_STALE_FLOOR_S = 15.0
# Of the scrapes that a window should hold, at least this share must be there.
_LEAST_SHARE = 0.5
# With fewer scrapes in a window, Prometheus' `increase()` gives nothing, which is not the same as no growth.
_LEAST_SCRAPES = 2
# Beyond the usual time until a window's first scrape, this share of the window may lack scrapes at its begin:
# what was counted there is not in the growth, and the load would look smaller than it is.
_UNSEEN_SHARE = 0.1
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What may be believed.

    Attributes:
        blind: Why nothing may; None if something may.
        partial: Why sums over all targets are incomplete; None if they are whole.
        interval_s: Time between scrapes; None while not known.
    """

    blind: Unknown | None = None
    partial: Unknown | None = None
    interval_s: float | None = None


def target_of(series: Series) -> Target:
    """Return which target a series is from."""
    return (series.labels.get("job", ""), series.labels.get("instance", ""))


def scrape_interval_s(scrapes: QueryResult) -> float | None:
    """Return the time between scrapes, the median over all targets; None if none was scraped twice.

    Example:
        >>> scrape_interval_s(QueryResult(series=())) is None
        True
    """
    gaps = [gap for times in _scrape_times(scrapes).values() for gap in _gaps(times)]
    return statistics.median(gaps) if gaps else None


def unseen_start_s(*, window_s: float, interval_s: float) -> float:
    """Return by when a window must have been scraped first; a later scrape leaves its beginning uncounted.

    Example:
        >>> unseen_start_s(window_s=60.0, interval_s=5.0)
        11.0
    """
    return interval_s + _UNSEEN_SHARE * window_s


def judge_targets(*, up: QueryResult, scrapes: QueryResult, window_s: float, looked_for: str) -> Health:
    """Say what may be believed.

    Args:
        up: `up` of each target, as an instant vector; its time is the server's now.
        scrapes: When each target was scraped, the window and some time before it.
        window_s: The window that is looked at.
        looked_for: The selector of the targets, for the words.
    """
    if not up.series:
        return Health(
            blind=Unknown(
                why=f"no scrape target matches {looked_for}; check that Prometheus scrapes the frontends,"
                " and the selectors"
            )
        )
    interval_s = scrape_interval_s(scrapes)
    down = sorted({target_of(series)[1] for series in up.series if series.points[0].value != 1.0})
    total = len({target_of(series) for series in up.series})
    if len(down) == total:
        return Health(blind=_down(down, total), interval_s=interval_s)
    alive = _Scraped(up, scrapes, interval_s)
    doubt = alive.doubt(window_s)
    partial = _down(down, total) if down else None
    return Health(blind=doubt, partial=partial, interval_s=interval_s)


def _down(down: list[str], total: int) -> Unknown:
    verb = "is" if len(down) == 1 else "are"
    names = ", ".join(down[:_NAMED]) + (", …" if len(down) > _NAMED else "")
    return Unknown(why=f"{len(down)} of {total} frontends {verb} down (not scraped): {names}")


class _Scraped:
    """The scrapes of the targets that are up."""

    def __init__(self, up: QueryResult, scrapes: QueryResult, interval_s: float | None) -> None:
        self._now_wall_s = max(series.points[0].at_wall_s for series in up.series)
        self._interval_s = interval_s
        alive = {target_of(series) for series in up.series if series.points[0].value == 1.0}
        self._times = {target: times for target, times in _scrape_times(scrapes).items() if target in alive}

    def doubt(self, window_s: float) -> Unknown | None:
        """Return why the scrapes do not suffice; None if they do."""
        newest = max((times[-1] for times in self._times.values()), default=None)
        if newest is None:
            return Unknown(why="the frontends are up but nothing was scraped from them lately")
        if self._interval_s is None:
            return Unknown(why="the frontends were scraped only once so far; a rate needs two scrapes")
        age_s = self._now_wall_s - newest
        limit_s = max(_STALE_INTERVALS * self._interval_s, _STALE_FLOOR_S)
        if age_s > limit_s:
            usual = f"expected one every {self._interval_s:.0f} s"
            return Unknown(why=f"stale: the newest scrape is {age_s:.0f} s old, {usual}")
        return self._thin(window_s, self._interval_s)

    def _thin(self, window_s: float, interval_s: float) -> Unknown | None:
        start_s = self._now_wall_s - window_s
        expected = window_s / interval_s
        inside = {target: [t for t in times if t > start_s] for target, times in self._times.items()}
        counts = {target: len(times) for target, times in inside.items()}
        latest_s = start_s + unseen_start_s(window_s=window_s, interval_s=interval_s)
        least = max(_LEAST_SCRAPES, _LEAST_SHARE * expected)
        thin = {target for target, times in inside.items() if len(times) < least or times[0] > latest_s}
        if thin and expected < _LEAST_SCRAPES:
            return Unknown(
                why=f"a window of {window_s:.0f} s holds too few scrapes, which come every {interval_s:.0f} s"
            )
        interrupted = [target for target in thin if self._times[target][0] <= start_s]
        # A target that is new says little, but only where all are new is nothing known.
        if not interrupted and thin != set(counts):
            return None
        fewest = min(counts[target] for target in interrupted or thin)
        reason = "scraping was interrupted" if interrupted else "the frontends are new to Prometheus"
        return Unknown(why=f"{reason}: {fewest} scrapes in {window_s:.0f} s, expected {expected:.0f}")


def _scrape_times(scrapes: QueryResult) -> dict[Target, list[float]]:
    found: dict[Target, set[float]] = {}
    for series in scrapes.series:
        found.setdefault(target_of(series), set()).update(point.at_wall_s for point in series.points)
    return {target: sorted(times) for target, times in found.items() if times}


def _gaps(times: list[float]) -> Iterator[float]:
    return (later - earlier for earlier, later in itertools.pairwise(times))
