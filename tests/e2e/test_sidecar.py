"""Setpoint as the planner service of a DynamoGraphDeployment, configured by variables alone.

The manifests are those of deploy/, and an overlay makes them quick enough for a test, as a user's own would.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.e2e.operator import Json
from tests.e2e.scene import planned
from tests.e2e.sidecar import HIGH, LOW, Sidecar, staged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
async def sidecar(
    shared_dir: Path, tmp_path: Path, control_plane: ControlPlane, program: Callable[[str, str], str]
) -> AsyncIterator[Sidecar]:
    async with staged(control_plane, shared_dir, tmp_path, program) as found:
        yield found


async def scaled_up_and_down(sidecar: Sidecar) -> None:
    async with sidecar.operated():
        await sidecar.start(LOW)
        await sidecar.pod.ticks(2)
        assert sidecar.counts() == planned(sidecar.policy(), LOW) == (1, 1)
        sidecar.scene.frontend.carry(HIGH)
        await sidecar.settled(HIGH)
        sidecar.scene.frontend.carry(LOW)
        await sidecar.settled(LOW)


async def test_with_the_rights_of_deploy_it_scales_and_lacks_nothing(sidecar: Sidecar) -> None:
    sidecar.account()
    sidecar.apply(rights=True)

    await scaled_up_and_down(sidecar)

    assert sidecar.pod.environment() == sidecar.environment()
    assert await sidecar.pod.terminate() == 0, sidecar.pod.log
    assert sidecar.lacks() == set()
    (way,) = sidecar.said("Kubernetes")
    assert (way["how"], way["namespace"]) == ("the service account of the pod", sidecar.namespace)
    (model,) = sidecar.said("Detected model name from deployment")
    assert model["event"].endswith(": meta-llama/Llama-3.1-8B-Instruct")
    assert ("dynamographdeployments", "", 200) in sidecar.writes()
    events = sidecar.plane.admin.get(f"/api/v1/namespaces/{sidecar.namespace}/events")["items"]
    assert {"Scaled", "LeaderElected"} <= {event["reason"] for event in events}
    kept = sidecar.plane.admin.get(f"/api/v1/namespaces/{sidecar.namespace}/configmaps/setpoint-llm")
    assert "reasons" in kept["data"]


async def test_with_the_stock_planners_rights_it_scales_and_says_what_it_does_without(
    sidecar: Sidecar,
) -> None:
    sidecar.account()
    sidecar.apply(rights=False)

    await scaled_up_and_down(sidecar)

    assert await sidecar.pod.terminate() == 0, sidecar.pod.log
    assert sidecar.lacks() == {"pods", "watch", "events", "config_map", "rivals"}
    assert [one for one in sidecar.writes() if one[2] < 400] == [("dynamographdeployments", "", 200)]


def opted_in() -> list[Json]:
    return [
        {"op": "add", "path": f"/spec/services/{name}/scalingAdapter", "value": {"enabled": True}}
        for name in ("VllmPrefillWorker", "VllmDecodeWorker")
    ]


async def test_with_the_stock_rights_adapters_are_written_which_may_not_be_read(sidecar: Sidecar) -> None:
    sidecar.account()
    sidecar.apply(*opted_in(), rights=False)
    sidecar.adapt()

    await scaled_up_and_down(sidecar)

    assert [one for one in sidecar.writes() if one[2] < 400] == [
        ("dynamographdeploymentscalingadapters", "scale", 200)
    ]


def dynamos_own() -> list[Json]:
    main = {
        "image": "registry.example/ai-dynamo/vllm-runtime:0.9.0",
        "workingDir": "/workspace/components/src/dynamo/planner",
        "command": ["python3", "-m", "planner_sla"],
        "args": ["--environment=kubernetes", "--backend=vllm"],
    }
    other = {"componentType": "planner", "replicas": 1, "extraPodSpec": {"mainContainer": main}}
    return [{"op": "add", "path": "/spec/services/DynamoPlanner", "value": other}]


@pytest.mark.parametrize("rights", ["all", "stock"])
async def test_beside_dynamos_own_planner_it_does_not_start(sidecar: Sidecar, rights: str) -> None:
    sidecar.account()
    sidecar.apply(*dynamos_own(), rights=rights == "all")
    sidecar.settle()

    await sidecar.spawn()
    code = await sidecar.pod.ends()

    assert code == 2, sidecar.pod.log
    assert "Dynamo's planner runs inside dynamographdeployment llm: service DynamoPlanner" in sidecar.pod.log
    assert "kubernetes.allow_rivals" in sidecar.pod.log
    assert "service Planner" not in sidecar.pod.log
