"""What the doctor found, as plain data; who shows it decides how it looks."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What has to be there for a check to make sense, in the order of installation."""

    CLUSTER = "cluster"
    PLATFORM = "platform"
    DEPLOYMENT = "deployment"


class Verdict(StrEnum):
    """How a check ended."""

    OK = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A small table that belongs to a finding.

    Attributes:
        heads: Titles of the columns.
        rows: Texts, as many in each row as heads.
        numbers: Titles of the columns that hold numbers.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name, the same in every run.
        stage: Which stage it belongs to.
        verdict: Whether that is as it should be.
        summary: What was found, in one line.
        details: More of it, one line each.
        todo: What to do about it, may be several lines to copy; empty if nothing is to be done.
        grid: The objects that were looked at.
    """

    check: str
    stage: Stage
    verdict: Verdict
    summary: str
    details: tuple[str, ...] = ()
    todo: str = ""
    grid: Grid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A finding before it is known whose it is.

    Attributes:
        verdict: Whether that is as it should be.
        summary: What was found, in one line.
        details: More of it, one line each.
        todo: What to do about it.
        grid: The objects that were looked at.
        about: Which of several things of one check, such as a pool; empty if there is one.
    """

    verdict: Verdict
    summary: str
    details: tuple[str, ...] = ()
    todo: str = ""
    grid: Grid | None = None
    about: str = ""


Signs = Sign | tuple[Sign, ...]


def ok(summary: str, *details: str, grid: Grid | None = None, about: str = "") -> Sign:
    """Say that something is as it should be."""
    return Sign(verdict=Verdict.OK, summary=summary, details=details, grid=grid, about=about)


def warn(summary: str, *details: str, todo: str = "", grid: Grid | None = None, about: str = "") -> Sign:
    """Say that something is risky, or cannot be told."""
    return Sign(verdict=Verdict.WARN, summary=summary, details=details, todo=todo, grid=grid, about=about)


def fail(summary: str, *details: str, todo: str = "", grid: Grid | None = None, about: str = "") -> Sign:
    """Say that something is wrong."""
    return Sign(verdict=Verdict.FAIL, summary=summary, details=details, todo=todo, grid=grid, about=about)


def skip(summary: str, *, todo: str = "", about: str = "") -> Sign:
    """Say that something was not looked at, and why."""
    return Sign(verdict=Verdict.SKIP, summary=summary, todo=todo, about=about)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of several verdicts; nothing to judge is a pass.

    Example:
        >>> worst([Verdict.OK, Verdict.WARN, Verdict.SKIP]).value
        'warn'
    """
    order = (Verdict.FAIL, Verdict.WARN, Verdict.OK, Verdict.SKIP)
    found = set(verdicts)
    return next((verdict for verdict in order if verdict in found), Verdict.OK)


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Return names as words, not more than a line holds.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    known = tuple(names)
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"


def counted(number: int, word: str, plural: str = "") -> str:
    """Return a number with its word.

    Example:
        >>> counted(1, "node"), counted(2, "node")
        ('1 node', '2 nodes')
    """
    return f"{number} {word if number == 1 else plural or word + 's'}"
