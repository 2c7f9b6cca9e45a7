"""How do the board and the records become a Prometheus page?

Gauges are read from the board at each scrape (`planner.serving.gauges`); counters grow with the records
(`planner.serving.counters`). Dynamo's series are there too, under Dynamo's names
(`planner.serving.dynamo_series`). Everything is in a registry of its own, so that embedding Setpoint changes
nobody else's page.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from planner.serving.counters import COUNTERS, DURATION, ERRORS, JOURNAL_ERRORS, SKIPPED, Counters
from planner.serving.dynamo_series import DynamoSeries
from planner.serving.gauges import GAUGES
from planner.serving.records import Record
from planner.serving.series import Gauge
from planner.serving.status import StatusBoard

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one daemon.

    Args:
        board: Where gauges are read from.
        has_process: Whether the page has the memory and CPU of this process too.
    """

    def __init__(self, board: StatusBoard, *, has_process: bool = True) -> None:
        self.registry = CollectorRegistry()
        self._counters = Counters(self.registry, target=board.target)
        self._dynamo = DynamoSeries(board)
        self.registry.register(_Gauges(board))
        self.registry.register(self._dynamo)
        if has_process:
            ProcessCollector(registry=self.registry)

    def take(self, record: Record) -> None:
        """Count a record."""
        self._counters.take(record)
        self._dynamo.take(record)

    def skipped(self, ticks: int = 1) -> None:
        """Count ticks that an overrun swallowed."""
        self._counters.add(SKIPPED, amount=ticks)

    def error(self, part: str) -> None:
        """Count an error in a part of the daemon."""
        self._counters.add(ERRORS, part)

    def journal_error(self) -> None:
        """Count a record that could not be written."""
        self._counters.add(JOURNAL_ERRORS)

    def render(self) -> bytes:
        """Return the page in Prometheus' text format."""
        return generate_latest(_WithoutCreated(self.registry))


class _Gauges:
    """The gauges of the board, as prometheus_client collects them."""

    def __init__(self, board: StatusBoard) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Yield one family for each gauge."""
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=_label_names(gauge))
            for labels, value in gauge.samples(self._board):
                family.add_metric((self._board.target, *labels), value)
            yield family


class _WithoutCreated:
    """A registry less the times at which counters were made, which double a page and tell little."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield the registry's families."""
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def _label_names(gauge: Gauge) -> tuple[str, ...]:
    return ("target", *gauge.labels)


def table() -> str:
    """Return all series as a Markdown table, for the documentation."""
    rows = [(gauge.name, "gauge", _label_names(gauge), gauge.meaning) for gauge in GAUGES]
    rows += [(count.name, "counter", ("target", *count.labels), count.meaning) for count in COUNTERS]
    rows.append((DURATION.name, "histogram", ("target",), DURATION.meaning))
    lines = [
        f"| `{name}` | {kind} | {', '.join(labels)} | {meaning} |" for name, kind, labels, meaning in rows
    ]
    return "\n".join(("| Series | Type | Labels | Meaning |", "| --- | --- | --- | --- |", *lines))
