"""A start that cannot be completed ends, whatever was started before it failed."""

import asyncio
import socket

import pytest

from tests.e2e.servers import SCRIPT


@pytest.mark.slow
async def test_a_port_in_use_ends_the_start_of_a_daemon_whose_models_live_in_a_worker() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            *(SCRIPT, "run", "--profile", "embedded", "--ttft", "300ms", "--itl", "25ms", "--budget", "8"),
            *("--http-port", port, "--predictor", "arima"),
            stderr=asyncio.subprocess.PIPE,
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
