"""One of several daemons leads, and each knows by its own clock whether it is the one."""

import asyncio

import pytest

from config.clock import Clock, VirtualClock
from config.errors import ConfigError
from config.kubernetes import Election
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.lease import Leadership, LeaseNews, LeaseOptions, identity_of
from tests.cluster.fake_api import FakeApi
from tests.cluster.line import CrookedClock, Fault, Line

LEASES = "/apis/coordination.k8s.io/v1/namespaces/llm/leases"
LEASE = f"{LEASES}/setpoint-llm"
START_WALL_S = 1_767_225_600.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(wall_origin_s=START_WALL_S)


@pytest.fixture
def api(clock: VirtualClock) -> FakeApi:
    return FakeApi(clock)


def candidate(
    api: Api,
    clock: Clock,
    identity: str,
    *,
    election: Election = Election.AUTO,
    told: list[tuple[LeaseNews, str]] | None = None,
) -> Leadership:
    heard = [] if told is None else told
    return Leadership(
        api,
        LeaseOptions(namespace="llm", name="setpoint-llm", identity=identity, election=election),
        clock,
        listener=lambda news, words: heard.append((news, words)),
        chance=lambda: 0.5,
    )


def spec(api: FakeApi) -> Json:
    found: Json = api.read(LEASE)["spec"]
    return found


async def test_a_process_that_is_alone_leads_at_once(api: FakeApi, clock: VirtualClock) -> None:
    only = candidate(api, clock, "a")

    before = only.standby()
    await only.start()

    assert "nobody leads yet" in before
    assert only.standby() == ""
    assert spec(api) == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 10,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 0,
    }
    await only.close()


async def test_the_second_stands_by_and_says_who_leads_since_when(api: FakeApi, clock: VirtualClock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()

    await clock.advance(60.0)

    assert first.standby() == ""
    assert second.standby() == "a leads since 2026-01-01T00:00:00Z by the Lease llm/setpoint-llm"
    assert spec(api)["leaseTransitions"] == 0
    await second.close()
    await first.close()


async def test_a_minute_of_leading_and_one_of_standing_by_cost_a_request_every_two_seconds(
    api: FakeApi, clock: VirtualClock
) -> None:
    lines = [Line(api, clock), Line(api, clock)]
    both = [candidate(lines[0], clock, "a"), candidate(lines[1], clock, "b")]
    for each in both:
        await each.start()
    first_s = [line.sent for line in lines]

    await clock.advance(60.0)

    assert [line.sent - start for line, start in zip(lines, first_s, strict=True)] == [30, 30]
    for each in both:
        await each.close()


async def test_a_leader_that_falls_silent_is_replaced_within_15_s(api: FakeApi, clock: VirtualClock) -> None:
    line = Line(api, clock)
    first, second = candidate(line, clock, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()
    await clock.advance(31.9)

    line.is_cut = True
    waited_s = 0.0
    while second.standby():
        await clock.advance(0.1)
        waited_s += 0.1
        assert not first.standby() or waited_s >= 6.0
        assert first.standby() or second.standby()

    assert 8.0 <= waited_s <= 15.0
    assert spec(api)["holderIdentity"] == "b"
    assert spec(api)["leaseTransitions"] == 1
    await first.close()
    await second.close()


async def test_a_leader_steps_down_while_the_api_server_is_away_and_leads_again_when_it_is_back(
    api: FakeApi, clock: VirtualClock
) -> None:
    told: list[tuple[LeaseNews, str]] = []
    line = Line(api, clock)
    only = candidate(line, clock, "a", told=told)
    await only.start()

    line.is_cut = True
    await clock.advance(7.9)
    shortly_before = only.standby()
    await clock.advance(0.2)
    shortly_after = only.standby()
    await clock.advance(2.0)
    line.is_cut = False
    await clock.advance(1.1)

    assert shortly_before == ""
    assert shortly_after == (
        "the Lease llm/setpoint-llm is ours and was not renewed in time: no route to host"
    )
    assert only.standby() == ""
    assert [news for news, _ in told] == [
        LeaseNews.LEADS,
        LeaseNews.TROUBLE,
        LeaseNews.LOST,
        LeaseNews.LEADS,
    ]
    assert spec(api)["leaseTransitions"] == 0
    await only.close()


async def test_a_leader_that_ends_hands_over_within_one_look(api: FakeApi, clock: VirtualClock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()
    await clock.advance(5.0)

    await first.close()
    released = spec(api)["holderIdentity"]
    await clock.advance(2.1)

    assert released == ""
    assert "was released" in first.standby()
    assert second.standby() == ""
    assert spec(api)["leaseTransitions"] == 1
    await second.close()


async def test_a_standby_that_ends_leaves_the_lease_alone(api: FakeApi, clock: VirtualClock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()

    await second.close()

    assert spec(api)["holderIdentity"] == "a"
    await first.close()


async def test_a_lease_that_is_deleted_by_hand_is_made_again_by_its_leader(
    api: FakeApi, clock: VirtualClock
) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()
    await clock.advance(5.0)

    api.remove(LEASE)
    for _ in range(50):
        await clock.advance(0.1)
        assert first.standby() == ""
        assert second.standby() != ""

    assert spec(api)["holderIdentity"] == "a"
    await second.close()
    await first.close()


async def test_a_deleted_lease_of_a_dead_leader_is_taken_a_duration_after_it_was_missed(
    api: FakeApi, clock: VirtualClock
) -> None:
    line = Line(api, clock)
    first, second = candidate(line, clock, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()

    await clock.advance(7.5)
    line.is_cut = True
    api.remove(LEASE)
    await clock.advance(10.4)
    early = second.standby()
    await clock.advance(0.2)

    assert early != ""
    assert second.standby() == ""
    await first.close()
    await second.close()


async def test_without_rights_a_single_process_goes_on_and_says_so(api: FakeApi, clock: VirtualClock) -> None:
    told: list[tuple[LeaseNews, str]] = []
    api.forbid("*", LEASES)
    only = candidate(api, clock, "a", told=told)

    await only.start()
    await clock.advance(30.0)

    assert only.standby() == ""
    assert "cannot get" in only.unguarded
    assert [news for news, _ in told] == [LeaseNews.UNGUARDED]
    await only.close()


async def test_rights_that_come_later_start_the_election(api: FakeApi, clock: VirtualClock) -> None:
    api.forbid("*", LEASES)
    only = candidate(api, clock, "a")
    await only.start()

    api.permit()
    await clock.advance(5.0)

    assert only.standby() == ""
    assert only.unguarded == ""
    assert spec(api)["holderIdentity"] == "a"
    await only.close()


async def test_an_election_that_is_insisted_on_refuses_to_start_without_rights(
    api: FakeApi, clock: VirtualClock
) -> None:
    api.forbid("create", LEASES)
    only = candidate(api, clock, "a", election=Election.ON)

    with pytest.raises(ConfigError, match="leases") as caught:
        await only.start()

    assert caught.value.key == "kubernetes.election"
    assert 'resourceNames: ["setpoint-llm"]' in caught.value.hint
    assert only.standby() != ""
    await only.close()


async def test_rights_that_are_lost_later_free_nobody(api: FakeApi, clock: VirtualClock) -> None:
    first, second = candidate(api, clock, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()

    api.forbid("*", LEASES)
    await clock.advance(60.0)

    assert "cannot update" in first.standby()
    assert "cannot get" in second.standby()
    await first.close()
    await second.close()


async def test_an_api_server_that_is_away_at_the_start_lets_nobody_lead(
    api: FakeApi, clock: VirtualClock
) -> None:
    line = Line(api, clock)
    line.is_cut = True
    only = candidate(line, clock, "a")
    await only.start()
    while_away = only.standby()

    line.is_cut = False
    await clock.advance(1.1)

    assert while_away == "nobody leads yet by the Lease llm/setpoint-llm: no route to host"
    assert only.standby() == ""
    await only.close()


async def test_of_two_who_want_it_at_once_the_api_server_lets_one_through(
    api: FakeApi, clock: VirtualClock
) -> None:
    # Both have looked and found nothing when the first of them creates it.
    slow = Line(api, clock, [Fault(back_s=0.5)])
    first, second = candidate(slow, clock, "a"), candidate(api, clock, "b")

    starting = await _begun(first, clock)
    await second.start()
    await clock.advance(3.0)
    await starting

    assert second.standby() == ""
    assert first.standby().startswith("b leads")
    await first.close()
    await second.close()


async def test_a_renewal_whose_answer_was_lost_does_not_depose(api: FakeApi, clock: VirtualClock) -> None:
    line = Line(api, clock, [Fault(), Fault(), Fault(is_answer_lost=True), Fault()])
    only = candidate(line, clock, "a")
    await only.start()

    for _ in range(100):
        await clock.advance(0.2)
        assert only.standby() == ""

    assert spec(api)["leaseTransitions"] == 0
    await only.close()


async def test_a_request_that_hangs_is_given_up_before_the_lease_ends(
    api: FakeApi, clock: VirtualClock
) -> None:
    line = Line(api, clock, [Fault(), Fault(), Fault(there_s=1e6), Fault()])
    only = candidate(line, clock, "a")
    await only.start()

    for _ in range(100):
        await clock.advance(0.2)
        assert only.standby() == ""

    await only.close()


async def test_leadership_counts_from_the_start_of_a_renewal_and_not_from_its_answer(
    api: FakeApi, clock: VirtualClock
) -> None:
    # The Lease is looked for, and made; the answer to the latter takes two seconds.
    own = CrookedClock(clock)
    only = candidate(Line(api, clock, [Fault(), Fault(back_s=2.0)]), own, "a")

    begun = asyncio.create_task(only.start())
    await clock.advance(1.0)
    own.wall_offset_s = -60.0  # the time of day is corrected meanwhile, and does not lengthen it
    await clock.advance(1.0)
    await begun

    assert only.remaining_s == pytest.approx(6.0)
    await only.close()


async def test_a_process_that_was_frozen_past_its_lease_may_not_write_the_moment_it_goes_on(
    api: FakeApi, clock: VirtualClock
) -> None:
    own = CrookedClock(clock)
    first, second = candidate(api, own, "a"), candidate(api, clock, "b")
    await first.start()
    await second.start()

    own.jumped_s = 8.5
    at_once = first.standby()

    assert "was not renewed in time" in at_once
    await second.close()
    await first.close()


async def test_a_machine_that_was_suspended_is_noticed_by_the_wall_clock(
    api: FakeApi, clock: VirtualClock
) -> None:
    own = CrookedClock(clock)
    only = candidate(api, own, "a")
    await only.start()

    own.wall_offset_s = 3600.0
    at_once = only.standby()
    await clock.advance(2.1)

    assert "was not renewed in time" in at_once
    assert only.standby() == ""
    await only.close()


async def test_whoever_sees_another_holder_does_not_lead(api: FakeApi, clock: VirtualClock) -> None:
    only = candidate(api, clock, "a")
    await only.start()

    api.change(LEASE, {"spec": {"holderIdentity": "b"}})
    await clock.advance(2.1)

    assert only.standby().startswith("b leads")
    assert only.remaining_s == 0.0
    await only.close()


async def test_the_duration_that_the_holder_wrote_is_waited_for(api: FakeApi, clock: VirtualClock) -> None:
    api.seed(LEASE, {"spec": {"holderIdentity": "b", "leaseDurationSeconds": 60}})
    only = candidate(api, clock, "a")
    await only.start()

    await clock.advance(59.0)
    early = only.standby()
    await clock.advance(3.0)

    assert early.startswith("b leads")
    assert only.standby() == ""
    await only.close()


async def test_what_others_wrote_into_the_lease_stays(api: FakeApi, clock: VirtualClock) -> None:
    api.seed(LEASE, {"metadata": {"labels": {"team": "a"}}, "spec": {"strategy": "x"}})
    only = candidate(api, clock, "a")

    await only.start()

    assert api.read(LEASE)["metadata"]["labels"] == {"team": "a"}
    assert spec(api)["strategy"] == "x"
    await only.close()


async def test_an_error_that_nobody_expected_is_told_and_the_task_goes_on(
    api: FakeApi, clock: VirtualClock
) -> None:
    told: list[tuple[LeaseNews, str]] = []
    only = candidate(api, clock, "a", told=told)
    await only.start()

    def break_down() -> None:
        message = "a bug"
        raise RuntimeError(message)

    api.before_next(break_down, method="PUT")
    await clock.advance(2.0)
    problem = told[-1]
    await clock.advance(1.1)

    assert problem == (
        LeaseNews.TROUBLE,
        "the Lease llm/setpoint-llm was not renewed: RuntimeError: a bug",
    )
    assert told[-1][0] is LeaseNews.LEADS
    await only.close()


async def test_a_release_that_the_api_server_refuses_ends_quietly(api: FakeApi, clock: VirtualClock) -> None:
    only = candidate(api, clock, "a")
    await only.start()
    api.fail_next(ApiError("gone", status=500), method="PUT")

    await only.close()

    assert spec(api)["holderIdentity"] == "a"


async def test_a_release_after_a_renewal_that_was_cut_off_reads_the_lease_again(
    api: FakeApi, clock: VirtualClock
) -> None:
    only = candidate(api, clock, "a")
    await only.start()
    api.change(LEASE, {"metadata": {"labels": {"touched": "yes"}}})

    await only.close()

    assert spec(api)["holderIdentity"] == ""


def test_no_two_processes_have_the_same_identity() -> None:
    assert identity_of("pod-1") != identity_of("pod-1")
    assert identity_of("pod-1").startswith("pod-1_")
    assert len(identity_of()) > 9


async def _begun(leadership: Leadership, clock: VirtualClock) -> "asyncio.Task[None]":
    task = asyncio.create_task(leadership.start())
    await clock.advance(0.1)
    return task
