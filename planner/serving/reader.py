"""How is a journal read back, rotated files and torn lines included?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError, Malformed
from planner.serving.records import Record, from_line


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadLine:
    """A line of a journal that was skipped."""

    path: Path
    line_number: int
    why: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.path}:{self.line_number}: skipped: {self.why}"


def journal_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a journal, oldest first.

    Args:
        path: The file that the daemon writes to; rotated ones lie beside it.

    Raises:
        ConfigError: If there is none.
    """
    prefix = f"{path.name}."
    siblings = tuple(path.parent.iterdir()) if path.parent.is_dir() else ()
    numbered = [(file.name.removeprefix(prefix), file) for file in siblings if file.name.startswith(prefix)]
    rotated = [(int(number), file) for number, file in numbered if number.isdecimal()]
    files = [file for _, file in sorted(rotated, reverse=True)]
    if path.exists():
        files.append(path)
    if not files:
        raise ConfigError(
            "there is no such journal", key=str(path), hint="name the file that `journal.path` names"
        )
    return tuple(files)


def read_journal(path: Path, *, report: Callable[[UnreadLine], None]) -> Iterator[Record]:
    """Yield the records of a journal, oldest first.

    Args:
        path: The file that the daemon writes to; rotated ones are read before it.
        report: Is told of each line that was skipped: torn by a crash, damaged, or of another schema.

    Raises:
        ConfigError: If there is no such journal.
    """
    for file in journal_files(path):
        yield from read_journal_file(file, report=report)


def read_journal_file(path: Path, *, report: Callable[[UnreadLine], None]) -> Iterator[Record]:
    """Yield the records of one file, oldest first."""
    with path.open("rb") as lines:
        for line_number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield from_line(line)
            except Malformed as error:
                why = str(error) if line.endswith(b"\n") else f"the last line is torn; {error}"
                report(UnreadLine(path=path, line_number=line_number, why=why))
