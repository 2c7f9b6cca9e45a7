"""Who only advises leaves no trace on the cluster; who is told to scale stands for election first."""

import pytest

from config.clock import VirtualClock
from config.errors import Refused
from config.kubernetes import Election
from connectors.kubernetes.herald import Herald, HeraldOptions
from connectors.kubernetes.lease import Leadership, LeaseOptions
from planner.commands.candidate import Candidate
from planner.commands.telling_cluster import ClusterTelling
from planner.serving.records import Stopped
from tests.cluster.fake_api import FakeApi

LEASES = "/apis/coordination.k8s.io/v1/namespaces/llm/leases"


def candidate(api: FakeApi, clock: VirtualClock, election: Election = Election.AUTO) -> Candidate:
    herald = Herald(api, clock, HeraldOptions(namespace="llm", instance="pod-1"))
    telling = ClusterTelling(herald, targets=tuple, config_map="setpoint-llm")
    options = LeaseOptions(
        namespace="llm", name="setpoint-llm", identity="pod-1", duration_s=10.0, election=election
    )
    leadership = Leadership(api, options, clock, listener=telling.lead)
    return Candidate(telling=telling, leadership=leadership)


async def close(one: Candidate) -> None:
    assert one.leadership is not None
    await one.telling.close()
    await one.leadership.close()


async def test_who_only_advises_asks_nothing_of_the_cluster_and_is_no_standby() -> None:
    clock = VirtualClock()
    api = FakeApi(clock)
    one = candidate(api, clock)

    one.telling.take(Stopped(at_wall_s=0.0, now_s=0.0, target="llm", cause="TERM"))
    await clock.advance(60.0)

    assert one.standby() == ""
    assert api.requests == []
    await close(one)


async def test_the_first_write_stands_for_election_and_the_second_does_not_again() -> None:
    clock = VirtualClock()
    api = FakeApi(clock)
    one = candidate(api, clock)

    await one.begin_to_write()
    (lease,) = api.items(LEASES)
    asked = len(api.requests)
    await one.begin_to_write()

    assert lease["spec"]["holderIdentity"] == "pod-1"
    assert one.standby() == ""
    assert len(api.requests) == asked
    await close(one)


async def test_who_comes_second_stands_by() -> None:
    clock = VirtualClock()
    api = FakeApi(clock)
    first, second = candidate(api, clock), candidate(api, clock)
    await first.begin()
    api.change(f"{LEASES}/setpoint-llm", {"spec": {"holderIdentity": "pod-2"}})

    await second.begin()

    assert "pod-2 leads" in second.standby()
    await close(first)
    await close(second)


async def test_an_election_that_is_insisted_on_and_not_allowed_refuses_each_write() -> None:
    clock = VirtualClock()
    api = FakeApi(clock)
    api.forbid("get", LEASES)
    one = candidate(api, clock, Election.ON)

    for _ in range(2):
        with pytest.raises(Refused, match="election"):
            await one.begin_to_write()
    await close(one)
