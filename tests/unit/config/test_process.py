import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from config.process import keep_small

# Ends with its parent or never: it computes in native code, and lets no other thread run.
CHILD = """
import os, re
from config.process import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
re.match("(a+)+$", "a" * 60 + "b")
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.stdout.readline().decode(), flush=True)
child.wait()
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parents")


def ends(pid: int) -> bool:
    """Wait for the end of somebody else's child."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            return bool(select.select([descriptor], [], [], 10.0)[0])
        finally:
            os.close(descriptor)
    return True


@linux
@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_child_ends_with_its_killed_parent_in_native_code_and_when_stopped(*, is_stopped: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if is_stopped:
            os.kill(pid, signal.SIGSTOP)
        parent.kill()

    has_ended = ends(pid)
    if not has_ended:
        os.kill(pid, signal.SIGKILL)
    assert has_ended


@linux
def test_a_child_whose_parent_was_gone_before_it_asked_ends_at_once() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    script = "from config.process import end_with_parent; end_with_parent()"

    done = subprocess.run([sys.executable, "-c", script], stdout=writer, check=False)

    os.close(writer)
    assert done.returncode == -signal.SIGKILL


def test_linear_algebra_gets_one_thread() -> None:
    environment: dict[str, str] = {}

    keep_small(environment)

    assert environment == {"OPENBLAS_NUM_THREADS": "1"}


def test_what_the_user_set_stays() -> None:
    environment = {"OPENBLAS_NUM_THREADS": "2"}

    keep_small(environment)

    assert environment == {"OPENBLAS_NUM_THREADS": "2"}
