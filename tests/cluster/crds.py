"""Definitions of the kinds that are scaled, reduced to what the API server must know of them."""

from typing import Any

Json = dict[str, Any]
_SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def crd(  # noqa: PLR0913 - what a definition consists of, all by name
    group: str,
    kind: str,
    *,
    versions: tuple[str, ...],
    plural: str = "",
    short: str = "",
    scale: bool = True,
    selector_path: str = "",
) -> Json:
    """Return a definition that keeps every field; the last version is the stored one."""
    many = plural or f"{kind.lower()}s"
    names: Json = {"kind": kind, "plural": many, "singular": kind.lower()}
    if short:
        names["shortNames"] = [short]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{many}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [
                _version(name, is_stored=name == versions[-1], scale=scale, selector_path=selector_path)
                for name in versions
            ],
        },
    }


def _version(name: str, *, is_stored: bool, scale: bool, selector_path: str) -> Json:
    subresources: Json = {"status": {}}
    if scale:
        subresources["scale"] = (
            {**_SCALE, "labelSelectorPath": selector_path} if selector_path else dict(_SCALE)
        )
    return {
        "name": name,
        "served": True,
        "storage": is_stored,
        "subresources": subresources,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }


DGD_ALPHA = crd("nvidia.com", "DynamoGraphDeployment", versions=("v1alpha1",), short="dgd", scale=False)
DGD = crd("nvidia.com", "DynamoGraphDeployment", versions=("v1alpha1", "v1beta1"), short="dgd", scale=False)
DGDSA = crd(
    "nvidia.com",
    "DynamoGraphDeploymentScalingAdapter",
    versions=("v1alpha1", "v1beta1"),
    short="dgdsa",
    selector_path=".status.selector",
)
DGDR = crd(
    "nvidia.com",
    "DynamoGraphDeploymentRequest",
    versions=("v1alpha1", "v1beta1"),
    short="dgdr",
    scale=False,
)
LWS = crd(
    "leaderworkerset.x-k8s.io",
    "LeaderWorkerSet",
    versions=("v1",),
    short="lws",
    selector_path=".status.hpaPodSelector",
)
DISAGGREGATED_SET = crd("disaggregatedset.x-k8s.io", "DisaggregatedSet", versions=("v1",), scale=False)
ROLE_SCALER = crd(
    "disaggregatedset.x-k8s.io",
    "DisaggregatedSetRoleScaler",
    versions=("v1",),
    short="dsrs",
    selector_path=".status.selector",
)
RAY_CLUSTER = crd("ray.io", "RayCluster", versions=("v1",), scale=False)
RAY_SERVICE = crd("ray.io", "RayService", versions=("v1",), scale=False)
LLM_SERVICE = crd(
    "serving.kserve.io",
    "LLMInferenceService",
    versions=("v1alpha1", "v1alpha2"),
    short="llmisvc",
    scale=False,
)
INFERENCE_SERVICE = crd(
    "serving.kserve.io", "InferenceService", versions=("v1beta1",), short="isvc", scale=False
)
POD_CLIQUE = crd(
    "grove.io",
    "PodClique",
    versions=("v1alpha1",),
    short="pclq",
    selector_path=".status.hpaPodSelector",
)
SCALING_GROUP = crd(
    "grove.io",
    "PodCliqueScalingGroup",
    versions=("v1alpha1",),
    short="pcsg",
    selector_path=".status.selector",
)
POD_CLIQUE_SET = crd("grove.io", "PodCliqueSet", versions=("v1alpha1",), short="pcs")
STORM_SERVICE = crd(
    "orchestration.aibrix.ai",
    "StormService",
    versions=("v1alpha1",),
    selector_path=".status.scalingTargetSelector",
)
ROLLOUT = crd("argoproj.io", "Rollout", versions=("v1alpha1",), short="ro", selector_path=".status.selector")
