"""Requests are spread over time, and waits are as long as asked for and no longer than is sensible."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import VirtualClock
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.pacing import Courtesy, TokenBucket, retry_after_s, wait_s
from tests.cluster.scripted import HastyClock


async def test_a_burst_of_three_seconds_passes_at_once() -> None:
    clock = HastyClock()
    bucket = TokenBucket(10.0, clock)

    for _ in range(30):
        await bucket.take()

    assert clock.waits_s == []


async def test_after_the_burst_requests_come_at_the_rate() -> None:
    clock = HastyClock()
    bucket = TokenBucket(2.0, clock)

    for _ in range(26):
        await bucket.take()

    assert clock.now_s() == pytest.approx(10.0)


async def test_who_asked_first_is_served_first() -> None:
    clock = VirtualClock()
    bucket = TokenBucket(1.0, clock)
    served: list[int] = []

    async def ask(number: int) -> None:
        await bucket.take()
        served.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(ask(number))
        await clock.advance(2.5)
        early = list(served)
        await clock.advance(1.0)

    assert (early, served) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5])


async def test_a_request_that_was_given_up_takes_no_place() -> None:
    clock = VirtualClock()
    bucket = TokenBucket(1.0, clock)
    for _ in range(3):
        await bucket.take()
    waiting = asyncio.ensure_future(bucket.take())
    await clock.advance(0.0)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    after = asyncio.ensure_future(bucket.take())
    await clock.advance(1.01)

    assert after.done()


@given(
    rate_rps=st.floats(0.1, 100.0),
    pauses_s=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60),
)
async def test_no_more_is_sent_than_the_rate_and_one_burst(rate_rps: float, pauses_s: list[float]) -> None:
    clock = HastyClock()
    bucket = TokenBucket(rate_rps, clock)

    for pause_s in pauses_s:
        await clock.sleep(pause_s)
        await bucket.take()

    assert len(pauses_s) <= max(1.0, 3.0 * rate_rps) + rate_rps * clock.now_s() + 1e-6


@given(attempt=st.integers(0, 1000), chance=st.floats(0.0, 1.0))
def test_waits_between_attempts_are_bounded(attempt: int, chance: float) -> None:
    found_s = wait_s(attempt, chance_ratio=chance, asked_s=None)

    assert found_s is not None
    assert 0.0 <= found_s <= 8.0


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 4.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("nan", None),
        ("inf", None),
        ("", None),
        (None, None),
        ("in a while", None),
        ("Thu, 99 Jan 1970", None),
    ],
)
def test_what_a_server_asks_for_is_read(text: str | None, expected_s: float | None) -> None:
    assert retry_after_s(text, now_wall_s=6.0) == expected_s


def turned_away(retry_after_s: float | None) -> ApiError:
    return ApiError("too many requests", status=429, reason="TooManyRequests", retry_after_s=retry_after_s)


async def test_a_path_is_left_alone_for_as_long_as_the_server_asks_and_others_are_not() -> None:
    clock = VirtualClock()
    courtesy = Courtesy(clock)
    courtesy.heard("/pods", turned_away(3.0))
    courtesy.check("/leases")
    await clock.advance(2.0)

    with pytest.raises(ApiError, match="too many requests; it is not asked again before the 3 s") as caught:
        courtesy.check("/pods")
    assert (caught.value.status, caught.value.retry_after_s) == (429, 1.0)
    await clock.advance(1.0)
    courtesy.check("/pods")


async def test_a_server_that_names_an_hour_is_asked_after_a_minute() -> None:
    clock = VirtualClock()
    courtesy = Courtesy(clock)
    courtesy.heard("/pods", turned_away(3600.0))
    await clock.advance(60.0)

    courtesy.check("/pods")


def test_who_names_no_time_is_not_left_alone() -> None:
    courtesy = Courtesy(VirtualClock())
    courtesy.heard("/pods", turned_away(None))
    courtesy.heard("/pods", turned_away(0.0))

    courtesy.check("/pods")
