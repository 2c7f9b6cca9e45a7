"""What does Setpoint count?"""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from connectors.base import NOT_READ, Reading, Traffic, Unknown
from planner.core.decision import Direction, ReasonCode, StepKind
from planner.serving.records import Actuated, Outcome, Record, Reloaded, Stepped


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One counter or histogram: its name, its HELP text, and its labels beside `target`."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


DECISIONS = Count(
    name="setpoint_decisions_total",
    meaning="Decisions per pool, where it went and what set the count; looks count where they changed it.",
    labels=("pool", "direction", "reason"),
)
STEPS = Count(name="setpoint_steps_total", meaning="Steps, by kind: tick or look.", labels=("kind",))
HOLDS = Count(
    name="setpoint_holds_total",
    meaning="Ticks that kept the fleet because it could not be judged, by reason.",
    labels=("reason",),
)
UNKNOWN = Count(
    name="setpoint_unknown_readings_total",
    meaning="Readings that a tick asked for and did not get, by signal.",
    labels=("signal",),
)
ACTUATIONS = Count(
    name="setpoint_actuations_total",
    meaning="What became of decisions: applied, refused, failed, advisory, skipped, standby.",
    labels=("outcome",),
)
RELOADS = Count(
    name="setpoint_reloads_total", meaning="Readings of new settings: taken, refused.", labels=("outcome",)
)
SKIPPED = Count(name="setpoint_ticks_skipped_total", meaning="Ticks that an overrun swallowed.")
ERRORS = Count(name="setpoint_errors_total", meaning="Errors, by part of the daemon.", labels=("part",))
JOURNAL_ERRORS = Count(
    name="setpoint_journal_write_errors_total", meaning="Records that could not be written to the journal."
)
GPU_SECONDS = Count(
    name="setpoint_gpu_seconds_total", meaning="Committed GPUs, summed over the time between steps."
)
DURATION = Count(
    name="setpoint_tick_duration_seconds", meaning="From the beginning of a tick's work to its decision."
)

COUNTERS = (
    DECISIONS,
    STEPS,
    HOLDS,
    UNKNOWN,
    ACTUATIONS,
    RELOADS,
    SKIPPED,
    ERRORS,
    JOURNAL_ERRORS,
    GPU_SECONDS,
)

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# The codes that tell why a step could not judge the fleet.
HOLD_CODES = frozenset(
    {ReasonCode.BLIND_ARRIVALS, ReasonCode.BLIND_LENGTHS, ReasonCode.BLIND_FLEET, ReasonCode.INTERNAL}
)


class Counters:
    """The counters of one deployment.

    Args:
        registry: Where they are shown.
        target: The deployment, the first label of each.
    """

    def __init__(self, registry: CollectorRegistry, *, target: str) -> None:
        self._target = target
        self._last_step: Stepped | None = None
        self._counters = {
            count.name: Counter(count.name, count.meaning, ("target", *count.labels), registry=registry)
            for count in COUNTERS
        }
        self._durations = Histogram(
            DURATION.name, DURATION.meaning, ("target",), buckets=DURATION_BUCKETS_S, registry=registry
        )
        self._give_birth()

    def take(self, record: Record) -> None:
        """Count a record."""
        if isinstance(record, Stepped):
            self._take_step(record)
        elif isinstance(record, Actuated):
            self.add(ACTUATIONS, record.outcome)
        elif isinstance(record, Reloaded):
            self.add(RELOADS, "refused" if record.problem else "taken")

    def add(self, count: Count, *labels: str, amount: float = 1.0) -> None:
        """Count something."""
        self._counters[count.name].labels(self._target, *labels).inc(amount)

    def _give_birth(self) -> None:
        # Series that exist from the start make the first event an increase, which rate() sees.
        for kind in StepKind:
            self.add(STEPS, kind, amount=0.0)
        for outcome in Outcome:
            self.add(ACTUATIONS, outcome, amount=0.0)
        for count in (SKIPPED, JOURNAL_ERRORS, GPU_SECONDS):
            self.add(count, amount=0.0)
        self._durations.labels(self._target)

    def _take_step(self, record: Stepped) -> None:
        self.add(STEPS, record.kind)
        self._count_gpu_time(record)
        is_tick = record.kind is StepKind.TICK
        for pool in record.decision.pools:
            if is_tick or pool.direction is not Direction.NONE:
                self.add(DECISIONS, pool.pool, pool.direction, pool.bound_by)
        if is_tick:
            self._durations.labels(self._target).observe(record.duration_s)
            self._count_trouble(record)

    def _count_gpu_time(self, record: Stepped) -> None:
        last, self._last_step = self._last_step, record
        if last is not None:
            elapsed_s = max(0.0, record.now_s - last.now_s)
            self.add(GPU_SECONDS, amount=last.decision.committed_gpus * elapsed_s)

    def _count_trouble(self, record: Stepped) -> None:
        for signal in unknown_signals(record):
            self.add(UNKNOWN, signal)
        if record.decision.is_hold:
            for code in sorted({reason.code for reason in record.decision.reasons} & HOLD_CODES):
                self.add(HOLDS, code)


def unknown_signals(record: Stepped) -> Iterator[str]:
    """Yield the names of what was asked for and not read; what a source never reads does not count."""
    for signal, read in _readings(record.observation.traffic):
        if isinstance(read, Unknown) and read != NOT_READ:
            yield signal
    if isinstance(record.observation.fleet, Unknown):
        yield "fleet"
    if record.forecast is None:
        yield "forecast"


def _readings(traffic: Traffic) -> tuple[tuple[str, Reading], ...]:
    return (
        ("arrivals", traffic.arrivals_rps),
        ("completions", traffic.completions_rps),
        ("isl", traffic.isl_tokens),
        ("osl", traffic.osl_tokens),
        ("ttft", traffic.ttft_s),
        ("ttft_quantile", traffic.ttft_quantile_s),
        ("itl", traffic.itl_s),
        ("itl_quantile", traffic.itl_quantile_s),
        ("request_duration", traffic.request_duration_s),
        ("in_flight", traffic.in_flight),
        ("queued", traffic.queued),
        ("kv_usage", traffic.kv_usage_ratio),
    )
