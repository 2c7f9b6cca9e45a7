"""A start that cannot be completed ends, whatever was started before it failed."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.servers import CLOCK, SCRIPT, until

RUN = (SCRIPT, "run", "--profile", "embedded", "--ttft", "300ms", "--itl", "25ms", "--budget", "8")
HANGS = """
import os, pathlib, re
pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
re.match("(a+)+$", "a" * 60 + "b")
"""


@pytest.mark.slow
async def test_a_port_in_use_ends_the_start_of_a_daemon_whose_models_live_in_a_worker() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            *RUN, "--http-port", port, "--predictor", "arima", stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(30.0):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in said.decode()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stop_while_the_profile_is_sampled_ends_the_start(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "scipy.py").write_text(HANGS, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *RUN, stderr=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(tmp_path)}
    )
    try:

        async def is_sampling() -> bool:
            return (tmp_path / "pid").exists()

        await until(is_sampling, "the profile is being sampled")
        began_s = CLOCK.now_s()
        process.send_signal(number)
        async with asyncio.timeout(30.0):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (process.returncode, CLOCK.now_s() - began_s < 5.0) == (0, True), said
    assert said == b""
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="ascii")), signal.SIG_DFL)


@pytest.mark.slow
async def test_too_little_memory_for_the_profile_ends_the_start_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "scipy.py").write_text("bytearray(2**62)", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *RUN, stderr=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(tmp_path)}
    )
    async with asyncio.timeout(30.0):
        _, said = await process.communicate()

    assert process.returncode == 2
    assert said.startswith(b"error: profile: sampling it needs more memory than there is (MemoryError); ")
    assert said.count(b"\n") == 1
