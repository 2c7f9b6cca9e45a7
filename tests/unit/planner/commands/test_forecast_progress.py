"""Progress is told to those who wait, and to nobody else."""

from io import StringIO

from typing_extensions import override

from config.clock import VirtualClock
from planner.commands.forecast_progress import Progress


class Terminal(StringIO):
    @override
    def isatty(self) -> bool:
        return True


async def test_nothing_is_said_of_what_is_quick() -> None:
    clock, stream = VirtualClock(), Terminal()
    progress = Progress(stream, clock=clock)

    progress.tell("reading")
    await clock.advance(1.9)
    progress.of("kalman", 120)(7)
    progress.end()

    assert stream.getvalue() == ""


async def test_on_a_terminal_it_is_one_line_that_is_gone_at_the_end() -> None:
    clock, stream = VirtualClock(), Terminal()
    progress = Progress(stream, clock=clock)
    await clock.advance(2.0)

    progress.of("kalman", 120)(7)
    progress.of("kalman", 120)(9)
    progress.end()

    shown = [line.rstrip() for line in stream.getvalue().split("\r")]
    assert shown == ["", "kalman, 7 of 120", "kalman, 9 of 120", "", ""]
    assert "\n" not in stream.getvalue()


async def test_in_a_log_it_is_a_line_now_and_then() -> None:
    clock, stream = VirtualClock(), StringIO()
    progress = Progress(stream, clock=clock)

    for _ in range(20):
        await clock.advance(2.0)
        progress.tell("working")
    progress.end()

    assert stream.getvalue() == "working\n" * 3
