"""The examples of the guide run as they stand there."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from config.load import load
from connectors.base import Unknown
from planner.commands.connect import actuator_of, source_of

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "writing-a-connector.md"
BLOCK = re.compile(r"^```python\n# (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEAST = "budget_gpus: 8\ntargets: {ttft: 300ms, itl: 25ms}\n"


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

    with pytest.raises(ConfigError, match=r"plugin\.options\.path: found None; expected the path"):
        module.build({}, VirtualClock())
    assert module.build({"path": "fleet.json"}, VirtualClock()) is not None


async def test_the_connectors_of_the_guide_are_chosen_as_it_says(
    install: Callable[..., None], tmp_path: Path
) -> None:
    entry_points = "\n".join(TOML.findall(GUIDE.read_text())).replace('"', "")
    modules = {f"{name}.py": code for name, code in BLOCK.findall(GUIDE.read_text())}
    install(entry_points.replace("project.entry-points.", ""), modules, name="acme")
    (tmp_path / "fleet.json").write_text('{"decode": {"wanted": 2, "running": 1}}')
    (chosen,) = YAML.findall(GUIDE.read_text())
    file = tmp_path / "setpoint.yaml"
    file.write_text(LEAST + chosen.replace("/run/acme/fleet.json", str(tmp_path / "fleet.json")))

    loaded = load(file=file, environment={})
    clock = VirtualClock()
    fleet = await actuator_of(loaded.settings, (), clock=clock).read()
    traffic = await source_of(loaded, clock=clock).observe(30.0)

    assert (fleet.pools["decode"].ready, fleet.pools["decode"].starting) == (1, 1)
    assert isinstance(traffic.arrivals_rps, Unknown)
    assert "has no number 'arrivals_rps'" in traffic.arrivals_rps.why
