"""Worker groups of Ray."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed
from connectors.base import HoldKind
from connectors.kubernetes.api import ApiError, Patch
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView
from connectors.testing.target import fetched, sent
from tests.cluster.examples import EXAMPLES, NAMESPACE, pod, ray_cluster
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
BY_NAME = {one.name: one for one in EXAMPLES}
CLUSTER, SERVICE = BY_NAME["raycluster"], BY_NAME["rayservice"]
ROOT = f"/apis/ray.io/v1/namespaces/{NAMESPACE}"


async def target_of(api: FakeApi, target: str = "raycluster/llm:decode") -> Target:
    return await resolve(api, parse_reference(target, role=CLUSTER.role, namespace=NAMESPACE, key=""))


async def seen(api: FakeApi, target: str = "raycluster/llm:decode") -> TargetView:
    found = await target_of(api, target)
    return found.view(await fetched(api, found))


async def test_a_group_has_its_own_limits_hosts_and_pods() -> None:
    view = await seen(CLUSTER.fake())

    assert (view.desired, view.least, view.most) == (3, 1, 10)
    assert (view.pods_per_engine, view.gpus_per_engine) == (2, 16)
    assert view.pod_selector == "ray.io/cluster=llm,ray.io/group=decode"
    assert view.ready is None, "the status counts the pods of all groups"


async def test_of_a_single_group_the_status_says_what_is_ready() -> None:
    api = CLUSTER.fake()
    groups = ray_cluster(3)["spec"]["workerGroupSpecs"][1:]
    api.change(f"{ROOT}/rayclusters/llm", {"spec": {"workerGroupSpecs": groups}})

    assert (await seen(api, "raycluster/llm")).ready == 7 // 2


async def test_the_limit_that_nobody_set_is_none() -> None:
    api = CLUSTER.fake()
    group = {"groupName": "decode", "maxReplicas": 2147483647, "template": {"spec": pod(1)}}
    api.change(f"{ROOT}/rayclusters/llm", {"spec": {"workerGroupSpecs": [group]}})

    view = await seen(api)

    assert (view.desired, view.least, view.most) == (0, 0, None)


async def test_a_write_names_the_group_and_the_version() -> None:
    api = CLUSTER.fake()
    target = await target_of(api)
    objects = await fetched(api, target)

    write = target.write(objects, 5)

    assert write.kind is Patch.JSON
    assert write.body == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": target.view(objects).version},
        {"op": "test", "path": "/spec/workerGroupSpecs/1/groupName", "value": "decode"},
        {"op": "add", "path": "/spec/workerGroupSpecs/1/replicas", "value": 5},
    ]


async def test_a_write_for_groups_in_another_order_changes_nothing() -> None:
    api = CLUSTER.fake()
    target = await target_of(api)
    objects = await fetched(api, target)
    groups = list(reversed(ray_cluster(3)["spec"]["workerGroupSpecs"]))
    api.change(f"{ROOT}/rayclusters/llm", {"spec": {"workerGroupSpecs": groups}})

    with pytest.raises(ApiError):
        await sent(api, target.write(objects, 5))

    assert api.read(f"{ROOT}/rayclusters/llm")["spec"]["workerGroupSpecs"] == groups


async def test_rays_own_autoscaler_is_a_rival() -> None:
    api = CLUSTER.fake()
    api.change(f"{ROOT}/rayclusters/llm", {"spec": {"enableInTreeAutoscaling": True}})

    assert (await seen(api)).rivals == (
        "Ray's own autoscaler sets the replicas (enableInTreeAutoscaling: true)",
    )


@pytest.mark.parametrize("is_cluster", [True, False])
async def test_what_is_suspended_is_held(*, is_cluster: bool) -> None:
    api = CLUSTER.fake()
    spec: Json = {"suspend": True}
    if not is_cluster:
        groups = ray_cluster(3)["spec"]["workerGroupSpecs"]
        spec = {"workerGroupSpecs": [groups[0], {**groups[1], "suspend": True}]}
    api.change(f"{ROOT}/rayclusters/llm", {"spec": spec})

    hold = (await seen(api)).hold

    assert hold is not None
    assert hold.kind is HoldKind.PAUSED
    assert ("cluster" if is_cluster else "group") in hold.why


@pytest.mark.parametrize(
    ("condition", "trouble"),
    [
        ({"type": "HeadPodReady", "status": "False", "reason": "Pending"}, "the head is not ready: Pending"),
        ({"type": "ReplicaFailure", "status": "True", "reason": "Quota", "message": "no"}, "Quota: no"),
    ],
)
async def test_what_the_cluster_complains_of_is_told(condition: Json, trouble: str) -> None:
    api = CLUSTER.fake()
    api.change(f"{ROOT}/rayclusters/llm", {"status": {"conditions": [condition]}})

    assert (await seen(api)).trouble == trouble


async def test_one_of_several_groups_has_to_be_named() -> None:
    with pytest.raises(ConfigError, match=r"it has prefill, decode; write raycluster/llm:prefill"):
        await target_of(CLUSTER.fake(), "raycluster/llm")


async def test_a_group_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no worker group 'decoed'; it has prefill, decode"):
        await target_of(CLUSTER.fake(), "raycluster/llm:decoed")


async def test_a_group_that_was_removed_is_malformed() -> None:
    api = CLUSTER.fake()
    target = await target_of(api)
    api.change(f"{ROOT}/rayclusters/llm", {"spec": {"workerGroupSpecs": []}})

    with pytest.raises(Malformed, match=r"raycluster llm: expected one with groupName 'decode'"):
        target.view(await fetched(api, target))


async def test_a_service_is_scaled_in_the_cluster_that_serves() -> None:
    api = SERVICE.fake()
    target = await target_of(api, "rayservice/llm:decode")

    assert str(target.parent) == "rayservice llm"
    assert [key.name for key in target.needs()] == ["llm", "llm-x7k2p"]
    assert target.write(await fetched(api, target), 4).key.name == "llm-x7k2p"


async def test_a_service_that_moves_is_held_and_then_scaled_in_its_new_cluster() -> None:
    api = SERVICE.fake()
    target = await target_of(api, "rayservice/llm:decode")
    service = f"{ROOT}/rayservices/llm"
    api.seed(f"{ROOT}/rayclusters/llm-next", ray_cluster(5))
    api.change(service, {"status": {"pendingServiceStatus": {"rayClusterName": "llm-next"}}})
    moving = target.view(await fetched(api, target))
    done = {"activeServiceStatus": {"rayClusterName": "llm-next"}, "pendingServiceStatus": None}
    api.change(service, {"status": done})
    stale = await fetched(api, target)

    assert moving.hold is not None
    assert moving.hold.kind is HoldKind.ROLLING_OUT
    assert "llm-next" in moving.hold.why
    with pytest.raises(
        Malformed, match="rayservice llm: it served from the cluster llm-x7k2p, found llm-next"
    ):
        target.view(stale)
    with pytest.raises(Malformed, match="raycluster llm-next"):
        target.view(stale)
    view = target.view(await fetched(api, target))
    assert (view.desired, view.hold) == (5, None)
    assert target.write(await fetched(api, target), 4).key.name == "llm-next"


async def test_a_service_that_stops_serving_is_malformed_until_it_serves_again() -> None:
    api = SERVICE.fake()
    target = await target_of(api, "rayservice/llm:decode")
    service = f"{ROOT}/rayservices/llm"
    api.change(service, {"status": {"activeServiceStatus": None}})

    with pytest.raises(Malformed, match="found nothing"):
        target.write(await fetched(api, target), 1)
    api.change(service, {"status": {"activeServiceStatus": {"rayClusterName": "llm-x7k2p"}}})

    assert target.view(await fetched(api, target)).desired == 3


async def test_a_service_that_serves_nowhere_yet_is_refused() -> None:
    api = SERVICE.fake()
    api.change(f"{ROOT}/rayservices/llm", {"status": {"activeServiceStatus": None}})

    with pytest.raises(ConfigError, match="has no active cluster"):
        await target_of(api, "rayservice/llm:decode")


async def test_rights_on_the_clusters_of_a_service_survive_its_upgrades() -> None:
    target = await target_of(SERVICE.fake(), "rayservice/llm:decode")

    names = {rule.resource: rule.names for rule in target.rules()}

    assert names == {"rayservices": ("llm",), "rayclusters": (), "pods": ()}
