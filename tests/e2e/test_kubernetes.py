"""`setpoint run` with `actuator: kubernetes` between a real Prometheus and a real API server."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.crds import DGD, DGDSA
from tests.cluster.kubelet import Kubelet, Real
from tests.e2e.scene import HIGH, LOW, planned
from tests.e2e.servers import SCRIPT, Setpoint, until
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


@asynccontextmanager
async def second(stage: Stage, folder: Path) -> AsyncIterator[Stage]:
    """Give another daemon of the same deployment."""
    setpoint = Setpoint(folder, SCRIPT)
    try:
        yield replace(stage, scene=replace(stage.scene, setpoint=setpoint))
    finally:
        await setpoint.kill()


async def run_beside(stage: Stage) -> None:
    """Start the other daemon, where Prometheus runs already."""
    file = stage.scene.write_settings(**stage.settings(**DEPLOYMENTS))
    await stage.scene.setpoint.start("--config", str(file))
    await stage.scene.setpoint.ticks(2)


async def test_the_other_daemon_takes_over_from_one_that_was_killed_and_changes_nothing(
    stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    async with second(stage, tmp_path_factory.mktemp("other")) as other:
        await stage.start(LOW, **DEPLOYMENTS)
        await run_beside(other)

        await stage.scene.setpoint.kill()
        took_s = await until(lambda: leads(other), "the other one leads")
        adopted = stage.writes()
        stage.scene.frontend.carry(HIGH)
        async with playing(stage.kubelet.settle_deployments):
            await other.settled(HIGH, stage.deployments)

    assert took_s < 15.0
    assert adopted == []


async def test_a_leader_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(
    stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    async with (
        second(stage, tmp_path_factory.mktemp("other")) as other,
        playing(stage.kubelet.settle_deployments),
    ):
        await stage.start(LOW, **DEPLOYMENTS)
        await run_beside(other)

        os.kill(stage.scene.setpoint.pid, signal.SIGSTOP)
        await until(lambda: leads(other), "the other one leads")
        stage.scene.frontend.carry(HIGH)
        await other.settled(HIGH, stage.deployments)
        written = len(stage.writes())
        os.kill(stage.scene.setpoint.pid, signal.SIGCONT)
        await stage.scene.setpoint.ticks(3)

        late = stage.writes()[written:]
        assert [entry["responseStatus"]["code"] for entry in late] in ([], [409])
        assert stage.deployments() == planned(stage.scene.policy(), HIGH)


async def sees(stage: Stage) -> bool:
    steps = stage.scene.setpoint.steps()
    return bool(steps) and not steps[-1].decision.is_hold


async def leads(stage: Stage) -> bool:
    return "leads by the Lease" in stage.scene.setpoint.log
