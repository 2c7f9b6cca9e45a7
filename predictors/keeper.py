"""Who keeps a worker process alive? One that ends is started again, one that gives no answer is ended.

There is never more than one. Restarts back off on the injected clock: 1 s after the first, twice as long
after each further one that came before any answer, at most five minutes. A hang is measured in real time,
since that is what a process takes. Who was taken for hung may only be slow, so the next one is given twice
the time, up to 16 times the first limit.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import cast

from config.clock import Clock

_LONGEST_LINE = 2**22
_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 300.0
_MOST_PATIENCE = 16.0
_CLOSE_S = 0.3
_BURY_S = 0.2
_TAIL_BYTES = 4096


class Keeper:
    """Keeps one process that reads and writes lines.

    Args:
        command: What to start.
        clock: For the rests between restarts.
        hang_s: A process that owes an answer and writes nothing for so long is ended; real seconds.
        opening: Returns what each new process is told first, given a folder for its temporary files, and how
            long it may take for an answer.
        hear: Takes a line of the process, and returns whether it owes nothing more. What it raises ends the
            process.
        ended: Told why a process ended, in words for people.

    Attributes:
        is_up: True while there is a process that was told the opening.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        clock: Clock,
        hang_s: float,
        opening: Callable[[str, float], Iterable[bytes]],
        hear: Callable[[bytes], bool],
        ended: Callable[[str], None],
    ) -> None:
        self.is_up = False
        self._command = command
        self._clock = clock
        self._hang_s = hang_s
        self._most_hang_s = _MOST_PATIENCE * hang_s
        self._opening = opening
        self._hear = hear
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Timeout | None = None
        self._backoff_s = _FIRST_BACKOFF_S
        self._is_closing = False

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process in the background, unless that was done; needs a running event loop."""
        if self._task is None and not self._is_closing:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    def tell(self, line: bytes) -> None:
        """Write a line that is owed an answer; without a process nothing happens, as the next is told all."""
        if self.is_up and self._process is not None:
            cast("asyncio.StreamWriter", self._process.stdin).write(line)
            if self._watch is not None and self._watch.when() is None:  # else it owes one already
                self._expect()

    async def close(self) -> None:
        """End the process and forget it; takes no longer than half a second."""
        self._is_closing, self.is_up = True, False
        if self._task is None:
            return
        if self._process is not None:
            cast("asyncio.StreamWriter", self._process.stdin).close()
            await asyncio.wait({self._task}, timeout=_CLOSE_S)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _keep(self) -> None:
        while not self._is_closing:
            with _folder() as folder:
                (why,) = await asyncio.gather(self._live(folder), return_exceptions=True)
            if isinstance(why, asyncio.CancelledError):  # the event loop ends all that it runs
                raise why
            self._ended(why if isinstance(why, str) else f"cannot be kept: {why}")
            if not self._is_closing:
                await self._clock.sleep(self._backoff_s)
            self._backoff_s = min(2.0 * self._backoff_s, _LONGEST_BACKOFF_S)

    async def _live(self, folder: str) -> str:
        """Start a process, listen to it until its end, and return the words for that."""
        self._process = process = await _started(self._command)
        complaint = asyncio.ensure_future(_tail(cast("asyncio.StreamReader", process.stderr)))
        try:
            async with asyncio.timeout(None) as self._watch:
                await self._listen(process, folder)
        except TimeoutError:
            why = f"gave no answer for {self._hang_s:g} s and was ended"
            self._hang_s = min(2.0 * self._hang_s, self._most_hang_s)
            return why
        finally:
            self._watch, self.is_up = None, False
            last = await _bury(process, complaint)
            self._process = None
        return _words(process.returncode or 0, last)

    async def _listen(self, process: asyncio.subprocess.Process, folder: str) -> None:
        for line in self._opening(folder, self._hang_s):
            cast("asyncio.StreamWriter", process.stdin).write(line)
        self.is_up = True
        self._expect()
        answers = cast("asyncio.StreamReader", process.stdout)
        while line := await answers.readline():
            if not self._hear(line):
                self._expect()
            elif self._watch is not None:
                self._watch.reschedule(None)
                self._backoff_s = _FIRST_BACKOFF_S

    def _expect(self) -> None:
        if self._watch is not None and not self._watch.expired():
            self._watch.reschedule(asyncio.get_running_loop().time() + self._hang_s)


async def _started(command: tuple[str, ...]) -> asyncio.subprocess.Process:
    """Start a process, or end it where nobody wants it any more."""
    start = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,  # what a model starts in turn ends with it
        )
    )
    try:
        return await asyncio.shield(start)
    except asyncio.CancelledError:
        # Who cancels asyncio between fork and pipes waits forever; the start takes some milliseconds.
        process = await start
        await _bury(process, asyncio.ensure_future(_tail(cast("asyncio.StreamReader", process.stderr))))
        raise


def _folder() -> AbstractContextManager[str]:
    """Return a folder that ends with the process; none where the machine has no room for one."""
    try:
        return tempfile.TemporaryDirectory(prefix="setpoint-worker-", ignore_cleanup_errors=True)
    except OSError:
        return nullcontext("")


async def _bury(process: asyncio.subprocess.Process, complaint: asyncio.Future[bytes]) -> bytes:
    """End a process and what it started; return the last that it complained of."""
    cast("asyncio.StreamWriter", process.stdin).close()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    # What left the process's group may hold the pipe open.
    await asyncio.wait({complaint}, timeout=_BURY_S)
    complaint.cancel()
    await asyncio.wait({complaint})
    return b"" if complaint.cancelled() else complaint.result()


async def _tail(complaints: asyncio.StreamReader) -> bytes:
    """Read to the end, since a full pipe would stop the process, and keep the last of it."""
    kept = b""
    while chunk := await complaints.read(_TAIL_BYTES):
        kept = (kept + chunk)[-_TAIL_BYTES:]
    return kept


def _words(code: int, complaint: bytes) -> str:
    if code < 0:
        return f"ended with signal {-code} ({signal.Signals(-code).name})"
    last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
    return f"ended with {code}: {last}" if last else f"ended with {code}"
