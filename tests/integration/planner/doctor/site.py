"""A cluster with everything as it should be, which each test then spoils in one way.

A real API server, a real Prometheus and a frontend that speaks like Dynamo's; nodes, pods and operators are
objects that the test writes, since nothing runs here.
"""

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from config.clock import SystemClock
from config.policy import Role
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.rights import RULES, Feature, role_rules, rules_for
from connectors.kubernetes.target import Reference, Rule
from tests.cluster import crds
from tests.cluster.control_plane import ControlPlane
from tests.cluster.crds import crd
from tests.cluster.kubelet import READY, Kubelet, Real
from tests.cluster.objects import beta_component, dgd_beta
from tests.e2e.frontend import MODEL, Frontend, Load
from tests.e2e.servers import Prometheus, until

Json = dict[str, Any]
T = TypeVar("T")
GRAPH = "llm"
DYNAMO_NAMESPACE = "llm"  # what the rig of Prometheus labels its targets with
_STORAGE = "/apis/storage.k8s.io/v1/storageclasses"
_NODES = "/api/v1/nodes"
_MONITORING = "/apis/monitoring.coreos.com/v1"
_MONITORING_KINDS = ("Prometheus", "PodMonitor", "ServiceMonitor")
_GRACE_S = 600
# So many scrapes cover the window that the settings below ask for.
_SCRAPES = 32


class Loop:
    """An event loop in a thread, for servers that outlive a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60.0)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10.0)
        self._loop.close()


class Completions:
    """The part of a frontend that users speak to; a request shows in the metrics of another part."""

    def __init__(self, marks: Frontend) -> None:
        self._marks = marks
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.asked: list[Json] = []

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._complete)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "Llama-3.1-8B"}]})

    async def _complete(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self._marks.carry(Load(rate_rps=2.0, osl_tokens=8.0))
        return web.json_response({"choices": [{"text": "hello"}]})


class Site:
    """What all tests share."""

    def __init__(self, plane: ControlPlane, folder: Path, program: str) -> None:
        self.plane, self.admin = plane, plane.admin
        self.folder = folder
        self.loop = Loop()
        self.frontend = Frontend()
        self.completions = Completions(self.frontend)
        self.prometheus = Prometheus(folder, program)

    def start(self) -> None:
        self.loop.run(self._serve())
        for definition in (crds.DGD, crds.DGDSA, crds.DGDR, *map(_monitoring, _MONITORING_KINDS)):
            self.admin.crd(definition)
        self.storage("standard", is_default=True)
        self.node("gpu-a")
        self.node("gpu-b")
        self._namespaces()
        self._monitoring()

    async def _serve(self) -> None:
        await self.frontend.start()
        await self.completions.start()
        self.frontend.carry(Load(rate_rps=5.0))
        await self.prometheus.start(self.frontend.target)

        async def is_scraped() -> bool:
            name = "dynamo_frontend_output_sequence_tokens_count"
            answer = await self.prometheus.get(f"/api/v1/query?query=count_over_time({name}[1m])")
            found = answer.json()["data"]["result"]
            return bool(found) and float(found[0]["value"][1]) > _SCRAPES

        await until(is_scraped, "Prometheus has scraped the frontend", within_s=40.0)

    def stop(self) -> None:
        self.loop.run(self.prometheus.kill())
        self.loop.run(self.completions.stop())
        self.loop.run(self.frontend.stop())
        self.loop.stop()

    # What a cluster is made of.

    def storage(self, name: str, *, is_default: bool) -> None:
        mark = {"storageclass.kubernetes.io/is-default-class": "true"} if is_default else {}
        body = {"metadata": {"name": name, "annotations": mark}, "provisioner": "example.org/disk"}
        self.admin.ask("POST", _STORAGE, body)

    def node(self, name: str, *, gpus: int = 8, labels: Mapping[str, str] | None = None) -> None:
        usual = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
        self.admin.ask(
            "POST",
            _NODES,
            {"metadata": {"name": name, "labels": dict(usual if labels is None else labels)}},
        )
        has = {"nvidia.com/gpu": str(gpus), "pods": "110", "cpu": "64"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        self.admin.status(f"{_NODES}/{name}", {"capacity": has, "allocatable": has, "conditions": [ready]})

    def operator(self, namespace: str, name: str, image: str) -> None:
        labels = {"app": name}
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "manager", "image": image}]}}
        spec = {"selector": {"matchLabels": labels}, "template": pod}
        self.admin.ask("POST", path, {"metadata": {"name": name}, "spec": spec})
        self.admin.status(f"{path}/{name}", {"readyReplicas": 1, "replicas": 1, "availableReplicas": 1})

    def _namespaces(self) -> None:
        for name in ("gpu-operator", "dynamo-system", "monitoring"):
            self.admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        pods = Kubelet(cluster=Real(self.admin), namespace="gpu-operator")
        pods.pod({"app": "gpu-operator"}, spec={"containers": [{"name": "o", "image": "o"}]}, status=READY)
        image = "registry.example/ai-dynamo/kubernetes-operator:0.9.0"
        self.operator("dynamo-system", "dynamo-platform-dynamo-operator-controller-manager", image)
        image = "registry.example/prometheus-operator/prometheus-operator:v0.86.1"
        self.operator("monitoring", "prometheus-kube-prometheus-operator", image)

    def _monitoring(self) -> None:
        takes_all: Json = {
            f"{kind}{part}": {} for kind in ("podMonitor", "serviceMonitor") for part in _SELECTORS
        }
        self.admin.ask(
            "POST",
            f"{_MONITORING}/namespaces/monitoring/prometheuses",
            _custom("Prometheus", "prometheus", {"spec": takes_all}),
        )
        chosen = {"nvidia.com/dynamo-component-type": "frontend"}
        spec = {
            "namespaceSelector": {"any": True},
            "selector": {"matchLabels": chosen},
            "podMetricsEndpoints": [{"port": "http", "interval": "5s"}],
        }
        self.admin.ask(
            "POST",
            f"{_MONITORING}/namespaces/dynamo-system/podmonitors",
            _custom("PodMonitor", "dynamo-frontend", {"spec": spec}),
        )


_SELECTORS = ("Selector", "NamespaceSelector")


@dataclass(kw_only=True)
class Ward:
    """One deployment in a namespace of its own, with the settings of its daemon."""

    site: Site
    namespace: str
    folder: Path
    settings: Json
    kubelet: Kubelet = field(init=False)

    def __post_init__(self) -> None:
        self.kubelet = Kubelet(cluster=Real(self.site.admin), namespace=self.namespace)

    @property
    def graph(self) -> str:
        return f"/apis/nvidia.com/v1beta1/namespaces/{self.namespace}/dynamographdeployments/{GRAPH}"

    @property
    def role(self) -> str:
        return f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/roles/setpoint"

    def path(self, version: str, plural: str, name: str = "") -> str:
        root = "/apis" if "/" in version else "/api"
        return f"{root}/{version}/namespaces/{self.namespace}/{plural}{'/' if name else ''}{name}"

    def set(self, key: str, value: object) -> None:
        *sections, last = key.split(".")
        place = self.settings
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value

    def file(self) -> Path:
        path = self.folder / "setpoint.yaml"
        path.write_text(json.dumps(self.settings), encoding="utf-8")  # JSON is YAML
        return path


def ward(site: Site, folder: Path) -> Ward:
    """Deploy everything as it should be."""
    admin = site.admin
    namespace = admin.namespace("llm")
    settings: Json = {
        "targets": {"ttft": "300ms", "itl": "20ms"},
        "budget_gpus": 8,
        "interval": "5s",
        "profile": "embedded",
        "actuator": "kubernetes",
        "dynamo": {
            "namespace": DYNAMO_NAMESPACE,
            "graph_deployment": GRAPH,
            "kubernetes_namespace": namespace,
        },
        "prometheus": {"url": site.prometheus.url, "model": MODEL, "scrape_interval": "1s"},
        "kubernetes": {
            "kubeconfig": str(site.plane.kubeconfig(site.plane.token, namespace=namespace)),
            "requests_per_second": 1000,
        },
    }
    made = Ward(site=site, namespace=namespace, folder=folder, settings=settings)
    for secret in ("hf-token-secret", "nvcr-pull"):
        admin.ask("POST", made.path("v1", "secrets"), {"metadata": {"name": secret}})
    admin.ask("POST", made.graph.rpartition("/")[0], graph())
    made.kubelet.settle_graph(GRAPH)
    for pod in admin.get(made.path("v1", "pods"))["items"]:
        _bind(made, pod["metadata"]["name"])
    _grant(made)
    return made


def graph() -> Json:
    """Return a graph deployment of a frontend and two pools."""
    worker = {"envFrom": [{"secretRef": {"name": "hf-token-secret"}}]}
    components = [beta_component("frontend", "frontend", gpus=0)]
    for name, gpus, replicas in (("prefill", 1, 1), ("decode", 2, 2)):
        component = beta_component(name, name, gpus=gpus, replicas=replicas)
        spec = component["podTemplate"]["spec"]
        spec["terminationGracePeriodSeconds"] = _GRACE_S
        spec["imagePullSecrets"] = [{"name": "nvcr-pull"}]
        spec["containers"][0].update(worker)
        components.append(component)
    return dgd_beta(GRAPH, components=components)


def _bind(made: Ward, pod: str) -> None:
    """Play the scheduler."""
    path = made.path("v1", "pods", pod)
    target = {"apiVersion": "v1", "kind": "Node", "name": "gpu-a"}
    made.site.admin.ask("POST", f"{path}/binding", {"metadata": {"name": pod}, "target": target})


def _grant(made: Ward) -> None:
    """Give the daemon's account just what it needs."""
    admin = made.site.admin
    rules = [rule for feature in _FEATURES for rule in RULES[feature]]
    rules += made.site.loop.run(_of_targets(made))
    rules += rules_for(Feature.ELECTION, f"setpoint-{GRAPH}")
    rules += rules_for(Feature.CONFIG_MAP, f"setpoint-{GRAPH}")
    admin.ask("POST", made.path("v1", "serviceaccounts"), {"metadata": {"name": "setpoint"}})
    admin.ask(
        "POST",
        made.role.rpartition("/")[0],
        {"metadata": {"name": "setpoint"}, "rules": role_rules(rules)},
    )
    admin.ask(
        "POST",
        made.path("rbac.authorization.k8s.io/v1", "rolebindings"),
        {
            "metadata": {"name": "setpoint"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "setpoint"},
            "subjects": [{"kind": "ServiceAccount", "name": "setpoint", "namespace": made.namespace}],
        },
    )


_FEATURES = (Feature.PODS, Feature.WATCH, Feature.EVENTS, Feature.RIVALS, Feature.PODGROUPS)


async def _of_targets(made: Ward) -> list[Rule]:
    path = Path(made.settings["kubernetes"]["kubeconfig"])
    client = KubeClient(ApiOptions(kubeconfig=path, namespace=made.namespace), SystemClock())
    try:
        return [
            rule
            for role in (Role.PREFILL, Role.DECODE)
            for rule in (await resolve(client, _reference(made.namespace, role))).rules()
        ]
    finally:
        await client.close()


def _reference(namespace: str, role: Role) -> Reference:
    return parse_reference(f"dgd/{GRAPH}", role=role, namespace=namespace, key="")


def _monitoring(kind: str) -> Json:
    plural = "prometheuses" if kind == "Prometheus" else ""
    return crd("monitoring.coreos.com", kind, versions=("v1",), plural=plural, scale=False)


def _custom(kind: str, name: str, rest: Json) -> Json:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": {"name": name},
        **rest,
    }
