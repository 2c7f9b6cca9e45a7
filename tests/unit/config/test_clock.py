"""Time that is passed in: clocks that tests move, and work that is bounded by them."""

import asyncio

import pytest

from config.clock import ScaledClock, VirtualClock, within


async def test_sleepers_wake_at_their_own_deadlines_in_order() -> None:
    clock, woken = VirtualClock(), []

    async def sleep(name: str, duration_s: float) -> None:
        await clock.sleep(duration_s)
        woken.append((name, clock.now_s()))

    tasks = [asyncio.ensure_future(sleep(name, s)) for name, s in [("b", 2.0), ("a", 1.0), ("c", 2.0)]]
    await clock.advance(5.0)

    assert woken == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert clock.now_s() == 5.0
    await asyncio.wait(tasks)


async def test_who_sleeps_again_while_the_clock_moves_wakes_within_the_same_move() -> None:
    clock, times = VirtualClock(), []

    async def beat() -> None:
        for _ in range(3):
            await clock.sleep(1.0)
            times.append(clock.now_s())

    task = asyncio.ensure_future(beat())
    await clock.advance(10.0)

    assert times == [1.0, 2.0, 3.0]
    await task


async def test_a_scaled_clock_runs_faster_by_its_factor() -> None:
    base = VirtualClock(wall_origin_s=100.0)
    await base.advance(7.0)
    clock = ScaledClock(base, speed_ratio=30.0)
    sleeper = asyncio.ensure_future(clock.sleep(60.0))

    await base.advance(2.0)

    assert sleeper.done()
    assert clock.now_s() == 60.0
    assert clock.wall_s() == 167.0


async def test_work_that_comes_in_time_gives_its_result() -> None:
    clock = VirtualClock()

    async def work() -> str:
        await clock.sleep(1.0)
        return "done"

    task = asyncio.ensure_future(within(clock, work(), 1.0))
    await clock.advance(1.0)

    assert await task == "done"


async def test_work_that_is_late_is_cancelled() -> None:
    clock, was_cancelled = VirtualClock(), False

    async def work() -> None:
        nonlocal was_cancelled
        try:
            await clock.sleep(5.0)
        except asyncio.CancelledError:
            was_cancelled = True
            raise

    task = asyncio.ensure_future(within(clock, work(), 2.0))
    await clock.advance(2.0)

    with pytest.raises(TimeoutError, match="no answer within 2 s"):
        await task
    assert was_cancelled


async def test_what_is_left_of_an_interval_is_said_without_a_tail_of_digits() -> None:
    clock = VirtualClock()

    task = asyncio.ensure_future(within(clock, asyncio.Event().wait(), 0.23833812))
    await clock.advance(1.0)

    with pytest.raises(TimeoutError, match=r"no answer within 0\.238 s"):
        await task


async def test_what_work_raises_passes() -> None:
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await within(VirtualClock(), work(), 2.0)


async def test_work_that_does_not_heed_its_cancellation_is_left_behind() -> None:
    clock, is_over = VirtualClock(), asyncio.Event()

    async def work() -> None:
        while not is_over.is_set():
            try:
                await is_over.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("too late for anybody to care")

    task = asyncio.ensure_future(within(clock, work(), 2.0))
    await clock.advance(2.0)

    with pytest.raises(TimeoutError):
        await task
    is_over.set()
    await clock.advance(0.0)  # what it raises in the end is not reported as lost


async def test_cancelling_who_waits_cancels_the_work() -> None:
    clock, ended = VirtualClock(), asyncio.Event()

    async def work() -> None:
        try:
            await clock.sleep(100.0)
        finally:
            ended.set()

    task = asyncio.ensure_future(within(clock, work(), 200.0))
    await clock.advance(1.0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
