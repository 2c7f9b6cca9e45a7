"""The ways in which a set-up is spoiled, one at a time, and what is to be said of each.

A fault is a generator: it spoils, yields while the check runs, and puts back what all tests share.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.simulation.profile import embedded_profile
from tests.cluster.kubelet import READY, Kubelet, Real, unschedulable, waiting
from tests.cluster.objects import beta_component, deployment, rolled_out
from tests.integration.planner.doctor.site import GRAPH, Ward
from tests.ports import free_port

Json = dict[str, Any]
_GPU_LABEL = "nvidia.com/gpu.present"
_STANDARD = "/apis/storage.k8s.io/v1/storageclasses/standard"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_PROMETHEUS = "/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses/prometheus"
_OPERATOR = (
    "/apis/apps/v1/namespaces/dynamo-system/deployments/dynamo-platform-dynamo-operator-controller-manager"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to be wrong.

    Attributes:
        name: In words.
        spoil: Spoils, yields, and puts back.
        check: Which check has to say so.
        verdict: How grave it is.
        said: What its finding has to contain, anywhere.
        flags: Further flags of the command line.
    """

    name: str
    spoil: Callable[[Ward], Iterator[None]]
    check: str
    verdict: str
    said: tuple[str, ...]
    flags: tuple[str, ...] = ()


def _merged(path: str, patch: Json, back: Json) -> Callable[[Ward], Iterator[None]]:
    def spoil(ward: Ward) -> Iterator[None]:
        ward.site.admin.merge(path, patch)
        yield
        ward.site.admin.merge(path, back)

    return spoil


def _setting(key: str, value: object) -> Callable[[Ward], Iterator[None]]:
    def spoil(ward: Ward) -> Iterator[None]:
        ward.set(key, value)
        yield

    return spoil


def _unlabeled(ward: Ward) -> Iterator[None]:
    ward.site.node("gpu-c", labels={})
    yield
    ward.site.admin.ask("DELETE", "/api/v1/nodes/gpu-c")


def _two_defaults(ward: Ward) -> Iterator[None]:
    ward.site.storage("fast", is_default=True)
    yield
    ward.site.admin.ask("DELETE", "/apis/storage.k8s.io/v1/storageclasses/fast")


def _no_gpu_operator(ward: Ward) -> Iterator[None]:
    pods = Kubelet(cluster=Real(ward.site.admin), namespace="gpu-operator")
    path = "/api/v1/namespaces/gpu-operator/pods"
    found = ward.site.admin.get(path)["items"]
    for pod in found:
        pods.cluster.delete(f"{path}/{pod['metadata']['name']}")
    yield
    pods.pod({"app": "gpu-operator"}, spec={"containers": [{"name": "o", "image": "o"}]}, status=READY)


def _operator_down(ward: Ward) -> Iterator[None]:
    ward.site.admin.status(_OPERATOR, {"readyReplicas": None, "availableReplicas": None})
    yield
    ward.site.admin.status(_OPERATOR, {"readyReplicas": 1, "availableReplicas": 1})


def _components(change: Callable[[list[Json]], list[Json]]) -> Callable[[Ward], Iterator[None]]:
    def spoil(ward: Ward) -> Iterator[None]:
        known = ward.site.admin.get(ward.graph)["spec"]["components"]
        ward.site.admin.merge(ward.graph, {"spec": {"components": change(known)}})
        ward.kubelet.settle_graph(GRAPH)
        yield

    return spoil


def _without_decode(known: list[Json]) -> list[Json]:
    return [one for one in known if one["type"] != "decode"]


def _second_decode(known: list[Json]) -> list[Json]:
    return [*known, beta_component("decode2", "decode")]


def _with_planner(known: list[Json]) -> list[Json]:
    return [*known, beta_component("planner", "planner", gpus=0)]


def _impatient(known: list[Json]) -> list[Json]:
    for one in known:
        one["podTemplate"]["spec"]["terminationGracePeriodSeconds"] = 1
    return known


def _autoscaled(ward: Ward) -> Iterator[None]:
    _workloads(ward)
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "decode"}
    ward.site.admin.ask(
        "POST",
        ward.path("autoscaling/v1", "horizontalpodautoscalers"),
        {"metadata": {"name": "by-load"}, "spec": {"scaleTargetRef": aim, "maxReplicas": 9}},
    )
    yield


def _workloads(ward: Ward) -> None:
    """Deploy plain Deployments, and make them the targets."""
    for name in ("prefill", "decode"):
        path = ward.path("apps/v1", "deployments")
        ward.site.admin.ask("POST", path, deployment(name, replicas=1))
        ward.site.admin.status(f"{path}/{name}", rolled_out(1))
        ward.set(f"kubernetes.{name}", f"deployment/{name}")


def _secret_lost(ward: Ward) -> Iterator[None]:
    ward.site.admin.ask("DELETE", ward.path("v1", "secrets", "hf-token-secret"))
    yield


def _role(change: Callable[[list[Json]], list[Json]]) -> Callable[[Ward], Iterator[None]]:
    def spoil(ward: Ward) -> Iterator[None]:
        rules = ward.site.admin.get(ward.role)["rules"]
        ward.site.admin.merge(ward.role, {"rules": change(rules)})
        yield

    return spoil


def _without_patch(rules: list[Json]) -> list[Json]:
    for rule in rules:
        if rule["resources"] == ["dynamographdeployments"]:
            rule["verbs"].remove("patch")
    return rules


def _without_leases(rules: list[Json]) -> list[Json]:
    return [rule for rule in rules if rule["resources"] != ["leases"]]


def _with_secrets(rules: list[Json]) -> list[Json]:
    return [*rules, {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]


def _narrow(ward: Ward) -> Iterator[None]:
    ward.set("profile", str(_small_profile(ward.folder / "small")))
    yield


def _small_profile(folder: Path) -> Path:
    """Write the embedded profile up to 2000 tokens, as Dynamo's profiler writes one."""
    whole = embedded_profile()
    assert whole.prefill is not None
    assert whole.decode is not None
    keep = [number for number, length in enumerate(whole.prefill.isl_tokens) if length <= 2000.0]
    prefill = {
        "prefill_isl": [whole.prefill.isl_tokens[number] for number in keep],
        "prefill_ttft": [1000.0 * whole.prefill.ttft_s[number] for number in keep],
        "prefill_thpt_per_gpu": [whole.prefill.throughput_tokens_per_s_per_gpu[number] for number in keep],
    }
    columns = (
        whole.decode.kv_usage_ratio,
        whole.decode.context_tokens,
        whole.decode.itl_s,
        whole.decode.throughput_tokens_per_s_per_gpu,
    )
    # An engine without requests has no throughput that a profiler would have measured.
    rows = [row for row in zip(*columns, strict=True) if row[3] > 0.0]
    decode: dict[str, list[float]] = {
        "x_kv_usage": [row[0] for row in rows],
        "y_context_length": [row[1] for row in rows],
        "z_itl": [1000.0 * row[2] for row in rows],
        "z_thpt_per_gpu": [row[3] for row in rows],
        "max_kv_tokens": [whole.decode.max_kv_tokens],
    }
    folder.mkdir()
    (folder / "prefill_raw_data.json").write_text(json.dumps(prefill), encoding="utf-8")
    (folder / "decode_raw_data.json").write_text(json.dumps(decode), encoding="utf-8")
    return folder


def _paused(ward: Ward) -> Iterator[None]:
    ward.site.admin.merge(
        ward.graph, {"metadata": {"annotations": {"setpoint.dev/paused": "benchmark by ann"}}}
    )
    yield


def _pods(status: Json) -> Callable[[Ward], Iterator[None]]:
    def spoil(ward: Ward) -> Iterator[None]:
        labels = {"nvidia.com/dynamo-component": "decode"}
        for pod in ward.kubelet.pods(labels):
            ward.kubelet.cluster.delete(ward.path("v1", "pods", pod["metadata"]["name"]))
            spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
            ward.kubelet.pod(pod["metadata"]["labels"], spec=spec, status=status)
        yield

    return spoil


def _silent_pods(ward: Ward) -> Iterator[None]:
    known = ward.site.admin.get(ward.graph)["spec"]["components"]
    for one in known:
        one["podTemplate"]["spec"]["containers"][0].pop("resources", None)
    ward.site.admin.merge(ward.graph, {"spec": {"components": known}})
    yield


def _no_api(ward: Ward) -> Iterator[None]:
    path = Path(ward.settings["kubernetes"]["kubeconfig"])
    text = path.read_text(encoding="utf-8")
    away = ward.folder / "away"
    away.write_text(text.replace(f":{ward.site.plane.port}", f":{free_port()}"), encoding="utf-8")
    ward.set("kubernetes.kubeconfig", str(away))
    ward.set("kubernetes.retries", 0)
    yield


FAULTS = (
    Fault(
        name="a node with GPUs lacks the label",
        spoil=_unlabeled,
        check="gpus",
        verdict="warn",
        said=("gpu-c", f"kubectl label node gpu-c {_GPU_LABEL}=true"),
    ),
    Fault(
        name="no default storage class",
        spoil=_merged(
            _STANDARD,
            {"metadata": {"annotations": {_DEFAULT: "false"}}},
            {"metadata": {"annotations": {_DEFAULT: "true"}}},
        ),
        check="storage",
        verdict="fail",
        said=("no storage class is the default", "standard", "kubectl patch storageclass standard"),
    ),
    Fault(
        name="several default storage classes",
        spoil=_two_defaults,
        check="storage",
        verdict="warn",
        said=("several storage classes are the default: fast, standard",),
    ),
    Fault(
        name="GPU operator absent",
        spoil=_no_gpu_operator,
        check="gpu-operator",
        verdict="warn",
        said=("GPU operator is not installed", "helm install gpu-operator"),
    ),
    Fault(
        name="kinds not installed",
        spoil=_setting("kubernetes.decode", "stormservice/pool:decode"),
        check="kinds",
        verdict="fail",
        said=("stormservices.orchestration.aibrix.ai", "install AIBrix"),
    ),
    Fault(
        name="Dynamo's operator is down",
        spoil=_operator_down,
        check="operators",
        verdict="fail",
        said=("the operator of Dynamo is not ready", "dynamo-system"),
    ),
    Fault(
        name="Prometheus takes no monitor",
        spoil=_merged(
            _PROMETHEUS,
            {"spec": {"podMonitorSelector": {"matchLabels": {"release": "prometheus"}}}},
            {"spec": {"podMonitorSelector": {"matchLabels": None}}},
        ),
        check="monitors",
        verdict="warn",
        said=("release=prometheus only", "podMonitorSelectorNilUsesHelmValues=false"),
    ),
    Fault(
        name="Prometheus looks into its own namespace only",
        spoil=_merged(
            _PROMETHEUS,
            {"spec": {"podMonitorNamespaceSelector": None}},
            {"spec": {"podMonitorNamespaceSelector": {}}},
        ),
        check="monitors",
        verdict="warn",
        said=("namespaces its own only", "podMonitorNamespaceSelector=null"),
    ),
    Fault(
        name="Prometheus is away",
        spoil=_setting("prometheus.url", f"http://127.0.0.1:{free_port()}"),
        check="prometheus",
        verdict="fail",
        said=("cannot reach", "prometheus.service="),
    ),
    Fault(
        name="the graph deployment does not exist",
        spoil=_setting("dynamo.graph_deployment", "lm"),
        check="targets",
        verdict="fail",
        said=("was not found", "dynamographdeployment/lm", "kubectl get"),
    ),
    Fault(
        name="a role has no service",
        spoil=_components(_without_decode),
        check="targets",
        verdict="fail",
        said=("decode", "dynamographdeployment/llm"),
    ),
    Fault(
        name="two services of a role",
        spoil=_components(_second_decode),
        check="targets",
        verdict="fail",
        said=("decode", "decode2"),
    ),
    Fault(
        name="pods that do not say their GPUs",
        spoil=_silent_pods,
        check="targets",
        verdict="warn",
        said=("--set pools.prefill.gpus_per_engine=N --set pools.decode.gpus_per_engine=N",),
    ),
    Fault(
        name="an HPA on the target",
        spoil=_autoscaled,
        check="rivals decode",
        verdict="fail",
        said=("by-load", "allow_rivals"),
    ),
    Fault(
        name="a planner inside",
        spoil=_components(_with_planner),
        check="rivals prefill",
        verdict="fail",
        said=("planner",),
    ),
    Fault(
        name="a secret is missing",
        spoil=_secret_lost,
        check="secrets",
        verdict="fail",
        said=("hf-token-secret", "kubectl create secret generic hf-token-secret"),
    ),
    Fault(
        name="a right is missing",
        spoil=_role(_without_patch),
        check="rights",
        verdict="fail",
        said=("patch dynamographdeployments", 'verbs: ["patch"]', 'resourceNames: ["llm"]'),
    ),
    Fault(
        name="a right that Setpoint can do without is missing",
        spoil=_role(_without_leases),
        check="rights",
        verdict="warn",
        said=("leases", "run one replica only", 'resources: ["leases"]'),
    ),
    Fault(
        name="a Role grants too much",
        spoil=_role(_with_secrets),
        check="excess",
        verdict="warn",
        said=("Role setpoint: get, list on secrets (core)",),
    ),
    Fault(
        name="no such account",
        spoil=_setting("budget_gpus", 8),
        check="rights",
        verdict="fail",
        said=("service account llm:nobody",),
        flags=("--service-account", "llm:nobody"),
    ),
    Fault(
        name="another model",
        spoil=_setting("prometheus.model", "llama-3-8b"),
        check="series",
        verdict="fail",
        said=("no series of model 'llama-3-8b'", "llama-3.1-8b", "--model"),
    ),
    Fault(
        name="another namespace of Dynamo's",
        spoil=_setting("dynamo.namespace", "lmm"),
        check="series",
        verdict="fail",
        said=("no scrape target has dynamo_namespace 'lmm'", "--namespace llm"),
    ),
    Fault(
        name="scraped more seldom than the settings say",
        spoil=_setting("prometheus.scrape_interval", "50ms"),
        check="scraping",
        verdict="warn",
        said=("prometheus.scrape_interval says 0.05 s",),
    ),
    Fault(
        name="coarse buckets",
        spoil=_setting("targets.percentile", "p95"),
        check="buckets",
        verdict="warn",
        said=("from 220 to 470 ms", "DYN_HISTOGRAM_DYN_METRICS_TTFT_MIN"),
    ),
    Fault(
        name="a budget beyond the nodes",
        spoil=_setting("budget_gpus", 64),
        check="budget",
        verdict="warn",
        said=("the budget is 64 GPUs", "16 allocatable GPUs", "--budget 16"),
    ),
    Fault(
        name="minimums beyond the nodes",
        spoil=_setting("pools", {"decode": {"min_replicas": 12}}),
        check="budget",
        verdict="fail",
        said=("the minimums take 25 GPUs",),
        flags=("--budget", "64"),
    ),
    Fault(
        name="a profile that does not cover the traffic",
        spoil=_narrow,
        check="profile range",
        verdict="fail",
        said=("does not cover the traffic", "prompts are profiled from 64 to 2000 tokens"),
    ),
    Fault(
        name="targets that no engine meets",
        spoil=_setting("targets.itl", "1ms"),
        check="profile",
        verdict="fail",
        said=("ITL 6 ms at best", "--itl"),
    ),
    Fault(
        name="pods that are killed too early",
        spoil=_components(_impatient),
        check="grace decode",
        verdict="warn",
        said=("killed after 1 s", "terminationGracePeriodSeconds"),
    ),
    Fault(
        name="paused",
        spoil=_paused,
        check="holds prefill",
        verdict="warn",
        said=("benchmark by ann", "kubectl annotate dynamographdeployments llm"),
    ),
    Fault(
        name="an image that cannot be pulled",
        spoil=_pods(waiting("ImagePullBackOff", message="registry.example: unauthorized")),
        check="readiness decode",
        verdict="fail",
        said=("0 of 2 engines ready", "ImagePullBackOff", "unauthorized"),
    ),
    Fault(
        name="no room for pods",
        spoil=_pods(unschedulable()),
        check="readiness decode",
        verdict="fail",
        said=("0 of 2 engines ready", "Unschedulable", "Insufficient nvidia.com/gpu"),
    ),
    Fault(
        name="the API server is away",
        spoil=_no_api,
        check="api",
        verdict="fail",
        said=("does not answer",),
    ),
    Fault(
        name="no such context",
        spoil=_setting("kubernetes.context", "absent"),
        check="api",
        verdict="fail",
        said=("absent",),
    ),
)
assert len({fault.name for fault in FAULTS}) == len(FAULTS)
