"""How are lines appended to a file such that a killed process costs at most the line it was writing?

Each line is one `write` to a descriptor opened for appending. A process killed in between leaves a torn
last line, and so does a full disk; the next line then begins with a newline, so that only the torn one is
lost. When the file is full it is renamed to `NAME.1`, what was there to `NAME.2`, and so on; the oldest
beyond `keep` is deleted.
"""

import errno
import fcntl
import os
from pathlib import Path


class RotatingFile:
    """A file of lines that one process appends to.

    Args:
        path: The file; its folder must exist.
        max_bytes: At this size the file counts as full.
        keep: Rotated files that are kept beside it.
        is_synced: If True each line is on the disk before `write_line` returns.

    Raises:
        BlockingIOError: If another process appends to it.
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int, is_synced: bool = False) -> None:
        self.path = path
        self.was_torn = False
        self._max_bytes = max_bytes
        self._keep = keep
        self._is_synced = is_synced
        self._fd: int | None = None
        self._is_torn = False
        self._open()
        self.was_torn = self._is_torn

    @property
    def is_full(self) -> bool:
        """True if the file has reached its size."""
        return self._fd is not None and os.fstat(self._fd).st_size >= self._max_bytes

    def write_line(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: If it was not written, or not wholly.
        """
        fd = self._writable()
        data = (b"\n" if self._is_torn else b"") + line.encode("ascii") + b"\n"
        written = os.write(fd, data)
        self._is_torn = 0 < written < len(data)
        if written < len(data):
            raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes were written", str(self.path))
        if self._is_synced:
            os.fsync(fd)

    def rotate(self) -> None:
        """Move the file aside and begin a new one.

        Raises:
            OSError: If a file could not be moved or the new one not opened; writing goes on where it can.
        """
        for number in range(self._keep, 0, -1):
            source = self._numbered(number - 1)
            if source.exists():
                source.replace(self._numbered(number))
        if self._keep == 0:
            self.path.unlink(missing_ok=True)
        self.reopen()

    def reopen(self) -> None:
        """Close and open again, for files that somebody else rotates.

        Raises:
            OSError: If it cannot be opened.
        """
        self.close()
        self._open()

    def close(self) -> None:
        """Release the file; the next line opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _writable(self) -> int:
        if self._fd is not None and os.fstat(self._fd).st_nlink == 0:
            self.close()  # somebody deleted the file: a line written now would be lost unseen
        return self._open() if self._fd is None else self._fd

    def _open(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            _lock(fd)
            size = os.fstat(fd).st_size
            self._is_torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        return fd


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems know no locks; the journal works there all the same.
        if isinstance(error, BlockingIOError):
            raise
