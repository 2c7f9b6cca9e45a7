"""What one endpoint counted since we first saw it, remembered for some minutes.

Counters are added up scrape by scrape as they arrive: a series that went down began anew, one that was not
there before began at zero. So the growth over any remembered window is one subtraction, resets included.
"""

import bisect
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from connectors.prometheus.exposition import Sample

RETENTION_S = 660.0
# More scrapes than this are thinned out, so that memory does not depend on how often one looks.
_MOST = 264

Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One scrape.

    Attributes:
        at_s: When, on the shell's clock.
        grown: What each counter grew by since the first scrape.
        gauges: What each gauge was.
    """

    at_s: float
    grown: Mapping[Key, float]
    gauges: Mapping[Key, float]


class Snapshots:
    """The scrapes of one endpoint.

    Args:
        gauges: Names of the families that are gauges; all others are counters.
    """

    def __init__(self, gauges: frozenset[str]) -> None:
        self._gauges = gauges
        self._keys: dict[Hashable, Key] = {}
        self._raw: Mapping[Key, float] | None = None
        self._kept: list[Snapshot] = []
        self._failed_at_s: float | None = None

    @property
    def newest(self) -> Snapshot | None:
        """The last scrape."""
        return self._kept[-1] if self._kept else None

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, samples: Iterable[Sample], *, at_s: float) -> None:
        """Remember a scrape."""
        gauges: dict[Key, float] = {}
        counters: dict[Key, float] = {}
        for sample in samples:
            kind = gauges if sample.name in self._gauges else counters
            kind[self._key(sample)] = sample.value
        grown = self._grow(counters)
        self._raw = counters
        self._kept.append(Snapshot(at_s=at_s, grown=grown, gauges=gauges))
        self._prune(at_s)

    def fail(self, *, at_s: float) -> None:
        """Remember that a scrape brought nothing."""
        self._failed_at_s = at_s

    def has_failed_since(self, at_s: float) -> bool:
        """Return True if a scrape brought nothing after that time."""
        return self._failed_at_s is not None and self._failed_at_s > at_s

    def nearest(self, at_s: float) -> Snapshot | None:
        """Return the scrape nearest to a time, other than the newest; None if there was only one."""
        earlier = self._kept[:-1]
        return min(earlier, key=lambda one: abs(one.at_s - at_s)) if earlier else None

    def _key(self, sample: Sample) -> Key:
        # Equal keys of all scrapes are one object, which is most of the memory.
        key = (sample.name, frozenset(sample.labels.items()))
        return self._keys.setdefault(key, key)

    def _grow(self, counters: Mapping[Key, float]) -> dict[Key, float]:
        if self._raw is None:
            return dict.fromkeys(counters, 0.0)
        grown = dict(self._kept[-1].grown)
        for key, value in counters.items():
            before = self._raw.get(key, 0.0)
            grown[key] = grown.get(key, 0.0) + (value - before if value >= before else value)
        return grown

    def _prune(self, now_s: float) -> None:
        stale = bisect.bisect_left(self._kept, now_s - RETENTION_S, key=lambda one: one.at_s)
        # The newest before the limit stays: a window of the full length begins there.
        del self._kept[: max(0, stale - 1)]
        for before in self._kept[-3:-2]:
            if now_s - before.at_s < RETENTION_S / _MOST:
                del self._kept[-2]
