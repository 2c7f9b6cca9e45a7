"""What every solver gives."""

from dataclasses import dataclass

from planner.core.decision import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNeed:
    """What one pool needs for a demand, before any limit.

    Attributes:
        pool: Its name.
        replicas: The least count that carries the demand.
        gpus_per_engine: GPUs of one engine.
        demand_tokens_per_s: Work of the pool.
        capacity_tokens_per_s: What one engine carries within the target; positive.
        reasons: How the count came about.
    """

    pool: str
    replicas: int
    gpus_per_engine: int
    demand_tokens_per_s: float
    capacity_tokens_per_s: float
    reasons: tuple[Reason, ...]
