"""From counts of one window to `Traffic`: the arithmetic that both readers share.

Arrivals are what the dialect's counter of started requests grew by, less what was refused as wrong. Where a
frontend has no such counter, they are completions plus the change of requests in flight (Little's law over a
window), which is right on a rising edge too, where completions alone lag by the length of a request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.base import Idle, Reading, Traffic, Unknown, Value, reading
from connectors.prometheus.histogram import Buckets, distribution, is_beyond_buckets, quantile

ByTarget = Mapping[str, float]
STARTED = "started"
COMPLETED = "completed+inflight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was counted in one window; whatever could not be read is an `Unknown`.

    Counters and gauges are sums per target; a target without the family is absent, which is nothing counted.

    Attributes:
        at_s: End of the window, on the shell's clock.
        window_s: Its length.
        partial: Why sums over all targets are incomplete; None if they are whole.
        started: Requests that arrived.
        refused: Requests that ended as never having been demand.
        completed: Other requests that ended.
        in_flight: Requests in the system now.
        in_flight_before: The same at the start of the window.
        queued: Requests that wait for their first token.
        isl: Prompt lengths.
        osl: Output lengths.
        ttft: Times to first token.
        itl: Times between tokens.
        duration: Request durations.
        kv_usage: Mean use of the engines' KV cache.
    """

    at_s: float
    window_s: float
    partial: Unknown | None
    started: ByTarget | Unknown
    refused: ByTarget | Unknown
    completed: ByTarget | Unknown
    in_flight: ByTarget | Unknown
    in_flight_before: ByTarget | Unknown
    queued: ByTarget | Unknown
    isl: Buckets | Unknown
    osl: Buckets | Unknown
    ttft: Buckets | Unknown
    itl: Buckets | Unknown
    duration: Buckets | Unknown
    kv_usage: Reading


def blind_traffic(why: Unknown, *, at_s: float, window_s: float) -> Traffic:
    """Return a window of which nothing is known, for one reason."""
    return Traffic(
        at_s=at_s,
        window_s=window_s,
        arrivals_rps=why,
        completions_rps=why,
        isl_tokens=why,
        osl_tokens=why,
        ttft_s=why,
        ttft_quantile_s=why,
        itl_s=why,
        itl_quantile_s=why,
        request_duration_s=why,
        in_flight=why,
        queued=why,
        kv_usage_ratio=why,
    )


def traffic_of(facts: Facts, *, percentile_ratio: float) -> Traffic:
    """Return what the counts say, latencies also at the given percentile."""
    in_flight = _summed(facts.in_flight, facts)
    mean = _Statistic(facts, in_flight, lambda buckets: (buckets.mean, ""))
    tail = _Statistic(facts, in_flight, lambda buckets: _tail(buckets, percentile_ratio))
    return Traffic(
        at_s=facts.at_s,
        window_s=facts.window_s,
        arrivals_rps=_arrivals(facts),
        completions_rps=_completions(facts),
        isl_tokens=mean.of(facts.isl),
        osl_tokens=mean.of(facts.osl),
        isl_histogram=None if isinstance(facts.isl, Unknown) else distribution(facts.isl),
        osl_histogram=None if isinstance(facts.osl, Unknown) else distribution(facts.osl),
        ttft_s=mean.of(facts.ttft),
        ttft_quantile_s=tail.of(facts.ttft),
        itl_s=mean.of(facts.itl),
        itl_quantile_s=tail.of(facts.itl),
        request_duration_s=mean.of(facts.duration),
        in_flight=in_flight,
        queued=_summed(facts.queued, facts),
        kv_usage_ratio=facts.kv_usage,
    )


class _Statistic:
    """A number about the requests of a window, by one formula."""

    def __init__(
        self, facts: Facts, in_flight: Reading, formula: Callable[[Buckets], tuple[float, str] | None]
    ) -> None:
        self._at_s = facts.at_s
        self._in_flight = in_flight
        self._formula = formula

    def of(self, buckets: Buckets | Unknown) -> Reading:
        """Return the number; idle only if nothing was there to measure, now or at any time in the window."""
        if isinstance(buckets, Unknown):
            return buckets
        if buckets.count <= 0.0:
            return self._nothing()
        found = self._formula(buckets)
        if found is None:
            return Unknown(why="no buckets are exported, only sum and count")
        value, estimator = found
        return reading(value, at_s=self._at_s, samples=buckets.count, estimator=estimator)

    def _nothing(self) -> Reading:
        if not isinstance(self._in_flight, Value):
            doubt = self._in_flight.why if isinstance(self._in_flight, Unknown) else "no gauge"
            return Unknown(why=f"nothing was measured, and whether there was anything is not known: {doubt}")
        if self._in_flight.value > 0.0:
            return Unknown(why=f"nothing was measured yet of {self._in_flight.value:g} requests in flight")
        return Idle(at_s=self._at_s)


def _tail(buckets: Buckets, percentile_ratio: float) -> tuple[float, str] | None:
    value = quantile(buckets, percentile_ratio)
    if value is None:
        return None
    return value, "beyond the last bucket" if is_beyond_buckets(buckets, percentile_ratio) else "interpolated"


def _summed(gauge: ByTarget | Unknown, facts: Facts) -> Reading:
    if facts.partial is not None:
        return facts.partial
    if isinstance(gauge, Unknown):
        return gauge
    return reading(sum(gauge.values()), at_s=facts.at_s)


def _completions(facts: Facts) -> Reading:
    if facts.partial is not None:
        return facts.partial
    if isinstance(facts.completed, Unknown):
        return facts.completed
    count = sum(facts.completed.values())
    return reading(count / facts.window_s, at_s=facts.at_s, samples=count)


def _arrivals(facts: Facts) -> Reading:
    if facts.partial is not None:
        return facts.partial
    if isinstance(facts.started, Unknown):
        return facts.started
    if isinstance(facts.refused, Unknown):
        return facts.refused
    counted = _counted(facts.started, facts.refused)
    estimated = _estimated(facts, without=counted)
    if isinstance(estimated, Unknown):
        return estimated
    count = sum(counted.values()) + sum(estimated.values())
    names = [name for name, found in ((STARTED, counted), (COMPLETED, estimated)) if found]
    estimator = ", ".join(names) or "no request seen"
    return reading(count / facts.window_s, at_s=facts.at_s, samples=count, estimator=estimator)


def _counted(started: ByTarget, refused: ByTarget) -> dict[str, float]:
    return {target: max(0.0, count - refused.get(target, 0.0)) for target, count in started.items()}


def _estimated(facts: Facts, *, without: ByTarget) -> dict[str, float] | Unknown:
    """Return completions plus the change in flight, of the targets that do not count arrivals."""
    parts = (facts.completed, facts.in_flight, facts.in_flight_before)
    known = [part for part in parts if not isinstance(part, Unknown)]
    targets = {target for part in known for target in part}.difference(without)
    if len(known) < len(parts):
        # What cannot be read does not matter where every target counts its arrivals.
        covered = bool(without) and not targets
        return {} if covered else next(part for part in parts if isinstance(part, Unknown))
    completed, now, before = known
    return {
        target: max(0.0, completed.get(target, 0.0) + now.get(target, 0.0) - before.get(target, 0.0))
        for target in targets
    }
