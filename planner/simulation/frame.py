"""What does the demo's screen show at one moment? Plain values, so that anything can fill it."""

from dataclasses import dataclass
from enum import StrEnum

_WHOLE_MS_FROM_S = 0.1
_MINUTES_FROM_S = 120.0
_HOURS_FROM_S = 7200.0
_WHOLE_FROM_RPS = 100.0


class Note(StrEnum):
    """What kind of line a reason is."""

    UP = "up"
    DOWN = "down"
    HOLD = "hold"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonLine:
    """One reason, in words.

    Attributes:
        time_of_day_s: When, on the demo's own day.
        note: What kind of line it is.
        text: The words.
    """

    time_of_day_s: float
    note: Note
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFrame:
    """Offered load, past and expected.

    Attributes:
        offered_rps: The last reading; None if unknown.
        history_rps: One value per column, oldest first; None where unknown.
        column_s: Time between two columns.
        forecast_rps: Mean forecast; None without one.
        forecast_high_rps: Upper quantile of the forecast; None without one.
        high_label: What the upper quantile is called.
        horizon_s: How far ahead the forecast is.
    """

    offered_rps: float | None
    history_rps: tuple[float | None, ...] = ()
    column_s: float = 30.0
    forecast_rps: float | None = None
    forecast_high_rps: float | None = None
    high_label: str = "p90"
    horizon_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFrame:
    """The engines of one pool.

    Attributes:
        name: Its name.
        desired: What was asked for.
        ready: Engines that serve.
        starting: Engines that do not serve yet.
        terminating: Engines that were given up and finish their work.
        needed: What the load needs before limits; None while it is not known.
        correction_ratio: Observed over expected latency; None while it is not known.
        history: Ready engines, one value per column, oldest first.
    """

    name: str
    desired: int
    ready: int
    starting: int = 0
    terminating: int = 0
    needed: int | None = None
    correction_ratio: float | None = None
    history: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyFrame:
    """One latency against its target.

    Attributes:
        name: TTFT or ITL.
        observed_s: The last reading; None if there was none.
        target_s: What was promised.
        history_s: One value per column, oldest first; None where there was none.
    """

    name: str
    observed_s: float | None
    target_s: float
    history_s: tuple[float | None, ...] = ()

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None if that is not known."""
        return None if self.observed_s is None else self.observed_s <= self.target_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of the demo.

    Attributes:
        time_of_day_s: Time on the demo's own day.
        speed_ratio: Simulated seconds per real second.
        load: Offered load.
        pools: The pools, in order.
        latencies: The latencies, in order.
        held_gpus: GPUs that engines hold, starting and terminating ones included.
        budget_gpus: The hard limit.
        in_flight: Requests in the system.
        queued: Of these, without a first token yet.
        attained_ratio: Share of requests within their targets so far; None if not known.
        gpu_hours: GPU-hours used so far; None if not known.
        reasons: The last reasons, newest last.
        is_advisory: True if decisions are shown and not carried out.
        is_hold: True if the last step held the fleet because it could not judge it.
        subtitle: What is shown, in a few words.
    """

    time_of_day_s: float
    speed_ratio: float
    load: LoadFrame
    pools: tuple[PoolFrame, ...]
    latencies: tuple[LatencyFrame, ...]
    held_gpus: int
    budget_gpus: int
    in_flight: int = 0
    queued: int = 0
    attained_ratio: float | None = None
    gpu_hours: float | None = None
    reasons: tuple[ReasonLine, ...] = ()
    is_advisory: bool = False
    is_hold: bool = False
    subtitle: str = "simulated fleet"


def time_of_day(at_s: float) -> str:
    """Return a time of the demo's day as hours, minutes and seconds.

    Example:
        >>> time_of_day(86_400.0 + 3_725.9)
        '01:02:05'
    """
    seconds = int(at_s) % 86_400
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def latency(value_s: float | None) -> str:
    """Return a latency with three figures and a unit that fits.

    Example:
        >>> latency(0.01234), latency(0.3), latency(2.5), latency(None)
        ('12.3 ms', '300 ms', '2.50 s', '–')
    """
    if value_s is None:
        return "–"
    if value_s >= 1.0:
        return f"{value_s:.2f} s"
    return f"{value_s * 1e3:.0f} ms" if value_s >= _WHOLE_MS_FROM_S else f"{value_s * 1e3:.1f} ms"


def duration(value_s: float) -> str:
    """Return a duration in its largest unit that leaves little to say.

    Example:
        >>> duration(90.0), duration(600.0), duration(9_000.0)
        ('90 s', '10 min', '2.5 h')
    """
    if value_s < _MINUTES_FROM_S:
        return f"{value_s:.0f} s"
    return f"{value_s / 60.0:.0f} min" if value_s < _HOURS_FROM_S else f"{value_s / 3600.0:.1f} h"


def rate(value_rps: float | None) -> str:
    """Return a rate in requests per second, without the unit.

    Example:
        >>> rate(3.14159), rate(314.159), rate(None)
        ('3.1', '314', '–')
    """
    if value_rps is None:
        return "–"
    return f"{value_rps:.1f}" if value_rps < _WHOLE_FROM_RPS else f"{value_rps:.0f}"
