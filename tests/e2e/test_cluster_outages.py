"""An API server that dies while it is written to, and one that hangs."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from planner.core.decision import ReasonCode, StepKind
from planner.serving.records import Outcome
from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.gate import Cut, Gate
from tests.cluster.kubelet import Kubelet, Real
from tests.e2e.faults import actuated, came_to, check_promises, decisions, saw
from tests.e2e.scene import HIGH, INTERVAL_S, LOW
from tests.e2e.servers import CLOCK
from tests.e2e.stage import DEPLOYMENTS, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def own_plane(shared_dir: Path) -> Iterator[ControlPlane]:
    """An API server that may be killed."""
    plane = ControlPlane(unpacked(shared_dir))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture
async def gate(own_plane: ControlPlane) -> AsyncIterator[Gate]:
    async with Gate(plane=own_plane).standing() as found:
        yield found


@pytest.fixture
def own(stage: Stage, own_plane: ControlPlane) -> Stage:
    """A small fleet."""
    namespace = own_plane.admin.namespace("own")
    kubelet = Kubelet(cluster=Real(own_plane.admin), namespace=namespace)
    kubelet.deployment("prefill", replicas=1)
    kubelet.deployment("decode", replicas=2)
    return replace(stage, plane=own_plane, namespace=namespace, kubelet=kubelet)


async def begin(own: Stage, gate: Gate) -> None:
    kubeconfig = gate.kubeconfig(own.plane.token, namespace=own.namespace, folder=own.scene.setpoint.folder)
    quick = {"kubernetes__timeout": "1s", "kubernetes__retries": 0}
    await own.start(LOW, kubernetes__kubeconfig=str(kubeconfig), **quick, **DEPLOYMENTS)
    await own.scene.setpoint.ticks(2)


def is_scaling(request: web.Request) -> bool:
    return request.method == "PATCH" and "scale" in request.path and "dryRun" not in request.query_string


async def blind_for_a_while(own: Stage) -> None:
    """Let it be blind under a load that would fit into less."""
    await saw(own, ReasonCode.BLIND_FLEET)
    own.scene.frontend.carry(LOW)
    await own.scene.setpoint.ticks(2)
    own.scene.frontend.carry(HIGH)


async def test_a_write_that_died_with_the_api_server_is_decided_again(own: Stage, gate: Gate) -> None:
    async def dies(request: web.Request) -> web.Response | None:
        if is_scaling(request):
            own.plane.kill_api()
            raise Cut
        return None

    await begin(own, gate)
    gate.before = dies
    own.scene.frontend.carry(HIGH)
    lost = await came_to(own, Outcome.FAILED)
    await blind_for_a_while(own)
    gate.opened()
    own.plane.start_api()
    before = own.deployments()
    async with playing(own.kubelet.settle_deployments):
        await own.settled(HIGH, own.deployments)
        await own.scene.setpoint.ticks(1)

    assert before == (1, 2)
    assert gate.url in lost.detail
    assert len(actuated(own, Outcome.APPLIED)) == 1
    check_promises(own)


async def test_a_write_that_landed_as_the_api_server_died_is_taken_for_our_own(
    own: Stage, gate: Gate
) -> None:
    async def dies(request: web.Request) -> None:
        if is_scaling(request) and "/decode/" in request.path:
            own.plane.kill_api()
            raise Cut

    await begin(own, gate)
    gate.after = dies
    own.scene.frontend.carry(HIGH)
    await came_to(own, Outcome.FAILED)
    await blind_for_a_while(own)
    gate.opened()
    own.plane.start_api()
    landed = own.deployments()
    async with playing(own.kubelet.settle_deployments):
        await own.settled(HIGH, own.deployments)
        await own.scene.setpoint.ticks(2)

    assert landed == (3, 4)
    assert "changed from" not in own.scene.setpoint.log
    assert ReasonCode.RIVAL not in {one.code for found in decisions(own) for one in found.reasons}
    check_promises(own)


async def test_an_api_server_that_hangs_delays_no_tick_and_gets_no_pile_of_requests(
    own: Stage, gate: Gate
) -> None:
    await begin(own, gate)
    own.scene.frontend.carry(HIGH)
    async with playing(own.kubelet.settle_deployments):
        await own.settled(HIGH, own.deployments)
        await own.scene.setpoint.ticks(2)
    began_s = CLOCK.now_s()
    os.kill(own.plane.api_pid, signal.SIGSTOP)
    try:
        gate.cut_watches()
        own.scene.frontend.carry(LOW)
        await saw(own, ReasonCode.BLIND_FLEET)
        await own.scene.setpoint.ticks(4)
        asked = gate.since(began_s)
    finally:
        os.kill(own.plane.api_pid, signal.SIGCONT)
    hung_s = CLOCK.now_s() - began_s
    kept = own.deployments()
    async with playing(own.kubelet.settle_deployments):
        await own.settled(LOW, own.deployments)

    assert kept == (3, 4)
    took_s = [step.duration_s for step in own.scene.setpoint.steps() if step.kind is StepKind.TICK]
    assert max(took_s) < INTERVAL_S
    assert gate.most_open <= 8, gate.most_open
    assert len(asked) / hung_s < 5.0, [(one.method, one.path) for one in asked]
    check_promises(own)
