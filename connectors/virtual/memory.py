"""A fleet that exists only in memory: for tests, demonstrations and dry runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from config.clock import Clock
from config.errors import Refused
from config.policy import PoolPolicy
from connectors.base import Fleet, PoolReplicas, PoolState, Replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleCall:
    """One call of `scale` that was accepted, and when on the actuator's clock."""

    at_s: float
    replicas: Replicas


class MemoryActuator:
    """Keep the counts that were asked for, and report the engines ready after their start-up time.

    Engines that are given up are gone at once, those that are still starting first. A pool that was not
    among the first counts is unknown, and asking for it is refused.

    Args:
        replicas: The pools and their first counts; these engines are ready from the beginning.
        clock: Where the time of start-ups comes from.
        startup_s: Time that a new engine needs before it is ready.
        gpus_per_engine: GPUs of one engine by pool; a pool that is absent does not say.

    Example:
        >>> import asyncio
        >>> from config.clock import VirtualClock
        >>> actuator = MemoryActuator(Replicas.of(prefill=1, decode=2), VirtualClock(), startup_s=60.0)
        >>> asyncio.run(actuator.scale(Replicas.of(decode=3)))
        >>> decode = asyncio.run(actuator.read()).pools["decode"]
        >>> decode.desired, decode.ready, decode.starting
        (3, 2, 1)
    """

    def __init__(
        self,
        replicas: Replicas,
        clock: Clock,
        *,
        startup_s: float = 0.0,
        gpus_per_engine: Sequence[tuple[str, int]] = (),
    ) -> None:
        self._clock = clock
        self._startup_s = startup_s
        self._gpus_per_engine = dict(gpus_per_engine)
        # One entry per engine: when it is ready. New engines are appended, so the youngest is the last.
        self._ready_at_s: dict[str, list[float]] = {
            pool.pool: [clock.now_s()] * _checked(pool) for pool in replicas.pools
        }
        self._calls: list[ScaleCall] = []

    @classmethod
    def of_policies(
        cls, pools: Sequence[PoolPolicy], clock: Clock, *, startup_s: float = 0.0
    ) -> "MemoryActuator":
        """Make a fleet that starts with each pool's minimum."""
        replicas = Replicas(
            tuple(PoolReplicas(pool=pool.name, role=pool.role, count=pool.min_replicas) for pool in pools)
        )
        gpus = tuple((pool.name, pool.gpus_per_engine) for pool in pools)
        return cls(replicas, clock, startup_s=startup_s, gpus_per_engine=gpus)

    @property
    def calls(self) -> tuple[ScaleCall, ...]:
        """Every call of `scale` that was accepted, oldest first."""
        return tuple(self._calls)

    async def read(self) -> Fleet:
        """Return the counts that were asked for, with what is ready by now."""
        now_s = self._clock.now_s()
        return Fleet(at_s=now_s, pools={name: self._state(name, now_s) for name in self._ready_at_s})

    async def scale(self, replicas: Replicas) -> None:
        """Start or give up engines so that each named pool has its count.

        Raises:
            Refused: If a count is negative or a pool does not exist; nothing is changed then.
        """
        for pool in replicas.pools:
            self._require_known(pool)
        for pool in replicas.pools:
            self._resize(pool)
        self._calls.append(ScaleCall(at_s=self._clock.now_s(), replicas=replicas))

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _state(self, name: str, now_s: float) -> PoolState:
        engines = self._ready_at_s[name]
        ready = sum(ready_at_s <= now_s for ready_at_s in engines)
        return PoolState(
            desired=len(engines),
            ready=ready,
            starting=len(engines) - ready,
            gpus_per_engine=self._gpus_per_engine.get(name),
        )

    def _require_known(self, pool: PoolReplicas) -> None:
        _checked(pool)
        if pool.pool not in self._ready_at_s:
            known = ", ".join(self._ready_at_s)
            raise Refused(f"the fleet in memory has no pool {pool.pool!r}; it has: {known}")

    def _resize(self, pool: PoolReplicas) -> None:
        engines = self._ready_at_s[pool.pool]
        ready_at_s = self._clock.now_s() + self._startup_s
        engines.extend([ready_at_s] * (pool.count - len(engines)))
        del engines[pool.count :]


def _checked(pool: PoolReplicas) -> int:
    if pool.count < 0:
        raise Refused(f"pool {pool.pool!r} was asked for {pool.count} replicas; expected zero or more")
    return pool.count
