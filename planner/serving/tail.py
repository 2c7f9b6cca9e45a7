"""What does the end of a journal hold, without reading all of it?

Lines are in the order of time. So the first one that is new enough is found by halving the file, and an older
file is only opened where a newer one does not reach back so far. What a line is about stands at its
beginning; whoever does not need it does not parse it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from planner.core.decision import StepKind
from planner.serving.reader import journal_files

# Such a piece is read through; a larger one is halved first.
_PIECE_BYTES = 64 * 1024
# The fields that tell what a line is about come first in it.
_HEAD_BYTES = 512
_HEAD = re.compile(rb'\{"schema":\d+,"record":"(\w+)","at_wall_s":([-+.\deE]+)')
_KIND = re.compile(rb'"kind":"(\w+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a journal, not parsed yet.

    Attributes:
        record: What it is.
        at_wall_s: When, Unix time.
        data: The line.
    """

    record: str
    at_wall_s: float
    data: bytes

    @property
    def is_tick(self) -> bool:
        """True for the record of a tick."""
        found = _KIND.search(self.data, 0, _HEAD_BYTES)
        return self.record == "stepped" and found is not None and found[1].decode() == StepKind.TICK


def line_of(data: bytes) -> Line | None:
    """Return what a line is about; None where that cannot be told.

    Example:
        >>> line_of(b'{"schema":1,"record":"stopped","at_wall_s":9.5,"now_s":1}').at_wall_s
        9.5
        >>> line_of(b'"at_wall_s":9.5}') is None
        True
    """
    found = _HEAD.match(data)
    try:
        return Line(record=found[1].decode(), at_wall_s=float(found[2]), data=data) if found else None
    except ValueError:
        return None


def tail(path: Path, *, since_wall_s: float) -> Iterator[Line]:
    """Yield the lines of a journal from a time on, oldest first, rotated files included.

    Args:
        path: The file that the daemon writes to.
        since_wall_s: Older lines are left out.

    Raises:
        ConfigError: If there is no such journal.
        OSError: If it cannot be read.
    """
    begins: list[tuple[Path, int]] = []
    for file in reversed(journal_files(path)):
        if file.is_char_device() or file.is_fifo():
            continue  # a device may never end, a pipe never begin; neither has a past
        offset = _offset(file, since_wall_s)
        begins.append((file, offset))
        if offset > 0:
            break
    for file, offset in reversed(begins):
        with file.open("rb") as lines:
            lines.seek(offset)
            for data in lines:
                line = line_of(data)
                if line is not None and line.at_wall_s >= since_wall_s:
                    yield line


def _offset(path: Path, since_wall_s: float) -> int:
    """Return where to begin: at a line that is older, or at the beginning of the file."""
    with path.open("rb") as file:
        low, high = 0, path.stat().st_size
        while high - low > _PIECE_BYTES:
            middle = (low + high) // 2
            found = _first_after(file, middle, high)
            if found is None or found[1].at_wall_s >= since_wall_s:
                high = middle
            else:
                low = found[0]
        if low > 0:
            return low
        file.seek(0)
        first = file.readline()
        line = line_of(first)
        return len(first) if line is not None and line.at_wall_s < since_wall_s else 0


def _first_after(file: BinaryIO, begin: int, end: int) -> tuple[int, Line] | None:
    """Return the first whole line that begins in a stretch, and where it begins."""
    file.seek(begin)
    file.readline()  # the rest of a line that began before
    while (at := file.tell()) < end:
        line = line_of(file.readline())
        if line is not None:
            return at, line
    return None
