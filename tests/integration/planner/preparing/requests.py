"""Requests and deployments in Dynamo's own shapes."""

from typing import Any

Json = dict[str, Any]
GRAPHS, REQUESTS = "dynamographdeployments", "dynamographdeploymentrequests"


def request(name: str = "qwen-sla") -> Json:
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeploymentRequest",
        "metadata": {"name": name},
        "spec": {
            "model": "Qwen/Qwen3-8B",
            "backend": "vllm",
            "autoApply": False,
            "profilingConfig": {
                "profilerImage": "registry.example/vllm-runtime:0.9.0",
                "config": {
                    "sla": {"isl": 3000, "osl": 150, "ttft": 300.0, "itl": 30.0},
                    "sweep": {"useAiConfigurator": True, "aicSystem": "h100_sxm"},
                    "planner": {"plannerMaxGpuBudget": 12, "plannerAdjustmentInterval": 30},
                },
            },
        },
    }


def late_request(name: str = "qwen-sla") -> Json:
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeploymentRequest",
        "metadata": {"name": name},
        "spec": {
            "model": "Qwen/Qwen3-8B",
            "backend": "vllm",
            "sla": {"ttft": 250.0, "itl": 20.0},
            "features": {"planner": {"optimization_target": "sla", "max_gpu_budget": 9}},
        },
    }


def generated(name: str = "qwen") -> Json:
    image = "registry.example/vllm-runtime:0.9.0"
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name},
        "spec": {
            "services": {
                "Frontend": {
                    "componentType": "frontend",
                    "replicas": 1,
                    "extraPodSpec": {"mainContainer": {"image": image}},
                },
                "Planner": {
                    "componentType": "planner",
                    "replicas": 1,
                    "extraPodSpec": {
                        "mainContainer": {
                            "image": image,
                            "workingDir": "/workspace/planner",
                            "command": ["python3", "-m", "planner_sla"],
                            "args": [
                                "--environment=kubernetes",
                                "--backend=vllm",
                                "--adjustment-interval=30",
                                "--max-gpu-budget=12",
                                "--ttft=300.0",
                                "--itl=30.0",
                                "--prefill-engine-num-gpu=1",
                                "--decode-engine-num-gpu=2",
                                "--profile-results-dir=/workspace/profiling_results",
                            ],
                            "volumeMounts": [
                                {"name": "planner-profile-data", "mountPath": "/workspace/profiling_results"}
                            ],
                        },
                        "volumes": [
                            {"name": "planner-profile-data", "configMap": {"name": "planner-profile-data"}}
                        ],
                    },
                },
                "VllmPrefillWorker": worker("prefill", gpus="1", image=image),
                "VllmDecodeWorker": worker("decode", gpus="2", image=image),
            }
        },
    }


def worker(role: str, *, gpus: str, image: str) -> Json:
    return {
        "componentType": "worker",
        "subComponentType": role,
        "replicas": 1,
        "resources": {"limits": {"gpu": gpus}},
        "extraPodSpec": {
            "mainContainer": {
                "image": image,
                "command": ["python3"],
                "args": ["-m", "dynamo.vllm", "--model", "Qwen/Qwen3-8B"],
            }
        },
    }
