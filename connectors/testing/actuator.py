"""What every actuator must do, as checks that any test framework can run."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from config.errors import ActuationError, ObservationError, Refused
from connectors.base import Actuator, Fleet, PoolState, Replicas
from connectors.testing.checks import Check, error_of, nothing, require, run_checks


@dataclass(frozen=True, slots=True, kw_only=True)
class ActuatorHarness:
    """An actuator under test.

    Attributes:
        actuator: The actuator, fresh.
        replicas: Its pools by name and role; the counts are those that it starts with.
        settle: Lets the backend carry out what was asked; called after each request.
        break_backend: Makes the backend unreachable; None where there is nothing that could break.
    """

    actuator: Actuator
    replicas: Replicas
    settle: Check = nothing
    break_backend: Check | None = None


ActuatorFactory = Callable[[], AbstractAsyncContextManager[ActuatorHarness]]


class ActuatorConformance:
    """What every actuator must do.

    Args:
        factory: Opens a fresh harness; called once per check.

    Example:
        >>> from contextlib import asynccontextmanager
        >>> from config.clock import VirtualClock
        >>> from connectors.testing import FakeActuator
        >>> @asynccontextmanager
        ... async def factory():
        ...     replicas = Replicas.of(prefill=1, decode=2)
        ...     yield ActuatorHarness(actuator=FakeActuator(replicas, VirtualClock()), replicas=replicas)
        >>> len(asyncio.run(ActuatorConformance(factory).run_all()))
        11
    """

    def __init__(self, factory: ActuatorFactory) -> None:
        self._factory = factory

    def checks(self) -> tuple[Check, ...]:
        """Return every check, for frameworks that want one test per check."""
        return (
            self.reads_every_pool_with_its_first_count,
            self.shows_what_was_asked_for,
            self.scales_down,
            self.brings_engines_to_ready,
            self.asked_twice_is_asked_once,
            self.leaves_pools_that_are_not_named,
            self.changes_nothing_when_nothing_is_named,
            self.refuses_negative_counts,
            self.survives_concurrent_requests,
            self.reports_a_broken_backend,
            self.closes_twice,
        )

    async def run_all(self) -> tuple[str, ...]:
        """Run every check and return their names.

        Raises:
            ConformanceError: If any did not pass; the message lists each with its error.
        """
        return await run_checks(self.checks())

    async def reads_every_pool_with_its_first_count(self) -> None:
        """The fleet has every pool, with sane counts, before anything was asked for."""
        async with self._factory() as harness:
            fleet = await harness.actuator.read()

            _require_desired(fleet, dict(harness.replicas))
            for name in harness.replicas:
                _require_sane(name, fleet.pools[name])

    async def shows_what_was_asked_for(self) -> None:
        """After a request for more the fleet's desired counts are those."""
        async with self._factory() as harness:
            wanted = _grown(harness.replicas, by=2)
            fleet = await _ask(harness, wanted)

            _require_desired(fleet, dict(wanted))

    async def scales_down(self) -> None:
        """A request for fewer is shown as well, and what remains is sane."""
        async with self._factory() as harness:
            await _ask(harness, _grown(harness.replicas, by=2))
            wanted = _grown(harness.replicas, by=1)
            fleet = await _ask(harness, wanted)

            _require_desired(fleet, dict(wanted))
            for name in wanted:
                _require_sane(name, fleet.pools[name])

    async def brings_engines_to_ready(self) -> None:
        """Once the backend has settled, as many engines are ready as were asked for."""
        async with self._factory() as harness:
            wanted = _grown(harness.replicas, by=1)
            fleet = await _ask(harness, wanted)

            for name, count in wanted.items():
                ready = fleet.pools[name].ready
                require(
                    ready == count, f"pool {name!r}: expected {count} ready after settling, found {ready}"
                )

    async def asked_twice_is_asked_once(self) -> None:
        """The same request again changes nothing and is no error."""
        async with self._factory() as harness:
            wanted = _grown(harness.replicas, by=1)
            first = await _ask(harness, wanted)
            second = await _ask(harness, wanted)

            require(
                dict(first.pools) == dict(second.pools),
                f"the fleet changed on the same request: {dict(first.pools)} became {dict(second.pools)}",
            )

    async def leaves_pools_that_are_not_named(self) -> None:
        """A request that names one pool leaves the others as they were."""
        async with self._factory() as harness:
            first = harness.replicas.pools[0]
            one = Replicas((replace(first, count=first.count + 1),))
            fleet = await _ask(harness, one)

            _require_desired(fleet, {**harness.replicas, first.pool: first.count + 1})

    async def changes_nothing_when_nothing_is_named(self) -> None:
        """A request without pools is no error and changes nothing."""
        async with self._factory() as harness:
            fleet = await _ask(harness, Replicas(()))

            _require_desired(fleet, dict(harness.replicas))

    async def refuses_negative_counts(self) -> None:
        """A negative count is refused, and nothing is changed."""
        async with self._factory() as harness:
            first = harness.replicas.pools[0]
            error = await error_of(harness.actuator.scale(Replicas((replace(first, count=-1),))))

            require(isinstance(error, Refused), f"expected Refused for -1 replicas, found {error!r}")
            _require_desired(await harness.actuator.read(), dict(harness.replicas))

    async def survives_concurrent_requests(self) -> None:
        """Of two requests at once one wins as a whole; the other wins, too, or says why it did not."""
        async with self._factory() as harness:
            asked = (_grown(harness.replicas, by=1), _grown(harness.replicas, by=2))
            errors = await asyncio.gather(*(error_of(harness.actuator.scale(one)) for one in asked))
            await harness.settle()
            desired = {name: pool.desired for name, pool in (await harness.actuator.read()).pools.items()}

            require(None in errors, f"neither of two requests was carried out: {errors}")
            for error in errors:
                require(
                    error is None or isinstance(error, ActuationError),
                    f"expected ActuationError from the request that lost, found {error!r}",
                )
            require(
                desired in [dict(one) for one in asked], f"the fleet is neither of two requests: {desired}"
            )

    async def reports_a_broken_backend(self) -> None:
        """Without its backend reading is an ObservationError and scaling an ActuationError."""
        async with self._factory() as harness:
            if harness.break_backend is None:
                return
            await harness.break_backend()
            read = await error_of(harness.actuator.read())
            scale = await error_of(harness.actuator.scale(_grown(harness.replicas, by=1)))

            require(
                isinstance(read, ObservationError), f"expected ObservationError from read, found {read!r}"
            )
            require(isinstance(scale, ActuationError), f"expected ActuationError from scale, found {scale!r}")
            require(bool(str(read)) and bool(str(scale)), "an error has no words")

    async def closes_twice(self) -> None:
        """Closing again is no error."""
        async with self._factory() as harness:
            await harness.actuator.close()
            await harness.actuator.close()


def _grown(replicas: Replicas, *, by: int) -> Replicas:
    return Replicas(tuple(replace(pool, count=pool.count + by) for pool in replicas.pools))


async def _ask(harness: ActuatorHarness, replicas: Replicas) -> Fleet:
    await harness.actuator.scale(replicas)
    await harness.settle()
    return await harness.actuator.read()


def _require_desired(fleet: Fleet, expected: Mapping[str, int]) -> None:
    found = {name: pool.desired for name, pool in fleet.pools.items()}
    require(found == dict(expected), f"expected the desired counts {dict(expected)}, found {found}")


def _require_sane(name: str, pool: PoolState) -> None:
    counts = (pool.desired, pool.ready, pool.starting, pool.terminating, pool.failing)
    require(min(counts) >= 0, f"pool {name!r} has a negative count: {pool}")
    gpus = pool.gpus_per_engine
    require(
        gpus is None or gpus >= 1, f"pool {name!r} says {gpus} GPUs per engine; expected None or one or more"
    )
