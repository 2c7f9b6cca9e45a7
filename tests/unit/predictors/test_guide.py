"""The guide's own example works: `docs/writing-a-predictor.md` is extracted, installed, tested and chosen."""

import importlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from config.policy import ForecastPolicy
from predictors.load import LoadForecaster
from predictors.registry import GROUP

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "writing-a-predictor.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[..., None]) -> None:
    """Write each python block to the path in its first line, and register what the toml block registers."""
    declared = tomllib.loads(blocks("toml")[0])["project"]["entry-points"][GROUP]
    lines = [f"{name} = {target}" for name, target in declared.items()]
    modules = {block.splitlines()[0].removeprefix("# "): block for block in blocks("python")}
    install("\n".join([f"[{GROUP}]", *lines, ""]), modules, name="my-predictors")
    monkeypatch.syspath_prepend(str(tmp_path / "tests"))


@pytest.mark.usefixtures("installed")
def test_the_guides_example_passes_the_guides_test() -> None:
    module = importlib.import_module("test_smoothing")

    module.test_smoothing_keeps_every_promise()


@pytest.mark.usefixtures("installed")
def test_the_guides_example_is_chosen_by_the_name_it_registers() -> None:
    load = LoadForecaster(ForecastPolicy(predictor="smoothing", interval_s=10.0))
    for arrivals_rps in (*(10.0,) * 40, 20.0):
        load.observe(arrivals_rps=arrivals_rps, isl_tokens=None, osl_tokens=None)

    forecast = load.forecast(0.0)

    assert forecast is not None
    assert forecast.predictor == "smoothing"
    assert forecast.arrivals_rps.mean == pytest.approx(11.0)
    assert forecast.arrivals_rps.calibrated
