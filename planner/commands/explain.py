"""`setpoint explain`: why were the last decisions made, in words, from a daemon or from its journal?"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from config.clock import SystemClock
from config.errors import ConfigError, Malformed, ObservationError
from config.units import duration_s, quoted
from planner.commands.client import ask
from planner.commands.flags import Format
from planner.commands.output import as_json, clock_time, milliseconds, wrapped
from planner.commands.readings import expected, rate, seen, unknowns, where_to_read
from planner.commands.values import whole
from planner.core.decision import Demand, StepKind
from planner.core.words import explain, headline
from planner.serving.api import Decisions
from planner.serving.codec import from_json, to_jsonable
from planner.serving.reader import UnreadLine, journal_files
from planner.serving.records import Stepped, from_line
from planner.serving.status import DecisionView, view

_DECISIONS = "/api/v1/decisions?limit=50"
_LABEL_WIDTH = 10
_FEW_UNREAD = 3
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One decision and what it rested on.

    Attributes:
        view: The decision with its words, what was seen and what was expected.
    """

    view: DecisionView

    @property
    def is_notable(self) -> bool:
        """True if it changed something, or held because it could not judge."""
        return self.view.decision.is_change or self.view.decision.is_hold

    @property
    def is_quiet_look(self) -> bool:
        """True if it was a look between two ticks that left everything as it was."""
        return self.view.kind is StepKind.LOOK and not self.view.decision.is_change


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which decisions are explained.

    Attributes:
        last: So many of the newest; None takes the newest, and the last that changed or held.
        at_wall_s: The one that was in force at this time, Unix time; None does not ask so.
    """

    last: int | None = None
    at_wall_s: float | None = None

    @property
    def count(self) -> int | None:
        """How many are wanted; None wants the newest and the last notable one."""
        return self.last if self.at_wall_s is None else self.last or 1

    @property
    def until_wall_s(self) -> float:
        """No decision after this time is wanted."""
        return math.inf if self.at_wall_s is None else self.at_wall_s


def choice_of(*, last: str | None, at: str | None) -> Choice:
    """Read a choice from the flags of the command line.

    Raises:
        ConfigError: If one cannot be read.
    """
    return Choice(
        last=None if last is None else whole("--last", last, least=1, most=_MOST),
        at_wall_s=None if at is None else moment(at, now_wall_s=SystemClock().wall_s()),
    )


def chosen(newest_first: Iterable[Explained], choice: Choice) -> tuple[Explained, ...]:
    """Choose from decisions, reading no more of them than needed; looks that changed nothing are passed over.

    Args:
        newest_first: The decisions, the newest first.
        choice: Which of them.

    Returns:
        The chosen ones, the oldest first.
    """
    found: list[Explained] = []
    for step in newest_first:
        if step.is_quiet_look or step.view.at_wall_s > choice.until_wall_s:
            continue
        if not found or step.is_notable or choice.count is not None:
            found.append(step)
        if len(found) == choice.count or (choice.count is None and step.is_notable):
            break
    return tuple(reversed(found))


def from_daemon(url: str) -> tuple[Explained, ...]:
    """Ask a daemon for its newest decisions.

    Raises:
        ConfigError: If the address is not one.
        ObservationError: If no daemon answers there.
    """
    decisions = from_json(Decisions, ask(url, _DECISIONS)).decisions
    return tuple(Explained(view=one) for one in decisions)


def from_journal(
    path: Path, choice: Choice, *, report: Callable[[UnreadLine], None]
) -> tuple[Explained, ...]:
    """Read the decisions of a journal from its end, no more of them than the choice needs.

    Raises:
        ConfigError: If there is no such journal.
    """
    files = reversed(journal_files(path))
    return chosen(chain.from_iterable(_newest_first(file, report) for file in files), choice)


def _newest_first(file: Path, report: Callable[[UnreadLine], None]) -> Iterator[Explained]:
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(
            f"the journal cannot be read: {error.strerror}",
            key=str(file),
            hint="name the file that `journal.path` names",
        ) from error
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        if not line.strip():
            continue
        try:
            record = from_line(line)
        except Malformed as error:
            report(UnreadLine(path=file, line_number=number, why=str(error)))
            continue
        if isinstance(record, Stepped):
            yield _explained(record)


def show_explained(source: str | Path, choice: Choice, output: Format) -> tuple[str, tuple[str, ...]]:
    """Return what `setpoint explain` prints, and what it warns of.

    Args:
        source: The address of a daemon, or the file of a journal.
        choice: Which decisions.
        output: For whom.

    Raises:
        ConfigError: If the address or the file cannot be used.
        ObservationError: If no daemon answers, or there is no such decision.
    """
    unread: list[UnreadLine] = []
    if isinstance(source, Path):
        found = from_journal(source, choice, report=unread.append)
    else:
        found = chosen(reversed(from_daemon(source)), choice)
    warnings = [str(line) for line in unread[:_FEW_UNREAD]]
    if len(unread) > _FEW_UNREAD:
        warnings.append(f"{len(unread) - _FEW_UNREAD} more lines were skipped")
    if not found:
        when = f" at or before {clock_time(choice.at_wall_s)}" if choice.at_wall_s is not None else " yet"
        raise ObservationError(f"{source} holds no decision{when}")
    if output is Format.JSON:
        return as_json({"decisions": [to_jsonable(one) for one in found]}), tuple(warnings)
    return "\n\n".join(text(one) for one in found), tuple(warnings)


def text(one: Explained) -> str:
    """Return a decision for people: seen, expected, decided, why."""
    decision = one.view.decision
    head = f"{clock_time(one.view.at_wall_s)}  {one.view.kind}{'  (hold)' if decision.is_hold else ''}"
    lines = [head]
    lines.append(_line("seen", seen(one.view.observation)))
    lines += [_line("", why) for why in unknowns(one.view.observation)]
    lines.append(_line("forecast", expected(one.view.forecast)))
    if decision.demand is not None:
        lines.append(_line("sized for", _demand(decision.demand)))
    lines.append(_line("decided", one.view.headline.removeprefix("hold: ")))
    if decision.expected_ttft_s is not None or decision.expected_itl_s is not None:
        ttft, itl = milliseconds(decision.expected_ttft_s), milliseconds(decision.expected_itl_s)
        lines.append(_line("expected", f"TTFT {ttft} without waiting, ITL {itl}"))
    labels = ("because", *("" for _ in one.view.words[1:]))
    lines += [_line(label, sentence) for label, sentence in zip(labels, one.view.words, strict=False)]
    lines += [_line("", where) for where in where_to_read(decision)]
    return "\n".join(lines)


def moment(words: str, *, now_wall_s: float) -> float:
    """Return the Unix time that a user names.

    Args:
        words: `2026-01-31T14:05:00Z` (UTC where no offset is given), Unix seconds, or `10m` for so long ago.
        now_wall_s: The time now.

    Raises:
        ConfigError: If it is none of these.

    Example:
        >>> moment("10m", now_wall_s=1000.0), moment("1970-01-01T00:01Z", now_wall_s=0.0)
        (400.0, 60.0)
        >>> moment("1700000000", now_wall_s=0.0)
        1700000000.0
    """
    for read in (_unix_s, lambda text: now_wall_s - duration_s(text), _iso_s):
        try:
            return read(words.strip())
        except (ConfigError, ValueError):
            continue
    raise ConfigError(
        f"'{quoted(words)}' is not a time",
        key="--at",
        hint="write for example 2026-01-31T14:05:00Z, or 10m for ten minutes ago",
    )


def _unix_s(words: str) -> float:
    found = float(words)
    if not math.isfinite(found):
        raise ValueError(words)
    return found


def _iso_s(words: str) -> float:
    found = datetime.fromisoformat(words)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _explained(record: Stepped) -> Explained:
    made = view(record, explain=explain, headline=headline)
    return Explained(view=made)


def _demand(demand: Demand) -> str:
    return (
        f"{rate(demand.arrivals_rps)} of {demand.isl_tokens:.0f} prompt and "
        f"{demand.osl_tokens:.0f} output tokens"
    )


def _line(label: str, words: str) -> str:
    indent = " " * (_LABEL_WIDTH + 2)
    return wrapped(words, indent=indent, first=f"  {label:<{_LABEL_WIDTH}}")
