"""Cliques and scaling groups of Grove."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed, Refused
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView
from connectors.testing.target import fetched
from tests.cluster.examples import EXAMPLES, NAMESPACE
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
BY_NAME = {one.name: one for one in EXAMPLES}
CLIQUE, GROUP = BY_NAME["podclique"], BY_NAME["podcliquescalinggroup"]
ROOT = f"/apis/grove.io/v1alpha1/namespaces/{NAMESPACE}"
CLIQUE_PATH, GROUP_PATH = f"{ROOT}/podcliques/llm-0-decode", f"{ROOT}/podcliquescalinggroups/llm-0-decode"
SET_PATH = f"{ROOT}/podcliquesets/llm"


async def target_of(api: FakeApi, kind: str) -> Target:
    text = f"{kind}/llm-0-decode"
    return await resolve(api, parse_reference(text, role=Role.DECODE, namespace=NAMESPACE, key="k"))


async def seen(api: FakeApi, kind: str) -> TargetView:
    target = await target_of(api, kind)
    return target.view(await fetched(api, target))


async def test_a_replica_of_a_clique_is_one_pod() -> None:
    view = await seen(CLIQUE.fake(), "pclq")

    assert (view.pods_per_engine, view.gpus_per_engine) == (1, 4)
    assert (view.desired, view.ready, view.existing, view.least) == (3, 3, 3, 2)
    assert view.pod_selector == "grove.io/podclique=llm-0-decode"


async def test_a_replica_of_a_group_is_all_pods_of_its_cliques() -> None:
    view = await seen(GROUP.fake(), "pcsg")

    assert (view.pods_per_engine, view.gpus_per_engine) == (4, 4 + 3 * 8)
    assert (view.desired, view.ready, view.least) == (2, 2, 1)
    assert view.pod_selector == "grove.io/podcliquescalinggroup=llm-0-decode"
    assert view.grace_s == 60.0


async def test_a_group_whose_set_may_not_be_read_has_gpus_that_nobody_knows() -> None:
    api = GROUP.fake()
    api.remove(SET_PATH)

    assert (await seen(api, "pcsg")).gpus_per_engine is None


@pytest.mark.parametrize("count", [0, 1])
async def test_a_gang_is_never_made_smaller_than_it_may_be(count: int) -> None:
    api = CLIQUE.fake()
    target = await target_of(api, "pclq")

    with pytest.raises(Refused, match=rf"found {count} replicas, expected 2 or more; below minAvailable"):
        target.write(await fetched(api, target), count)


async def test_without_a_stated_least_one_replica_is() -> None:
    api = CLIQUE.fake()
    api.change(CLIQUE_PATH, {"spec": {"minAvailable": None}})

    assert (await seen(api, "pclq")).least == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"grove.io/podcliquescalinggroup": "llm-0-group"}},
        {"ownerReferences": [{"kind": "PodCliqueScalingGroup", "name": "llm-0-group"}]},
    ],
    ids=["label", "owner"],
)
async def test_a_clique_of_a_group_is_refused_with_the_group_to_name(metadata: Json) -> None:
    api = CLIQUE.fake()
    api.change(CLIQUE_PATH, {"metadata": metadata})

    with pytest.raises(ConfigError, match="write podcliquescalinggroup/llm-0-group"):
        await target_of(api, "pclq")


@pytest.mark.parametrize(
    ("path", "metadata"),
    [
        (CLIQUE_PATH, {"labels": {"nvidia.com/dynamo-graph-deployment-name": "llm"}}),
        (SET_PATH, {"ownerReferences": [{"kind": "DynamoGraphDeployment", "name": "llm"}]}),
    ],
    ids=["label of the clique", "owner of the set"],
)
async def test_what_dynamo_made_is_refused_with_what_to_name(path: str, metadata: Json) -> None:
    api = CLIQUE.fake()
    api.change(path, {"metadata": metadata})

    with pytest.raises(
        ConfigError, match=r"driven by the DynamoGraphDeployment llm.*dynamographdeployment/llm"
    ):
        await target_of(api, "pclq")


async def test_a_set_that_may_not_be_read_is_no_obstacle() -> None:
    api = CLIQUE.fake()
    api.forbid("get", SET_PATH)

    assert str((await target_of(api, "pclq")).parent) == "podclique llm-0-decode"


async def test_a_server_that_does_not_answer_for_the_set_is_an_error() -> None:
    api = CLIQUE.fake()
    api.fail_next(ApiError("no answer", status=0), method="GET", path_prefix=SET_PATH)

    with pytest.raises(ApiError, match="no answer"):
        await target_of(api, "pclq")


async def test_the_autoscaling_of_a_clique_is_a_rival() -> None:
    api = CLIQUE.fake()
    api.change(CLIQUE_PATH, {"spec": {"autoScalingConfig": {"minReplicas": 2, "maxReplicas": 5}}})

    (rival,) = (await seen(api, "pclq")).rivals

    assert rival.startswith("Grove's own HPA sets the replicas (2 to 5)")


async def test_the_autoscaling_of_a_group_stands_in_the_set() -> None:
    api = GROUP.fake()
    groups = [
        {"name": "other", "cliqueNames": ["router"], "scaleConfig": {"maxReplicas": 2}},
        {"name": "decode", "cliqueNames": ["leader", "worker"], "scaleConfig": {"maxReplicas": 7}},
    ]
    api.change(SET_PATH, {"spec": {"template": {"podCliqueScalingGroups": groups}}})

    assert "1 to 7" in (await seen(api, "pcsg")).rivals[0]


async def test_replicas_without_a_place_are_trouble() -> None:
    api = GROUP.fake()
    api.change(GROUP_PATH, {"status": {"scheduledReplicas": 1}})

    assert (await seen(api, "pcsg")).trouble == "1 of 2 replicas wait for capacity"


async def test_a_broken_gang_is_trouble() -> None:
    api = CLIQUE.fake()
    condition = {"type": "MinAvailableBreached", "status": "True", "reason": "Insufficient"}
    api.change(CLIQUE_PATH, {"status": {"conditions": [condition]}})

    assert (await seen(api, "pclq")).trouble == "fewer than minAvailable are there: Insufficient"


@pytest.mark.parametrize("field", ["updateProgress", "rollingUpdateProgress"])
async def test_an_update_holds_the_pool_until_it_ends(field: str) -> None:
    api = GROUP.fake()
    api.change(GROUP_PATH, {"status": {field: {"updateStartedAt": "2026-11-25T09:00:00Z"}}})
    running = (await seen(api, "pcsg")).hold
    api.change(GROUP_PATH, {"status": {field: {"updateEndedAt": "2026-11-25T09:10:00Z"}}})

    assert running is not None
    assert running.kind is HoldKind.ROLLING_OUT
    assert (await seen(api, "pcsg")).hold is None


async def test_a_clique_that_the_set_does_not_have_is_malformed() -> None:
    api = GROUP.fake()
    api.change(GROUP_PATH, {"spec": {"cliqueNames": ["leader", "ghost"]}})

    with pytest.raises(Malformed, match=r"'ghost' in spec\.template\.cliques, found leader, worker"):
        await seen(api, "pcsg")


async def test_a_clique_of_no_set_is_scaled_by_itself() -> None:
    api = CLIQUE.fake()
    api.change(CLIQUE_PATH, {"metadata": {"labels": None}})

    target = await target_of(api, "pclq")

    assert [key.name for key in target.needs()] == ["llm-0-decode"]
    assert {rule.resource for rule in target.rules()} == {"podcliques", "podcliques/scale"}


async def test_names_of_cliques_that_are_none_are_malformed() -> None:
    api = GROUP.fake()
    api.change(GROUP_PATH, {"spec": {"cliqueNames": "leader"}})

    with pytest.raises(Malformed, match="expected a list of names at cliqueNames, found 'leader'"):
        await seen(api, "pcsg")


async def test_a_group_without_cliques_says_nothing_of_its_pods() -> None:
    api = GROUP.fake()
    api.change(GROUP_PATH, {"spec": {"cliqueNames": None}})

    assert (await seen(api, "pcsg")).gpus_per_engine is None
