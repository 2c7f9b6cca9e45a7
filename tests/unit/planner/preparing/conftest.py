"""Deployments with a planner, as people write them for either version."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.dynamo.nodes import Source
from planner.preparing.text import Tree, trees

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def case() -> Callable[[str], list[Tree]]:
    """Return what reads a manifest by its name."""

    def read(name: str) -> list[Tree]:
        return trees(Source(name=name, text=(CASES / f"{name}.yaml").read_text(encoding="utf-8")))

    return read
