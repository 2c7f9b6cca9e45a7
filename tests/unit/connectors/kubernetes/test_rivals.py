"""Who else scales a target is found, whatever kind it is; what rests, or is another one's tool, is not."""

from collections.abc import Mapping
from typing import Any

import pytest

from config.policy import Role
from connectors.kubernetes.api import ApiError, Resource
from connectors.kubernetes.authors import owners_of_replicas
from connectors.kubernetes.rivals import find_rivals, repositories_among
from connectors.kubernetes.target import ObjectKey
from connectors.kubernetes.targets.workload import Workload
from tests.cluster.fake_api import FakeApi

DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
SCALED_OBJECT = Resource(group="keda.sh", version="v1alpha1", plural="scaledobjects", kind="ScaledObject")
HPAS = "/apis/autoscaling/v1/namespaces/llm/horizontalpodautoscalers"
SCALED = "/apis/keda.sh/v1alpha1/namespaces/llm/scaledobjects"
VARIANTS = "/apis/llmd.ai/v1alpha1/namespaces/llm/variantautoscalings"
POD_AUTOSCALERS = "/apis/autoscaling.aibrix.ai/v1alpha1/namespaces/llm/podautoscalers"
AT_DECODE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "decode"}


def workload(name: str) -> Workload:
    parent = ObjectKey(resource=DEPLOYMENTS, namespace="llm", name=name)
    return Workload(role=Role.DECODE, parent=parent)


DECODE, PREFILL = workload("decode"), workload("prefill")


def aimed(target: Mapping[str, str] | None, **metadata: object) -> dict[str, Any]:
    spec = {} if target is None else {"scaleTargetRef": dict(target)}
    return {"metadata": metadata, "spec": spec}


async def rivals_of_decode(api: FakeApi) -> tuple[str, ...]:
    found = await find_rivals(api, "llm", (DECODE, PREFILL))
    assert PREFILL.parent.path not in found.by_path
    return found.by_path.get(DECODE.parent.path, ())


@pytest.mark.parametrize(
    ("path", "item", "words"),
    [
        pytest.param(
            f"{HPAS}/h", aimed(AT_DECODE), "the HorizontalPodAutoscaler h scales deployment decode", id="hpa"
        ),
        pytest.param(
            f"{SCALED}/k", aimed({"name": "decode"}), "the ScaledObject k scales deployment decode", id="keda"
        ),
        pytest.param(
            f"{SCALED}/k",
            aimed(AT_DECODE, annotations={"autoscaling.keda.sh/paused-replicas": "3"}),
            "the ScaledObject k scales deployment decode (paused at a number of replicas, which it keeps)",
            id="keda-paused-at",
        ),
        pytest.param(
            f"{SCALED}/k",
            aimed(AT_DECODE, annotations={"autoscaling.keda.sh/paused": "false"}),
            "the ScaledObject k scales deployment decode",
            id="keda-not-paused",
        ),
        pytest.param(
            f"{VARIANTS}/decode",
            aimed(None),
            "the VariantAutoscaling decode scales deployment decode",
            id="llm-d",
        ),
        pytest.param(
            f"{POD_AUTOSCALERS}/p",
            aimed(AT_DECODE),
            "the PodAutoscaler p scales deployment decode",
            id="aibrix",
        ),
    ],
)
async def test_an_autoscaler_of_the_same_target_is_found(path: str, item: dict[str, Any], words: str) -> None:
    api = FakeApi()
    api.seed(path, item)

    assert await rivals_of_decode(api) == (words,)


@pytest.mark.parametrize(
    ("path", "item"),
    [
        pytest.param(f"{HPAS}/h", aimed({**AT_DECODE, "name": "web"}), id="another-name"),
        pytest.param(f"{HPAS}/h", aimed({**AT_DECODE, "kind": "StatefulSet"}), id="another-kind"),
        pytest.param(f"{HPAS}/h", aimed({**AT_DECODE, "apiVersion": "example.com/v1"}), id="another-group"),
        pytest.param(
            f"{HPAS}/h", aimed(AT_DECODE, ownerReferences=[{"kind": "ScaledObject"}]), id="tool-of-keda"
        ),
        pytest.param(
            f"{SCALED}/k", aimed(AT_DECODE, annotations={"autoscaling.keda.sh/paused": "true"}), id="paused"
        ),
        pytest.param(f"{HPAS}/h", {"spec": {"scaleTargetRef": "decode"}}, id="of-no-shape"),
        pytest.param(f"{HPAS}/h", {"spec": None}, id="without-spec"),
    ],
)
async def test_an_autoscaler_of_something_else_or_at_rest_is_none(path: str, item: dict[str, Any]) -> None:
    api = FakeApi()
    api.define(SCALED_OBJECT)
    api.seed(path, item)

    assert await rivals_of_decode(api) == ()


async def test_the_tool_of_an_autoscaler_that_may_not_be_read_counts_itself() -> None:
    api = FakeApi()
    api.define(SCALED_OBJECT)
    api.forbid("list", SCALED)
    api.seed(f"{HPAS}/h", aimed(AT_DECODE, ownerReferences=[{"kind": "ScaledObject"}]))

    assert await rivals_of_decode(api) == ("the HorizontalPodAutoscaler h scales deployment decode",)


async def test_a_kind_that_the_server_could_not_list_leaves_it_open_who_scales() -> None:
    api = FakeApi()
    api.fail_next(ApiError("etcd has no leader", status=503), path_prefix=HPAS)

    found = await find_rivals(api, "llm", (DECODE,))

    assert not found.is_certain
    assert "etcd has no leader" in found.unread[0]


async def test_kinds_that_are_not_installed_are_no_error_and_forbidden_ones_are_told() -> None:
    api = FakeApi()
    api.forbid("list", HPAS)

    found = await find_rivals(api, "llm", (DECODE,))

    assert found.by_path == {}
    assert found.is_certain
    assert [words.split(":")[0] for words in found.unread] == ["horizontalpodautoscalers.autoscaling"]


async def test_an_api_server_that_does_not_answer_is_not_taken_for_nobody() -> None:
    api = FakeApi()
    api.fail_next(ApiError("no route to host", status=0))

    with pytest.raises(ApiError, match="no route"):
        await find_rivals(api, "llm", (DECODE,))


def test_a_repository_that_owns_the_replicas_is_named() -> None:
    def entry(manager: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
        return {"manager": manager, "subresource": subresource, "fieldsV1": fields}

    replicas: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    managed = [
        entry("argocd-controller", replicas),
        entry("kubectl-client-side-apply", replicas),
        entry("helm", {"f:spec": {"f:template": {}}}),
        entry("kube-controller-manager", replicas, "status"),
    ]

    owners = owners_of_replicas({"metadata": {"managedFields": managed}})

    assert owners == ("argocd-controller", "kubectl-client-side-apply")
    assert repositories_among(owners) == ("argocd-controller",)
    assert owners_of_replicas({"metadata": {"managedFields": "none"}}) == ()
    assert owners_of_replicas({}) == ()
