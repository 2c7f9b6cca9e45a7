from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from config.clock import VirtualClock
from config.errors import Refused
from config.policy import EngineProfile, PoolPolicy, Role
from connectors.base import PoolReplicas, PoolState, Replicas
from connectors.testing import ActuatorConformance, ActuatorFactory, ActuatorHarness
from connectors.virtual.memory import MemoryActuator, ScaleCall


@asynccontextmanager
async def instant() -> AsyncIterator[ActuatorHarness]:
    replicas = Replicas.of(prefill=1, decode=2)
    yield ActuatorHarness(actuator=MemoryActuator(replicas, VirtualClock()), replicas=replicas)


@asynccontextmanager
async def slow_to_start() -> AsyncIterator[ActuatorHarness]:
    replicas, clock = Replicas.of(prefill=0, decode=2), VirtualClock()

    async def settle() -> None:
        await clock.advance(60.0)

    actuator = MemoryActuator(replicas, clock, startup_s=60.0)
    yield ActuatorHarness(actuator=actuator, replicas=replicas, settle=settle)


@pytest.mark.parametrize("factory", [instant, slow_to_start])
async def test_the_fleet_in_memory_conforms(factory: ActuatorFactory) -> None:
    assert "scales_down" in await ActuatorConformance(factory).run_all()


async def test_new_engines_are_ready_after_their_start_up_time() -> None:
    clock = VirtualClock()
    actuator = MemoryActuator(Replicas.of(decode=1), clock, startup_s=60.0)
    await actuator.scale(Replicas.of(decode=3))

    await clock.advance(59.0)
    before = (await actuator.read()).pools["decode"]
    await clock.advance(1.0)
    after = (await actuator.read()).pools["decode"]

    assert before == PoolState(desired=3, ready=1, starting=2)
    assert after == PoolState(desired=3, ready=3)


async def test_engines_that_still_start_are_given_up_first() -> None:
    clock = VirtualClock()
    actuator = MemoryActuator(Replicas.of(decode=1), clock, startup_s=60.0)
    await actuator.scale(Replicas.of(decode=2))
    await clock.advance(30.0)
    await actuator.scale(Replicas.of(decode=3))

    await actuator.scale(Replicas.of(decode=2))
    await clock.advance(30.0)

    assert (await actuator.read()).pools["decode"] == PoolState(desired=2, ready=2)


async def test_policies_give_the_first_counts_and_the_gpus() -> None:
    pool = PoolPolicy(
        name="both",
        role=Role.AGGREGATED,
        profile=EngineProfile(name="x"),
        min_replicas=2,
        gpus_per_engine=4,
    )

    fleet = await MemoryActuator.of_policies([pool], VirtualClock()).read()

    assert dict(fleet.pools) == {"both": PoolState(desired=2, ready=2, gpus_per_engine=4)}


async def test_a_request_with_an_unknown_pool_is_refused_as_a_whole() -> None:
    actuator = MemoryActuator(Replicas.of(decode=1), VirtualClock())

    with pytest.raises(Refused, match="no pool 'prefill'; it has: decode"):
        await actuator.scale(Replicas.of(decode=5, prefill=1))

    assert (await actuator.read()).pools["decode"].desired == 1
    assert actuator.calls == ()


def test_a_first_count_below_zero_is_refused() -> None:
    below = Replicas((PoolReplicas(pool="decode", role=Role.DECODE, count=-1),))

    with pytest.raises(Refused, match="-1 replicas"):
        MemoryActuator(below, VirtualClock())


async def test_every_accepted_request_is_remembered_with_its_time() -> None:
    clock = VirtualClock()
    actuator = MemoryActuator(Replicas.of(decode=1), clock)
    await clock.advance(5.0)

    await actuator.scale(Replicas.of(decode=2))

    assert actuator.calls == (ScaleCall(at_s=5.0, replicas=Replicas.of(decode=2)),)
