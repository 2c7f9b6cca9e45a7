"""From two scrapes of each endpoint to the counts of a window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.base import Unknown
from connectors.prometheus.dialect import Dialect, Gauges
from connectors.prometheus.facts import ByTarget, Facts
from connectors.prometheus.histogram import Buckets
from connectors.prometheus.promql import COUNT_LE, SUM_LE, Matchers
from connectors.prometheus.snapshots import Snapshot
from connectors.prometheus.vectors import buckets_by_le

_NO_ENGINES = Unknown(why="not exported by the frontends, which is all that is scraped")


Grown = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time between two scrapes of one endpoint.

    Attributes:
        target: The endpoint's address.
        base: The earlier scrape; None if there is none that can be used.
        newest: The later scrape.
        doubt: Why there is no earlier one; empty if there is.
    """

    target: str
    base: Snapshot | None
    newest: Snapshot
    doubt: str = ""

    @property
    def length_s(self) -> float:
        """Time between the scrapes; 0 without an earlier one."""
        return self.newest.at_s - self.base.at_s if self.base else 0.0

    def growth(self) -> dict[str, list[Grown]]:
        """Return what each counter grew by, by family."""
        found: dict[str, list[Grown]] = {}
        before = self.base.grown if self.base else self.newest.grown
        for key, value in self.newest.grown.items():
            found.setdefault(key[0], []).append((dict(key[1]), value - before.get(key, 0.0)))
        return found


def facts_of_spans(
    spans: Sequence[Span], dialect: Dialect, *, partial: Unknown | None, at_s: float, window_s: float
) -> Facts:
    """Return the counts of a window; `window_s` serves where no span has a length."""
    whole = _Whole(spans, dialect, window_s)
    refused = dialect.refused
    return Facts(
        at_s=at_s,
        window_s=whole.window_s,
        partial=partial,
        started=whole.counted(dialect.started, dialect.demand),
        refused=whole.counted(dialect.completed, (*dialect.demand, refused)) if refused else {},
        completed=whole.counted(
            dialect.completed, (*dialect.demand, refused.negated()) if refused else dialect.demand
        ),
        in_flight=whole.gauge(dialect.in_flight, lambda span: span.newest),
        in_flight_before=whole.in_flight_before(),
        queued=whole.gauge(dialect.queued, lambda span: span.newest),
        isl=whole.histogram(dialect.isl),
        osl=whole.histogram(dialect.osl),
        ttft=whole.histogram(dialect.ttft),
        itl=whole.histogram(dialect.itl),
        duration=whole.histogram(dialect.duration),
        kv_usage=_NO_ENGINES,
    )


class _Whole:
    """All endpoints together, each stretched to the same window."""

    def __init__(self, spans: Sequence[Span], dialect: Dialect, window_s: float) -> None:
        self._spans = spans
        self._grown = [(span, span.growth()) for span in spans]
        self._dialect = dialect
        self.window_s = max((span.length_s for span in spans), default=0.0) or window_s
        self._doubt = next((Unknown(why=span.doubt) for span in spans if span.doubt), None)

    def counted(self, name: str, matchers: Matchers) -> ByTarget | Unknown:
        """Return a counter's growth per endpoint; an endpoint without the family is absent."""
        if self._doubt is not None:
            return self._doubt
        found: dict[str, float] = {}
        for span, grown in self._grown:
            values = [
                value
                for labels, value in grown.get(name, ())
                if all(matcher.accepts(labels) for matcher in matchers)
            ]
            if values:
                found[span.target] = sum(values) * self._stretch(span)
        return found

    def gauge(self, gauge: Gauges, at: Callable[[Span], Snapshot]) -> ByTarget:
        """Return a gauge per endpoint."""
        found = ((span.target, _gauge_of(at(span), gauge)) for span in self._spans)
        return {target: value for target, value in found if value is not None}

    def in_flight_before(self) -> ByTarget | Unknown:
        """Return what was in flight when the window began, as if the change had gone on at the same rate."""
        if self._doubt is not None:
            return self._doubt
        now = self.gauge(self._dialect.in_flight, lambda span: span.newest)
        before = self.gauge(self._dialect.in_flight, lambda span: span.base or span.newest)
        return {
            span.target: value - self._stretch(span) * (value - before.get(span.target, 0.0))
            for span in self._spans
            if (value := now.get(span.target)) is not None
        }

    def histogram(self, name: str) -> Buckets | Unknown:
        """Return a histogram's growth over all endpoints."""
        if self._doubt is not None:
            return self._doubt
        by_le: dict[str, float] = {}
        for _, grown in self._grown:
            for labels, value in grown.get(f"{name}_bucket", ()):
                le = labels.get("le", "")
                by_le[le] = by_le.get(le, 0.0) + value
            for part in (SUM_LE, COUNT_LE):
                for _, value in grown.get(f"{name}_{part}", ()):
                    by_le[part] = by_le.get(part, 0.0) + value
        return buckets_by_le(by_le)

    def _stretch(self, span: Span) -> float:
        return self.window_s / span.length_s if span.length_s > 0.0 else 1.0


def _gauge_of(snapshot: Snapshot, gauge: Gauges) -> float | None:
    for names in gauge:
        values = [value for (family, _), value in snapshot.gauges.items() if family in names]
        if values:
            return sum(values)
    return None
