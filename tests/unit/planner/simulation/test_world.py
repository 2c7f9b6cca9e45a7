"""The doors through which Setpoint meets the simulated fleet."""

import aiohttp
import pytest

from config.clock import VirtualClock
from config.errors import Refused
from config.policy import Role, Targets
from connectors.base import Replicas
from planner.simulation.exporter import serve
from planner.simulation.fleet import FleetSpec, SimulatedFleet
from planner.simulation.frontend import SimulatedFrontend
from planner.simulation.load import ConstantRate, LognormalLengths, poisson
from planner.simulation.pools import PoolSpec, Routing
from planner.simulation.profile import embedded_times
from planner.simulation.score import Scorecard
from planner.simulation.world import SimulatedWorld


def world_of(clock: VirtualClock, *, gpu_quota: int | None = None) -> SimulatedWorld:
    times = embedded_times()
    pools = (
        PoolSpec(name="prefill", role=Role.PREFILL, times=times, replicas=3, startup_s=30.0),
        PoolSpec(
            name="decode",
            role=Role.DECODE,
            times=times,
            replicas=2,
            startup_s=30.0,
            routing=Routing.LEAST_LOADED,
        ),
    )
    load = poisson(
        ConstantRate(rate_rps=10.0), LognormalLengths(isl_mean_tokens=1500.0, osl_mean_tokens=200.0), seed=1
    )
    frontend = SimulatedFrontend(model="demo")
    scorecard = Scorecard(Targets(ttft_s=0.5, itl_s=0.02), then=frontend)
    fleet = SimulatedFleet(
        FleetSpec(pools=pools, handover_s=0.005, gpu_quota=gpu_quota), load=load, observer=scorecard
    )
    return SimulatedWorld(fleet=fleet, frontend=frontend, scorecard=scorecard, clock=clock)


async def test_the_world_keeps_up_with_the_clock() -> None:
    clock = VirtualClock()
    await clock.advance(1000.0)
    world = world_of(clock)

    before = world.census().offered
    await clock.advance(60.0)

    assert before == 0
    assert world.census().offered == pytest.approx(600, rel=0.15)
    assert world.now_s == 60.0


async def test_scaling_shows_in_the_fleet_and_takes_the_start_up_time() -> None:
    clock = VirtualClock()
    actuator = world_of(clock).actuator()

    await actuator.scale(Replicas.of(prefill=4, decode=1))
    early = await actuator.read()
    await clock.advance(31.0)
    late = await actuator.read()
    await actuator.close()

    assert (early.pools["prefill"].ready, early.pools["prefill"].starting) == (3, 1)
    assert late.pools["prefill"].ready == 4
    assert late.pools["decode"].desired == late.pools["decode"].ready == 1
    assert late.at_s == 31.0


async def test_what_shrinks_makes_room_for_what_grows() -> None:
    actuator = world_of(VirtualClock(), gpu_quota=5).actuator()

    await actuator.scale(Replicas.of(prefill=4, decode=1))

    assert (await actuator.read()).pools["prefill"].starting == 1


async def test_an_unknown_pool_is_refused() -> None:
    actuator = world_of(VirtualClock()).actuator()

    with pytest.raises(Refused, match="aggregated"):
        await actuator.scale(Replicas.of(aggregated=1))


async def test_metrics_are_served_over_http() -> None:
    clock = VirtualClock()
    world = world_of(clock)

    async with serve(world) as url, aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            empty = await answer.text()
        await clock.advance(120.0)
        async with session.get(url) as answer:
            content_type = answer.headers["Content-Type"]
            text = await answer.text()

    assert empty == ""
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert text == world.metrics_text()
    assert 'dynamo_frontend_requests_started_total{endpoint="chat_completions",model="demo"' in text


async def test_the_server_is_gone_after_its_context() -> None:
    async with serve(world_of(VirtualClock())) as url:
        pass

    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
