"""A real Prometheus and two exporters, stopped after each test."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.integration.connectors.prometheus.rig import Frontend, Prometheus


@pytest.fixture
async def prometheus(tmp_path: Path, program: Callable[[str, str], str]) -> AsyncIterator[Prometheus]:
    program("prometheus", "prometheus")
    server = Prometheus(folder=tmp_path)
    yield server
    await server.kill()


@pytest.fixture
async def frontends() -> AsyncIterator[tuple[Frontend, Frontend]]:
    pair = (Frontend(), Frontend())
    for frontend in pair:
        await frontend.start()
    yield pair
    for frontend in pair:
        await frontend.stop()
