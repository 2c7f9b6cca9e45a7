"""The installed `setpoint`, started as a process of its own: pipes, terminals, signals and odd locales."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SETPOINT = Path(sys.executable).parent / "setpoint"
PLAN = ("--rate", "12", "--isl", "2000", "--osl", "300", "--ttft", "300ms", "--itl", "20ms")
PIPE = {"COLUMNS": "100", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    code: int
    out: str
    err: str


async def setpoint(*arguments: str, env: Mapping[str, str] = PIPE) -> Ended:
    return await ended(str(SETPOINT), *arguments, env=env)


async def ended(*command: str, env: Mapping[str, str] = PIPE) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
    )
    out, err = await asyncio.wait_for(process.communicate(), 30.0)
    return Ended(code=process.returncode or 0, out=out.decode(), err=err.decode())


async def on_a_terminal(*arguments: str, env: Mapping[str, str]) -> str:
    """Run with a pseudo-terminal for standard output, and return what it shows."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        str(SETPOINT), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=theirs, env=dict(env)
    )
    os.close(theirs)
    shown = await asyncio.to_thread(_read_all, ours)
    assert await asyncio.wait_for(process.wait(), 30.0) == 0
    return shown


def _read_all(descriptor: int) -> str:
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # a terminal ends so when its last user closes it
        pass
    finally:
        os.close(descriptor)
    return b"".join(parts).decode()


async def test_a_plan_in_a_pipe_is_clean_json() -> None:
    done = await setpoint("plan", "--profile", "embedded", *PLAN, "--output", "json")

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["replicas"] == {"prefill": 2, "decode": 2}


async def test_a_table_in_a_pipe_has_no_color() -> None:
    done = await setpoint("plan", "--profile", "embedded", *PLAN, env={**PIPE, "TERM": "xterm-256color"})

    assert done.code == 0
    assert "\x1b" not in done.out


async def test_each_setting_is_one_line_in_a_pipe_that_grep_reads() -> None:
    url = f"http://{'long-name.' * 9}example:8000/metrics"

    done = await setpoint("config", "--scrape", url, env={"LANG": "C.UTF-8"})

    assert [line.split()[-1] for line in done.out.splitlines() if url in line] == ["--scrape"]


async def test_a_terminal_has_color() -> None:
    shown = await on_a_terminal("config", env={"TERM": "xterm-256color", "COLUMNS": "100"})

    assert "\x1b[31m" in shown  # what is required and not set is red


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb terminal"])
async def test_a_terminal_may_refuse_color(env: dict[str, str]) -> None:
    shown = await on_a_terminal("config", env={"TERM": "xterm-256color", "COLUMNS": "100", **env})

    assert "required, not set" in shown
    assert "\x1b[31m" not in shown


async def test_a_reader_that_leaves_early_is_no_error() -> None:
    done = await ended("bash", "-c", f"'{SETPOINT}' config schema | head -n 1", env={"PATH": "/usr/bin:/bin"})

    assert (done.out, done.err) == ("{\n", "")


async def test_a_terminal_that_knows_only_ascii_gets_an_answer() -> None:
    done = await setpoint(
        "plan", "--profile", "embedded", *PLAN, env={"PYTHONIOENCODING": "ascii", "COLUMNS": "100"}
    )

    assert (done.code, done.err) == (0, "")
    assert "as asked" in done.out


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("config", 0),
        ("config sample", 0),
        ("config import -", 2),
        (f"plan {' '.join(PLAN)} --budget 16 --profile embedded", 0),
    ],
)
async def test_a_standard_stream_that_is_closed_is_no_crash(command: str, code: int, closed: str) -> None:
    answer = await ended("/bin/sh", "-c", f"{SETPOINT} {command} {closed}")

    assert "Traceback" not in answer.err
    assert answer.code == code


async def test_a_mistake_is_one_line_and_exit_code_2() -> None:
    done = await setpoint("plan", "--profile", "embedded", *PLAN, "--rat", "3")

    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no such option: --rat; did you mean --rate? (see setpoint plan --help)\n"


async def test_no_daemon_is_exit_code_1() -> None:
    done = await setpoint("status", "--url", "http://127.0.0.1:1")

    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1


async def test_a_proxy_in_the_environment_does_not_hide_a_local_daemon() -> None:
    env = {**PIPE, "HTTP_PROXY": "http://127.0.0.1:2", "http_proxy": "http://127.0.0.1:2"}

    done = await setpoint("status", "--url", "http://127.0.0.1:1", env=env)

    assert "no daemon answers at http://127.0.0.1:1" in done.err
    assert "127.0.0.1:2" not in done.err


async def test_an_interrupt_of_the_demo_is_a_quiet_end() -> None:
    process = await asyncio.create_subprocess_exec(
        str(SETPOINT),
        *("demo", "--plain", "--duration", "60s"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(PIPE),
    )
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 30.0)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 30.0)

    assert process.returncode == 0
    assert b"GPU-hours" in out
    assert b"Traceback" not in err
