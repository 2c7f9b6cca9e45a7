"""A process that models live in: started apart, ended with all that it started, and its last words kept."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import cast

_LAST_WORDS_S = 0.2
_TAIL_BYTES = 4096


class Child:
    """A process with pipes, in a session of its own: what a model starts in turn ends with it.

    Args:
        process: What `start` made.

    Attributes:
        process: The process itself.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._complaint = asyncio.ensure_future(_tail(cast("asyncio.StreamReader", process.stderr)))

    @classmethod
    async def start(cls, command: tuple[str, ...], *, longest_line: int) -> "Child":
        """Start a process, or end it where nobody wants it any more.

        Args:
            command: What to start.
            longest_line: The most bytes of a line that it writes.

        Raises:
            OSError: If no process can be started.
        """
        start = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=longest_line,
                start_new_session=True,
            )
        )
        try:
            return cls(await asyncio.shield(start))
        except asyncio.CancelledError:
            # Who cancels asyncio between fork and pipes waits forever; the start takes some milliseconds.
            await cls(await start).bury()
            raise

    @property
    def asked(self) -> asyncio.StreamWriter:
        """Its standard input."""
        return cast("asyncio.StreamWriter", self.process.stdin)

    @property
    def answers(self) -> asyncio.StreamReader:
        """Its standard output."""
        return cast("asyncio.StreamReader", self.process.stdout)

    async def bury(self) -> str:
        """End it and what it started; return in words how it ended."""
        self.asked.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        # What left the process's group may hold the pipe open.
        await asyncio.wait({self._complaint}, timeout=_LAST_WORDS_S)
        self._complaint.cancel()
        await asyncio.wait({self._complaint})
        last = b"" if self._complaint.cancelled() else self._complaint.result()
        return _words(self.process.returncode or 0, last)


def _words(code: int, complaint: bytes) -> str:
    if code < 0:
        return f"ended with signal {-code} ({signal.Signals(-code).name})"
    last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
    return f"ended with {code}: {last}" if last else f"ended with {code}"


async def _tail(complaints: asyncio.StreamReader) -> bytes:
    """Read to the end, since a full pipe would stop the process, and keep the last of it."""
    kept = b""
    while chunk := await complaints.read(_TAIL_BYTES):
        kept = (kept + chunk)[-_TAIL_BYTES:]
    return kept
