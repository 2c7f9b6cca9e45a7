"""The demo's world, and the planner's view of its engines."""

import pytest

from config.clock import VirtualClock
from connectors.base import Replicas
from planner.core.curves import decode_curve, prefill_curve
from planner.simulation.embedded import Scenario, embedded_world
from planner.simulation.profile import embedded_itl_s, embedded_prefill_s, embedded_profile


@pytest.mark.parametrize("isl_tokens", [100.0, 700.0, 1500.0, 5000.0, 15_000.0])
def test_the_planner_reads_the_prompt_times_that_the_fleet_runs_on(isl_tokens: float) -> None:
    curve = prefill_curve(embedded_profile())

    assert curve.ttft_s(isl_tokens) == pytest.approx(embedded_prefill_s(isl_tokens), rel=0.01)


@pytest.mark.parametrize("context_tokens", [500.0, 1675.0, 4000.0, 9000.0])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_the_planner_reads_the_step_times_that_the_fleet_runs_on(context_tokens: float, share: float) -> None:
    curve = decode_curve(embedded_profile())
    batch = round(share * curve.max_kv_tokens / context_tokens)

    point = curve.at(concurrency=batch, context_tokens=context_tokens)

    assert point.itl_s == pytest.approx(embedded_itl_s(batch, context_tokens), rel=0.05)


async def test_one_engine_each_is_enough_at_night_and_far_too_few_at_noon() -> None:
    async def waiting(engines: int, *, at_s: float) -> int:
        clock = VirtualClock()
        scenario = Scenario(
            day_s=600.0, busiest_s=300.0, prefill_replicas=engines, decode_replicas=engines, startup_s=5.0
        )
        world = embedded_world(scenario, clock=clock)
        await clock.advance(at_s)
        return world.census().waiting

    assert await waiting(1, at_s=20.0) <= 5
    assert await waiting(1, at_s=300.0) > 1000
    assert await waiting(9, at_s=300.0) <= 5


async def test_a_scenario_can_be_scaled_by_its_pools_names() -> None:
    clock = VirtualClock()
    actuator = embedded_world(Scenario(startup_s=60.0), clock=clock).actuator()

    await actuator.scale(Replicas.of(prefill=3, decode=2))
    await clock.advance(61.0)

    fleet = await actuator.read()
    assert {name: pool.ready for name, pool in fleet.pools.items()} == {"prefill": 3, "decode": 2}
