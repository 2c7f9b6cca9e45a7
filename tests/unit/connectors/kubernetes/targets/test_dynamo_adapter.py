"""A scaling adapter that is named by itself."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed, Refused
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import TargetView
from connectors.kubernetes.targets.dynamo_adapter import Adapter
from connectors.testing.target import fetched, sent
from tests.cluster.dynamo import (
    BOTH,
    NS,
    adapted,
    adapters,
    cluster,
    decode_of,
    opted_in,
    path_of,
    with_status,
)
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]


def opened(version: str, *, replicas: int = 2) -> tuple[FakeApi, str]:
    graph = with_status(opted_in(version), decode_of(version), replicas=2, updatedReplicas=2, readyReplicas=2)
    api = cluster(graph)
    return api, adapted(api, graph, decode_of(version), replicas=replicas)


def name_of(version: str) -> str:
    return f"vllm-disagg-{decode_of(version).lower()}"


async def target_of(api: FakeApi, version: str, role: Role = Role.DECODE) -> Adapter:
    text = f"dgdsa/{name_of(version)}"
    found = await resolve(api, parse_reference(text, role=role, namespace=NS, key=f"kubernetes.{role}"))
    assert isinstance(found, Adapter)
    return found


async def view_of(api: FakeApi, version: str) -> TargetView:
    target = await target_of(api, version)
    return target.view(await fetched(api, target))


@BOTH
async def test_the_adapter_says_what_is_wanted_and_the_graph_deployment_the_rest(version: str) -> None:
    api, path = opened(version, replicas=3)

    view = await view_of(api, version)

    assert (view.desired, view.ready, view.existing, view.least) == (3, 2, 2, 1)
    assert view.version == api.read(path)["metadata"]["resourceVersion"]
    assert view.pod_selector.endswith(f"nvidia.com/dynamo-component={decode_of(version)}")
    assert (view.gpus_per_engine, view.grace_s, view.is_observed) == (1, 60.0, False)


@BOTH
async def test_a_write_goes_to_its_scale(version: str) -> None:
    api, path = opened(version)
    target = await target_of(api, version)

    write = await sent(api, target.write(await fetched(api, target), 5))

    assert write.key.path == f"{path}/scale"
    assert (await view_of(api, version)).desired == 5


async def test_a_stale_write_and_the_last_worker_are_refused() -> None:
    api, path = opened("v1beta1")
    target = await target_of(api, "v1beta1")
    objects = await fetched(api, target)
    api.change(path, {"metadata": {"labels": {"touched": "yes"}}})

    with pytest.raises(ApiError) as caught:
        await sent(api, target.write(objects, 5))
    with pytest.raises(Refused, match="the frontend forgets the model"):
        target.write(objects, 0)

    assert caught.value.is_conflict


async def test_either_object_may_be_paused() -> None:
    api, path = opened("v1beta1")
    api.change(path, {"metadata": {"annotations": {"setpoint.dev/paused": "adapter"}}})
    view = await view_of(api, "v1beta1")
    assert view.hold is not None
    assert view.hold.why.endswith("adapter")

    api.change(path, {"metadata": {"annotations": {"setpoint.dev/paused": None}}})
    api.change(path_of(opted_in("v1beta1")), {"metadata": {"annotations": {"setpoint.dev/paused": "graph"}}})
    view = await view_of(api, "v1beta1")

    assert view.hold is not None
    assert (view.hold.kind, view.hold.why.endswith("graph")) == (HoldKind.PAUSED, True)


async def test_without_the_graph_deployment_it_is_scaled_all_the_same() -> None:
    api, path = opened("v1beta1")
    api.change(path, {"status": {"replicas": 2, "selector": "nvidia.com/dynamo-component=decode"}})
    api.forbid("get", path_of(opted_in("v1beta1")))

    target = await target_of(api, "v1beta1")
    objects = {target.parent: await api.get(target.parent.path)}
    view = target.view(objects)

    assert (view.desired, view.existing, view.ready, view.gpus_per_engine) == (2, 2, None, None)
    assert view.pod_selector == "nvidia.com/dynamo-component=decode"
    await sent(api, target.write(objects, 3))
    assert api.read(path)["spec"]["replicas"] == 3


async def test_an_adapter_that_is_gone_or_says_nothing_is_malformed() -> None:
    api, _ = opened("v1beta1")
    target = await target_of(api, "v1beta1")

    with pytest.raises(Malformed, match="found none"):
        target.view({})
    with pytest.raises(Malformed, match=r"expected a count at spec\.replicas, found nothing"):
        target.view({target.parent: {"spec": {}}})


async def test_an_adapter_of_nothing_or_of_the_other_pool_is_a_configuration_error() -> None:
    api, path = opened("v1beta1")

    with pytest.raises(ConfigError, match=r"is the prefill pool, and its service decode \(decode\) is for"):
        await target_of(api, "v1beta1", Role.PREFILL)
    api.change(path, {"spec": {"dgdRef": None}})
    with pytest.raises(ConfigError, match=r"names no graph deployment and service in spec\.dgdRef"):
        await target_of(api, "v1beta1")
    reference = parse_reference("dgdsa/a:b", role=Role.DECODE, namespace=NS, key="kubernetes.decode")
    with pytest.raises(ConfigError, match="a scaling adapter is for one service"):
        await resolve(api, reference)


@BOTH
async def test_the_rights_are_those_of_the_adapter(version: str) -> None:
    api, _ = opened(version)
    target = await target_of(api, version)

    rights = [(rule.resource, rule.verbs, rule.names) for rule in target.rules() if rule.is_needed]
    assert rights == [
        (adapters(version).plural, ("get",), (name_of(version),)),
        (f"{adapters(version).plural}/scale", ("patch",), (name_of(version),)),
    ]
