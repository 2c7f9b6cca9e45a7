"""What tests of settings share."""

from collections.abc import Callable
from pathlib import Path

import pytest

LEAST = {"budget_gpus": "8", "targets.ttft": "300ms", "targets.itl": "25ms"}


@pytest.fixture
def least() -> dict[str, object]:
    """Return flags for all settings without default."""
    return dict(LEAST)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a file of settings."""

    def write_file(content: str | bytes, name: str = "setpoint.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file
