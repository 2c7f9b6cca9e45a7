"""What the board says about a loop that ticks, and about one that stopped ticking."""

from collections.abc import Callable
from dataclasses import replace

from config.clock import VirtualClock
from planner.serving.records import Reloaded, Started, Stepped
from planner.serving.status import StatusBoard


def reloaded(started: Started, *, now_s: float, interval_s: float) -> Reloaded:
    return Reloaded(
        at_wall_s=started.at_wall_s + now_s,
        now_s=now_s,
        target=started.target,
        policy=replace(started.policy, interval_s=interval_s),
        forecast_policy=None,
        state=started.state,
    )


async def test_a_shorter_interval_does_not_make_the_last_tick_late(
    clock: VirtualClock, board: StatusBoard, started: Started, make_tick: Callable[[float], Stepped]
) -> None:
    board.take(started)
    board.take(make_tick(30.0))
    await clock.advance(58.0)

    board.take(reloaded(started, now_s=58.0, interval_s=2.0))
    at_once = board.alive()
    await clock.advance(6.5)

    assert at_once.is_ok
    assert board.alive().why == "no tick for 6.5 s; expected one every 2 s"


async def test_reading_the_same_interval_again_is_no_sign_of_life(
    clock: VirtualClock, board: StatusBoard, started: Started, make_tick: Callable[[float], Stepped]
) -> None:
    board.take(started)
    board.take(make_tick(30.0))
    await clock.advance(125.0)

    board.take(reloaded(started, now_s=125.0, interval_s=30.0))

    assert board.alive().why == "no tick for 95.0 s; expected one every 30 s"
