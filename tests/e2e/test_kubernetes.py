"""`setpoint run` with `actuator: kubernetes` between a real Prometheus and a real API server."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.crds import DGD, DGDSA
from tests.cluster.kubelet import Kubelet, Real
from tests.e2e.scene import HIGH, LOW
from tests.e2e.servers import SCRIPT, until
from tests.e2e.stage import DEPLOYMENTS, GRAPH, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


async def test_deployments_are_scaled_up_and_down(stage: Stage) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    async with playing(stage.kubelet.settle_deployments):
        await stage.start(LOW, **DEPLOYMENTS)
        await stage.settled(LOW, stage.deployments)
        stage.scene.frontend.carry(HIGH)
        await stage.settled(HIGH, stage.deployments)
        stage.scene.frontend.carry(LOW)
        await stage.settled(LOW, stage.deployments)

    assert await stage.scene.setpoint.terminate() == 0, stage.scene.setpoint.log
    assert {"Scaled", "LeaderElected"} <= {event["reason"] for event in stage.events()}
    kept = stage.plane.admin.get(f"/api/v1/namespaces/{stage.namespace}/configmaps/setpoint-decode")
    assert "reasons" in kept["data"]
    assert {entry["objectRef"]["subresource"] for entry in stage.writes()} == {"scale"}


async def test_a_graph_deployment_is_scaled_up_and_down(stage: Stage) -> None:
    for definition in (DGD, DGDSA):
        stage.plane.admin.crd(definition)
    stage.kubelet.graph("llm", prefill=1, decode=2)
    async with playing(lambda: stage.kubelet.settle_graph("llm")):
        await stage.start(LOW, **GRAPH)
        await stage.settled(LOW, stage.graph)
        stage.scene.frontend.carry(HIGH)
        await stage.settled(HIGH, stage.graph)
        stage.scene.frontend.carry(LOW)
        await stage.settled(LOW, stage.graph)

    assert await stage.scene.setpoint.terminate() == 0, stage.scene.setpoint.log


async def test_a_fleet_that_fits_is_adopted_without_a_write(stage: Stage) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)

    await stage.start(LOW, **DEPLOYMENTS)
    await stage.scene.setpoint.ticks(4)

    assert stage.writes() == []


async def test_who_only_advises_leaves_no_trace_and_the_leadership_to_others_until_it_is_told_to_scale(
    stage: Stage,
) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=1)
    await stage.start(LOW, **DEPLOYMENTS, actuate=False)
    await until(lambda: sees(stage), "the load is seen")
    await stage.scene.setpoint.ticks(2)
    advised = stage.requests()

    stage.scene.write_settings(**stage.settings(**DEPLOYMENTS, actuate=True))
    os.kill(stage.scene.setpoint.pid, signal.SIGHUP)
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(LOW, stage.deployments)
    assert await stage.scene.setpoint.terminate() == 0, stage.scene.setpoint.log

    assert {line.partition(" ")[0] for line in advised} <= {"get", "list", "watch"}
    assert not [line for line in advised if "leases" in line]
    assert {"Scaled", "LeaderElected"} <= {event["reason"] for event in stage.events()}


async def test_a_fleet_that_is_left_as_it_is_costs_nothing_but_the_lease(stage: Stage) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    await stage.start(LOW, **DEPLOYMENTS)
    await until(lambda: sees(stage), "the load is seen")
    await stage.scene.setpoint.ticks(2)  # what is told of the beginning is told
    before = len(stage.requests())

    await stage.scene.setpoint.ticks(3)

    assert set(stage.requests()[before:]) <= {"update leases/", "patch configmaps/"}


def hpa(stage: Stage) -> None:
    path = f"/apis/autoscaling/v1/namespaces/{stage.namespace}/horizontalpodautoscalers"
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "decode"}
    spec = {"scaleTargetRef": reference, "maxReplicas": 5}
    stage.plane.admin.ask("POST", path, {"metadata": {"name": "cpu"}, "spec": spec})


async def test_another_autoscaler_on_a_target_ends_the_start(stage: Stage) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    hpa(stage)
    file = stage.scene.write_settings(**stage.settings(**DEPLOYMENTS))

    process = await asyncio.create_subprocess_exec(
        SCRIPT, "run", "--config", str(file), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30.0):
        _, said = await process.communicate()

    words = said.decode()
    assert process.returncode == 2, words
    assert "the HorizontalPodAutoscaler cpu scales deployment decode" in words
    assert "kubernetes.allow_rivals" in words
    assert "Unclosed" not in words


async def test_a_cluster_that_does_not_answer_is_waited_for(stage: Stage, shared_dir: Path) -> None:
    plane = ControlPlane(unpacked(shared_dir))
    try:
        plane.start()
        namespace = plane.admin.namespace("late")
        kubelet = Kubelet(cluster=Real(plane.admin), namespace=namespace)
        kubelet.deployment("prefill", replicas=1)
        kubelet.deployment("decode", replicas=1)
        plane.kill_api()
        late = Stage(scene=stage.scene, plane=plane, namespace=namespace, kubelet=kubelet)

        await late.start(HIGH, kubernetes__timeout="1s", kubernetes__retries=0, **DEPLOYMENTS)
        await late.scene.setpoint.ticks(2)
        held = late.scene.setpoint.steps()[-1].decision
        plane.start_api()
        await late.settled(HIGH, late.deployments)

        assert held.is_hold
        assert "it is waited for" in late.scene.setpoint.log
    finally:
        plane.stop()


async def sees(stage: Stage) -> bool:
    steps = stage.scene.setpoint.steps()
    return bool(steps) and not steps[-1].decision.is_hold
