"""What happens is told without the loop waiting for it, counted up when it repeats, and never too often."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.clock import VirtualClock
from connectors.kubernetes.api import ApiError, Resource
from connectors.kubernetes.event import shortened
from connectors.kubernetes.herald import Herald, HeraldOptions
from connectors.kubernetes.target import ObjectKey
from tests.cluster.fake_api import FakeApi

EVENTS = "/api/v1/namespaces/llm/events"
CONFIG_MAPS = "/api/v1/namespaces/llm/configmaps"
DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
DECODE = ObjectKey(resource=DEPLOYMENTS, namespace="llm", name="decode")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(wall_origin_s=1_767_225_600.0)


@pytest.fixture
def api(clock: VirtualClock) -> FakeApi:
    fake = FakeApi(clock)
    fake.seed(DECODE.path, {"metadata": {"uid": "u-1"}, "spec": {"replicas": 2}})
    return fake


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def herald(api: FakeApi, clock: VirtualClock, said: list[str]) -> AsyncIterator[Herald]:
    options = HeraldOptions(namespace="llm", instance="pod-1", say=said.append)
    telling = Herald(api, clock, options)
    await telling.start()
    yield telling
    await telling.close()


def tell(herald: Herald, message: str = "decode 2 → 4 (load)") -> None:
    herald.announce(DECODE, is_warning=False, reason="Scaled", message=message)


def told(api: FakeApi) -> list[dict[str, Any]]:
    return list(api.items(EVENTS))


async def test_an_event_is_found_by_the_object_and_reads_well_everywhere(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    tell(herald)
    await clock.advance(0.0)

    (event,) = told(api)
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "decode",
        "namespace": "llm",
        "uid": "u-1",
    }
    assert event["message"] == "decode 2 → 4 (load)"
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "Scaled", 1)
    assert event["source"] == {"component": "setpoint"}
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T00:00:00Z"
    assert (event["reportingComponent"], event["reportingInstance"]) == ("setpoint", "pod-1")
    assert event["metadata"]["name"].startswith("decode.")


async def test_the_same_again_is_counted_up_and_something_else_is_another_event(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    tell(herald)
    await clock.advance(60.0)
    tell(herald)
    tell(herald, "decode 4 → 2 (load)")
    await clock.advance(60.0)

    assert sorted((event["message"], event["count"]) for event in told(api)) == [
        ("decode 2 → 4 (load)", 2),
        ("decode 4 → 2 (load)", 1),
    ]
    counted = next(event for event in told(api) if event["count"] == 2)
    assert counted["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert counted["lastTimestamp"] == "2026-01-01T00:01:00Z"


async def test_an_event_that_the_server_forgot_is_told_anew(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    tell(herald)
    await clock.advance(1.0)
    api.remove(f"{EVENTS}/{told(api)[0]['metadata']['name']}")
    tell(herald)
    await clock.advance(1.0)
    first = told(api)
    await clock.advance(3600.0)
    tell(herald)
    await clock.advance(1.0)

    assert [event["count"] for event in first] == [1]
    assert [event["count"] for event in told(api)] == [1, 1]


async def test_an_object_that_may_not_be_read_is_told_about_all_the_same(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    api.forbid("get", DECODE.path)

    tell(herald)
    await clock.advance(0.0)

    assert "uid" not in told(api)[0]["involvedObject"]


async def test_without_the_right_to_write_events_it_is_said_once_and_nothing_is_tried_again(
    api: FakeApi, clock: VirtualClock, herald: Herald, said: list[str]
) -> None:
    api.forbid("create", EVENTS)

    for _ in range(3):
        tell(herald)
        await clock.advance(60.0)

    assert len(said) == 1
    assert "no Events are written" in said[0]
    assert len([sent for sent in api.requests if sent.path == EVENTS]) == 1


async def test_a_right_to_write_events_that_is_given_back_is_noticed_after_a_while(
    api: FakeApi, clock: VirtualClock, herald: Herald, said: list[str]
) -> None:
    api.forbid("create", EVENTS)
    for _ in range(12):
        tell(herald, "lost")
        await clock.advance(60.0)
    asked = len([sent for sent in api.requests if sent.path == EVENTS])
    api.permit()
    await clock.advance(300.0)

    tell(herald, "told")
    await clock.advance(1.0)

    assert asked == 3
    assert len(said) == 1
    assert [event["message"] for event in told(api)] == ["told"]


async def test_what_cannot_be_told_now_is_told_later_with_its_own_time(
    api: FakeApi, clock: VirtualClock, herald: Herald, said: list[str]
) -> None:
    api.fail_next(ApiError("no route to host", status=0), times=2)

    tell(herald)
    await clock.advance(60.0)

    assert [event["firstTimestamp"] for event in told(api)] == ["2026-01-01T00:00:00Z"]
    assert said == ["what happens could not be told on the cluster, it is tried again: no route to host"]


async def test_an_event_that_is_not_taken_does_not_hold_up_the_others(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    api.fail_next(ApiError("invalid", status=422), method="POST")

    tell(herald, "first")
    tell(herald, "second")
    await clock.advance(60.0)

    assert [event["message"] for event in told(api)] == ["second"]
    assert herald.dropped == 1


async def test_a_queue_that_is_full_loses_its_oldest(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    for number in range(150):
        tell(herald, f"number {number}")
    await clock.advance(1.0)

    assert herald.dropped == 50
    assert sorted(int(event["message"].split()[1]) for event in told(api)) == list(range(50, 150))


async def test_the_config_map_is_made_and_then_written_no_oftener_than_every_half_minute(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    for number in range(59):
        herald.keep("setpoint-llm", {"decision": f"number {number // 2}"})
        await clock.advance(1.0)
    writes_of_a_minute = [sent.method for sent in api.writes()]
    await clock.advance(60.0)

    assert writes_of_a_minute == ["PATCH", "POST", "PATCH"]
    kept = api.read(f"{CONFIG_MAPS}/setpoint-llm")
    assert kept["data"] == {"decision": "number 29"}
    assert kept["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "setpoint"}
    assert "ownerReferences" not in kept["metadata"]


async def test_a_config_map_that_says_it_already_is_not_written(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    for _ in range(10):
        herald.keep("setpoint-llm", {"decision": "same"})
        await clock.advance(60.0)

    assert [sent.method for sent in api.writes()] == ["PATCH", "POST"]


async def test_an_event_does_not_wait_for_the_config_map(
    api: FakeApi, clock: VirtualClock, herald: Herald
) -> None:
    herald.keep("setpoint-llm", {"decision": "a"})
    await clock.advance(1.0)
    herald.keep("setpoint-llm", {"decision": "b"})
    await clock.advance(1.0)

    tell(herald)
    await clock.advance(0.1)

    assert len(told(api)) == 1
    assert api.read(f"{CONFIG_MAPS}/setpoint-llm")["data"] == {"decision": "a"}


async def test_what_is_left_is_told_at_the_end(api: FakeApi, clock: VirtualClock) -> None:
    telling = Herald(api, clock, HeraldOptions(namespace="llm", instance="pod-1"))
    await telling.start()
    telling.keep("setpoint-llm", {"decision": "a"})
    await clock.advance(1.0)
    telling.keep("setpoint-llm", {"decision": "b"})
    tell(telling)

    await telling.close()

    assert len(told(api)) == 1
    assert api.read(f"{CONFIG_MAPS}/setpoint-llm")["data"] == {"decision": "b"}


async def test_events_that_are_not_wanted_leave_the_config_map(api: FakeApi, clock: VirtualClock) -> None:
    telling = Herald(api, clock, HeraldOptions(namespace="llm", instance="pod-1", has_events=False))
    await telling.start()

    tell(telling)
    telling.keep("setpoint-llm", {"decision": "a"})
    await telling.close()

    assert told(api) == []
    assert api.has(f"{CONFIG_MAPS}/setpoint-llm")


def test_a_message_fits_into_what_the_api_server_takes() -> None:
    long = shortened("→" * 1000, 1024)

    assert len(long.encode()) <= 1024
    assert long.endswith("→…")
