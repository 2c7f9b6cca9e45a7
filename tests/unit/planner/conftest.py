"""The golden answers of Dynamo's planner 0.9.0 and the profiles that they rest on."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.policy import EngineProfile
from planner.profiling.load import load_profile


@pytest.fixture(scope="session")
def golden(shared_dir: Path) -> dict[str, Any]:
    """Return the golden document; non-finite numbers are strings in it, which float() reads."""
    document: dict[str, Any] = json.loads((shared_dir / "golden" / "dynamo-090.json").read_text())
    return document


@pytest.fixture(scope="session")
def profiles(shared_dir: Path, golden: dict[str, Any]) -> dict[str, EngineProfile]:
    return {name: load_profile(shared_dir / "profiles" / name) for name in golden["interpolators"]}
