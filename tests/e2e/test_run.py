"""`setpoint run` between a real Prometheus and a real etcd: counts that fit the load, each one explained."""

from dataclasses import replace

import pytest

from config.policy import EngineProfile
from planner.core.curves import decode_curve, prefill_curve
from planner.core.decision import Direction, ReasonCode, StepKind
from planner.profiling.load import load_profile
from planner.serving.records import Stepped
from tests.e2e.frontend import IDLE, Frontend, Load
from tests.e2e.scene import HIGH, LOW, MEDIUM, TOLERANCE, Scene, planned
from tests.e2e.servers import CLOCK, NAMESPACE, SCRAPE_INTERVAL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


async def test_each_phase_of_load_ends_at_the_counts_that_plan_gives(scene: Scene) -> None:
    await scene.start(LOW)
    assert_sized_for(LOW, scene)
    for load in (HIGH, MEDIUM):
        scene.frontend.carry(load)
        await scene.settled(load)
        assert_sized_for(load, scene)

    assert [planned(scene.policy(), load) for load in (LOW, HIGH, MEDIUM)] == [(1, 2), (3, 4), (2, 3)]
    changes = [step for step in scene.setpoint.steps() if step.decision.is_change]
    assert len(changes) >= 3
    for step in changes:
        assert_explained(step)


async def test_two_frontends_that_are_scraped_directly_add_up(scene: Scene) -> None:
    second = Frontend(counts_arrivals=False)
    await second.start()
    urls = [f"http://{frontend.target}/metrics" for frontend in (scene.frontend, second)]
    settings = scene.write_settings(source="scrape", scrape__urls=urls)
    for load in (LOW, HIGH, MEDIUM):
        for frontend in (scene.frontend, second):
            frontend.carry(replace(load, rate_rps=load.rate_rps / 2.0))
        if load is LOW:
            await scene.setpoint.start("--config", str(settings))
        await scene.settled(load)
        assert_sized_for(load, scene)
    await second.stop()


async def test_a_fleet_that_fits_and_is_as_fast_as_its_profile_stays_as_it_is(scene: Scene) -> None:
    profile = load_profile(scene.profile)
    _, engines = planned(scene.policy(), MEDIUM)
    await scene.etcd.store(num_prefill_workers=2, num_decode_workers=engines, decision_id=7)

    await scene.start(as_profiled(profile, MEDIUM, engines=engines), correction__enabled=True)

    assert await scene.etcd.decision_id() == 7
    state = await scene.setpoint.read("/api/v1/state")
    ratios = [pool["correction_ratio"] for pool in state["decision"]["decision"]["pools"]]
    assert ratios == pytest.approx([1.0, 1.0], rel=TOLERANCE)


async def test_a_load_that_ends_scales_down_to_the_minimum(scene: Scene) -> None:
    await scene.start(MEDIUM)

    scene.frontend.carry(IDLE)
    await scene.settled(IDLE)

    last = [step for step in scene.setpoint.steps() if step.kind is StepKind.TICK][-1]
    assert not last.decision.is_hold
    assert [pool.bound_by for pool in last.decision.pools] == [ReasonCode.MINIMUM, ReasonCode.MINIMUM]


async def test_a_restart_of_the_daemon_changes_no_count(scene: Scene) -> None:
    await scene.start(MEDIUM)
    decision_id = await scene.etcd.decision_id()

    began_s = CLOCK.now_s()
    exit_code = await scene.setpoint.terminate()
    took_s = CLOCK.now_s() - began_s
    await scene.setpoint.start("--config", str(scene.write_settings()))
    await scene.setpoint.ticks(3)

    assert exit_code == 0, scene.setpoint.log
    assert took_s < 5.0
    assert await scene.etcd.decision_id() == decision_id
    kinds = [record.record for record in scene.setpoint.records() if record.record != "stepped"]
    assert kinds[-2:] == ["stopped", "started"]
    scene.frontend.carry(HIGH)
    await scene.settled(HIGH)


async def test_variables_alone_configure_a_sidecar(scene: Scene) -> None:
    scene.frontend.carry(MEDIUM)
    await scene.prometheus.start(scene.frontend.target)

    await scene.setpoint.start(
        environment={
            "PROMETHEUS_ENDPOINT": scene.prometheus.url,
            "DYN_NAMESPACE": NAMESPACE,
            "PLANNER_PROMETHEUS_PORT": str(scene.setpoint.port),
            "ETCD_ENDPOINTS": scene.etcd.url,
            "SETPOINT_ACTUATOR": "etcd",
            "SETPOINT_ACTUATE": "true",
            "SETPOINT_PROFILE": str(scene.profile),
            "SETPOINT_BUDGET_GPUS": "40",
            "SETPOINT_INTERVAL": "1500ms",
            "SETPOINT_LOOK_INTERVAL": "0s",
            "SETPOINT_STARTUP": "0s",
            "SETPOINT_TARGETS__TTFT": "300ms",
            "SETPOINT_TARGETS__ITL": "10ms",
            "SETPOINT_PROMETHEUS__SCRAPE_INTERVAL": SCRAPE_INTERVAL,
            "SETPOINT_CORRECTION__ENABLED": "false",
        }
    )

    assert not await scene.setpoint.is_fine("/readyz")  # Prometheus has scraped nothing yet
    await scene.settled(MEDIUM)
    assert await scene.setpoint.is_fine("/readyz")
    assert await scene.setpoint.metric("setpoint_replicas_desired", target=NAMESPACE, pool="decode") == 3


def assert_explained(step: Stepped) -> None:
    """A pool changes only with a reason of its own that holds the numbers behind it."""
    for pool in step.decision.pools:
        if pool.direction is Direction.NONE:
            continue
        found = [reason for reason in step.decision.reasons if reason.pool == pool.pool]
        load = next(reason for reason in found if reason.code is ReasonCode.LOAD).numbers()
        assert 0.0 < load["arrivals_rps"] <= HIGH.rate_rps * (1 + TOLERANCE)
        assert load["replicas"] == pool.needed
        assert pool.bound_by in {reason.code for reason in found}


def assert_sized_for(load: Load, scene: Scene) -> None:
    """The newest tick was sized for this load."""
    demand = [step for step in scene.setpoint.steps() if step.kind is StepKind.TICK][-1].decision.demand
    assert demand is not None
    found = (demand.arrivals_rps, demand.isl_tokens, demand.osl_tokens)
    assert found == pytest.approx((load.rate_rps, load.isl_tokens, load.osl_tokens), rel=TOLERANCE)


def as_profiled(profile: EngineProfile, load: Load, *, engines: int) -> Load:
    """Return a load with the latency that engines of this profile give it."""
    context = load.isl_tokens + load.osl_tokens / 2.0
    load = replace(load, ttft_s=prefill_curve(profile).ttft_s(load.isl_tokens))
    for _ in range(50):
        concurrency = load.rate_rps * load.duration_s / engines
        point = decode_curve(profile).at(concurrency=concurrency, context_tokens=context)
        load = replace(load, itl_s=point.itl_s)
    return load
