"""What goes wrong on a cluster while the daemon runs: it is told, it scales nothing down, and it passes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.core.decision import ReasonCode
from planner.core.words import sentence
from planner.serving.records import Actuated, Outcome
from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.kubelet import Kubelet, Real, unschedulable
from tests.e2e.scene import HIGH, LOW
from tests.e2e.servers import until
from tests.e2e.stage import DEPLOYMENTS, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "manifests"
_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


def grant(stage: Stage) -> str:
    """Give a service account what deploy/ gives, and nothing else; return its token."""
    core = f"/api/v1/namespaces/{stage.namespace}/serviceaccounts"
    stage.plane.admin.ask("POST", core, {"metadata": {"name": "setpoint"}})
    for file in ("daemon/role.yaml", "targets/deployment/role.yaml"):
        for document in yaml.safe_load_all((_MANIFESTS / file).read_text(encoding="utf-8")):
            apply(stage, document)
    return stage.plane.admin.token_for(stage.namespace, "setpoint")


def apply(stage: Stage, document: dict[str, Any]) -> None:
    for subject in document.get("subjects", ()):
        subject["namespace"] = stage.namespace
    stage.plane.admin.ask("POST", f"{_RBAC}/{stage.namespace}/{document['kind'].lower()}s", document)


def outcomes(stage: Stage) -> list[Outcome]:
    return [record.outcome for record in stage.scene.setpoint.records() if isinstance(record, Actuated)]


async def saw(stage: Stage, code: ReasonCode) -> str:
    """Wait until a decision has a reason; return it in words."""

    def found() -> list[str]:
        decisions = (step.decision for step in stage.scene.setpoint.steps())
        return [sentence(one) for decision in decisions for one in decision.reasons if one.code is code]

    async def is_so() -> bool:
        return bool(found())

    await until(is_so, f"{code}; {stage.scene.setpoint.log[-2000:]}")
    return found()[0]


async def test_the_rights_that_deploy_grants_suffice_and_taking_them_away_is_told(stage: Stage) -> None:
    token = grant(stage)
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    role = f"{_RBAC}/{stage.namespace}/rolebindings/setpoint-deployment"
    async with playing(stage.kubelet.settle_deployments):
        await stage.start(LOW, token=token, **DEPLOYMENTS)
        await stage.scene.setpoint.ticks(2)
        assert "without the right" not in stage.scene.setpoint.log
        stage.scene.frontend.carry(HIGH)
        await stage.settled(HIGH, stage.deployments)

        binding = stage.plane.admin.get(role)
        stage.plane.admin.ask("DELETE", role)
        stage.scene.frontend.carry(LOW)

        async def is_refused() -> bool:
            return Outcome.REFUSED in outcomes(stage)

        await until(is_refused, "a refusal")
        binding["metadata"] = {"name": "setpoint-deployment"}
        apply(stage, binding)
        await stage.settled(LOW, stage.deployments)

    refused = [
        record.detail
        for record in stage.scene.setpoint.records()
        if isinstance(record, Actuated) and record.outcome is Outcome.REFUSED
    ]
    assert "needed is patch deployments/scale" in refused[0]


async def test_an_api_server_that_is_killed_holds_the_fleet_until_it_is_back(
    stage: Stage, shared_dir: Path
) -> None:
    plane = ControlPlane(unpacked(shared_dir))
    try:
        plane.start()
        namespace = plane.admin.namespace("killed")
        kubelet = Kubelet(cluster=Real(plane.admin), namespace=namespace)
        kubelet.deployment("prefill", replicas=1)
        kubelet.deployment("decode", replicas=2)
        own = Stage(scene=stage.scene, plane=plane, namespace=namespace, kubelet=kubelet)
        await own.start(HIGH, kubernetes__timeout="1s", kubernetes__retries=0, **DEPLOYMENTS)
        await own.settled(HIGH, own.deployments)

        plane.kill_api()
        own.scene.frontend.carry(LOW)
        await saw(own, ReasonCode.BLIND_FLEET)
        await own.scene.setpoint.ticks(2)
        held = own.scene.setpoint.steps()[-1].decision
        plane.start_api()
        before = own.deployments()
        kubelet.settle_deployments()
        await own.settled(LOW, own.deployments)

        assert held.is_hold
        assert before == (3, 4)
    finally:
        plane.stop()


async def test_a_target_that_is_deleted_and_made_again_is_scaled_again(stage: Stage) -> None:
    stage.kubelet.deployment("prefill", replicas=1)
    decode = stage.kubelet.deployment("decode", replicas=2)
    await stage.start(LOW, **DEPLOYMENTS)
    await stage.scene.setpoint.ticks(2)

    stage.plane.admin.ask("DELETE", decode)
    await saw(stage, ReasonCode.BLIND_FLEET)
    stage.kubelet.deployment("decode", replicas=1)
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(LOW, stage.deployments)

    assert "there is no deployment decode" in stage.scene.setpoint.log


async def test_an_engine_that_no_node_has_room_for_is_told_and_no_more_are_asked_for(stage: Stage) -> None:
    stage.kubelet.deployment("prefill", replicas=3)
    stage.kubelet.deployment("decode", replicas=3)
    stuck = stage.kubelet.pods({"app": "decode"})[0]["metadata"]["name"]
    stage.kubelet.mark(stuck, unschedulable(message="0/3 nodes are available: 3 Insufficient nvidia.com/gpu"))

    await stage.start(HIGH, kubernetes__unschedulable_grace="0s", **DEPLOYMENTS)
    await saw(stage, ReasonCode.UNSCHEDULABLE)
    told = await saw(stage, ReasonCode.ENGINES_FAILING)
    await stage.scene.setpoint.ticks(3)

    assert stage.deployments()[1] == 3
    assert "Insufficient nvidia.com/gpu" in told
