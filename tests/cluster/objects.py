"""Objects as people deploy them, for tests: workloads and Dynamo graph deployments of both API versions."""

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]


def pod_spec(
    *, gpus: int | str | None = 1, model: str = "meta-llama/Llama-3.1-8B", grace_s: int | None = 600
) -> Json:
    """Return the pod of a vLLM engine."""
    container: Json = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.11.0",
        "command": ["vllm", "serve", model],
        "args": ["--port", "8000"],
        "env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}}}],
    }
    if gpus is not None:
        container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    spec: Json = {"containers": [container]}
    if grace_s is not None:
        spec["terminationGracePeriodSeconds"] = grace_s
    return spec


def deployment(
    name: str, *, replicas: int = 2, spec: Mapping[str, Any] | None = None, pod: Json | None = None
) -> Json:
    """Return a Deployment of engines."""
    return _workload("Deployment", name, replicas=replicas, spec=spec or {}, pod=pod)


def stateful_set(
    name: str, *, replicas: int = 2, spec: Mapping[str, Any] | None = None, pod: Json | None = None
) -> Json:
    """Return a StatefulSet of engines."""
    return _workload(
        "StatefulSet", name, replicas=replicas, spec={"serviceName": name, **(spec or {})}, pod=pod
    )


def rolled_out(replicas: int, *, generation: int = 1) -> Json:
    """Return the status of a workload that is at rest."""
    return {
        "observedGeneration": generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
    }


def _workload(kind: str, name: str, *, replicas: int, spec: Mapping[str, Any], pod: Json | None) -> Json:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod or pod_spec()},
            **spec,
        },
    }


def alpha_worker(sub: str, *, replicas: int = 1, gpus: int = 1, **more: object) -> Json:
    """Return a worker service of a v1alpha1 graph deployment; `sub` is its sub-component type."""
    return {
        "componentType": "worker",
        "subComponentType": sub,
        "replicas": replicas,
        "envFromSecret": "hf-token-secret",
        "resources": {"requests": {"gpu": str(gpus)}, "limits": {"gpu": str(gpus)}},
        "extraPodSpec": {
            "mainContainer": {
                "image": "registry.example/ai-dynamo/vllm-runtime:0.9.0",
                "workingDir": "/workspace/examples/backends/vllm",
                "command": ["python3", "-m", "dynamo.vllm"],
                "args": ["--model", "Qwen/Qwen3-0.6B", "--is-prefill-worker"],
            }
        },
        **more,
    }


def alpha_service(kind: str, *, image: str = "registry.example/ai-dynamo/vllm-runtime:0.9.0") -> Json:
    """Return another service of a v1alpha1 graph deployment, such as its frontend or planner."""
    return {
        "componentType": kind,
        "replicas": 1,
        "extraPodSpec": {
            "mainContainer": {
                "image": image,
                "command": ["python3", "-m"],
                "args": ["planner_sla" if kind == "planner" else f"dynamo.{kind}"],
            }
        },
    }


def dgd_alpha(
    name: str = "vllm-disagg", *, services: Mapping[str, Any] | None = None, **spec: object
) -> Json:
    """Return a DynamoGraphDeployment of v1alpha1 with a prefill and a decode service."""
    usual = {
        "Frontend": alpha_service("frontend"),
        "VllmPrefillWorker": alpha_worker("prefill"),
        "VllmDecodeWorker": alpha_worker("decode", replicas=2, gpus=2),
    }
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name},
        "spec": {
            "backendFramework": "vllm",
            "services": dict(services) if services is not None else usual,
            **spec,
        },
    }


def beta_component(name: str, kind: str, *, replicas: int | None = 1, gpus: int = 1, **more: object) -> Json:
    """Return a component of a v1beta1 graph deployment."""
    main: Json = {
        "name": "main",
        "image": "registry.example/ai-dynamo/vllm-runtime:1.6.1",
        "command": ["python3", "-m", "dynamo.vllm"],
        "args": ["--model=Qwen/Qwen3-0.6B"],
    }
    if gpus:
        main["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    component: Json = {"name": name, "type": kind, "podTemplate": {"spec": {"containers": [main]}}, **more}
    if replicas is not None:
        component["replicas"] = replicas
    return component


def dgd_beta(
    name: str = "vllm-disagg", *, components: Sequence[Mapping[str, Any]] | None = None, **spec: object
) -> Json:
    """Return a DynamoGraphDeployment of v1beta1 with a prefill and a decode component."""
    usual = (
        beta_component("frontend", "frontend", gpus=0),
        beta_component("prefill", "prefill"),
        beta_component("decode", "decode", replicas=2, gpus=2),
    )
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name},
        "spec": {"backendFramework": "vllm", "components": [*(components or usual)], **spec},
    }


def dgdsa(graph: str, service: str, *, replicas: int, version: str = "v1beta1") -> Json:
    """Return the scaling adapter of a service of a graph deployment."""
    field = "serviceName" if version == "v1alpha1" else "componentName"
    return {
        "apiVersion": f"nvidia.com/{version}",
        "kind": "DynamoGraphDeploymentScalingAdapter",
        "metadata": {"name": f"{graph}-{service.lower()}"},
        "spec": {"replicas": replicas, "dgdRef": {"name": graph, field: service}},
    }
