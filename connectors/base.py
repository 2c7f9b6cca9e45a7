"""The vocabulary between Setpoint and the world: what is read, what is wanted, and by whom.

Plain data and two protocols, standard library only. Units are in the names: seconds, tokens, requests per
second, shares from 0 to 1. `at_s` is always the shell's monotonic clock. A reading that is missing is not a
zero: it is an `Unknown` with its reason, and the type says so.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from config.policy import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number that was measured.

    Attributes:
        value: The number, in the unit that the field's name gives.
        at_s: When it was true.
        samples: How many events it rests on; None where that is not known or makes no sense (gauges).
        estimator: How it was obtained, where there is more than one way (`started`, `completed+inflight`).
    """

    value: float
    at_s: float
    samples: float | None = None
    estimator: str = ""
    kind: Literal["value"] = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """The system answered, and there was nothing to measure."""

    at_s: float
    kind: Literal["idle"] = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nothing usable was read; `why` says so in words for people."""

    why: str
    kind: Literal["unknown"] = "unknown"


Reading = Value | Idle | Unknown


def reading(value: float, *, at_s: float, samples: float | None = None, estimator: str = "") -> Reading:
    """Make a reading of a number that came from outside, refusing what is not one.

    Example:
        >>> reading(2.5, at_s=0.0)
        Value(value=2.5, at_s=0.0, samples=None, estimator='', kind='value')
        >>> reading(float("nan"), at_s=0.0)
        Unknown(why='the value is nan', kind='unknown')
        >>> reading(-1.0, at_s=0.0)
        Unknown(why='the value is negative: -1', kind='unknown')
    """
    if not math.isfinite(value):
        return Unknown(why=f"the value is {value}")
    if value < 0.0:
        return Unknown(why=f"the value is negative: {value:g}")
    return Value(value=value, at_s=at_s, samples=samples, estimator=estimator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A distribution as counts between ascending bounds.

    Attributes:
        upper_bounds: Upper bound of each bucket, ascending; the last may be infinite.
        counts: Events in each bucket (not cumulative), as many as bounds.
    """

    upper_bounds: tuple[float, ...]
    counts: tuple[float, ...]


NOT_READ = Unknown(why="not read by this source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one window of time showed at the frontend.

    Attributes:
        at_s: End of the window.
        window_s: Its length.
        arrivals_rps: Offered load; its `estimator` names the formula. An idle system is `Value(0)`.
        completions_rps: Requests that ended.
        isl_tokens: Mean prompt length.
        osl_tokens: Mean output length.
        isl_histogram: Distribution of prompt lengths, where the source has one.
        osl_histogram: Distribution of output lengths, where the source has one.
        ttft_s: Mean time to first token.
        ttft_quantile_s: Time to first token at the target's percentile.
        itl_s: Mean time between tokens.
        itl_quantile_s: Time between tokens at the target's percentile.
        request_duration_s: Mean time from arrival to last token.
        in_flight: Requests in the system, a gauge.
        queued: Requests that wait for their first token, a gauge (Dynamo's includes running prefills).
        kv_usage_ratio: Share of the decode engines' KV cache in use, a gauge.
    """

    at_s: float
    window_s: float
    arrivals_rps: Reading
    completions_rps: Reading = NOT_READ
    isl_tokens: Reading = NOT_READ
    osl_tokens: Reading = NOT_READ
    isl_histogram: Histogram | None = None
    osl_histogram: Histogram | None = None
    ttft_s: Reading = NOT_READ
    ttft_quantile_s: Reading = NOT_READ
    itl_s: Reading = NOT_READ
    itl_quantile_s: Reading = NOT_READ
    request_duration_s: Reading = NOT_READ
    in_flight: Reading = NOT_READ
    queued: Reading = NOT_READ
    kv_usage_ratio: Reading = NOT_READ


class HoldKind(StrEnum):
    """Why the orchestrator's side wants a pool left alone."""

    PAUSED = "paused"
    ROLLING_OUT = "rolling_out"
    RIVAL = "rival"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHold:
    """A wish of the orchestrator's side that a pool keep what it was asked for.

    Attributes:
        kind: Which.
        why: The same in words for people: who paused it, what rolls out, who else writes.
    """

    kind: HoldKind
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """The engines of one pool, as the orchestrator sees them.

    Attributes:
        desired: What the orchestrator was last asked for.
        ready: Engines that serve.
        starting: Engines that exist and do not serve yet.
        terminating: Engines that were given up and still hold their GPUs.
        failing: Engines that exist and will not serve without help.
        gpus_per_engine: GPUs of one engine, or None where the orchestrator does not say.
        unschedulable: Those of `failing` that wait for GPUs that nobody has; more of them would wait, too.
        why_failing: In words, what the failing engines lack; empty if none fails or nothing is known.
        hold: Why the pool is to be left as it is; None if it may be scaled.
        least: The target's own lower limit of replicas.
        most: The target's own upper limit of replicas; None is none.
        grace_s: How long an engine that is given up may finish its requests; None where that is not known.
        target: What is scaled, as people name it (`deployment decode`); empty if it has no name.
    """

    desired: int
    ready: int
    starting: int = 0
    terminating: int = 0
    failing: int = 0
    gpus_per_engine: int | None = None
    unschedulable: int = 0
    why_failing: str = ""
    hold: PoolHold | None = None
    least: int = 0
    most: int | None = None
    grace_s: float | None = None
    target: str = ""

    @property
    def live(self) -> int:
        """Engines that exist and were not given up."""
        return self.ready + self.starting + self.failing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All pools of a deployment, by name.

    Attributes:
        at_s: When it was so.
        pools: The pools.
        standby: Why this process may not write now although it reads (another one leads); empty if it may.
    """

    at_s: float
    pools: Mapping[str, PoolState]
    standby: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the shell saw before one step."""

    traffic: Traffic
    fleet: Fleet | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReplicas:
    """How many replicas one pool is to have."""

    pool: str
    role: Role
    count: int


@dataclass(frozen=True, slots=True)
class Replicas(Mapping[str, int]):
    """Replica counts by pool name, with sums by role.

    Example:
        >>> replicas = Replicas.of(prefill=2, decode=5)
        >>> replicas["decode"], replicas.prefill, replicas.aggregated, dict(replicas)
        (5, 2, 0, {'prefill': 2, 'decode': 5})
    """

    pools: tuple[PoolReplicas, ...]

    @classmethod
    def of(cls, **counts: int) -> "Replicas":
        """Make counts for pools that are named by their role."""
        return cls(tuple(PoolReplicas(pool=name, role=Role(name), count=n) for name, n in counts.items()))

    @property
    def prefill(self) -> int:
        """Replicas of all prefill pools."""
        return self._sum(Role.PREFILL)

    @property
    def decode(self) -> int:
        """Replicas of all decode pools."""
        return self._sum(Role.DECODE)

    @property
    def aggregated(self) -> int:
        """Replicas of all aggregated pools."""
        return self._sum(Role.AGGREGATED)

    def _sum(self, role: Role) -> int:
        return sum(pool.count for pool in self.pools if pool.role is role)

    def __getitem__(self, name: str) -> int:
        for pool in self.pools:
            if pool.pool == name:
                return pool.count
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (pool.pool for pool in self.pools)

    def __len__(self) -> int:
        return len(self.pools)


class MetricsSource(Protocol):
    """Where traffic is read from."""

    async def observe(self, window_s: float) -> Traffic:
        """Read the last window; what cannot be read becomes an `Unknown`, never an exception.

        Implementations bound their own time; the caller adds a deadline of its own.
        """
        ...

    async def history(self, duration_s: float, step_s: float) -> tuple[Traffic, ...]:
        """Return past windows, oldest first; empty where the source keeps no history.

        They are best made to end at multiples of the step in Unix time, where the ticks of a daemon come that
        starts with them; a window that ends elsewhere counts for the interval that is nearest.

        Raises:
            ObservationError: If there is a history and it cannot be read.
        """
        ...

    async def close(self) -> None:
        """Release connections; the source is not used afterwards."""
        ...


class Actuator(Protocol):
    """Who carries out a decision."""

    async def read(self) -> Fleet:
        """Return the fleet as it is now.

        Raises:
            ObservationError: If it cannot be read.
        """
        ...

    async def scale(self, replicas: Replicas) -> None:
        """Ask for these counts; asking twice is the same as asking once.

        Raises:
            Conflict: If somebody else changed the target meanwhile.
            Refused: If the orchestrator said no.
            Standby: If another process leads; it is no failure.
            ActuationError: If it was not done for another reason; it may be tried again.
        """
        ...

    async def close(self) -> None:
        """Release connections; the actuator is not used afterwards."""
        ...
