"""StormServices of AIBrix."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed, Refused
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView
from connectors.testing.target import fetched
from tests.cluster.examples import EXAMPLES, NAMESPACE
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
BY_NAME = {one.name: one for one in EXAMPLES}
POOL, REPLICA = BY_NAME["stormservice in pool mode"], BY_NAME["stormservice in replica mode"]
PATH = f"/apis/orchestration.aibrix.ai/v1alpha1/namespaces/{NAMESPACE}/stormservices/llm"


async def target_of(api: FakeApi, text: str) -> Target:
    reference = parse_reference(text, role=Role.DECODE, namespace=NAMESPACE, key="kubernetes.decode")
    return await resolve(api, reference)


async def seen(api: FakeApi, text: str = "stormservice/llm:decode") -> TargetView:
    target = await target_of(api, text)
    return target.view(await fetched(api, target))


async def test_a_role_is_scaled_in_its_entry_of_the_list() -> None:
    api = POOL.fake()
    target = await target_of(api, "stormservice/llm:decode")
    view = target.view(await fetched(api, target))
    write = target.write(await fetched(api, target), 6)

    assert (view.desired, view.pods_per_engine, view.gpus_per_engine) == (3, 2, 8)
    assert view.pod_selector == "storm-service-name=llm,role-name=decode"
    assert isinstance(write.body, list)
    assert write.body[1:] == [
        {"op": "test", "path": "/spec/template/spec/roles/1/name", "value": "decode"},
        {"op": "add", "path": "/spec/template/spec/roles/1/replicas", "value": 6},
    ]


async def test_the_status_counts_pods_which_are_engines_where_one_pod_is_one() -> None:
    several, one = await seen(POOL.fake()), await seen(POOL.fake(), "stormservice/llm:prefill")

    assert several.ready is None
    assert (one.ready, one.existing) == (1, 1)


@pytest.mark.parametrize(("role", "needs_pods"), [("decode", True), ("prefill", False)])
async def test_pods_have_to_be_listed_where_the_status_does_not_count_engines(
    role: str, *, needs_pods: bool
) -> None:
    target = await target_of(POOL.fake(), f"stormservice/llm:{role}")

    needed = {rule.resource for rule in target.rules() if rule.is_needed}

    assert ("pods" in needed) is needs_pods


async def test_a_whole_set_of_roles_is_one_engine_in_replica_mode() -> None:
    view = await seen(REPLICA.fake(), "stormservice/llm")

    assert (view.desired, view.ready) == (3, 3)
    assert (view.pods_per_engine, view.gpus_per_engine) == (1 + 2 * 2, 2 + 2 * 2 * 4)
    assert view.pod_selector == "storm-service-name=llm"


@pytest.mark.parametrize(
    ("spec", "text", "hint"),
    [
        ({"replicas": 3}, "stormservice/llm:decode", "write stormservice/llm$"),
        ({"mode": "Replica"}, "stormservice/llm:decode", "write stormservice/llm$"),
        ({"mode": "Pooled"}, "stormservice/llm", "write stormservice/llm:prefill$"),
    ],
)
async def test_a_reference_that_does_not_fit_the_mode_is_refused(spec: Json, text: str, hint: str) -> None:
    api = POOL.fake()
    api.change(PATH, {"spec": spec})

    with pytest.raises(ConfigError, match=hint):
        await target_of(api, text)


async def test_a_mode_that_is_changed_later_is_malformed() -> None:
    api = POOL.fake()
    target = await target_of(api, "stormservice/llm:decode")
    api.change(PATH, {"spec": {"replicas": 2}})

    with pytest.raises(Malformed, match="its 2 RoleSets are scaled as wholes"):
        target.view(await fetched(api, target))
    with pytest.raises(Malformed, match="its 2 RoleSets are scaled as wholes"):
        target.write(await fetched(api, target), 1)


async def test_a_stated_mode_counts_for_more_than_the_number_of_replicas() -> None:
    api = POOL.fake()
    api.change(PATH, {"spec": {"mode": "Pooled", "replicas": 2}})

    assert (await seen(api)).desired == 3


async def test_a_role_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="no role 'router'; it has prefill, decode"):
        await target_of(POOL.fake(), "stormservice/llm:router")


async def test_a_paused_controller_holds_the_pool() -> None:
    api = POOL.fake()
    api.change(PATH, {"spec": {"paused": True}})

    hold = (await seen(api)).hold

    assert hold is not None
    assert hold.kind is HoldKind.PAUSED


async def test_a_new_revision_holds_the_pool_until_all_are_new() -> None:
    api = REPLICA.fake()
    revisions = {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1}
    api.change(PATH, {"status": revisions})
    running = (await seen(api, "stormservice/llm")).hold
    api.change(PATH, {"status": {"updatedReplicas": 3}})

    assert running is not None
    assert running.why == "a new revision rolls out: 1 of 3 RoleSets are new"
    assert (await seen(api, "stormservice/llm")).hold is None


async def test_what_the_service_complains_of_is_told() -> None:
    api = POOL.fake()
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "Quota", "message": "exceeded"}
    api.change(PATH, {"status": {"conditions": [condition]}})

    assert (await seen(api)).trouble == "Quota: exceeded"


async def test_a_service_without_roles_is_malformed() -> None:
    api = REPLICA.fake()
    api.change(PATH, {"spec": {"template": {"spec": {"roles": []}}}})

    with pytest.raises(Malformed, match=r"expected roles at spec\.template\.spec\.roles"):
        await seen(api, "stormservice/llm")


async def test_a_group_of_no_pods_is_malformed() -> None:
    api = POOL.fake()
    roles = [{"name": "decode", "replicas": 1, "podGroupSize": 0}]
    api.change(PATH, {"spec": {"template": {"spec": {"roles": roles}}}})

    with pytest.raises(Malformed, match="expected a podGroupSize of 1 or more in role 'decode', found 0"):
        await seen(api)


@pytest.mark.parametrize("strategy", [None, {"type": "RollingUpdate"}])
async def test_a_role_whose_change_would_replace_all_engines_is_refused(strategy: Json | None) -> None:
    api = POOL.fake()
    api.change(PATH, {"spec": {"updateStrategy": {"type": None} if strategy is None else strategy}})

    words = r"update strategy RollingUpdate each change .* set spec\.updateStrategy\.type: InPlaceUpdate"
    with pytest.raises(ConfigError, match=words):
        await target_of(api, "stormservice/llm:decode")


async def test_a_role_that_becomes_dangerous_later_is_shown_and_not_written() -> None:
    api = POOL.fake()
    target = await target_of(api, "stormservice/llm:decode")
    api.change(PATH, {"spec": {"updateStrategy": {"type": "RollingUpdate"}}})
    objects = await fetched(api, target)

    assert "replaces all its engines" in target.view(objects).trouble
    with pytest.raises(Refused, match="replaces all its engines"):
        target.write(objects, 4)


async def test_whole_sets_of_roles_are_scaled_whatever_the_update_strategy() -> None:
    api = REPLICA.fake()
    api.change(PATH, {"spec": {"updateStrategy": {"type": "RollingUpdate"}}})
    target = await target_of(api, "stormservice/llm")

    assert target.write(await fetched(api, target), 4).key.subresource == "scale"
