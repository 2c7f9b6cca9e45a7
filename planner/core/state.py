"""All that survives a step. Plain data that can be written as JSON and read back equal."""

from dataclasses import dataclass

from config.policy import Policy
from planner.core.decision import Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the solver wanted for a pool at one tick, for the stabilization windows."""

    at_s: float
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMemory:
    """What is remembered of one pool.

    Attributes:
        pool: Its name.
        correction_ratio: The correction factor in force.
        desired: What was decided last; None before the first step that saw the fleet.
        gpus_per_engine: As last reported or set.
        wishes: Recent wishes, oldest first: those of the longer window and the one in force when it began.
    """

    pool: str
    correction_ratio: float = 1.0
    desired: int | None = None
    gpus_per_engine: int = 1
    wishes: tuple[Wish, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The last known prompt and output lengths; a length never seen is None."""

    isl_tokens: float | None = None
    isl_at_s: float = 0.0
    osl_tokens: float | None = None
    osl_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one step hands to the next.

    Attributes:
        pools: Memory of each pool, in the policy's order.
        lengths: The last known lengths.
        planned: The operating point that the last good tick sized for.
        started_at_s: When the first step that saw the fleet was; None before.
        blind_since_s: When the present run of blind ticks began; None while seeing.
    """

    pools: tuple[PoolMemory, ...]
    lengths: Lengths = Lengths()
    planned: Demand | None = None
    started_at_s: float | None = None
    blind_since_s: float | None = None


def initial_state(policy: Policy) -> State:
    """Return the state before the first step."""
    return State(
        pools=tuple(PoolMemory(pool=pool.name, gpus_per_engine=pool.gpus_per_engine) for pool in policy.pools)
    )
