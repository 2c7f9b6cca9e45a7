"""A DynamoGraphDeployment `llm` with Setpoint as its planner; a test plays the kubelet and Dynamo's operator.

The operator gives the planner its service account, which has the stock planner's rights, and its variables.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from config.policy import Policy
from tests.cluster.control_plane import ControlPlane
from tests.cluster.crds import DGD, DGDR, DGDSA
from tests.cluster.kubelet import Kubelet, Real
from tests.cluster.overlay import built, kubectl, manifests
from tests.e2e.frontend import Frontend, Load
from tests.e2e.operator import ACCOUNT_NAME, Json, Operator
from tests.e2e.pod import ACCOUNT, Pod, lay_out, variables_of
from tests.e2e.scene import Scene, planned, served
from tests.e2e.servers import SCRAPE_INTERVAL, SCRIPT, until

LOW, HIGH = Load(rate_rps=8.0), Load(rate_rps=40.0)
# What another deployment on the same Prometheus carries; were it counted, the budget would be full at once.
OTHERS = Load(rate_rps=500.0)
QUICK = {
    "SETPOINT_INTERVAL": "1500ms",
    "SETPOINT_LOOK_INTERVAL": "0s",
    "SETPOINT_STARTUP": "0s",
    "SETPOINT_POOLS__PREFILL__SCALE_DOWN_WINDOW": "2s",
    "SETPOINT_POOLS__DECODE__SCALE_DOWN_WINDOW": "2s",
    "SETPOINT_CORRECTION__ENABLED": "false",
    "SETPOINT_PROMETHEUS__SCRAPE_INTERVAL": SCRAPE_INTERVAL,
}
PROFILE = "/etc/setpoint-profile"


@dataclass(frozen=True, kw_only=True)
class Sidecar(Operator):
    """A graph deployment in a namespace of its own, and the daemon in the planner's place."""

    scene: Scene
    folder: Path
    others: Frontend

    @property
    def pod(self) -> Pod:
        assert isinstance(self.scene.setpoint, Pod)
        return self.scene.setpoint

    def policy(self) -> Policy:
        """Return the policy of the settings that the manifest has, and the overlay's."""
        return self.scene.policy(budget_gpus=8, targets__ttft="500ms", targets__itl="25ms")

    async def settled(self, load: Load) -> None:
        wanted = planned(self.policy(), load)

        async def is_so() -> bool:
            return self.counts() == wanted

        await until(is_so, f"{wanted} on the cluster, not {self.counts()}; {self.pod.log[-3000:]}")

    # What a person does.

    def apply(self, *more: Json, rights: bool) -> None:
        """Apply deploy/manifests/sidecar through an overlay, as `kubectl kustomize | kubectl apply` does."""
        overlay = self.folder / "overlay"
        overlay.mkdir()
        curves = curves_of(self.scene.profile)
        for name, text in curves.items():
            (overlay / name).write_text(text, encoding="utf-8")
        steps = [
            {"op": "add", "path": "/spec/services/Planner/envs/-", "value": {"name": name, "value": value}}
            for name, value in QUICK.items()
        ]
        document = {
            "namespace": self.namespace,
            "resources": [manifests(overlay, "sidecar")],
            "configMapGenerator": [{"name": "planner-profile-data", "files": list(curves)}],
            "generatorOptions": {"disableNameSuffixHash": True},
            "patches": [{"target": {"kind": "DynamoGraphDeployment"}, "patch": json.dumps([*steps, *more])}],
        }
        items = built(overlay, document)
        chosen = [one for one in items if rights or one["kind"] not in {"Role", "RoleBinding"}]
        kubeconfig = self.plane.kubeconfig(self.plane.token, namespace=self.namespace, folder=self.folder)
        said = kubectl(
            *(f"--kubeconfig={kubeconfig}", "apply", "--validate=false", "-f", "-"),
            text=yaml.safe_dump_all(chosen),
        )
        assert len(said.splitlines()) == (4 if rights else 2), said

    def environment(self) -> dict[str, str]:
        """Return the variables of the planner's container: the manifest's, the operator's, the kubelet's."""
        service = self.services()["Planner"]
        fields = {
            "metadata.name": "llm-planner-7d9f",
            "metadata.namespace": self.namespace,
            "metadata.uid": "3f0a6e0c-7a4f-4a3e-9b0e-5f5d8f1a2b3c",
            "status.podIP": "127.0.0.1",
        }
        return {
            **variables_of(service, fields),
            **variables_of(service["extraPodSpec"]["mainContainer"], fields),
            "DYN_NAMESPACE": self.dynamo_namespace,
            "DYN_COMPONENT": "Planner",
            "DYN_PARENT_DGD_K8S_NAME": "llm",
            "DYN_PARENT_DGD_K8S_NAMESPACE": self.namespace,
            "DYN_DISCOVERY_BACKEND": "kubernetes",
            "PROMETHEUS_ENDPOINT": self.scene.prometheus.url,
            "PLANNER_PROMETHEUS_PORT": str(self.pod.port),
            "POD_UID": "3f0a6e0c-7a4f-4a3e-9b0e-5f5d8f1a2b3c",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.plane.port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(self.plane.port),
            "KUBERNETES_PORT": f"tcp://127.0.0.1:{self.plane.port}",
            # The manifest's 0.0.0.0 would open a port of this machine.
            "SETPOINT_HTTP__BIND": "127.0.0.1",
        }

    def mount(self) -> None:
        """Write what the kubelet mounts: the account's token, and the ConfigMap of the profile."""
        lay_out(
            self.folder / "account",
            {
                "token": self.plane.admin.token_for(self.namespace, ACCOUNT_NAME),
                "ca.crt": self.plane.ca_file.read_text(encoding="utf-8"),
                "namespace": self.namespace,
            },
        )
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/planner-profile-data"
        lay_out(self.folder / "profile", self.plane.admin.get(path)["data"])

    async def spawn(self) -> None:
        main = self.services()["Planner"]["extraPodSpec"]["mainContainer"]
        words: list[str] = [*main["command"], *main["args"]]
        program, *arguments = words
        assert program == "setpoint"
        self.mount()
        await self.pod.spawn(*arguments, environment=self.environment())

    async def start(self, load: Load) -> None:
        self.scene.frontend.carry(load)
        self.others.carry(OTHERS)
        self.scrape()
        await self.scene.prometheus.start()
        await self.spawn()
        await self.pod.starts()

    def scrape(self) -> None:
        """Let Prometheus scrape both deployments, each with the label that Dynamo's PodMonitor gives it."""
        targets = {self.dynamo_namespace: self.scene.frontend.target, "others-llm": self.others.target}
        jobs = [
            {"targets": [target], "labels": {"dynamo_namespace": name, "namespace": name.partition("-")[0]}}
            for name, target in targets.items()
        ]
        pace = {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": SCRAPE_INTERVAL}
        text = json.dumps(
            {"global": pace, "scrape_configs": [{"job_name": "dynamo-frontend", "static_configs": jobs}]}
        )
        (self.scene.prometheus.folder / "prometheus.yml").write_text(text, encoding="utf-8")

    # What is looked at.

    def said(self, event: str) -> list[Json]:
        """Return the lines of the log that are of one sort."""
        lines = (json.loads(line) for line in self.pod.log.splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"].startswith(event)]

    def lacks(self) -> set[str]:
        return {line["feature"] for line in self.said("without the right")}

    def writes(self) -> set[tuple[str, str, int]]:
        """Return which objects the daemon wrote, how, and the answers; no dry runs, no reviews of rights."""
        return {
            (
                entry["objectRef"]["resource"],
                entry["objectRef"].get("subresource", ""),
                entry["responseStatus"]["code"],
            )
            for entry in self.audit()
            if entry["verb"] in {"create", "update", "patch", "delete"}
            and entry["objectRef"].get("apiGroup") != "authorization.k8s.io"
            and "dryRun" not in entry["requestURI"]
        }

    def audit(self) -> Iterator[Json]:
        user = f"system:serviceaccount:{self.namespace}:{ACCOUNT_NAME}"
        return (one for one in self.plane.audit(user=user) if one["stage"] == "ResponseComplete")


def curves_of(profile: Path) -> dict[str, str]:
    """Return measured curves as Dynamo's profiler leaves them in its ConfigMap."""
    return {
        f"{phase}_raw_data.json": json.dumps({name: plain(values) for name, values in curves.items()})
        for phase in ("prefill", "decode")
        for curves in (np.load(profile / f"selected_{phase}_interpolation" / "raw_data.npz"),)
    }


def plain(values: "np.ndarray[Any, Any]") -> object:
    return values.tolist() if values.size > 1 else values.item()


@asynccontextmanager
async def staged(
    plane: ControlPlane, shared: Path, folder: Path, program: Callable[[str, str], str]
) -> AsyncIterator[Sidecar]:
    """Give a namespace of its own with two frontends; what is started in it ends with it."""
    for definition in (DGD, DGDSA, DGDR):
        plane.admin.crd(definition)
    namespace = plane.admin.namespace("side")
    mounts = {ACCOUNT: folder / "account", PROFILE: folder / "profile"}
    kubelet = Kubelet(cluster=Real(plane.admin), namespace=namespace)
    others, pod = Frontend(), Pod(folder, SCRIPT, mounts)
    async with served(shared, folder, program, setpoint=pod) as scene, AsyncExitStack() as stack:
        stack.push_async_callback(others.stop)
        await others.start()
        yield Sidecar(
            scene=scene,
            plane=plane,
            namespace=namespace,
            kubelet=kubelet,
            folder=folder,
            others=others,
        )
