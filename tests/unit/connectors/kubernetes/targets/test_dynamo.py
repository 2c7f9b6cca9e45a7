"""Which service of a graph deployment is a pool, and where its replicas are written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.kubernetes.api import ApiError, Patch, Resource
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target
from connectors.kubernetes.targets.dynamo import adapter_of
from connectors.kubernetes.targets.scalable import Scalable
from connectors.testing.target import fetched, sent
from tests.cluster.dynamo import (
    BOTH,
    NS,
    adapted,
    cluster,
    decode_of,
    opted_in,
    path_of,
    target_of,
    usual,
    view_of,
    write_of,
)
from tests.cluster.fake_api import FakeApi
from tests.cluster.objects import (
    alpha_service,
    alpha_worker,
    beta_component,
    dgd_alpha,
    dgd_beta,
)

Json = dict[str, Any]


@BOTH
async def test_services_are_found_by_their_sub_component_type(version: str) -> None:
    api = cluster(usual(version))

    prefill, decode = await target_of(api, role=Role.PREFILL), await target_of(api)

    assert decode.part == decode_of(version)
    assert prefill.part == ("VllmPrefillWorker" if version == "v1alpha1" else "prefill")
    assert decode.parent.resource.version == version


async def test_a_map_is_merged_into() -> None:
    api = cluster(dgd_alpha())
    version = api.read(path_of(dgd_alpha()))["metadata"]["resourceVersion"]

    write = await write_of(api, 5)

    assert (write.key.path, write.kind, write.on_missing) == (path_of(dgd_alpha()), Patch.MERGE, None)
    assert write.body == {
        "metadata": {"resourceVersion": version},
        "spec": {"services": {"VllmDecodeWorker": {"replicas": 5}}},
    }


async def test_a_list_is_patched_behind_a_test_of_the_name() -> None:
    api = cluster(dgd_beta())
    version = api.read(path_of(dgd_beta()))["metadata"]["resourceVersion"]

    write = await write_of(api, 5)

    assert (write.key.path, write.kind, write.on_missing) == (path_of(dgd_beta()), Patch.JSON, None)
    assert write.body == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "test", "path": "/spec/components/2/name", "value": "decode"},
        {"op": "add", "path": "/spec/components/2/replicas", "value": 5},
    ]


@BOTH
async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(version: str) -> None:
    graph = usual(version)
    api = cluster(graph)
    write = await write_of(api, 5)
    api.change(path_of(graph), {"metadata": {"labels": {"touched": "yes"}}})

    with pytest.raises(ApiError) as caught:
        await sent(api, write)

    assert caught.value.is_conflict


async def test_a_list_that_was_sorted_anew_is_not_patched_at_the_wrong_place() -> None:
    graph = dgd_beta()
    api = cluster(graph)
    write = await write_of(api, 5)
    components = list(reversed(api.read(path_of(graph))["spec"]["components"]))
    api.change(path_of(graph), {"spec": {"components": components}})

    with pytest.raises(ApiError):
        await sent(api, write)

    assert [one["replicas"] for one in api.read(path_of(graph))["spec"]["components"]] == [2, 1, 1]


@BOTH
async def test_an_adapter_that_owns_the_replicas_is_read_and_written(version: str) -> None:
    graph = opted_in(version)
    api = cluster(graph)
    path = adapted(api, graph, decode_of(version), replicas=4)

    view, write = await view_of(api), await write_of(api, 5)

    assert view.desired == 4
    assert view.version == api.read(path)["metadata"]["resourceVersion"]
    assert (write.key.path, write.kind) == (f"{path}/scale", Patch.MERGE)
    assert write.body == {"metadata": {"resourceVersion": view.version}, "spec": {"replicas": 5}}
    assert write.on_missing is not None
    assert write.on_missing.key.path == path_of(graph)


@BOTH
async def test_what_the_operator_has_not_copied_yet_is_not_observed(version: str) -> None:
    graph = opted_in(version)
    api = cluster(graph)
    path = adapted(api, graph, decode_of(version), replicas=4)

    assert not (await view_of(api)).is_observed

    api.change(path, {"spec": {"replicas": 2}})
    assert (await view_of(api)).is_observed


@BOTH
async def test_an_adapter_that_exists_without_being_asked_for_is_used_too(version: str) -> None:
    graph = usual(version)
    api = cluster(graph)
    path = adapted(api, graph, decode_of(version), replicas=2)

    assert (await write_of(api, 5)).key.path == f"{path}/scale"


@BOTH
async def test_an_adapter_that_may_not_be_read_is_written_all_the_same(version: str) -> None:
    graph = opted_in(version)
    api = cluster(graph)
    path = adapted(api, graph, decode_of(version), replicas=2)
    target = await target_of(api)
    unread = {target.parent: await api.get(target.parent.path)}

    view, write = target.view(unread), target.write(unread, 5)
    await sent(api, write)

    assert (view.desired, write.body) == (2, {"spec": {"replicas": 5}})
    assert api.read(path)["spec"]["replicas"] == 5


@BOTH
async def test_an_adapter_that_does_not_exist_leaves_the_graph_deployment(version: str) -> None:
    graph = opted_in(version)
    api = cluster(graph)

    await sent(api, await write_of(api, 5))

    assert (await view_of(api)).desired == 5


@BOTH
@pytest.mark.parametrize("status", [403, 409, 422, 500])
async def test_nothing_but_404_leads_past_the_adapter(version: str, status: int) -> None:
    graph = opted_in(version)
    api = cluster(graph)
    adapted(api, graph, decode_of(version), replicas=2)
    write = await write_of(api, 5)
    api.fail_next(ApiError("no", status=status), method="PATCH")

    with pytest.raises(ApiError, match="no"):
        await sent(api, write)

    assert [one.path for one in api.writes()] == [write.key.path]


async def test_an_empty_adapter_is_off_in_v1alpha1() -> None:
    graph = dgd_alpha(services={"D": alpha_worker("decode", scalingAdapter={})})

    assert (await write_of(cluster(graph), 3)).key.resource.plural == "dynamographdeployments"


@BOTH
async def test_a_server_without_adapters_is_written_directly(version: str) -> None:
    api = cluster(opted_in(version), has_adapters=False)

    target = await target_of(api)

    assert target.adapter is None
    assert target.needs() == (target.parent,)
    assert (await write_of(api, 3)).key == target.parent


@BOTH
@given(counts=st.lists(st.integers(1, 1000), min_size=1, max_size=4), has_adapter=st.booleans())
async def test_what_was_written_is_what_is_read(
    version: str, counts: list[int], *, has_adapter: bool
) -> None:
    graph = opted_in(version)
    api = cluster(graph)
    if has_adapter:
        adapted(api, graph, decode_of(version), replicas=2)

    for count in counts:
        await sent(api, await write_of(api, count))
        assert (await view_of(api)).desired == count


@pytest.mark.parametrize(
    ("graph", "text", "words"),
    [
        (
            dgd_alpha(services={"W": alpha_worker(""), "Frontend": alpha_service("frontend")}),
            "dgd/vllm-disagg",
            "has no service of sub-component type decode; it has W (worker), Frontend (frontend); name the",
        ),
        (
            dgd_alpha(services={"VllmDecodeWorker": alpha_worker("")}),
            "dgd/vllm-disagg",
            "set subComponentType: decode on VllmDecodeWorker, or write dgd/vllm-disagg:VllmDecodeWorker",
        ),
        (
            dgd_alpha(services={"A": alpha_worker("decode"), "B": alpha_worker("decode")}),
            "dgd/vllm-disagg",
            "has 2 services for decode: A (worker, decode), B (worker, decode); name one, such as dgd/vllm",
        ),
        (
            dgd_beta(),
            "dgd/vllm-disagg:decoder",
            "has no service 'decoder'; did you mean decode? It has frontend (frontend), prefill (prefill)",
        ),
        (dgd_beta(), "dgd/vllm-disagg:prefill", "is the decode pool, and its service prefill (prefill) is"),
        (dgd_beta(), "dgd?app=none", "selects no object"),
    ],
)
async def test_a_service_that_is_not_clear_is_a_configuration_error(
    graph: Json, text: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        await target_of(cluster(graph), text)

    assert caught.value.key == "kubernetes.decode"
    assert words in str(caught.value)


async def test_a_named_service_needs_no_sub_component_type() -> None:
    graph = dgd_beta(components=[beta_component("worker", "worker", replicas=None)])
    api = cluster(graph)

    target = await target_of(api, "dgd/vllm-disagg:worker")

    assert target.view(await fetched(api, target)).desired == 1
    assert (await target_of(api, role=Role.AGGREGATED)).part == "worker"


async def test_a_graph_deployment_that_is_gone_or_strange_is_malformed() -> None:
    api = cluster(dgd_beta())
    target = await target_of(api)

    with pytest.raises(Malformed, match="dynamographdeployment vllm-disagg in namespace ai, found none"):
        target.view({})
    with pytest.raises(Malformed, match=r"expected the service 'decode', found prefill \(prefill\)"):
        target.view({target.parent: dgd_beta(components=[beta_component("prefill", "prefill")])})
    with pytest.raises(Malformed, match="found neither"):
        target.view({target.parent: {"spec": {}}})
    with pytest.raises(ApiError, match="not found"):
        await target_of(api, "dgd/other")


@BOTH
async def test_the_rights_are_those_of_the_object_that_has_the_replicas(version: str) -> None:
    plain, owned = await target_of(cluster(usual(version))), await target_of(cluster(opted_in(version)))

    def needed(target: Target) -> list[tuple[str, tuple[str, ...]]]:
        return [(rule.resource, rule.verbs) for rule in target.rules() if rule.is_needed]

    assert needed(plain) == [("dynamographdeployments", ("get",)), ("dynamographdeployments", ("patch",))]
    assert needed(owned) == [
        ("dynamographdeployments", ("get",)),
        ("dynamographdeploymentscalingadapters/scale", ("patch",)),
    ]
    assert all(rule.names for rule in (*plain.rules(), *owned.rules()))


async def test_somebody_elses_kind_of_the_same_name_is_only_scaled() -> None:
    other = Resource(
        group="example.com", version="v1", plural="dynamographdeployments", kind="DynamoGraphDeployment"
    )
    api = FakeApi()
    api.define(other)
    api.seed(other.path(NS, "a"), {"spec": {"replicas": 2}})
    reference = parse_reference(
        "dynamographdeployments.example.com/a", role=Role.DECODE, namespace=NS, key=""
    )

    assert isinstance(await resolve(api, reference), Scalable)


async def test_a_server_that_does_not_answer_for_adapters_does_not_have_none() -> None:
    api = cluster(dgd_beta())
    parent = (await target_of(api)).parent
    api.fail_next(ApiError("no answer", status=0), path_prefix="/apis")

    with pytest.raises(ApiError, match="no answer"):
        await adapter_of(api, parent, "decode")
