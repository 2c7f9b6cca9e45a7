"""What the kubelet and the controllers do: pods come and go until there are as many as were asked for.

It works on a real API server (`Administrator`) and, by the same paths, on the one in memory (`FakeApi`,
through `InMemory`). Objects are made ready at once; a test that wants an engine that starts,
fails or ends says so.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.cluster.control_plane import Administrator
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
_T0 = "2026-01-01T00:00:00Z"


class Cluster(Protocol):
    """What a kubelet needs of an API server."""

    def create(self, path: str, name: str, item: Json) -> None: ...
    def get(self, path: str) -> Json: ...
    def list(self, path: str, selector: str) -> Sequence[Json]: ...
    def status(self, path: str, status: Json) -> None: ...
    def delete(self, path: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Real:
    """A real API server."""

    admin: Administrator

    def create(self, path: str, name: str, item: Json) -> None:
        item["metadata"]["name"] = name
        self.admin.ask("POST", path, item)

    def get(self, path: str) -> Json:
        return self.admin.get(path)

    def list(self, path: str, selector: str) -> Sequence[Json]:
        found: list[Json] = self.admin.get(f"{path}?labelSelector={selector}")["items"]
        return found

    def status(self, path: str, status: Json) -> None:
        self.admin.status(path, status)

    def delete(self, path: str) -> None:
        self.admin.ask("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})


@dataclass(frozen=True, slots=True)
class InMemory:
    """The API server in memory."""

    api: FakeApi

    def create(self, path: str, name: str, item: Json) -> None:
        self.api.seed(f"{path}/{name}", item)

    def get(self, path: str) -> Json:
        return self.api.read(path)

    def list(self, path: str, selector: str) -> Sequence[Json]:
        wanted = dict(part.split("=", 1) for part in selector.split(",") if part)
        return [
            item
            for item in self.api.items(path)
            if wanted.items() <= item["metadata"].get("labels", {}).items()
        ]

    def status(self, path: str, status: Json) -> None:
        self.api.change(path, {"status": status})

    def delete(self, path: str) -> None:
        self.api.remove(path)


@dataclass(kw_only=True)
class Kubelet:
    """Plays the controllers and the kubelet of one namespace."""

    cluster: Cluster
    namespace: str
    _names: "itertools.count[int]" = field(default_factory=itertools.count)

    # What exists.

    def deployment(self, name: str, *, replicas: int = 1, gpus: int = 1, grace_s: int = 600) -> str:
        """Make a Deployment with its pods, ready; return its path."""
        labels = {"app": name}
        self.cluster.create(
            self._path("apps/v1", "deployments"),
            name,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod_spec(gpus, grace_s=grace_s)},
                },
            },
        )
        self.settle_deployment(name)
        return self.path("apps/v1", "deployments", name)

    def graph(self, name: str, *, prefill: int = 1, decode: int = 1, gpus: int = 1) -> str:
        """Make a DynamoGraphDeployment (v1beta1) with a pool of each role, ready; return its path."""
        self.cluster.create(
            self._path("nvidia.com/v1beta1", "dynamographdeployments"),
            name,
            {
                "apiVersion": "nvidia.com/v1beta1",
                "kind": "DynamoGraphDeployment",
                "metadata": {"name": name},
                "spec": {
                    "components": [
                        {"name": "Frontend", "type": "frontend", "replicas": 1},
                        _component("VllmPrefillWorker", "prefill", replicas=prefill, gpus=gpus),
                        _component("VllmDecodeWorker", "decode", replicas=decode, gpus=gpus),
                    ]
                },
            },
        )
        self.settle_graph(name)
        return self.path("nvidia.com/v1beta1", "dynamographdeployments", name)

    # What the controllers do.

    def settle_deployments(self) -> None:
        """Bring the pods of all Deployments to what they ask for."""
        for item in self.cluster.list(self._path("apps/v1", "deployments"), ""):
            self.settle_deployment(item["metadata"]["name"])

    def settle_deployment(self, name: str) -> None:
        """Bring the pods of a Deployment to what it asks for."""
        path = self.path("apps/v1", "deployments", name)
        item = self.cluster.get(path)
        wanted = item["spec"].get("replicas", 1)
        self.settle(item["spec"]["selector"]["matchLabels"], wanted, item["spec"]["template"]["spec"])
        self.cluster.status(
            path,
            {
                "observedGeneration": item["metadata"]["generation"],
                "replicas": wanted,
                "updatedReplicas": wanted,
                "readyReplicas": wanted,
                "availableReplicas": wanted,
            },
        )

    def settle_graph(self, name: str) -> None:
        """Bring the pods of a DynamoGraphDeployment to what it asks for."""
        path = self.path("nvidia.com/v1beta1", "dynamographdeployments", name)
        item = self.cluster.get(path)
        status: Json = {}
        for one in item["spec"]["components"]:
            wanted = one.get("replicas", 1)
            if "podTemplate" in one:
                self.settle(graph_labels(name, one), wanted, one["podTemplate"]["spec"])
            status[one["name"]] = {
                "componentKind": "Deployment",
                "componentNames": [f"{name}-{one['name'].lower()}"],
                "replicas": wanted,
                "updatedReplicas": wanted,
                "readyReplicas": wanted,
                "availableReplicas": wanted,
            }
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "all_resources_are_ready",
            "message": "",
            "lastTransitionTime": _T0,
        }
        self.cluster.status(
            path,
            {
                "observedGeneration": item["metadata"]["generation"],
                "state": "successful",
                "components": status,
                "conditions": [ready],
            },
        )

    def settle(self, labels: Mapping[str, str], count: int, spec: Json) -> None:
        """Make or remove pods until so many have these labels, and make all of them ready."""
        pods = list(self.pods(labels))
        for pod in pods[count:]:
            self.cluster.delete(self._pod(pod["metadata"]["name"]))
        for pod in pods[:count]:
            if not _is_ready(pod):
                self.mark(pod["metadata"]["name"], READY)
        for _ in range(count - len(pods)):
            self.pod(labels, spec=spec, status=READY)

    # One pod.

    def pod(self, labels: Mapping[str, str], *, spec: Json | None = None, status: Json | None = None) -> str:
        """Make a pod; return its name."""
        name = f"{next(iter(labels.values())).lower()}-{next(self._names):04d}"
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": dict(spec or pod_spec(1)),
        }
        self.cluster.create(self._path("v1", "pods"), name, body)
        self.mark(name, status or PENDING)
        return name

    def pods(self, labels: Mapping[str, str]) -> Sequence[Json]:
        """Return the pods that have these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return self.cluster.list(self._path("v1", "pods"), selector)

    def mark(self, name: str, status: Json) -> None:
        """Write the status of a pod."""
        self.cluster.status(self._pod(name), status)

    def path(self, version: str, plural: str, name: str) -> str:
        """Return the path of an object."""
        return f"{self._path(version, plural)}/{name}"

    def _path(self, version: str, plural: str) -> str:
        root = "/apis" if "/" in version else "/api"
        return f"{root}/{version}/namespaces/{self.namespace}/{plural}"

    def _pod(self, name: str) -> str:
        return self.path("v1", "pods", name)


def pod_spec(gpus: int, *, grace_s: int = 600) -> Json:
    container: Json = {"name": "main", "image": "vllm"}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    return {"containers": [container], "terminationGracePeriodSeconds": grace_s}


def condition(kind: str, status: str, *, reason: str = "", message: str = "", since: str = _T0) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
    }


def waiting(reason: str, *, message: str = "", restarts: int = 0) -> Json:
    """Return the status of a pod whose container waits for what time alone does not bring."""
    container = {
        "name": "main",
        "image": "vllm",
        "imageID": "",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    return {
        "phase": "Pending",
        "containerStatuses": [container],
        "conditions": [condition("PodScheduled", "True"), condition("Ready", "False")],
    }


def unschedulable(
    *, since: str = _T0, message: str = "0/3 nodes are available: Insufficient nvidia.com/gpu"
) -> Json:
    """Return the status of a pod that no node has room for."""
    return {
        "phase": "Pending",
        "conditions": [
            condition("PodScheduled", "False", reason="Unschedulable", message=message, since=since)
        ],
    }


READY: Json = {
    "phase": "Running",
    "conditions": [condition("PodScheduled", "True"), condition("Ready", "True")],
}
PENDING: Json = {"phase": "Pending", "conditions": [condition("PodScheduled", "True")]}


def graph_labels(graph: str, component: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels that Dynamo's operator puts on the pods of a component."""
    return {
        "nvidia.com/dynamo-graph-deployment-name": graph,
        "nvidia.com/dynamo-component": component["name"],
        "nvidia.com/dynamo-component-type": component["type"],
    }


def _component(name: str, role: str, *, replicas: int, gpus: int) -> Json:
    return {"name": name, "type": role, "replicas": replicas, "podTemplate": {"spec": pod_spec(gpus)}}


def _is_ready(pod: Json) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ())
    )
