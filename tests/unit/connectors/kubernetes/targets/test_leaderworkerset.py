"""LeaderWorkerSets: groups of pods."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed
from connectors.base import HoldKind
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import TargetView
from connectors.testing.target import fetched
from tests.cluster import crds
from tests.cluster.examples import LWS, Example, leader_worker_set, pod

Json = dict[str, Any]


def example(item: Json, target: str = "lws/decode") -> Example:
    return Example(name="", target=target, objects={(LWS, "decode"): item}, desired=3, crds=(crds.LWS,))


async def seen(item: Json) -> TargetView:
    one = example(item)
    api = one.fake()
    target = await resolve(api, one.reference())
    return target.view(await fetched(api, target))


async def test_an_engine_is_a_group_of_one_leader_and_the_workers() -> None:
    view = await seen(leader_worker_set(3, size=4))

    assert (view.pods_per_engine, view.gpus_per_engine) == (4, 4 + 3 * 8)
    assert (view.desired, view.ready, view.existing) == (3, 2, 3)
    assert view.pod_selector == "leaderworkerset.sigs.k8s.io/name=decode"


async def test_the_pod_that_ends_first_says_how_long_requests_may_run() -> None:
    assert (await seen(leader_worker_set(3))).grace_s == 60.0


@pytest.mark.parametrize(("size", "gpus"), [(None, 8), (1, 8), (3, 24)])
async def test_without_a_leader_template_all_pods_are_workers(size: int | None, gpus: int) -> None:
    item = leader_worker_set(1)
    item["spec"]["leaderWorkerTemplate"] = {"size": size, "workerTemplate": {"spec": pod(8)}}

    view = await seen(item)

    assert view.gpus_per_engine == gpus
    assert view.pods_per_engine == (size or 1)


async def test_a_group_of_the_leader_alone_has_no_worker() -> None:
    assert (await seen(leader_worker_set(1, size=1))).gpus_per_engine == 4


async def test_replicas_that_are_not_set_are_one() -> None:
    item = leader_worker_set(1)
    del item["spec"]["replicas"]

    assert (await seen(item)).desired == 1


async def test_an_update_holds_the_pool() -> None:
    item = leader_worker_set(3)
    item["status"]["conditions"] = [
        {"type": "UpdateInProgress", "status": "True", "reason": "GroupsUpdating", "message": "1 of 3"}
    ]

    hold = (await seen(item)).hold

    assert hold is not None
    assert (hold.kind, hold.why) == (HoldKind.ROLLING_OUT, "GroupsUpdating: 1 of 3")


async def test_a_pause_annotation_is_honored_before_all_else() -> None:
    item = leader_worker_set(3)
    item["metadata"]["annotations"] = {"setpoint.dev/paused-decode": "benchmark"}
    item["status"]["conditions"] = [{"type": "UpdateInProgress", "status": "True"}]

    hold = (await seen(item)).hold

    assert hold is not None
    assert hold.kind is HoldKind.PAUSED
    assert "benchmark" in hold.why


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ({"size": 0, "workerTemplate": {"spec": pod(1)}}, "expected a group size of 1 or more"),
        ({"size": 2}, "expected pod templates in leaderWorkerTemplate, found none"),
        ({"size": "two", "workerTemplate": {"spec": pod(1)}}, "expected a count at size, found 'two'"),
    ],
)
async def test_a_group_that_makes_no_sense_is_malformed(template: Json, problem: str) -> None:
    item = leader_worker_set(1)
    item["spec"]["leaderWorkerTemplate"] = template

    with pytest.raises(Malformed, match=problem) as caught:
        await seen(item)

    assert str(caught.value).startswith("leaderworkerset decode: ")


async def test_a_part_is_refused_with_what_to_write() -> None:
    one = example(leader_worker_set(1), target="lws/decode:leader")

    with pytest.raises(ConfigError, match=r"found the part 'leader' in lws/decode:leader.*write lws/decode$"):
        await resolve(one.fake(), one.reference())


async def test_a_set_is_found_by_its_labels() -> None:
    item = leader_worker_set(1)
    item["metadata"]["labels"] = {"app": "vllm"}
    one = example(item)
    reference = parse_reference("lws?app=vllm", role=one.role, namespace="ai", key="kubernetes.decode")

    target = await resolve(one.fake(), reference)

    assert target.parent.name == "decode"
