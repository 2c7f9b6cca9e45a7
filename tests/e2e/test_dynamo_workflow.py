"""Dynamo's workflow on a real API server: request, profiling, prepared deployment, a daemon that scales."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.crds import DGD, DGDR, DGDSA
from tests.cluster.deployed import token_of
from tests.cluster.kubelet import Kubelet, Real, pod_spec
from tests.e2e.frontend import Load
from tests.e2e.scene import HIGH, LOW, Scene, planned, served
from tests.e2e.servers import CLOCK, NAMESPACE, SCRAPE_INTERVAL, SCRIPT, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
Json = dict[str, Any]
PLANNER = {
    "mode": "disagg",
    "optimization_target": "sla",
    "advisory": False,
    "throughput_adjustment_interval_seconds": 2,
    "ttft_ms": 300,
    "itl_ms": 10,
    "max_gpu_budget": 40,
    "load_predictor": "constant",
}
# What makes the daemon quick enough for a test.
QUICK = {
    "SETPOINT_LOOK_INTERVAL": "0s",
    "SETPOINT_STARTUP": "0s",
    "SETPOINT_POOLS__PREFILL__SCALE_DOWN_WINDOW": "2s",
    "SETPOINT_POOLS__DECODE__SCALE_DOWN_WINDOW": "2s",
    "SETPOINT_CORRECTION__ENABLED": "false",
    "SETPOINT_KUBERNETES__LEASE_DURATION": "3s",
    "SETPOINT_PROMETHEUS__SCRAPE_INTERVAL": SCRAPE_INTERVAL,
}


@dataclass(frozen=True, kw_only=True)
class Guide:
    """The workflow in a namespace of its own; the test plays Dynamo's operator and the kubelet."""

    scene: Scene
    plane: ControlPlane
    namespace: str
    kubelet: Kubelet

    @property
    def mounts(self) -> Path:
        """Where the planner's pod has its files."""
        return self.scene.setpoint.folder / "mounts"

    def path(self, plural: str, name: str = "") -> str:
        tail = f"/{name}" if name else ""
        return f"/apis/nvidia.com/v1beta1/namespaces/{self.namespace}/{plural}{tail}"

    def ask_for_a_deployment(self) -> None:
        item = {
            "apiVersion": "nvidia.com/v1beta1",
            "kind": "DynamoGraphDeploymentRequest",
            "metadata": {"name": "llm-sla"},
            "spec": {"model": "m", "backend": "vllm", "autoApply": False, "features": {"planner": PLANNER}},
        }
        self.plane.admin.ask("POST", self.path("dynamographdeploymentrequests"), item)

    def say(self, **status: object) -> None:
        self.plane.admin.status(self.path("dynamographdeploymentrequests", "llm-sla"), status)

    def profile(self) -> None:
        """Do what the profiler does: write the curves, the planner's configuration and the deployment."""
        for name, data in (
            ("planner-profile-data", self._curves()),
            ("planner-config", self._configuration()),
        ):
            self.plane.admin.ask(
                "POST",
                f"/api/v1/namespaces/{self.namespace}/configmaps",
                {"metadata": {"name": name}, "data": data},
            )
            (self.mounts / name).mkdir(parents=True)
            for file, text in data.items():
                (self.mounts / name / file).write_text(text, encoding="utf-8")
        self.say(phase="Ready", profilingResults={"selectedConfig": self._generated()})

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command of Setpoint's as a person does, and return its exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            SCRIPT,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"KUBECONFIG": str(self._kubeconfig(self.plane.token))},
        )
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def start_sidecar(self) -> None:
        """Start the planner's container as the kubelet does, with what the operator injects."""
        components = self.plane.admin.get(self.path("dynamographdeployments", "llm"))["spec"]["components"]
        planner = next(one for one in components if one["name"] == "planner")
        (main,) = planner["podTemplate"]["spec"]["containers"]
        own = {one["name"]: one["value"] for one in main["env"] if "value" in one}
        injected = {
            "DYN_PARENT_DGD_K8S_NAME": "llm",
            "DYN_PARENT_DGD_K8S_NAMESPACE": self.namespace,
            "POD_NAME": "llm-planner-0",
        }
        words: list[str] = [*main["command"], *main["args"]]
        assert words[0] == "setpoint"
        await self._start(words[1:], {**own, **injected})

    async def start_daemon(self) -> None:
        """Start it with the rights of deploy/ for requests and graph deployments, and no others."""
        token = token_of(self.plane.admin, self.namespace, "dynamographdeployment", "dgdr")
        arguments = ["run", "--dgdr", f"{self.namespace}/llm-sla", "--actuate"]
        await self._start(arguments, {"KUBECONFIG": str(self._kubeconfig(token))})

    async def settled(self, load: Load) -> None:
        wanted = planned(self.scene.policy(), load)

        async def is_so() -> bool:
            return self._counts() == wanted

        await until(
            is_so, f"{wanted} on the cluster, not {self._counts()}; {self.scene.setpoint.log[-3000:]}"
        )

    def writers(self) -> set[tuple[str, str]]:
        """Return who changed the deployment, by field manager and verb, as the audit log has it."""
        return {
            (entry["requestURI"].partition("fieldManager=")[2].partition("&")[0], entry["verb"])
            for entry in self.plane.audit(verbs=("create", "update", "patch", "delete"))
            if entry["objectRef"].get("namespace") == self.namespace
            and entry["objectRef"]["resource"] == "dynamographdeployments"
            and entry["objectRef"].get("subresource") != "status"
            and "dryRun" not in entry["requestURI"]
        }

    async def _start(self, arguments: list[str], own: Mapping[str, str]) -> None:
        setpoint = self.scene.setpoint
        await setpoint.spawn(
            *arguments,
            environment={
                **QUICK,
                "KUBECONFIG": str(self._kubeconfig(self.plane.token)),
                **own,
                "DYN_NAMESPACE": NAMESPACE,
                "PROMETHEUS_ENDPOINT": self.scene.prometheus.url,
                "PLANNER_PROMETHEUS_PORT": str(setpoint.port),
            },
        )
        await until(lambda: setpoint.is_fine("/healthz"), "Setpoint is healthy")

    def _kubeconfig(self, token: str) -> Path:
        folder = self.scene.setpoint.folder
        return self.plane.kubeconfig(token, namespace=self.namespace, folder=folder)

    def _counts(self) -> tuple[int, int]:
        components = self.plane.admin.get(self.path("dynamographdeployments", "llm"))["spec"]["components"]
        found = {one["type"]: one["replicas"] for one in components}
        return found["prefill"], found["decode"]

    def _curves(self) -> dict[str, str]:
        return {
            f"{phase}_raw_data.json": json.dumps(
                {name: values.tolist() for name, values in np.load(file).items()}
            )
            for phase in ("prefill", "decode")
            for file in self.scene.profile.glob(f"**/*{phase}*/raw_data.npz")
        }

    def _configuration(self) -> dict[str, str]:
        folder = str(self.mounts / "planner-profile-data")
        return {"planner_config.json": json.dumps({**PLANNER, "profile_results_dir": folder})}

    def _generated(self) -> Json:
        mounted = ("planner-config", "planner-profile-data")
        planner = {
            "name": "main",
            "image": "registry.example/dynamo-planner:1.6.1",
            "command": ["python3", "-m", "dynamo.planner"],
            "args": ["--config", str(self.mounts / "planner-config" / "planner_config.json")],
            "volumeMounts": [{"name": name, "mountPath": str(self.mounts / name)} for name in mounted],
        }
        volumes = [{"name": name, "configMap": {"name": name}} for name in mounted]
        return {
            "apiVersion": "nvidia.com/v1beta1",
            "kind": "DynamoGraphDeployment",
            "metadata": {"name": "llm"},
            "spec": {
                "components": [
                    _component("frontend"),
                    {
                        "name": "planner",
                        "type": "planner",
                        "replicas": 1,
                        "podTemplate": {"spec": {"containers": [planner], "volumes": volumes}},
                    },
                    _component("prefill"),
                    _component("decode"),
                ]
            },
        }


def _component(kind: str) -> Json:
    return {"name": kind, "type": kind, "replicas": 1, "podTemplate": {"spec": pod_spec(1)}}


@pytest.fixture
async def guide(
    shared_dir: Path, tmp_path: Path, control_plane: ControlPlane, program: Callable[[str, str], str]
) -> AsyncIterator[Guide]:
    for definition in (DGD, DGDSA, DGDR):
        control_plane.admin.crd(definition)
    namespace = control_plane.admin.namespace("guide")
    kubelet = Kubelet(cluster=Real(control_plane.admin), namespace=namespace)
    async with served(shared_dir, tmp_path, program) as scene:
        playing = asyncio.create_task(_play(control_plane, kubelet))
        try:
            yield Guide(scene=scene, plane=control_plane, namespace=namespace, kubelet=kubelet)
        finally:
            playing.cancel()


async def _play(plane: ControlPlane, kubelet: Kubelet) -> None:
    """Bring the deployment to what is asked for, all the time, once it is there."""
    path = kubelet.path("nvidia.com/v1beta1", "dynamographdeployments", "llm")
    while True:
        if plane.admin.send("GET", path).is_success:
            kubelet.settle_graph("llm")
        await CLOCK.sleep(0.3)


async def prepared(guide: Guide, *how: str) -> str:
    guide.ask_for_a_deployment()
    guide.say(phase="Profiling", profilingPhase="SweepingPrefill")
    guide.profile()
    code, said = await guide.run(
        "dgd", "prepare", f"{guide.namespace}/llm-sla", *how, "--apply", "--wait", "--timeout", "30s"
    )
    assert code == 0, said
    return said


async def test_setpoint_scales_from_the_planners_place(guide: Guide) -> None:
    said = await prepared(guide, "--image", "registry.example/setpoint:1")
    guide.scene.frontend.carry(LOW)
    await guide.scene.prometheus.start(guide.scene.frontend.target)

    await guide.start_sidecar()
    await guide.settled(LOW)
    guide.scene.frontend.carry(HIGH)
    await guide.settled(HIGH)

    assert "planner: command is setpoint run --" in said
    assert guide.writers() == {("setpoint-prepare", "patch"), ("setpoint", "patch")}
    assert await guide.scene.setpoint.terminate() == 0, guide.scene.setpoint.log


async def test_setpoint_scales_from_elsewhere_by_the_name_of_the_request(guide: Guide) -> None:
    await prepared(guide, "--planner", "standalone")
    guide.scene.frontend.carry(LOW)
    await guide.scene.prometheus.start(guide.scene.frontend.target)

    await guide.start_daemon()
    await guide.settled(LOW)
    guide.scene.frontend.carry(HIGH)
    await guide.settled(HIGH)

    names = [
        one["name"]
        for one in guide.plane.admin.get(guide.path("dynamographdeployments", "llm"))["spec"]["components"]
    ]
    assert names == ["frontend", "prefill", "decode"]
    assert "without the right" not in guide.scene.setpoint.log
    assert f"request {guide.namespace}/llm-sla: Ready" in guide.scene.setpoint.log
    assert await guide.scene.setpoint.terminate() == 0, guide.scene.setpoint.log
