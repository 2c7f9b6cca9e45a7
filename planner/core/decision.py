"""What one step decided, and why: data first, words only at the edge (`planner.core.words`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from config.policy import Role
from connectors.base import PoolReplicas, Replicas


class StepKind(StrEnum):
    """Which of the two cadences a step belongs to."""

    TICK = "tick"
    LOOK = "look"


class Direction(StrEnum):
    """Where a pool goes."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


class ReasonCode(StrEnum):
    """Why a pool gets the replicas that it gets, or what was remarkable on the way."""

    LOAD = "load"
    TARGET_UNATTAINABLE = "target_unattainable"
    OUTSIDE_PROFILE = "outside_profile"
    CORRECTION_CLAMPED = "correction_clamped"
    CORRECTION_FROZEN = "correction_frozen"
    LENGTHS_REMEMBERED = "lengths_remembered"
    FORECAST_MISSING = "forecast_missing"
    SETTLING = "settling"
    ENGINES_FAILING = "engines_failing"
    GPUS_REPORTED = "gpus_reported"
    GRACE_SHORT = "grace_short"
    STANDBY = "standby"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    TARGET_MINIMUM = "target_minimum"
    TARGET_MAXIMUM = "target_maximum"
    UNSCHEDULABLE = "unschedulable"
    PAUSED = "paused"
    ROLLING_OUT = "rolling_out"
    RIVAL = "rival"
    BUDGET = "budget"
    BUDGET_WAIT = "budget_wait"
    STEP_UP = "step_up"
    STEP_DOWN = "step_down"
    WINDOW_UP = "window_up"
    WINDOW_DOWN = "window_down"
    SURGE = "surge"
    QUEUE = "queue"
    REMOVAL_CALLED_OFF = "removal_called_off"
    QUIET = "quiet"
    BLIND_ARRIVALS = "blind_arrivals"
    BLIND_LENGTHS = "blind_lengths"
    BLIND_FLEET = "blind_fleet"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number behind a reason; its unit is in its name."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason as data.

    Attributes:
        code: What kind of reason.
        pool: The pool that it concerns; empty if it concerns all.
        figures: The numbers behind it.
        detail: Words that came from outside (why a reading is unknown); empty if none.
    """

    code: ReasonCode
    pool: str = ""
    figures: tuple[Figure, ...] = ()
    detail: str = ""

    def numbers(self) -> Mapping[str, float]:
        """Return the figures by name."""
        return {figure.name: figure.value for figure in self.figures}


def because(code: ReasonCode, *, pool: str = "", detail: str = "", **figures: float) -> Reason:
    """Make a reason; the keyword arguments are its figures.

    Example:
        >>> because(ReasonCode.MINIMUM, pool="decode", wanted=0, minimum=1).numbers()
        {'wanted': 0.0, 'minimum': 1.0}
    """
    numbers = tuple(Figure(name=name, value=float(value)) for name, value in figures.items())
    return Reason(code=code, pool=pool, figures=numbers, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The operating point that was sized for."""

    arrivals_rps: float
    isl_tokens: float
    osl_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDecision:
    """What one pool gets.

    Attributes:
        pool: Its name.
        role: What its engines do.
        current: What the orchestrator was asked for before.
        ready: Engines that serve now.
        needed: What the solver asked for, before any limit; None when the step held.
        replicas: What was decided.
        gpus_per_engine: GPUs of one engine.
        demand_tokens_per_s: Work that was sized for; prompt tokens for prefill, output tokens for decode.
        capacity_tokens_per_s: What one engine carries within the target.
        utilization_ratio: Demand over the capacity of the decided replicas.
        expected_latency_s: TTFT (prefill) or ITL (decode) at the decided size, in the solver's own model.
        correction_ratio: The correction factor in force.
        bound_by: What set the count in the end.
    """

    pool: str
    role: Role
    current: int
    ready: int
    needed: int | None
    replicas: int
    gpus_per_engine: int
    demand_tokens_per_s: float | None = None
    capacity_tokens_per_s: float | None = None
    utilization_ratio: float | None = None
    expected_latency_s: float | None = None
    correction_ratio: float = 1.0
    bound_by: ReasonCode = ReasonCode.LOAD

    @property
    def direction(self) -> Direction:
        """Where the pool goes."""
        if self.replicas == self.current:
            return Direction.NONE
        return Direction.UP if self.replicas > self.current else Direction.DOWN

    @property
    def gpus(self) -> int:
        """GPUs of the decided replicas."""
        return self.replicas * self.gpus_per_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one step decided.

    Attributes:
        at_s: When, on the shell's monotonic clock.
        kind: Tick or look.
        pools: One entry per pool; empty only while the fleet was never seen.
        budget_gpus: The hard limit in force.
        committed_gpus: GPUs that are held or asked for once this decision is written.
        is_hold: True if the step kept the fleet because it could not judge it.
        demand: The operating point that was sized for; None when the step held.
        expected_ttft_s: Expected time to first token at the decided size, in the solver's model.
        expected_itl_s: Expected time between tokens at the decided size, in the solver's model.
        expected_attainment_ratio: Expected share of requests within target, where the solver knows it.
        reasons: Everything that led here, in order.
    """

    at_s: float
    kind: StepKind
    pools: tuple[PoolDecision, ...]
    budget_gpus: int
    committed_gpus: int
    is_hold: bool = False
    demand: Demand | None = None
    expected_ttft_s: float | None = None
    expected_itl_s: float | None = None
    expected_attainment_ratio: float | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def replicas(self) -> Replicas:
        """The decided counts, as the actuator takes them."""
        return Replicas(
            tuple(PoolReplicas(pool=pool.pool, role=pool.role, count=pool.replicas) for pool in self.pools)
        )

    @property
    def gpus(self) -> int:
        """GPUs of all decided replicas."""
        return sum(pool.gpus for pool in self.pools)

    @property
    def is_change(self) -> bool:
        """True if any pool is to have another count than it was asked for before."""
        return any(pool.direction is not Direction.NONE for pool in self.pools)
