"""The examples of the guide run as they stand there."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "writing-a-connector.md"
BLOCK = re.compile(r"^```python\n# (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Write the guide's examples as modules, and import one by its name."""
    for name, code in BLOCK.findall(GUIDE.read_text()):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module


def test_every_example_is_one_of_the_three_modules() -> None:
    assert [name for name, _ in BLOCK.findall(GUIDE.read_text())] == [
        "acme_fleet",
        "acme_metrics",
        "test_acme",
    ]
    assert GUIDE.read_text().count("```python") == 3


def test_the_tests_of_the_guide_pass(guide: Callable[[str], ModuleType]) -> None:
    tests = guide("test_acme")

    tests.test_the_fleet_conforms()
    tests.test_the_source_conforms()


@pytest.mark.parametrize("name", ["acme_fleet", "acme_metrics"])
def test_the_builders_of_the_guide_check_their_settings(
    guide: Callable[[str], ModuleType], name: str
) -> None:
    module = guide(name)

    with pytest.raises(ConfigError, match="acme path: found None; expected the path"):
        module.build({}, VirtualClock())
    assert module.build({"path": "fleet.json"}, VirtualClock()) is not None
