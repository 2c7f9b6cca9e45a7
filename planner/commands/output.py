"""How do results look on a terminal, in a pipe, and to a program?

On a terminal, tables fit its width and have color unless NO_COLOR is set. In a pipe each row is one line, so
that `grep` works. JSON never has color.
"""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

NOTHING = "-"
_PIPE_WIDTH = 400
_LEAST_WIDTH = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PROSE_WIDTH = 100
_THREE_DIGITS_MS, _TEN_SECONDS_MS = 100.0, 10_000.0
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


class Tone(StrEnum):
    """How a text is meant; the value is rich's style."""

    PLAIN = ""
    STRONG = "bold"
    DIM = "dim"
    GOOD = "green"
    WARN = "yellow"
    BAD = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A text with its tone."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        is_number: Aligned to the right, and never broken.
        is_whole: Never broken.
    """

    title: str
    is_number: bool = False
    is_whole: bool = False


def columns() -> int:
    """Return how many characters fit in a line: of the terminal, or without a limit in a pipe."""
    width = shutil.get_terminal_size(fallback=(_PIPE_WIDTH, 24)).columns
    return max(width, _LEAST_WIDTH)


def table(heads: Sequence[Column], rows: Iterable[Sequence[str | Cell]], *, width: int | None = None) -> str:
    """Draw a table that fits the line, or a narrower space.

    Example:
        >>> heads = (Column(title="pool"), Column(title="GPUs", is_number=True))
        >>> print(table(heads, [("prefill", "12"), ("decode", "4")]))
        pool     GPUs
        prefill    12
        decode      4
    """
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=Tone.STRONG.value)
    for head in heads:
        drawn.add_column(
            head.title,
            justify="right" if head.is_number else "left",
            no_wrap=head.is_number or head.is_whole,
            overflow="fold",
        )
    for row in rows:
        drawn.add_row(*(_text(cell) for cell in row))
    return _rendered(drawn, width=width)


def toned(*cells: str | Cell) -> str:
    """Return texts side by side, in their tones where color shows."""
    return _rendered(Text.assemble(*(_text(cell) for cell in cells)), width=_PIPE_WIDTH * 10)


def wrapped(text: str, *, indent: str = "", first: str | None = None) -> str:
    """Break a text into lines that fit, all indented; the first may begin with something else.

    Example:
        >>> wrapped("one two", indent="  ", first="- ")
        '- one two'
    """
    return textwrap.fill(
        visible(text),
        width=min(columns(), _PROSE_WIDTH),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def fits(text: str) -> bool:
    """Tell whether a text takes one line."""
    return len(visible(text)) <= min(columns(), _PROSE_WIDTH)


def visible(text: str) -> str:
    r"""Return a text from outside such that it can neither move the cursor nor begin a line.

    Example:
        >>> visible("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def as_json(plain: object) -> str:
    """Return strict JSON that a person can read too."""
    return json.dumps(plain, indent=2, allow_nan=False)


def milliseconds(seconds: float | None) -> str:
    """Return a latency in words.

    Example:
        >>> milliseconds(0.2135), milliseconds(0.00812), milliseconds(12.5), milliseconds(None)
        ('214 ms', '8.1 ms', '12.5 s', '-')
    """
    if seconds is None:
        return NOTHING
    found_ms = seconds * 1000.0
    if found_ms >= _TEN_SECONDS_MS:
        return f"{seconds:.1f} s"
    return f"{found_ms:.1f} ms" if found_ms < _THREE_DIGITS_MS else f"{found_ms:.0f} ms"


def span(seconds: float) -> str:
    """Return a length of time in words.

    Example:
        >>> span(4.2), span(65.0), span(7260.0), span(200_000.0)
        ('4 s', '1 min 5 s', '2 h 1 min', '2 d 7 h')
    """
    whole = int(max(0.0, seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def clock_time(at_wall_s: float) -> str:
    """Return a wall time in UTC, to the second.

    Example:
        >>> clock_time(1_700_000_000.0)
        '2023-11-14 22:13:20Z'
    """
    try:
        return datetime.fromtimestamp(at_wall_s, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"Unix time {at_wall_s:g}"


def _text(cell: str | Cell) -> Text:
    made = cell if isinstance(cell, Cell) else Cell(text=cell)
    return Text(visible(made.text), style=made.tone.value)


def _rendered(drawing: Table | Text, *, width: int | None = None) -> str:
    console = Console(
        file=StringIO(),
        force_terminal=sys.stdout.isatty(),
        width=width or columns(),
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as capture:
        console.print(drawing)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
