"""Who leads is told once there is an object to tell it on, and only when it changes."""

import pytest

from config.clock import VirtualClock
from config.policy import Role
from connectors.kubernetes.api import Resource
from connectors.kubernetes.herald import Herald, HeraldOptions
from connectors.kubernetes.lease import LeaseNews
from connectors.kubernetes.target import ObjectKey, Target
from connectors.kubernetes.targets.workload import Workload
from planner.commands.telling_cluster import ClusterTelling
from planner.serving.records import Stopped
from tests.cluster.fake_api import FakeApi

DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")


@pytest.fixture
def targets() -> list[Target]:
    return []


async def told(clock: VirtualClock, api: FakeApi, telling: ClusterTelling) -> list[tuple[str, str]]:
    telling.take(Stopped(at_wall_s=0.0, now_s=0.0, target="llm", cause="TERM"))
    await clock.advance(1.0)
    return [
        (event["involvedObject"]["name"], event["reason"])
        for event in api.items("/api/v1/namespaces/llm/events")
    ]


async def test_a_leader_is_told_of_when_targets_are_found_and_again_only_after_it_was_lost(
    targets: list[Target],
) -> None:
    clock = VirtualClock(wall_origin_s=1_767_225_600.0)
    api = FakeApi(clock)
    herald = Herald(api, clock, HeraldOptions(namespace="llm", instance="pod-1"))
    telling = ClusterTelling(herald, targets=lambda: targets, config_map="setpoint-llm")
    await telling.start()

    telling.lead(LeaseNews.LEADS, "a leads")
    without_targets = await told(clock, api, telling)
    targets += [
        Workload(role=role, parent=ObjectKey(resource=DEPLOYMENTS, namespace="llm", name=role.value))
        for role in (Role.PREFILL, Role.DECODE)
    ]
    for news in (LeaseNews.TROUBLE, LeaseNews.LEADS, LeaseNews.LOST):
        telling.lead(news, f"a {news}")
    events = await told(clock, api, telling)
    await telling.close()

    assert without_targets == []
    assert sorted(events) == [
        ("decode", "LeaderElected"),
        ("decode", "LeaderLost"),
        ("prefill", "LeaderElected"),
        ("prefill", "LeaderLost"),
    ]
