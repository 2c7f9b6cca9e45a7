"""A real Prometheus and two exporters, stopped after each test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.connectors.prometheus.rig import Frontend, Prometheus


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[Prometheus]:
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus on the path: apt-get install prometheus")
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
