"""Dynamo's graph deployments and plain workloads as targets on the real API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from config.clock import SystemClock
from config.errors import ConfigError
from config.policy import Role
from connectors.kubernetes.api import Api, ApiError
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.discovery import discover, resolve
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Objects, Target
from connectors.testing.target import fetched, sent
from tests.cluster import crds
from tests.cluster.control_plane import Administrator, ControlPlane
from tests.cluster.grants import STOCK, token_by_role
from tests.cluster.objects import (
    alpha_worker,
    beta_component,
    deployment,
    dgd_alpha,
    dgd_beta,
    dgdsa,
    stateful_set,
)

Json = dict[str, Any]
GRAPHS = "dynamographdeployments"
ADAPTERS = "dynamographdeploymentscalingadapters"


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    for definition in (crds.DGD, crds.DGDSA, crds.ROLLOUT):
        control_plane.admin.crd(definition)
    return control_plane.admin.namespace()


@pytest.fixture
async def api(control_plane: ControlPlane, namespace: str) -> AsyncIterator[KubeClient]:
    async with client(control_plane, control_plane.token, namespace) as opened:
        yield opened


@asynccontextmanager
async def client(plane: ControlPlane, token: str, namespace: str) -> AsyncIterator[KubeClient]:
    kubeconfig = plane.kubeconfig(token, namespace=namespace)
    options = ApiOptions(kubeconfig=kubeconfig, requests_per_second=1000.0, retries=0)
    opened = KubeClient(options, SystemClock())
    try:
        yield opened
    finally:
        await opened.close()


def put(admin: Administrator, namespace: str, plural: str, item: Json) -> str:
    """Create an object and return its path."""
    collection = f"/apis/{item['apiVersion']}/namespaces/{namespace}/{plural}"
    admin.ask("POST", collection, item)
    return f"{collection}/{item['metadata']['name']}"


async def target_of(api: Api, namespace: str, text: str, role: Role = Role.DECODE) -> Target:
    return await resolve(api, parse_reference(text, role=role, namespace=namespace, key=f"kubernetes.{role}"))


async def desired(api: Api, target: Target) -> int:
    return target.view(await fetched(api, target)).desired


def opted_in(version: str) -> Json:
    if version == "v1alpha1":
        worker = alpha_worker("decode", replicas=2, scalingAdapter={"enabled": True})
        return dgd_alpha(services={"decode": worker})
    component = beta_component("decode", "decode", replicas=2, scalingAdapter={})
    return dgd_beta(components=[component])


@pytest.mark.parametrize(
    ("word", "api_version", "has_scale"),
    [
        ("deploy", "apps/v1", True),
        ("statefulsets.apps", "apps/v1", True),
        ("no", "v1", False),
        ("ro", "argoproj.io/v1alpha1", True),
        ("dgd", "nvidia.com/v1beta1", False),
        ("dgd.v1alpha1.nvidia.com", "nvidia.com/v1alpha1", False),
        ("dgdsa", "nvidia.com/v1beta1", True),
    ],
)
@pytest.mark.usefixtures("namespace")
async def test_the_servers_own_words_are_understood(
    api: KubeClient, word: str, api_version: str, *, has_scale: bool
) -> None:
    found = await discover(api, word)

    assert (found.resource.api_version, found.has_scale) == (api_version, has_scale)


ROLLED = {**deployment("decode"), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}


@pytest.mark.parametrize(
    "example",
    [
        ("deployments", deployment("decode"), "deploy/decode"),
        ("statefulsets", stateful_set("decode"), "sts?app=decode"),
        ("rollouts", ROLLED, "ro/decode"),
        (GRAPHS, dgd_alpha("decode"), "dgd.v1alpha1.nvidia.com/decode"),
        (GRAPHS, dgd_beta("decode"), "dgd/decode"),
    ],
    ids=["deployment", "statefulset", "rollout", "dgd v1alpha1", "dgd v1beta1"],
)
async def test_up_and_down_and_never_over_somebody_elses_change(
    control_plane: ControlPlane, api: KubeClient, namespace: str, example: tuple[str, Json, str]
) -> None:
    plural, item, text = example
    path = put(control_plane.admin, namespace, plural, item)
    target = await target_of(api, namespace, text)

    for count in (5, 1):
        await sent(api, target.write(await fetched(api, target), count))
        assert await desired(api, target) == count

    stale = await fetched(api, target)
    control_plane.admin.merge(path, {"metadata": {"labels": {"touched": "yes"}}})
    with pytest.raises(ApiError) as caught:
        await sent(api, target.write(stale, 7))

    assert caught.value.is_conflict
    assert await desired(api, target) == 1


async def test_a_list_that_was_sorted_anew_is_refused_with_either_answer(
    control_plane: ControlPlane, api: KubeClient, namespace: str
) -> None:
    path = put(control_plane.admin, namespace, GRAPHS, dgd_beta("llm"))
    target = await target_of(api, namespace, "dgd/llm")
    write = target.write(await fetched(api, target), 5)
    components = list(reversed(control_plane.admin.get(path)["spec"]["components"]))
    control_plane.admin.merge(path, {"spec": {"components": components}})

    # The test of the name comes after the version, and is what the server looks at first.
    with pytest.raises(ApiError) as caught:
        await sent(api, write)
    assert isinstance(write.body, list)
    with pytest.raises(ApiError) as only_stale:
        await api.patch(path, [write.body[0], *write.body[2:]], write.kind)

    assert (caught.value.status, only_stale.value.status) == (422, 409)
    found = control_plane.admin.get(path)["spec"]["components"]
    assert [(one["name"], one["replicas"]) for one in found] == [
        ("decode", 2),
        ("prefill", 1),
        ("frontend", 1),
    ]


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
async def test_the_adapter_is_written_and_only_its_absence_leads_past_it(
    control_plane: ControlPlane, api: KubeClient, namespace: str, version: str
) -> None:
    admin = control_plane.admin
    graph = put(admin, namespace, GRAPHS, opted_in(version))
    target = await target_of(api, namespace, f"dgd.{version}.nvidia.com/vllm-disagg")

    await sent(api, target.write(await fetched(api, target), 3))
    assert replicas_of(admin.get(graph)) == 3

    adapter = put(admin, namespace, ADAPTERS, dgdsa("vllm-disagg", "decode", replicas=3, version=version))
    for count in (6, 2):
        await sent(api, target.write(await fetched(api, target), count))
        assert await desired(api, target) == count
        assert admin.get(adapter)["spec"]["replicas"] == count
    stale = await fetched(api, target)
    admin.merge(adapter, {"spec": {"replicas": 4}})
    with pytest.raises(ApiError) as caught:
        await sent(api, target.write(stale, 9))

    assert caught.value.is_conflict
    assert replicas_of(admin.get(graph)) == 3
    assert admin.get(adapter)["spec"]["replicas"] == 4


def replicas_of(graph: Json) -> int:
    spec = graph["spec"]
    found: int = (spec["services"]["decode"] if "services" in spec else spec["components"][0])["replicas"]
    return found


async def test_dynamos_own_service_account_suffices(control_plane: ControlPlane, namespace: str) -> None:
    admin = control_plane.admin
    put(admin, namespace, GRAPHS, opted_in("v1beta1"))
    adapter = put(admin, namespace, ADAPTERS, dgdsa("vllm-disagg", "decode", replicas=2))
    token = token_by_role(admin, namespace, "planner-serviceaccount", STOCK)

    async with client(control_plane, token, namespace) as planner:
        target = await target_of(planner, namespace, "dgd/vllm-disagg")
        assert [key.path for key in target.needs()][1:] == [f"{adapter}/scale"]
        with pytest.raises(ApiError) as caught:
            await planner.get(f"{adapter}/scale")
        objects: Objects = {target.parent: await planner.get(target.parent.path)}
        await sent(planner, target.write(objects, 5))

    assert caught.value.is_forbidden
    assert admin.get(adapter)["spec"]["replicas"] == 5
    assert target.view(objects).desired == 2


async def test_replicas_that_are_unset_end_the_start_in_what_to_do(
    control_plane: ControlPlane, api: KubeClient, namespace: str
) -> None:
    item = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "decode"},
        "spec": {},
    }
    put(control_plane.admin, namespace, "rollouts", item)

    with pytest.raises(ConfigError, match="set it once: kubectl patch rollouts") as caught:
        await target_of(api, namespace, "ro/decode")

    assert caught.value.key == "kubernetes.decode"
