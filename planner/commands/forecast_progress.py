"""How far is it? Said on standard error, and only where there is something to wait for."""

from collections.abc import Callable
from typing import TextIO

from config.clock import Clock

_PATIENCE_S = 2.0
_PIPE_EVERY_S = 15.0
_WIDTH = 78


class Progress:
    """Tells how far a long command is.

    On a terminal it is one line that is written over; in a log one line now and then.

    Args:
        stream: Where to.
        clock: Nothing is said in the first two seconds.
    """

    def __init__(self, stream: TextIO, *, clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self._is_terminal = stream.isatty()
        self._next_s = clock.now_s() + _PATIENCE_S
        self._is_shown = False

    def tell(self, text: str) -> None:
        """Say what is being done."""
        now_s = self._clock.now_s()
        if now_s < self._next_s:
            return
        if self._is_terminal:
            self._stream.write(f"\r{text[:_WIDTH]:{_WIDTH}}")
            self._is_shown = True
        else:
            self._stream.write(f"{text}\n")
            self._next_s = now_s + _PIPE_EVERY_S
        self._stream.flush()

    def of(self, text: str, total: int) -> Callable[[int], None]:
        """Return what says how much of a part is done."""
        return lambda count: self.tell(f"{text}, {count} of {total}")

    def end(self) -> None:
        """Leave a terminal's line empty."""
        if self._is_shown:
            self._stream.write(f"\r{'':{_WIDTH}}\r")
            self._stream.flush()
