"""Which kind a word names, and which target reads it."""

import pytest

from config.errors import ConfigError
from config.policy import Role
from connectors.kubernetes.api import ApiError, Patch, Resource
from connectors.kubernetes.discovery import discover, find_one, preferred_version, resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.remembering import Remembering
from connectors.kubernetes.target import Reference
from connectors.kubernetes.targets.dynamo import GraphService
from connectors.kubernetes.targets.scalable import Scalable
from connectors.kubernetes.targets.workload import Workload
from tests.cluster.fake_api import FakeApi
from tests.cluster.objects import deployment, dgd_beta

NS = "ai"
DGD = Resource(
    group="nvidia.com", version="v1beta1", plural="dynamographdeployments", kind="DynamoGraphDeployment"
)
ROLLOUT = Resource(group="argoproj.io", version="v1alpha1", plural="rollouts", kind="Rollout")


def reference(text: str) -> Reference:
    return parse_reference(text, role=Role.DECODE, namespace=NS, key="kubernetes.decode")


def cluster() -> FakeApi:
    api = FakeApi()
    api.define(DGD, has_scale=False, short_names=("dgd",))
    api.define(
        Resource(group=DGD.group, version="v1alpha1", plural=DGD.plural, kind=DGD.kind),
        has_scale=False,
        short_names=("dgd",),
    )
    api.define(ROLLOUT, short_names=("ro",))
    api.seed(f"/apis/apps/v1/namespaces/{NS}/deployments/decode", deployment("decode"))
    return api


@pytest.mark.parametrize(
    "word",
    ["deployment", "Deployment", "deployments", "deploy", "deployments.apps", "deployment.v1.apps"],
)
async def test_a_kind_is_found_by_each_of_its_names(word: str) -> None:
    found = await discover(cluster(), word)

    assert (found.resource.api_version, found.resource.plural, found.has_scale) == (
        *("apps/v1", "deployments", True),
    )


async def test_the_version_that_the_server_prefers_is_used_unless_another_is_named() -> None:
    api = cluster()

    assert (await discover(api, "dgd")).resource == DGD
    assert (await discover(api, "dgd.v1alpha1.nvidia.com")).resource.version == "v1alpha1"
    assert await preferred_version(api, "nvidia.com") == "v1beta1"
    assert not (await discover(api, "dgd")).has_scale


async def test_a_kind_is_found_although_its_group_prefers_a_version_of_another() -> None:
    api = FakeApi()
    # The GPU operator serves a version of the same group that has none of Dynamo's kinds.
    policy = Resource(group="nvidia.com", version="v1", plural="clusterpolicies", kind="ClusterPolicy")
    api.define(policy, has_scale=False)
    api.define(DGD, has_scale=False, short_names=("dgd",))

    assert await preferred_version(api, "nvidia.com") == "v1"
    assert (await discover(api, "dgd")).resource == DGD
    assert (await discover(api, "dynamographdeployments.nvidia.com")).resource == DGD


async def test_kinds_of_the_core_group_are_found_too() -> None:
    assert (await discover(cluster(), "node")).resource.api_version == "v1"


@pytest.mark.parametrize("word", ["sheep", "deployments.argoproj.io", "deployments.v9.apps", "x.y.z"])
async def test_a_kind_that_is_not_served_is_missing(word: str) -> None:
    with pytest.raises(ApiError, match=f"serves no kind '{word}'") as caught:
        await discover(cluster(), word)

    assert caught.value.is_missing


async def test_a_broken_extension_of_the_server_does_not_hide_the_others() -> None:
    api = cluster()
    api.fail_next(ApiError("overloaded", status=503), path_prefix="/apis/nvidia.com/v1beta1")

    assert (await discover(api, "rollout")).resource == ROLLOUT

    api.fail_next(ApiError("overloaded", status=503), path_prefix="/apis/argoproj.io/v1alpha1")
    with pytest.raises(ApiError, match=r"did not answer for argoproj.io/v1alpha1"):
        await discover(api, "rollout")


async def test_a_server_that_does_not_answer_is_no_missing_kind() -> None:
    api = cluster()
    api.fail_next(ApiError("no answer", status=0), path_prefix="/apis/apps/v1")

    with pytest.raises(ApiError, match="no answer"):
        await discover(api, "deploy")


async def test_labels_have_to_select_exactly_one_object() -> None:
    api = cluster()
    found = (await discover(api, "deploy")).resource

    assert await find_one(api, found, reference("deploy?app=decode")) == "decode"
    with pytest.raises(ConfigError, match=r"selects no object in namespace ai.*check the labels"):
        await find_one(api, found, reference("deploy?app=none"))
    two = deployment("other")
    two["metadata"]["labels"] = {"app": "decode"}
    api.seed(f"/apis/apps/v1/namespaces/{NS}/deployments/other", two)
    with pytest.raises(ConfigError, match=r"kubernetes.decode: .*selects 2 objects \(decode, other\)"):
        await find_one(api, found, reference("deploy?app=decode"))


async def test_each_kind_gets_its_own_target_and_others_the_general_one() -> None:
    api = cluster()
    api.seed(DGD.path(NS, "llm"), dgd_beta("llm"))
    api.seed(ROLLOUT.path(NS, "decode"), {"spec": {"replicas": 1}})

    assert isinstance(await resolve(api, reference("deploy/decode")), Workload)
    assert isinstance(await resolve(api, reference("dgd/llm")), GraphService)
    assert isinstance(await resolve(api, reference("rollout/decode")), Scalable)


async def test_an_unknown_kind_is_a_configuration_error_with_what_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        await resolve(cluster(), reference("deploiment/decode"))

    assert caught.value.key == "kubernetes.decode"
    assert "serves no kind 'deploiment' (in deploiment/decode)" in caught.value.problem
    assert "did you mean deployment" in caught.value.hint

    with pytest.raises(ConfigError, match="is its CRD installed"):
        await resolve(cluster(), reference("qqqqqqq/decode"))


async def test_a_kind_without_replicas_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="a Node of v1 has no scale subresource"):
        await resolve(cluster(), reference("node/a"))


async def test_an_object_that_is_not_there_is_missing() -> None:
    with pytest.raises(ApiError) as caught:
        await resolve(cluster(), reference("deploy/other"))

    assert caught.value.is_missing


async def test_what_is_served_is_asked_once() -> None:
    api = cluster()
    remembering = Remembering(api)

    for _ in range(3):
        await discover(remembering, "deploy")
    await remembering.get(f"/apis/apps/v1/namespaces/{NS}/deployments/decode")
    await remembering.get(f"/apis/apps/v1/namespaces/{NS}/deployments/decode")

    paths = [sent.path for sent in api.requests]
    assert paths.count("/apis/apps/v1") == 1
    assert paths.count(f"/apis/apps/v1/namespaces/{NS}/deployments/decode") == 2


async def test_everything_else_is_passed_on_while_targets_are_found() -> None:
    api = cluster()
    remembering = Remembering(api)
    path = f"/apis/apps/v1/namespaces/{NS}/deployments"

    await remembering.patch(f"{path}/decode", {"spec": {"replicas": 3}}, Patch.MERGE)
    item = {**await remembering.get(f"{path}/decode"), "metadata": {"name": "decode"}}
    await remembering.put(f"{path}/decode", item)
    await remembering.post(path, {**item, "metadata": {"name": "other"}})
    watch = remembering.watch(path)
    seen = (await anext(watch)).item["metadata"]["name"]
    await remembering.close()

    assert seen == "decode"
    assert [sent.method for sent in api.requests] == ["PATCH", "GET", "PUT", "POST", "WATCH"]


async def test_an_answer_that_is_not_there_now_is_not_remembered_unless_it_is_missing() -> None:
    api = cluster()
    remembering = Remembering(api)
    api.fail_next(ApiError("overloaded", status=503), path_prefix="/apis/apps")

    with pytest.raises(ApiError, match="overloaded"):
        await remembering.get("/apis/apps")

    assert (await remembering.get("/apis/apps"))["name"] == "apps"
