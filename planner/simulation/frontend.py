"""What would the frontend's /metrics say? Dynamo's newest families over the simulated requests.

Names, labels and default buckets are those of ai-dynamo 1.6.1 with the inter-token buckets of September 2026.
As there: lengths of prompts are observed at the first token, durations and output lengths at the end, one
inter-token observation per token, `queued` counts from entry to first token, and no family exists before
the first request. Prometheus adds `dynamo_namespace` in a cluster; a static label stands in for it here.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from planner.simulation.engines import Job

PREFIX = "dynamo_frontend"
ENDPOINT = "chat_completions"
REQUEST_TYPE = "stream"

TTFT_BOUNDS_S = (
    *(0.0, 0.0022, 0.0047, 0.01, 0.022, 0.047, 0.1, 0.22, 0.47),
    *(1.0, 2.2, 4.7, 10.0, 22.0, 48.0, 100.0, 220.0, 480.0),
)
ITL_BOUNDS_S = (
    *(0.0, 0.0018, 0.0033, 0.0059, 0.011, 0.02, 0.035, 0.064, 0.12, 0.21),
    *(0.38, 0.69, 1.2, 2.3, 4.1, 7.4, 13.0, 24.0, 44.0, 80.0),
)
DURATION_BOUNDS_S = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 130.0, 260.0, 510.0)
ISL_BOUNDS_TOKENS = (
    *(0.0, 100.0, 210.0, 430.0, 870.0, 1800.0, 3600.0),
    *(7400.0, 15000.0, 31000.0, 63000.0, 130000.0),
)
OSL_BOUNDS_TOKENS = (0.0, 100.0, 210.0, 430.0, 880.0, 1800.0, 3700.0, 7600.0, 16000.0, 32000.0)

# An inter-token gap is a chunk's time over its tokens; rounding keeps a gap that is exactly on a bound there.
_BOUND_DIGITS = 12


class BulkHistogram:
    """A histogram that takes many equal observations at once.

    Example:
        >>> histogram = BulkHistogram((0.1, 1.0))
        >>> histogram.observe(0.5, 3)
        >>> histogram.cumulative()
        [('0.1', 0), ('1', 3), ('+Inf', 3)]
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Take an observation so many times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.total += value * times

    def cumulative(self) -> list[tuple[str, int]]:
        """Return upper bounds, written as Dynamo's own client does, and counts up to each."""
        bounds = (*(f"{bound:g}" for bound in self._bounds), "+Inf")
        return list(zip(bounds, accumulate(self._counts), strict=True))


class SimulatedFrontend(Collector):
    """The frontend of a simulated fleet: watches requests and renders their metrics.

    Args:
        model: Value of the label `model`; written in lower case, as Dynamo does.
        dynamo_namespace: Value of the static label `dynamo_namespace`; empty leaves it out.
    """

    def __init__(self, *, model: str, dynamo_namespace: str = "") -> None:
        self._labels = {"model": model.lower()}
        if dynamo_namespace:
            self._labels["dynamo_namespace"] = dynamo_namespace
        self._started = self._answering = self._finished = self._output_tokens = 0
        self._ttft = BulkHistogram(TTFT_BOUNDS_S)
        self._itl = BulkHistogram(ITL_BOUNDS_S)
        self._duration = BulkHistogram(DURATION_BOUNDS_S)
        self._isl = BulkHistogram(ISL_BOUNDS_TOKENS)
        self._osl = BulkHistogram(OSL_BOUNDS_TOKENS)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    @property
    def in_flight(self) -> int:
        """Requests that came and have not ended."""
        return self._started - self._finished

    @property
    def queued(self) -> int:
        """Requests that came and have no first token yet."""
        return self._started - self._answering

    def started(self, _job: Job, /) -> None:
        """Note that a request arrived."""
        self._started += 1

    def first_token(self, job: Job) -> None:
        """Note that a request got its first token."""
        self._answering += 1
        self._output_tokens += 1
        request = job.request
        self._ttft.observe(job.first_token_s - request.arrival_s)
        self._isl.observe(request.isl_tokens)

    def gaps(self, tokens: int, gap_s: float) -> None:
        """Note that so many tokens came, each so long after the one before it."""
        self._output_tokens += tokens
        self._itl.observe(round(gap_s, _BOUND_DIGITS), tokens)

    def finished(self, job: Job) -> None:
        """Note that a request got its last token."""
        self._finished += 1
        request = job.request
        self._duration.observe(job.finish_s - request.arrival_s)
        self._osl.observe(request.osl_tokens)

    def text(self) -> str:
        """Return the exposition text, format 0.0.4."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """Yield the families as they are now; none before the first request."""
        if not self._started:
            return
        entry = {"endpoint": ENDPOINT, "request_type": REQUEST_TYPE}
        yield self._counter("requests_started", "Requests that entered the handler", self._started, entry)
        if self._finished:
            ended = {**entry, "status": "success", "error_type": ""}
            yield self._counter("requests", "Requests that ended", self._finished, ended)
        yield self._gauge("inflight_requests", "Requests in flight", self.in_flight)
        yield self._gauge("active_requests", "Requests in flight", self.in_flight)
        yield self._gauge("queued_requests", "Requests before their first token", self.queued)
        if self._answering:
            yield from self._of_first_tokens()
        if self._finished:
            yield self._histogram("request_duration_seconds", "Entry to last token", self._duration)
            yield self._histogram("output_sequence_tokens", "Output length", self._osl)

    def _of_first_tokens(self) -> Iterator[Metric]:
        yield self._counter("output_tokens", "Tokens sent", self._output_tokens, {})
        yield self._histogram("time_to_first_token_seconds", "Entry to first token", self._ttft)
        yield self._histogram("inter_token_latency_seconds", "Time between tokens", self._itl)
        yield self._histogram("input_sequence_tokens", "Prompt length", self._isl)

    def _counter(self, name: str, text: str, value: float, labels: dict[str, str]) -> Metric:
        every = {**self._labels, **labels}
        family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=list(every))
        family.add_metric(list(every.values()), value)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), value)
        return family

    def _histogram(self, name: str, text: str, histogram: BulkHistogram) -> Metric:
        family = HistogramMetricFamily(f"{PREFIX}_{name}", text, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), histogram.cumulative(), histogram.total)
        return family
