"""What Dynamo's operator and its chart do with a DynamoGraphDeployment `llm`."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from tests.cluster.control_plane import ControlPlane
from tests.cluster.grants import STOCK, token_by_role
from tests.cluster.kubelet import Kubelet, condition
from tests.e2e.stage import playing

Json = dict[str, Any]
ACCOUNT_NAME = "planner-serviceaccount"


@dataclass(frozen=True, kw_only=True)
class Operator:
    """It follows one graph deployment in a namespace of its own."""

    plane: ControlPlane
    namespace: str
    kubelet: Kubelet

    def path(self, plural: str, name: str = "") -> str:
        return self.kubelet.path("nvidia.com/v1alpha1", plural, name).rstrip("/")

    def graph(self) -> Json:
        return self.plane.admin.get(self.path("dynamographdeployments", "llm"))

    def services(self) -> Json:
        found: Json = self.graph()["spec"]["services"]
        return found

    def counts(self) -> tuple[int, int]:
        services = self.services()
        return services["VllmPrefillWorker"]["replicas"], services["VllmDecodeWorker"]["replicas"]

    def account(self) -> None:
        """Make the planner's service account with the stock planner's rights."""
        token_by_role(self.plane.admin, self.namespace, ACCOUNT_NAME, STOCK)

    def adapt(self) -> None:
        """Make the scaling adapter of each service that has opted in."""
        for name, service in self.services().items():
            if service.get("scalingAdapter", {}).get("enabled"):
                spec = {
                    "replicas": service["replicas"],
                    "dgdRef": {"name": "llm", "serviceName": name},
                }
                item = {
                    "apiVersion": "nvidia.com/v1alpha1",
                    "kind": "DynamoGraphDeploymentScalingAdapter",
                    "metadata": {"name": f"llm-{name.lower()}"},
                    "spec": spec,
                }
                self.plane.admin.ask("POST", self.path("dynamographdeploymentscalingadapters"), item)

    def adapters(self) -> list[Json]:
        found: list[Json] = self.plane.admin.get(self.path("dynamographdeploymentscalingadapters"))["items"]
        return found

    def settle(self) -> None:
        """Copy what adapters ask for, bring the pods to what the services ask for, and say so."""
        wished = {one["spec"]["dgdRef"]["serviceName"]: one["spec"]["replicas"] for one in self.adapters()}
        if wished:
            changes = {name: {"replicas": count} for name, count in wished.items()}
            path = f"{self.path('dynamographdeployments', 'llm')}?fieldManager=manager"
            self.plane.admin.merge(path, {"spec": {"services": changes}})
        graph = self.graph()
        status: Json = {}
        for name, service in graph["spec"]["services"].items():
            labels = {
                "nvidia.com/dynamo-graph-deployment-name": "llm",
                "nvidia.com/dynamo-component": name,
                "nvidia.com/dynamo-namespace": self.dynamo_namespace,
            }
            self.kubelet.settle(labels, service["replicas"], pod_of(service))
            count = service["replicas"]
            status[name] = {
                "componentKind": "Deployment",
                "componentName": f"llm-{name.lower()}",
                "replicas": count,
                "updatedReplicas": count,
                "readyReplicas": count,
                "availableReplicas": count,
            }
        ready = condition("Ready", "True", reason="all_resources_are_ready")
        self.plane.admin.status(
            self.path("dynamographdeployments", "llm"),
            {"state": "successful", "services": status, "conditions": [ready]},
        )

    @property
    def dynamo_namespace(self) -> str:
        return f"{self.namespace}-llm"

    def operated(self) -> AbstractAsyncContextManager[None]:
        """Play it all the time."""
        return playing(self.settle)


def pod_of(service: Json) -> Json:
    """Return the pod that the operator makes of a service, as far as it matters here."""
    gpus = service.get("resources", {}).get("limits", {}).get("gpu")
    main = {**service["extraPodSpec"]["mainContainer"], "name": "main"}
    if gpus:
        main["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    grace_s = service["extraPodSpec"].get("terminationGracePeriodSeconds", 60)
    kept = {key: main[key] for key in ("name", "image", "command", "args", "resources") if key in main}
    return {"containers": [kept], "terminationGracePeriodSeconds": grace_s}
