"""One line of docs/errors.md, made from what the product itself said."""

import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from urllib.parse import urlsplit

from planner.cli import invoke
from planner.core.decision import Decision, Direction, ReasonCode
from planner.core.words import explain, headline, sentence

# What is said of every tick that does its work.
_USUAL = frozenset({ReasonCode.LOAD, ReasonCode.SETTLING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is wrong, what Setpoint says, and what it does.

    Attributes:
        what: What is wrong, in Markdown.
        says: The lines, verbatim but for what differs from machine to machine.
        effect: The exit code, or what becomes of the fleet.
        code: The exit code of a command; None while the daemon runs.
        is_kept: Whether no pool loses an engine; None of a command, which moves none.
    """

    what: str
    says: tuple[str, ...]
    effect: str
    code: int | None = None
    is_kept: bool | None = None


def refused(what: str, arguments: Sequence[str]) -> Row:
    """Run a command line that is to be refused."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = invoke(arguments)
    # The daemon's log goes to the same stream; a complaint is told by its beginning.
    lines = [line for line in err.getvalue().splitlines() if not _LOGGED.match(line)]
    return Row(what=what, says=tuple(lines), effect=f"exit code {code}", code=code)


_LOGGED = re.compile(r"\d{4}-\d\d-\d\dT|\d\d:\d\d:\d\d")


def judged(what: str, decision: Decision, *, seen: str = "") -> Row:
    """Tell what a step decided on what it saw."""
    says = explain(decision) if decision.is_hold else _remarks(decision)
    effect = headline(decision)
    return Row(
        what=what,
        says=says or (f"nothing remarkable: {seen}",),
        effect=f"{seen}; {effect}" if seen and says else effect,
        is_kept=is_kept(decision),
    )


def is_kept(decision: Decision) -> bool:
    """Tell whether no pool loses an engine."""
    return all(pool.direction is not Direction.DOWN for pool in decision.pools)


def _remarks(decision: Decision) -> tuple[str, ...]:
    return tuple(sentence(reason) for reason in decision.reasons if reason.code not in _USUAL)


def without_port(text: str, url: str) -> str:
    """Replace the port that the machine happened to choose."""
    return text.replace(f":{urlsplit(url).port}", ":PORT")


def code(text: str) -> str:
    """Show a text as it is in a table of Markdown."""
    fence = "``" if "`" in text else "`"
    pad = " " if fence == "``" else ""
    return f"{fence}{pad}{text.replace('|', chr(92) + '|')}{pad}{fence}"


def table(rows: Sequence[Row], *, last: str) -> list[str]:
    """Draw rows as a table of Markdown."""
    lines = [f"| what is wrong | what Setpoint says | {last} |", "| --- | --- | --- |"]
    for row in rows:
        says = "<br>".join(code(line) for line in row.says)
        lines.append(f"| {row.what} | {says} | {row.effect} |")
    return lines
