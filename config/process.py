"""What is set for the process as a whole, before any library is loaded."""

import os
import select
import signal
import sys
from collections.abc import MutableMapping

# OpenBLAS starts a thread per core and lets them wait in a loop. For the small systems that curves are built
# from, that costs a second of CPU time at each start, and tens of MB that nobody uses.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS",)
_PR_SET_PDEATHSIG = 1


def open_standard_streams() -> None:
    """Let nothing be read, and what is written be lost, where a standard stream was closed.

    A file or socket that is opened later would otherwise get its number, and be written to as if it were.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def keep_small(environment: MutableMapping[str, str] = os.environ) -> None:  # noqa: TID251 - set, not read
    """Keep linear algebra on one thread, unless the user said how many; call it before numpy is imported.

    Example:
        >>> environment = {"OPENBLAS_NUM_THREADS": "4"}
        >>> keep_small(environment)
        >>> environment
        {'OPENBLAS_NUM_THREADS': '4'}
    """
    for name in _ONE_THREAD:
        environment.setdefault(name, "1")


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends: in native code too, and when it is stopped.

    Call it in a child whose standard output the parent reads. To the kernel the parent is the thread that
    started this process: here the main thread, or that of the event loop. Only Linux can; elsewhere this does
    nothing.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A parent that ended before that left a pipe that nobody reads. To ask for the parent's id would not
    # tell: process 1 may be the daemon, in a container, or whoever adopts orphans.
    output = select.poll()
    output.register(1, 0)
    if any(event & select.POLLERR for _, event in output.poll(0)):
        os.kill(os.getpid(), signal.SIGKILL)
