"""A deployment on a real API server, what plays its controllers, and the daemon that scales it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.kubernetes.api import Json
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubelet import Kubelet
from tests.cluster.overlay import kubectl
from tests.e2e.frontend import Load
from tests.e2e.scene import Scene, planned
from tests.e2e.servers import CLOCK, until

DEPLOYMENTS: dict[str, object] = {
    "kubernetes__prefill": "deployment/prefill",
    "kubernetes__decode": "deployment/decode",
}
GRAPH: dict[str, object] = {"dynamo__graph_deployment": "llm"}
_GRAPHS = "/apis/nvidia.com/v1beta1/namespaces/{}/dynamographdeployments/llm"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A deployment in a namespace of its own, and what plays its controllers."""

    scene: Scene
    plane: ControlPlane
    namespace: str
    kubelet: Kubelet

    def settings(self, **others: object) -> dict[str, object]:
        """Return the daemon's settings; `token` is whose rights it has, an administrator's if unsaid."""
        token = str(others.pop("token", self.plane.token))
        kubeconfig = self.plane.kubeconfig(token, namespace=self.namespace, folder=self.scene.setpoint.folder)
        return {
            "actuator": "kubernetes",
            "kubernetes__kubeconfig": str(kubeconfig),
            "kubernetes__lease_duration": "3s",
            "journal__path": str(self.scene.setpoint.journal),
            **others,
        }

    async def start(self, load: Load, **others: object) -> None:
        self.scene.frontend.carry(load)
        await self.scene.prometheus.start(self.scene.frontend.target)
        file = self.scene.write_settings(**self.settings(**others))
        await self.scene.setpoint.start("--config", str(file))

    async def settled(self, load: Load, counts: "Callable[[], tuple[int, int]]") -> None:
        wanted = planned(self.scene.policy(), load)

        async def is_so() -> bool:
            return counts() == wanted

        await until(is_so, f"{wanted} on the cluster; {self.scene.setpoint.log[-3000:]}")

    def kubectl(self, *arguments: str, folder: Path) -> str:
        """Do something as the administrator does; return what kubectl says."""
        config = self.plane.kubeconfig(self.plane.token, namespace=self.namespace, folder=folder)
        return kubectl(f"--kubeconfig={config}", *arguments, folder=folder)

    def deployments(self) -> tuple[int, int]:
        prefill, decode = (
            self.plane.admin.get(self.kubelet.path("apps/v1", "deployments", name))["spec"]["replicas"]
            for name in ("prefill", "decode")
        )
        return prefill, decode

    def graph(self) -> tuple[int, int]:
        components: list[Json] = self.plane.admin.get(_GRAPHS.format(self.namespace))["spec"]["components"]
        return components[1]["replicas"], components[2]["replicas"]

    def events(self) -> list[Json]:
        """Return what was told on the targets."""
        found: list[Json] = self.plane.admin.get(f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return found

    def requests(self) -> list[str]:
        """Return what the daemon asked of the API server since the start, in order."""
        return [
            f"{entry['verb']} {entry['objectRef']['resource']}/{entry['objectRef'].get('subresource', '')}"
            for entry in self.plane.audit()
            if entry.get("userAgent") == "setpoint"
            and entry["stage"] == "ResponseComplete"
            and entry.get("objectRef", {}).get("namespace") == self.namespace
        ]

    def writes(self) -> list[Json]:
        """Return what was written into the namespace by the daemon, in order: scaling only, no dry runs."""
        return [
            entry
            for entry in self.plane.audit(verbs=("patch",))
            if entry["objectRef"].get("namespace") == self.namespace
            and entry["objectRef"]["resource"] in {"deployments", "dynamographdeployments"}
            and "fieldManager=setpoint" in entry["requestURI"]
            and "dryRun" not in entry["requestURI"]
        ]


@asynccontextmanager
async def playing(bring: Callable[[], None]) -> AsyncIterator[None]:
    """Bring what exists to what is asked for, all the time."""

    async def play() -> None:
        while True:
            bring()
            await CLOCK.sleep(0.3)

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
