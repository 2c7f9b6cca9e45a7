"""Where do records go, without ever disturbing the loop?

To a ring in memory, for the API, and to a file where one is set. A record that cannot be written (disk
full, folder gone) is counted and reported, never raised: the fleet matters more than its diary.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path

from config.errors import ConfigError
from planner.serving.logfile import RotatingFile
from planner.serving.records import Record, Started, Stopped, to_line

RING_RECORDS = 500
MAX_BYTES = 64 * 1024 * 1024
KEEP = 5


class Journal:
    """The diary of one daemon.

    Attributes:
        write_errors: Records that could not be written so far.
        last_error: Why the last of them could not; empty if there was none.
        is_failing: True if the last attempt to write did not succeed.

    Args:
        file: Where lines are appended; None keeps records in memory only.
        ring_records: How many of the newest records stay in memory.
        head: Makes the record that opens each rotated file, from the state after the last record.
        on_error: Is told of each record that could not be written.
    """

    def __init__(
        self,
        file: RotatingFile | None = None,
        *,
        ring_records: int = RING_RECORDS,
        head: Callable[[], Started] | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.write_errors = 0
        self.last_error = ""
        self.is_failing = False
        self._file = file
        self._ring: deque[Record] = deque(maxlen=ring_records)
        self._head = head
        self._on_error = on_error

    def append(self, record: Record) -> None:
        """Keep a record; never raises because of the file."""
        self._ring.append(record)
        if self._file is None:
            return
        try:
            self._file.write_line(to_line(record))
            self.is_failing = False
            # After the last record of a process a new file would look like that of one that was killed.
            if self._file.is_full and not isinstance(record, Stopped):
                self._rotate(self._file)
        except (OSError, ValueError, TypeError) as error:
            self._failed(error)

    def recent(self) -> tuple[Record, ...]:
        """Return the newest records, oldest first."""
        return tuple(self._ring)

    def reopen(self) -> None:
        """Open the file again, after somebody else moved it; never raises."""
        if self._file is None:
            return
        try:
            self._file.reopen()
        except OSError as error:
            self._failed(error)

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()

    def _rotate(self, file: RotatingFile) -> None:
        file.rotate()
        if self._head is not None:
            file.write_line(to_line(self._head()))

    def _failed(self, error: Exception) -> None:
        self.write_errors += 1
        self.is_failing = True
        self.last_error = self._words(error)
        if self._on_error is not None:
            self._on_error(error)

    def _words(self, error: Exception) -> str:
        if self._file is not None and isinstance(error, OSError) and error.strerror:
            return f"cannot append to {self._file.path}: {error.strerror}"
        return str(error)


def open_journal_file(
    path: Path,
    *,
    max_bytes: int = MAX_BYTES,
    keep: int = KEEP,
    is_synced: bool = False,
    setting: str = "journal.path",
) -> RotatingFile:
    """Open the file of a journal, at start-up.

    Args:
        path: The file; it is made if it does not exist, its folder is not.
        max_bytes: Size at which it is rotated.
        keep: Rotated files that are kept.
        is_synced: Whether each record waits for the disk.
        setting: What the user calls the path, for errors.

    Raises:
        ConfigError: If lines cannot be appended to it.
    """
    try:
        return RotatingFile(path, max_bytes=max_bytes, keep=keep, is_synced=is_synced)
    except BlockingIOError as error:
        raise ConfigError(
            f"another process writes the journal {path}", key=setting, hint="give each daemon its own file"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot append to {path}: {error.strerror}",
            key=setting,
            hint="name a file in an existing folder that this user may write to",
        ) from error
