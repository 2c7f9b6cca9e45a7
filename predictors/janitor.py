"""What is done after a process that cannot do it itself any more, since it was killed?

The process leaves a small one behind that waits for its end, however that comes. It needs no library, no
interpreter of its own and, sharing the memory of the process it was forked from, next to no memory.
"""

import os
import shutil
import signal
from contextlib import suppress

_MOST_FILES = 4096
# Whoever was killed a moment ago may still have written while its folder was emptied.
_TRIES = 3


def clean_up_after(folder: str = "") -> None:
    """Have what this process started ended, and its folder removed, once it has ended.

    Call it while there is one thread. Without room for another process nothing is left behind.

    Args:
        folder: The folder for temporary files; empty for none.
    """
    ended, lives = os.pipe()  # `lives` stays open as long as this process
    ready, begun = os.pipe()
    group = os.getpid() if os.getpgrp() == os.getpid() else 0
    janitor = -1
    with suppress(OSError):
        janitor = os.fork()
    if janitor == 0:
        _wait_and_clean(ended, begun, group, folder)
    os.close(ended)
    os.close(begun)
    os.read(ready, 1)  # until then it would end with this process's group
    os.close(ready)
    if janitor < 0:
        os.close(lives)


def _wait_and_clean(ended: int, begun: int, group: int, folder: str) -> None:
    try:
        os.setsid()
        os.write(begun, b"\n")
        _hold_only(ended)
        os.read(0, 1)
        if group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for _ in range(_TRIES if folder else 0):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(0)


def _hold_only(file: int) -> None:
    """Keep one file, as standard input; who reads what the process writes must see it end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, kept in enumerate((file, nothing, nothing)):
        os.dup2(kept, number)
    os.closerange(3, _MOST_FILES)
