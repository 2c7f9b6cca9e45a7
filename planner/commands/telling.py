"""Telling those who wait: lines in a log, and on a terminal also one line that is written over."""

import itertools
from typing import TextIO

from planner.commands.output import visible
from planner.serving.log import get_logger

_WIDTH = 100
_FRAMES = "|/-\\"


class StreamTeller:
    """Tells on a stream; what is so at the moment only on a terminal.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._frames = itertools.cycle(_FRAMES)
        self._is_shown = False

    def line(self, text: str) -> None:
        """Tell what changed, or what has been so for another minute."""
        self.end()
        self._stream.write(f"{visible(text)}\n")
        self._stream.flush()

    def still(self, text: str) -> None:
        """Tell what is so at the moment."""
        if self._is_terminal:
            line = f"{next(self._frames)} {visible(text)}"[:_WIDTH]
            self._stream.write(f"\r{line:{_WIDTH}}")
            self._stream.flush()
            self._is_shown = True

    def end(self) -> None:
        """Leave a terminal's line empty."""
        if self._is_shown:
            self._stream.write(f"\r{'':{_WIDTH}}\r")
            self._stream.flush()
            self._is_shown = False


class LogTeller:
    """Tells in the daemon's log."""

    def line(self, text: str) -> None:
        """Tell what changed, or what has been so for another minute."""
        get_logger().info(visible(text))

    def still(self, text: str) -> None:
        """Tell nothing; a log is not written over."""
