"""Clusters in memory with a graph deployment of Dynamo, and what its target says of it."""

from typing import Any

import pytest

from config.policy import Role
from connectors.kubernetes.api import Resource
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView, Write
from connectors.kubernetes.targets.dynamo import GraphService
from connectors.testing.target import fetched
from tests.cluster.fake_api import FakeApi
from tests.cluster.objects import alpha_worker, beta_component, dgd_alpha, dgd_beta, dgdsa

Json = dict[str, Any]
NS = "ai"
VERSIONS = ("v1alpha1", "v1beta1")
BOTH = pytest.mark.parametrize("version", VERSIONS)


def graphs(version: str) -> Resource:
    return Resource(
        group="nvidia.com", version=version, plural="dynamographdeployments", kind="DynamoGraphDeployment"
    )


def adapters(version: str) -> Resource:
    return Resource(
        group="nvidia.com",
        version=version,
        plural="dynamographdeploymentscalingadapters",
        kind="DynamoGraphDeploymentScalingAdapter",
    )


def cluster(graph: Json, *, has_adapters: bool = True) -> FakeApi:
    version = graph["apiVersion"].partition("/")[2]
    api = FakeApi()
    api.define(graphs(version), has_scale=False, short_names=("dgd",))
    if has_adapters:
        api.define(adapters(version), short_names=("dgdsa",))
    api.seed(path_of(graph), graph)
    return api


def path_of(graph: Json) -> str:
    return graphs(graph["apiVersion"].partition("/")[2]).path(NS, graph["metadata"]["name"])


def adapted(api: FakeApi, graph: Json, service: str, *, replicas: int) -> str:
    """Add the adapter of a service and return its path."""
    version = graph["apiVersion"].partition("/")[2]
    item = dgdsa(graph["metadata"]["name"], service, replicas=replicas, version=version)
    path = adapters(version).path(NS, item["metadata"]["name"])
    api.seed(path, item)
    return path


def usual(version: str) -> Json:
    return dgd_alpha() if version == "v1alpha1" else dgd_beta()


def decode_of(version: str) -> str:
    return "VllmDecodeWorker" if version == "v1alpha1" else "decode"


def opted_in(version: str) -> Json:
    """Return a graph deployment whose decode service has its replicas owned by an adapter."""
    if version == "v1alpha1":
        services = {
            "VllmPrefillWorker": alpha_worker("prefill"),
            "VllmDecodeWorker": alpha_worker("decode", replicas=2, scalingAdapter={"enabled": True}),
        }
        return dgd_alpha(services=services)
    return dgd_beta(
        components=[
            beta_component("prefill", "prefill"),
            beta_component("decode", "decode", replicas=2, scalingAdapter={}),
        ]
    )


def with_status(graph: Json, service: str, **status: object) -> Json:
    """Fill in the status of one service, as the operator does."""
    field = "services" if graph["apiVersion"].endswith("v1alpha1") else "components"
    graph["metadata"]["generation"] = 3
    graph["status"] = {"observedGeneration": 3, "state": "successful", field: {service: status}}
    return graph


async def target_of(api: FakeApi, text: str = "dgd/vllm-disagg", role: Role = Role.DECODE) -> GraphService:
    found: Target = await resolve(
        api, parse_reference(text, role=role, namespace=NS, key=f"kubernetes.{role}")
    )
    assert isinstance(found, GraphService)
    return found


async def view_of(api: FakeApi, role: Role = Role.DECODE) -> TargetView:
    target = await target_of(api, role=role)
    return target.view(await fetched(api, target))


async def write_of(api: FakeApi, count: int) -> Write:
    target = await target_of(api)
    return target.write(await fetched(api, target), count)
