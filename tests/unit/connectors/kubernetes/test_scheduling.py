"""PodGroups of the KAI scheduler are asked for only where they matter, and done without where need be."""

from typing import Any

import pytest

from config.clock import VirtualClock
from connectors.kubernetes.api import Resource
from connectors.kubernetes.cache import Cache
from connectors.kubernetes.scheduling import PodGroups
from tests.cluster.fake_api import FakeApi

_GROUPS = "/apis/scheduling.run.ai/v2alpha2/namespaces/llm/podgroups"
_KIND = Resource(group="scheduling.run.ai", version="v2alpha2", plural="podgroups", kind="PodGroup")
_NO_ROOM = {
    "type": "UnschedulableOnNodePool",
    "status": "True",
    "message": "no room in queue llm",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


class Scene:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.api = FakeApi(self.clock)
        self.api.define(_KIND, has_scale=False)
        self.api.seed(f"{_GROUPS}/pg-1", {"status": {"schedulingConditions": [_NO_ROOM]}})
        self.api.seed(f"{_GROUPS}/pg-2", {"status": {}})
        self.said: list[str] = []
        self.cache = Cache(self.api, clock=self.clock)
        self.groups = PodGroups(self.api, self.cache, clock=self.clock, say=self.said.append)

    async def unplaced(self, *pods: dict[str, Any]) -> list[str]:
        return sorted(await self.groups.unplaced(pods, namespace="llm"))


def pod(group: str, *, node: str = "") -> dict[str, Any]:
    annotations = {"pod-group-name": group} if group else {}
    return {"metadata": {"annotations": annotations}, "spec": {"nodeName": node} if node else {}}


async def test_groups_without_room_are_found() -> None:
    scene = Scene()

    assert await scene.unplaced(pod("pg-1"), pod("pg-2")) == ["pg-1"]
    await scene.cache.close()


@pytest.mark.parametrize("there", [pod(""), pod("pg-1", node="n1")], ids=["no-group", "placed"])
async def test_nothing_is_asked_where_no_pod_of_a_group_waits(there: dict[str, Any]) -> None:
    scene = Scene()

    assert await scene.unplaced(there) == []
    assert scene.api.requests == []


async def test_where_groups_may_not_be_read_that_is_said_once_and_tried_again_later() -> None:
    scene = Scene()
    scene.api.forbid("list", _GROUPS)
    for _ in range(3):
        assert await scene.unplaced(pod("pg-1")) == []
    asked = len(scene.api.requests)
    scene.api.permit()
    await scene.clock.advance(1201.0)

    assert asked == 2  # which version there is, and the groups
    assert len(scene.said) == 1
    assert await scene.unplaced(pod("pg-1")) == ["pg-1"]
    await scene.cache.close()


async def test_a_cluster_without_the_scheduler_is_told_once() -> None:
    scene = Scene()
    scene.api.undefine("scheduling.run.ai", "podgroups")

    for _ in range(3):
        assert await scene.unplaced(pod("pg-1")) == []

    assert len(scene.said) == 1
