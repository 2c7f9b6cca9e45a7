"""Who keeps a worker process alive? One that ends is started again, one that gives no answer is ended.

There is never more than one. Restarts back off on the injected clock: 1 s after the first, twice as long
after each further one that came before any answer, at most five minutes. A hang is measured in real time,
since that is what a process takes. Who was taken for hung may only be slow, so the next one is given twice
the time, up to 16 times the first limit.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from config.clock import Clock
from predictors.child import Child

_LONGEST_LINE = 2**22
_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 300.0
_MOST_PATIENCE = 16.0
_CLOSE_S = 0.3


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
        self._child: Child | None = None
        self._watch: asyncio.Timeout | None = None
        self._backoff_s = _FIRST_BACKOFF_S
        self._is_closing = False

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._child.process.pid if self._child else None

    def start(self) -> None:
        """Start the process in the background, unless that was done; needs a running event loop."""
        if self._task is None and not self._is_closing:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    def tell(self, line: bytes) -> None:
        """Write a line that is owed an answer; without a process nothing happens, as the next is told all."""
        if self.is_up and self._child is not None:
            self._child.asked.write(line)
            if self._watch is not None and self._watch.when() is None:  # else it owes one already
                self._expect()

    async def close(self) -> None:
        """End the process and forget it; takes no longer than half a second."""
        self._is_closing, self.is_up = True, False
        if self._task is None:
            return
        if self._child is not None:
            self._child.asked.close()
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
        self._child = child = await Child.start(self._command, longest_line=_LONGEST_LINE)
        try:
            async with asyncio.timeout(None) as self._watch:
                await self._listen(child, folder)
        except TimeoutError:
            why = f"gave no answer for {self._hang_s:g} s and was ended"
            self._hang_s = min(2.0 * self._hang_s, self._most_hang_s)
            return why
        finally:
            self._watch, self.is_up = None, False
            ended = await child.bury()
            self._child = None
        return ended

    async def _listen(self, child: Child, folder: str) -> None:
        for line in self._opening(folder, self._hang_s):
            child.asked.write(line)
        self.is_up = True
        self._expect()
        while line := await child.answers.readline():
            if not self._hear(line):
                self._expect()
            elif self._watch is not None:
                self._watch.reschedule(None)
                self._backoff_s = _FIRST_BACKOFF_S

    def _expect(self) -> None:
        if self._watch is not None and not self._watch.expired():
            self._watch.reschedule(asyncio.get_running_loop().time() + self._hang_s)


def _folder() -> AbstractContextManager[str]:
    """Return a folder that ends with the process; none where the machine has no room for one."""
    try:
        return tempfile.TemporaryDirectory(prefix="setpoint-worker-", ignore_cleanup_errors=True)
    except OSError:
        return nullcontext("")
