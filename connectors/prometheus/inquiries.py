"""What is asked of Prometheus to examine a set-up, beside what decisions are made of (see `queries`)."""

from collections.abc import Iterable

from connectors.prometheus import promql
from connectors.prometheus.dialect import Dialect, Scope

SCRAPED = promql.counted_by("__name__", "up")
VERSIONS = promql.counted_by("version", "prometheus_build_info")


class Inquiries:
    """The expressions about one deployment."""

    def __init__(self, dialect: Dialect, scope: Scope) -> None:
        self._series = scope.of_series(dialect)
        self._presence = promql.select_any(dialect.presence, scope.of_targets(dialect))

    @property
    def frontends(self) -> str:
        """How many series there are that every frontend has."""
        return f"count({self._presence})"

    @property
    def oldest_scrape(self) -> str:
        """When the frontend was scraped that was not scraped for longest, by Prometheus' own clock."""
        return f"min(timestamp({self._presence}))"

    def mean(self, histogram: str, *, window_s: float) -> str:
        """Return the mean of what a histogram counted in a window."""
        return f"{self._grown(f'{histogram}_sum', window_s)} / {self._grown(f'{histogram}_count', window_s)}"

    def buckets(self, histogram: str, *, window_s: float) -> str:
        """Return what the buckets of a histogram counted in a window, by their upper bound."""
        return self._grown(f"{histogram}_bucket", window_s, by="le")

    def bounds(self, histogram: str) -> str:
        """Return the upper bounds of a histogram's buckets."""
        return f"group by (le) ({promql.select(f'{histogram}_bucket', self._series)})"

    def families(self, names: Iterable[str]) -> str:
        """Return how many series each of some families has."""
        return promql.counted_by("__name__", promql.select_any(names, self._series))

    def totals(self, names: Iterable[str], *, everywhere: bool = False) -> str:
        """Return what some counters say together; everywhere counts those of other deployments, too."""
        series = promql.select_any(names, () if everywhere else self._series)
        return f"sum by (__name__) ({series})"

    def _grown(self, name: str, window_s: float, *, by: str = "") -> str:
        series = promql.select(name, self._series)
        return f"sum{f' by ({by}) ' if by else ''}(increase({series}[{promql.duration(window_s)}]))"
