"""One small example of every kind that is scaled, as its controllers leave it: spec and status."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.policy import Role
from connectors.kubernetes.api import Resource
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Reference
from tests.cluster import crds
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
NAMESPACE = "ai"
DEPLOYMENTS = "apis/apps/v1", "deployments"
LWS = "apis/leaderworkerset.x-k8s.io/v1", "leaderworkersets"
_RAY = "apis/ray.io/v1"
_GROVE = "apis/grove.io/v1alpha1"
_KSERVE = "apis/serving.kserve.io/v1beta1"
_DISAGGREGATED = "apis/disaggregatedset.x-k8s.io/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A target with all objects that it consists of.

    Attributes:
        name: What it shows.
        target: As a setting names it.
        objects: By root and plural of their path, and their name.
        desired: Replicas that are asked for.
        least: Fewest that may be asked for.
        role: What its engines do.
        crds: Definitions of its kinds.
    """

    name: str
    target: str
    objects: Mapping[tuple[tuple[str, str], str], Json]
    desired: int
    least: int = 0
    role: Role = Role.DECODE
    crds: tuple[Json, ...] = field(default=())

    def reference(self, namespace: str = NAMESPACE) -> Reference:
        return parse_reference(self.target, role=self.role, namespace=namespace, key="kubernetes.decode")

    def fake(self) -> FakeApi:
        """Return an API server in memory that has it."""
        api = FakeApi()
        for definition in self.crds:
            spec = definition["spec"]
            # The newest version is preferred.
            for version in reversed(spec["versions"]):
                names = spec["names"]
                resource = Resource(
                    group=spec["group"], version=version["name"], plural=names["plural"], kind=names["kind"]
                )
                api.define(
                    resource,
                    has_scale="scale" in version["subresources"],
                    short_names=tuple(names.get("shortNames", ())),
                )
        for path, item in self.paths().items():
            api.seed(path, item)
        return api

    def paths(self, namespace: str = NAMESPACE) -> dict[str, Json]:
        """Return the objects by the path where each is."""
        return {
            f"/{root}/namespaces/{namespace}/{plural}/{name}": item
            for ((root, plural), name), item in self.objects.items()
        }


def pod(gpus: int, *, grace_s: int = 600, name: str = "main") -> Json:
    """Return the specification of a pod that serves a model."""
    return {
        "terminationGracePeriodSeconds": grace_s,
        "imagePullSecrets": [{"name": "registry"}],
        "containers": [
            {
                "name": name,
                "image": "vllm",
                "args": ["--model", "org/m"],
                "resources": {"limits": {"nvidia.com/gpu": gpus}},
            }
        ],
    }


def template(gpus: int, **labels: str) -> Json:
    return {"metadata": {"labels": labels or {"app": "decode"}}, "spec": pod(gpus)}


def deployment(replicas: int, gpus: int = 1, *, app: str = "decode") -> Json:
    return {
        "metadata": {"generation": 3, "labels": {"app": app}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": app}},
            "template": template(gpus, app=app),
        },
        "status": {
            "observedGeneration": 3,
            "replicas": replicas,
            "readyReplicas": replicas,
            "updatedReplicas": replicas,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
        },
    }


def stateful_set(replicas: int) -> Json:
    plain = deployment(replicas, 2)
    return {**plain, "spec": {**plain["spec"], "serviceName": "decode"}}


def graph(*, is_alpha: bool, decode: int, is_adapted: bool = False) -> Json:
    """Return a graph deployment of Dynamo in one of its versions."""
    if is_alpha:
        worker = {"componentType": "worker", "resources": {"limits": {"gpu": "2"}}}
        services: Json = {
            "Frontend": {"componentType": "frontend", "replicas": 1},
            "Prefill": {**worker, "subComponentType": "prefill", "replicas": 1},
            "Decode": {**worker, "subComponentType": "decode", "replicas": decode},
        }
        spec: Json = {"services": services}
    else:
        components = [
            {"name": "Frontend", "type": "frontend", "replicas": 1},
            {"name": "Prefill", "type": "prefill", "replicas": 1, "podTemplate": {"spec": pod(2)}},
            {"name": "Decode", "type": "decode", "replicas": decode, "podTemplate": {"spec": pod(2)}},
        ]
        spec = {"components": components}
        if is_adapted:
            components[2]["scalingAdapter"] = {}
    status = {"replicas": decode, "readyReplicas": decode, "componentKind": "Deployment"}
    return {
        "metadata": {"generation": 1},
        "spec": spec,
        "status": {"observedGeneration": 1, "services" if is_alpha else "components": {"Decode": status}},
    }


def adapter(replicas: int) -> Json:
    return {
        "spec": {"replicas": replicas, "dgdRef": {"name": "llm", "componentName": "Decode"}},
        "status": {"replicas": replicas, "selector": "nvidia.com/dynamo-component=Decode"},
    }


def leader_worker_set(replicas: int, *, size: int = 2) -> Json:
    return {
        "metadata": {"generation": 2},
        "spec": {
            "replicas": replicas,
            "leaderWorkerTemplate": {
                "size": size,
                "leaderTemplate": {"spec": pod(4, name="leader")},
                "workerTemplate": {"spec": pod(8, name="worker", grace_s=60)},
            },
        },
        "status": {
            "replicas": replicas,
            "readyReplicas": replicas - 1,
            "updatedReplicas": replicas,
            "hpaPodSelector": "leaderworkerset.sigs.k8s.io/name=decode",
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }


def role_scaler(replicas: int) -> Json:
    labels = {"disaggregatedset.x-k8s.io/name": "llm", "disaggregatedset.x-k8s.io/role": "decode"}
    return {
        "metadata": {"generation": 2, "labels": labels},
        "spec": {"replicas": replicas},
        "status": {
            "replicas": replicas,
            "observedGeneration": 2,
            "selector": "disaggregatedset.x-k8s.io/name=llm",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def disaggregated_set(replicas: int) -> Json:
    group = leader_worker_set(1, size=3)["spec"]
    return {
        "spec": {
            "roles": [
                {"name": "prefill", "spec": group},
                {"name": "decode", "scaling": {"mode": "External"}, "spec": group},
            ]
        },
        "status": {
            "roleStatuses": [
                {"name": "prefill", "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1},
                {
                    "name": "decode",
                    "replicas": replicas,
                    "readyReplicas": 1,
                    "updatedReplicas": replicas,
                },
            ]
        },
    }


def ray_cluster(replicas: int) -> Json:
    return {
        "metadata": {"generation": 5},
        "spec": {
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": pod(0, name="head")}},
            "workerGroupSpecs": [
                {
                    "groupName": "prefill",
                    "replicas": 1,
                    "minReplicas": 0,
                    "maxReplicas": 4,
                    "template": {"spec": pod(2)},
                },
                {
                    "groupName": "decode",
                    "replicas": replicas,
                    "minReplicas": 1,
                    "maxReplicas": 10,
                    "numOfHosts": 2,
                    "rayStartParams": {},
                    "scaleStrategy": {"workersToDelete": []},
                    "template": {"spec": pod(8)},
                },
            ],
        },
        "status": {
            "observedGeneration": 5,
            "readyWorkerReplicas": 7,
            "conditions": [{"type": "HeadPodReady", "status": "True"}],
        },
    }


def ray_service(cluster: str) -> Json:
    return {
        "metadata": {"generation": 1},
        "spec": {"serveConfigV2": "applications: []", "rayClusterConfig": {}},
        "status": {"activeServiceStatus": {"rayClusterName": cluster}},
    }


def llm_service(**spec: object) -> Json:
    return {
        "metadata": {"generation": 1, "annotations": {"note": "ours"}},
        "spec": {"model": {"uri": "hf://org/m"}, "prefill": {}, **spec},
        "status": {
            "observedGeneration": 1,
            "conditions": [{"type": "MainWorkloadReady", "status": "True"}],
        },
    }


def inference_service(autoscaler: str, *, least: int | None = None) -> Json:
    predictor: Json = {"model": {"modelFormat": {"name": "vllm"}}, "maxReplicas": 9}
    return {
        "metadata": {
            "generation": 1,
            "annotations": {
                "serving.kserve.io/autoscalerClass": autoscaler,
                "serving.kserve.io/deploymentMode": "Standard",
            },
        },
        "spec": {"predictor": predictor if least is None else {**predictor, "minReplicas": least}},
        "status": {"observedGeneration": 1},
    }


def pod_clique(replicas: int) -> Json:
    return {
        "metadata": {"generation": 1, "labels": {"app.kubernetes.io/part-of": "llm"}},
        "spec": {"roleName": "decode", "replicas": replicas, "minAvailable": 2, "podSpec": pod(4)},
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "readyReplicas": replicas,
            "scheduledReplicas": replicas,
            "hpaPodSelector": "grove.io/podclique=llm-0-decode",
        },
    }


def scaling_group(replicas: int) -> Json:
    return {
        "metadata": {
            "generation": 1,
            "ownerReferences": [{"kind": "PodCliqueSet", "name": "llm", "uid": "u"}],
        },
        "spec": {"replicas": replicas, "minAvailable": 1, "cliqueNames": ["leader", "worker"]},
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "availableReplicas": replicas,
            "scheduledReplicas": replicas,
            "selector": "grove.io/podcliquescalinggroup=llm-0-decode",
        },
    }


def pod_clique_set() -> Json:
    return {
        "spec": {
            "replicas": 1,
            "template": {
                "cliques": [
                    {"name": "leader", "spec": {"replicas": 1, "podSpec": pod(4)}},
                    {"name": "worker", "spec": {"replicas": 3, "podSpec": pod(8, grace_s=60)}},
                ],
                "podCliqueScalingGroups": [{"name": "decode", "cliqueNames": ["leader", "worker"]}],
            },
        }
    }


def storm_service(*, replicas: int, decode: int, **spec: object) -> Json:
    roles = [
        {"name": "prefill", "replicas": 1, "template": {"spec": pod(2)}},
        {"name": "decode", "replicas": decode, "podGroupSize": 2, "template": {"spec": pod(4)}},
    ]
    return {
        "metadata": {"generation": 1},
        "spec": {
            "replicas": replicas,
            "updateStrategy": {"type": "InPlaceUpdate"},
            "template": {"spec": {"roles": roles}},
            **spec,
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "readyReplicas": replicas,
            "updatedReplicas": replicas,
            "scalingTargetSelector": "storm-service-name=llm",
            "roleStatuses": [{"name": "prefill", "replicas": 1, "readyReplicas": 1}],
        },
    }


_LLM = ("apis/serving.kserve.io/v1alpha2", "llminferenceservices")
_ISVC = (_KSERVE, "inferenceservices")
_KSERVE_CRDS = (crds.LLM_SERVICE, crds.INFERENCE_SERVICE, crds.LWS)
_GROVE_CRDS = (crds.POD_CLIQUE, crds.SCALING_GROUP, crds.POD_CLIQUE_SET)

_ALPHA = ("apis/nvidia.com/v1alpha1", "dynamographdeployments")
_BETA = ("apis/nvidia.com/v1beta1", "dynamographdeployments")
_ADAPTERS = ("apis/nvidia.com/v1beta1", "dynamographdeploymentscalingadapters")

EXAMPLES = (
    Example(
        name="statefulset",
        target="sts/decode",
        objects={(("apis/apps/v1", "statefulsets"), "decode"): stateful_set(2)},
        desired=2,
    ),
    Example(
        name="anything with a scale",
        target="rollout.argoproj.io/decode",
        objects={(("apis/argoproj.io/v1alpha1", "rollouts"), "decode"): deployment(2)},
        desired=2,
        crds=(crds.ROLLOUT,),
    ),
    Example(
        name="dynamographdeployment v1alpha1",
        target="dynamographdeployment/llm",
        objects={(_ALPHA, "llm"): graph(is_alpha=True, decode=3)},
        desired=3,
        least=1,
        crds=(crds.DGD_ALPHA,),
    ),
    Example(
        name="dynamographdeployment v1beta1",
        target="dgd.nvidia.com/llm",
        objects={(_BETA, "llm"): graph(is_alpha=False, decode=3)},
        desired=3,
        least=1,
        crds=(crds.DGD, crds.DGDSA),
    ),
    Example(
        name="dynamographdeployment with an adapter",
        target="dynamographdeployment/llm:Decode",
        objects={
            (_BETA, "llm"): graph(is_alpha=False, decode=3, is_adapted=True),
            (_ADAPTERS, "llm-decode"): adapter(3),
        },
        desired=3,
        least=1,
        crds=(crds.DGD, crds.DGDSA),
    ),
    Example(
        name="scaling adapter",
        target="dgdsa/llm-decode",
        objects={
            (_BETA, "llm"): graph(is_alpha=False, decode=3, is_adapted=True),
            (_ADAPTERS, "llm-decode"): adapter(3),
        },
        desired=3,
        least=1,
        crds=(crds.DGD, crds.DGDSA),
    ),
    Example(
        name="deployment",
        target="deployment/decode",
        objects={(DEPLOYMENTS, "decode"): deployment(3)},
        desired=3,
    ),
    Example(
        name="leaderworkerset",
        target="leaderworkerset/decode",
        objects={(LWS, "decode"): leader_worker_set(3)},
        desired=3,
        crds=(crds.LWS,),
    ),
    Example(
        name="disaggregatedset",
        target="disaggregatedsetrolescaler/llm-decode",
        objects={
            ((_DISAGGREGATED, "disaggregatedsetrolescalers"), "llm-decode"): role_scaler(2),
            ((_DISAGGREGATED, "disaggregatedsets"), "llm"): disaggregated_set(2),
        },
        desired=2,
        crds=(crds.ROLE_SCALER, crds.DISAGGREGATED_SET),
    ),
    Example(
        name="raycluster",
        target="raycluster/llm:decode",
        objects={((_RAY, "rayclusters"), "llm"): ray_cluster(3)},
        desired=3,
        crds=(crds.RAY_CLUSTER, crds.RAY_SERVICE),
    ),
    Example(
        name="rayservice",
        target="rayservice/llm:decode",
        objects={
            ((_RAY, "rayservices"), "llm"): ray_service("llm-x7k2p"),
            ((_RAY, "rayclusters"), "llm-x7k2p"): ray_cluster(3),
        },
        desired=3,
        crds=(crds.RAY_CLUSTER, crds.RAY_SERVICE),
    ),
    Example(
        name="llminferenceservice stating replicas",
        target="llminferenceservice/llm",
        objects={(_LLM, "llm"): llm_service(replicas=2), (DEPLOYMENTS, "llm-kserve"): deployment(2)},
        desired=2,
        crds=_KSERVE_CRDS,
    ),
    Example(
        name="llminferenceservice stating none",
        target="llminferenceservice/llm",
        objects={(_LLM, "llm"): llm_service(), (DEPLOYMENTS, "llm-kserve-prefill"): deployment(2)},
        desired=2,
        role=Role.PREFILL,
        crds=_KSERVE_CRDS,
    ),
    Example(
        name="llminferenceservice of several nodes",
        target="llminferenceservice/llm",
        objects={
            (_LLM, "llm"): llm_service(worker={"containers": []}),
            (LWS, "llm-kserve-mn"): leader_worker_set(2),
        },
        desired=2,
        crds=_KSERVE_CRDS,
    ),
    Example(
        name="inferenceservice external",
        target="inferenceservice/llm",
        objects={
            (_ISVC, "llm"): inference_service("external"),
            (DEPLOYMENTS, "llm-predictor"): deployment(3),
        },
        desired=3,
        crds=_KSERVE_CRDS,
    ),
    Example(
        name="inferenceservice none",
        target="inferenceservice/llm",
        objects={
            (_ISVC, "llm"): inference_service("none", least=3),
            (DEPLOYMENTS, "llm-predictor"): deployment(3),
        },
        desired=3,
        crds=_KSERVE_CRDS,
    ),
    Example(
        name="podclique",
        target="podclique/llm-0-decode",
        objects={
            ((_GROVE, "podcliques"), "llm-0-decode"): pod_clique(3),
            ((_GROVE, "podcliquesets"), "llm"): pod_clique_set(),
        },
        desired=3,
        least=2,
        crds=_GROVE_CRDS,
    ),
    Example(
        name="podcliquescalinggroup",
        target="podcliquescalinggroup/llm-0-decode",
        objects={
            ((_GROVE, "podcliquescalinggroups"), "llm-0-decode"): scaling_group(2),
            ((_GROVE, "podcliquesets"), "llm"): pod_clique_set(),
        },
        desired=2,
        least=1,
        crds=_GROVE_CRDS,
    ),
    Example(
        name="stormservice in pool mode",
        target="stormservice/llm:decode",
        objects={
            (("apis/orchestration.aibrix.ai/v1alpha1", "stormservices"), "llm"): storm_service(
                replicas=1, decode=3
            )
        },
        desired=3,
        crds=(crds.STORM_SERVICE,),
    ),
    Example(
        name="stormservice in replica mode",
        target="stormservice/llm",
        objects={
            (("apis/orchestration.aibrix.ai/v1alpha1", "stormservices"), "llm"): storm_service(
                replicas=3, decode=2
            )
        },
        desired=3,
        crds=(crds.STORM_SERVICE,),
    ),
)
