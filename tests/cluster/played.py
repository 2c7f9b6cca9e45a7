"""What the controllers of all kinds do: they bring pods and statuses to the count that is asked for."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.arranging import defined, put
from tests.cluster.control_plane import Administrator
from tests.cluster.examples import EXAMPLES, Example, Json
from tests.cluster.kubelet import Kubelet, graph_labels

_COUNTS = frozenset(
    {"replicas", "readyReplicas", "updatedReplicas", "availableReplicas", "scheduledReplicas"}
)
_GPUS = frozenset({"gpu", "nvidia.com/gpu"})
_BY_NAME = {example.name: example for example in EXAMPLES}
_JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is played of one example.

    Attributes:
        rights: The folder of its Role in deploy/manifests/targets.
        count: Plural and name of the object that is scaled, and the JSON pointer of its replicas.
        child: The same of where the controller writes them in turn.
        labels: Of the pods.
        size: Pods of one engine, and thus its GPUs.
        target: As the setting names it, where the example alone in its cluster is named by less.
    """

    rights: str
    count: tuple[str, str, str]
    child: tuple[str, str, str] | None = None
    labels: Mapping[str, str]
    size: int = 1
    target: str = ""


_GRAPHS, _ADAPTERS, _SETS = (
    "dynamographdeployments",
    "dynamographdeploymentscalingadapters",
    "leaderworkersets",
)
_DECODE = graph_labels("llm", {"name": "Decode", "type": "decode"})
_REPLICAS, _COMPONENT = "/spec/replicas", "/spec/components/2/replicas"
_GROUP = "/spec/workerGroupSpecs/1/replicas"
_ADAPTED = (_GRAPHS, "llm", _COMPONENT)
_STORM = "storm-service-name"
_LWS = "leaderworkerset.sigs.k8s.io/name"


def _app(name: str) -> Mapping[str, str]:
    return {"app": name}


def _ray(cluster: str) -> Mapping[str, str]:
    return {"ray.io/cluster": cluster, "ray.io/group": "decode"}


PARTS = {
    "statefulset": Part(
        rights="statefulset", count=("statefulsets", "decode", _REPLICAS), labels=_app("decode")
    ),
    "deployment": Part(
        rights="deployment", count=("deployments", "decode", _REPLICAS), labels=_app("decode")
    ),
    "anything with a scale": Part(
        rights="rollout", count=("rollouts", "decode", _REPLICAS), labels=_app("decode")
    ),
    "dynamographdeployment v1alpha1": Part(
        rights="dynamographdeployment",
        count=(_GRAPHS, "llm", "/spec/services/Decode/replicas"),
        labels=_DECODE,
        target="dynamographdeployment.v1alpha1.nvidia.com/llm",
    ),
    "dynamographdeployment v1beta1": Part(
        rights="dynamographdeployment", count=(_GRAPHS, "llm", _COMPONENT), labels=_DECODE
    ),
    "dynamographdeployment with an adapter": Part(
        rights="dynamographdeployment",
        count=(_ADAPTERS, "llm-decode", _REPLICAS),
        child=_ADAPTED,
        labels=_DECODE,
    ),
    "scaling adapter": Part(
        rights="dynamographdeployment",
        count=(_ADAPTERS, "llm-decode", _REPLICAS),
        child=_ADAPTED,
        labels=_DECODE,
    ),
    "leaderworkerset": Part(
        rights="leaderworkerset", count=(_SETS, "decode", _REPLICAS), labels={_LWS: "decode"}, size=2
    ),
    "disaggregatedset": Part(
        rights="disaggregatedset",
        count=("disaggregatedsetrolescalers", "llm-decode", _REPLICAS),
        labels={"disaggregatedset.x-k8s.io/name": "llm", "disaggregatedset.x-k8s.io/role": "decode"},
        size=3,
    ),
    "raycluster": Part(rights="ray", count=("rayclusters", "llm", _GROUP), labels=_ray("llm"), size=2),
    "rayservice": Part(
        rights="ray", count=("rayclusters", "llm-x7k2p", _GROUP), labels=_ray("llm-x7k2p"), size=2
    ),
    "llminferenceservice stating replicas": Part(
        rights="llminferenceservice",
        count=("llminferenceservices", "llm", _REPLICAS),
        child=("deployments", "llm-kserve", _REPLICAS),
        labels=_app("llm-kserve"),
    ),
    "llminferenceservice stating none": Part(
        rights="llminferenceservice",
        count=("deployments", "llm-kserve-prefill", _REPLICAS),
        labels=_app("llm-kserve-prefill"),
    ),
    "llminferenceservice of several nodes": Part(
        rights="llminferenceservice",
        count=(_SETS, "llm-kserve-mn", _REPLICAS),
        labels={_LWS: "llm-kserve-mn"},
        size=2,
    ),
    "inferenceservice external": Part(
        rights="inferenceservice",
        count=("deployments", "llm-predictor", _REPLICAS),
        labels=_app("llm-predictor"),
    ),
    "inferenceservice none": Part(
        rights="inferenceservice",
        count=("inferenceservices", "llm", "/spec/predictor/minReplicas"),
        child=("deployments", "llm-predictor", _REPLICAS),
        labels=_app("llm-predictor"),
    ),
    "podclique": Part(
        rights="grove",
        count=("podcliques", "llm-0-decode", _REPLICAS),
        labels={"grove.io/podclique": "llm-0-decode"},
    ),
    "podcliquescalinggroup": Part(
        rights="grove",
        count=("podcliquescalinggroups", "llm-0-decode", _REPLICAS),
        labels={"grove.io/podcliquescalinggroup": "llm-0-decode"},
        size=4,
    ),
    "stormservice in pool mode": Part(
        rights="stormservice",
        count=("stormservices", "llm", "/spec/template/spec/roles/1/replicas"),
        labels={_STORM: "llm", "role-name": "decode"},
        size=2,
    ),
    "stormservice in replica mode": Part(
        rights="stormservice", count=("stormservices", "llm", _REPLICAS), labels={_STORM: "llm"}, size=5
    ),
}


@dataclass(kw_only=True)
class Played:
    """One pool on a real API server, and its controllers.

    Attributes:
        name: The example's name.
        admin: An administrator of the API server.
        kubelet: The one of its namespace.
    """

    name: str
    admin: Administrator
    kubelet: Kubelet
    _seen: tuple[int, int] | None = field(default=None)

    @property
    def example(self) -> Example:
        return _BY_NAME[self.name]

    @property
    def namespace(self) -> str:
        return self.kubelet.namespace

    @property
    def part(self) -> Part:
        return PARTS[self.name]

    @property
    def target(self) -> str:
        return self.part.target or self.example.target

    @property
    def plurals(self) -> frozenset[str]:
        """The plurals of all objects that it consists of."""
        return frozenset(plural for (_, plural), _ in self.example.objects)

    def make(self, count: int) -> None:
        """Make its objects and pods, at rest with so many engines."""
        kinds = defined(self.admin, self.example.crds)
        for path, item in self.example.paths(self.namespace).items():
            fresh = _labelled(path, _small(copy.deepcopy(dict(item))))
            for plural, name, pointer in filter(None, (self.part.count, self.part.child)):
                if path.endswith(f"/{plural}/{name}"):
                    _put_at(fresh, pointer, count)
            if not self._is_there(path):
                put(self.admin, path, fresh, kinds)
        self.settle()

    def count(self) -> int:
        """Return the engines that are asked for."""
        return self._asked()[0]

    def settle(self) -> None:
        """Bring all to the count that is asked for, if it is another one than last time."""
        now = self._asked()
        if now == self._seen:
            return
        count = now[0]
        if self.part.child is not None:
            plural, name, pointer = self.part.child
            change = [{"op": "add", "path": pointer, "value": count}]
            self.admin.ask("PATCH", self._path(plural, name), change, kind=_JSON_PATCH)
        spec: Json = {"containers": [{"name": "main", "image": "vllm"}]}
        self.kubelet.settle(self.part.labels, count * self.part.size, spec)
        for path, item in self.example.paths(self.namespace).items():
            if "status" in item:
                self._tell(path, item["status"], count)
        self._seen = self._asked()

    def _tell(self, path: str, status: Json, count: int) -> None:
        generation = self.admin.get(path)["metadata"]["generation"]
        seen = str(generation) if "/rollouts/" in path else generation
        self.admin.status(path, {**_recounted(status, count), "observedGeneration": seen})

    def _asked(self) -> tuple[int, int]:
        plural, name, pointer = self.part.count
        item = self.admin.get(self._path(plural, name))
        return _at(item, pointer), item["metadata"]["generation"]

    def _path(self, plural: str, name: str) -> str:
        paths = self.example.paths(self.namespace)
        return next(path for path in paths if path.endswith(f"/{plural}/{name}"))

    def _is_there(self, path: str) -> bool:
        return self.admin.send("GET", path).is_success


def _labelled(path: str, item: Json) -> Json:
    """Give a workload labels of its own, so that two of them in one namespace have not the same pods."""
    if "selector" in item.get("spec", {}):
        labels = {"app": path.rpartition("/")[2]}
        item["spec"]["selector"] = {"matchLabels": labels}
        item["spec"]["template"]["metadata"] = {"labels": labels}
    return item


def _small(item: Json) -> Json:
    """Let each pod have one GPU, so that the load of a test needs few pods of engines of many nodes."""
    for key, value in item.items():
        if key in _GPUS:
            item[key] = type(value)(1)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                _small(one)
    return item


def _recounted(status: Json, count: int) -> Json:
    return {key: count if key in _COUNTS else _inside(value, count) for key, value in status.items()}


def _inside(value: object, count: int) -> object:
    if isinstance(value, dict):
        return _recounted(value, count)
    return [_inside(one, count) for one in value] if isinstance(value, list) else value


def _steps(pointer: str) -> list[str]:
    return pointer.strip("/").split("/")


def _at(item: Json, pointer: str) -> int:
    found: Any = item
    for step in _steps(pointer):
        found = found[int(step)] if isinstance(found, list) else found[step]
    count: int = found
    return count


def _put_at(item: Json, pointer: str, count: int) -> None:
    *way, last = _steps(pointer)
    found: Any = item
    for step in way:
        found = found[int(step)] if isinstance(found, list) else found[step]
    found[last] = count
