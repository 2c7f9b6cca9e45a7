"""What a pod is doing, from its JSON; the words are for people."""

from typing import Any

import pytest

from config.errors import Malformed
from connectors.kubernetes.engines import engines_in, said_by
from connectors.kubernetes.podstate import (
    Patience,
    PodState,
    Wait,
    bare,
    has_ended,
    state_of,
    unplaced_groups,
)
from connectors.kubernetes.target import TargetView
from tests.cluster.kubelet import PENDING, READY, condition, unschedulable, waiting

Json = dict[str, Any]
_NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
_LATER = "2025-12-31T23:59:00Z"


def pod(status: Json, *, name: str = "decode-1", **metadata: object) -> Json:
    return {"metadata": {"name": name, **metadata}, "spec": {}, "status": status}


def state(item: Json, *, grace_s: float = 300.0, groups: tuple[Json, ...] = ()) -> PodState:
    patience = Patience(now_wall_s=_NOW + 600.0, grace_s=grace_s, groups=unplaced_groups(groups))
    found = state_of(item, group="", patience=patience)
    assert state_of(bare(item), group="", patience=patience) == found  # what is remembered of it suffices
    return found


@pytest.mark.parametrize(
    ("status", "wait"),
    [
        pytest.param(READY, Wait.READY, id="ready"),
        pytest.param(PENDING, Wait.STARTS, id="pending"),
        pytest.param({}, Wait.STARTS, id="just-made"),
        pytest.param(waiting("ContainerCreating"), Wait.STARTS, id="creating"),
        pytest.param(waiting("CrashLoopBackOff"), Wait.FAILS, id="crash-loop"),
        pytest.param(waiting("ImagePullBackOff"), Wait.FAILS, id="image-back-off"),
        pytest.param(waiting("ErrImagePull"), Wait.FAILS, id="image"),
        pytest.param(waiting("CreateContainerConfigError"), Wait.FAILS, id="config"),
        pytest.param(unschedulable(), Wait.NO_ROOM, id="no-room"),
        pytest.param(unschedulable(since="2026-01-01T00:08:00Z"), Wait.STARTS, id="no-room-yet"),
        pytest.param(unschedulable(since=""), Wait.STARTS, id="no-room-since-nobody-knows"),
        pytest.param(
            {"conditions": [condition("PodScheduled", "False", reason="SchedulingGated")]},
            Wait.STARTS,
            id="gated",
        ),
    ],
)
def test_what_a_pod_is_doing(status: Json, wait: Wait) -> None:
    assert state(pod(status)).wait is wait


def test_a_pod_that_is_given_up_ends_whatever_else_it_is() -> None:
    for status in (READY, PENDING, waiting("CrashLoopBackOff"), unschedulable()):
        assert state(pod(status, deletionTimestamp=_LATER)).wait is Wait.ENDS


def test_of_a_pod_little_is_remembered() -> None:
    large = {
        **pod(READY, labels={"app": "llm"}, managedFields=[{"manager": "kubelet"}], annotations={"a": "b"}),
        "spec": {
            "nodeName": "n1",
            "volumes": [{"name": "models"}],
            "containers": [{"name": "main", "env": [{"name": "TOKEN"}], "resources": {"limits": {"x": 1}}}],
        },
    }

    assert bare(large)["metadata"] == {"name": "decode-1", "labels": {"app": "llm"}}
    assert bare(large)["spec"] == {
        "nodeName": "n1",
        "containers": [{"name": "main", "resources": {"limits": {"x": 1}}}],
    }


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_holds_nothing(phase: str) -> None:
    assert has_ended(pod({"phase": phase, "reason": "Evicted"}))


def test_a_container_between_two_crashes_fails_although_it_runs() -> None:
    status = waiting("", restarts=3)
    status["containerStatuses"][0] |= {
        "state": {"running": {"startedAt": "2026-01-01T00:09:00Z"}},
        "lastState": {
            "terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:08:00Z"}
        },
    }

    found = state(pod(status))

    assert found.wait is Wait.FAILS
    assert found.trouble is not None
    assert found.trouble.detail == "container main ended with 137, OOMKilled"


def test_a_container_that_crashed_long_ago_and_loads_its_model_starts() -> None:
    status = waiting("", restarts=3)
    ended = {"exitCode": 1, "finishedAt": "2025-12-31T20:00:00Z"}
    status["containerStatuses"][0] |= {"state": {"running": {}}, "lastState": {"terminated": ended}}

    assert state(pod(status)).wait is Wait.STARTS


def test_what_the_kai_scheduler_has_no_room_for_is_known_from_its_pod_group() -> None:
    group = {
        "metadata": {"name": "pg-1"},
        "status": {
            "schedulingConditions": [
                {
                    "type": "UnschedulableOnNodePool",
                    "status": "True",
                    "message": "not enough GPUs in queue llm",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ]
        },
    }
    item = pod({"phase": "Pending"}, annotations={"pod-group-name": "pg-1"})

    assert state(item).wait is Wait.STARTS
    found = state(item, groups=(group,))
    assert found.wait is Wait.NO_ROOM
    assert found.trouble is not None
    assert found.trouble.detail == "not enough GPUs in queue llm"


def test_each_cause_is_told_once_with_how_many_since_when_and_one_example() -> None:
    patience = Patience(now_wall_s=_NOW + 600.0, grace_s=300.0, groups={})
    pods = [
        pod(waiting("ImagePullBackOff", message="pull access denied"), name="decode-2"),
        pod(waiting("ImagePullBackOff", message="pull access denied"), name="decode-1"),
        pod(unschedulable(), name="decode-3"),
        pod(READY, name="decode-4"),
    ]

    engines = engines_in(pods, pods_per_engine=1, patience=patience)

    assert (engines.ready, engines.failing, engines.unschedulable) == (1, 3, 1)
    assert engines.why_failing == (
        "2 pods ImagePullBackOff since 2026-01-01T00:00:00Z (decode-1: pull access denied); 1 pod"
        " Unschedulable since 2026-01-01T00:00:00Z (decode-3: 0/3 nodes are available: Insufficient"
        " nvidia.com/gpu)"
    )


def test_a_pod_of_any_shape_is_something() -> None:
    for status in ({"conditions": None}, {"containerStatuses": [None]}, {"conditions": "x"}):
        assert state(pod(status)).wait is Wait.STARTS


def test_one_broken_pod_fails_its_whole_engine() -> None:
    labels = {"leaderworkerset.sigs.k8s.io/name": "d", "leaderworkerset.sigs.k8s.io/group-index": "0"}
    patience = Patience(now_wall_s=_NOW, grace_s=300.0, groups={})
    pods = [pod(READY, labels=labels), pod(waiting("CrashLoopBackOff"), labels=labels)]

    engines = engines_in(pods, pods_per_engine=2, patience=patience)

    assert (engines.ready, engines.failing, engines.total) == (0, 1, 1)


def test_what_neither_pods_nor_the_controller_tell_is_no_zero() -> None:
    with pytest.raises(Malformed, match="deployment decode"):
        said_by(TargetView(desired=2, version="1"), name="deployment decode")
