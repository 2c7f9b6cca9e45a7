import asyncio
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.policy import ForecastPolicy
from predictors.constant import ConstantPredictor
from predictors.kalman import KalmanPredictor
from predictors.registry import GROUP, make, names

ROOT = Path(__file__).resolve().parents[3]


def entry_point(name: str) -> str:
    return f"[{GROUP}]\n{name} = {name}_predictor:build\n"


@pytest.mark.parametrize(("name", "kind"), [("constant", ConstantPredictor), ("kalman", KalmanPredictor)])
def test_a_built_in_name_gives_its_predictor(name: str, kind: type) -> None:
    assert isinstance(make(ForecastPolicy(predictor=name)), kind)


def test_each_call_makes_a_fresh_predictor() -> None:
    policy = ForecastPolicy(predictor="constant")
    first, second = make(policy), make(policy)

    first.observe(9.0)

    assert second.forecast(1).mean == 0.0


def test_an_unknown_name_says_the_nearest_and_all_that_are_known() -> None:
    with pytest.raises(ConfigError) as caught:
        make(ForecastPolicy(predictor="KALMANN"))

    assert caught.value.key == "forecast.predictor"
    assert str(caught.value).startswith(
        "forecast.predictor: no predictor is called 'KALMANN'; did you mean 'kalman'? known: constant, kalman"
    )


def test_a_name_like_none_that_is_known_gets_no_guess() -> None:
    with pytest.raises(ConfigError) as caught:
        make(ForecastPolicy(predictor="xyz"))

    assert caught.value.hint.startswith("known: constant, kalman")


def test_a_third_party_is_found_through_its_entry_point(install: Callable[..., None]) -> None:
    module = (
        "from predictors.constant import ConstantPredictor\n"
        "def build(policy):\n"
        "    return ConstantPredictor()\n"
    )
    install(entry_point("outside"), {"outside_predictor.py": module}, name="outside")

    assert "outside" in names()
    assert isinstance(make(ForecastPolicy(predictor="outside")), ConstantPredictor)


def test_nobody_takes_the_name_of_a_built_in(install: Callable[..., None]) -> None:
    install(entry_point("kalman"), {"kalman_predictor.py": ""}, name="thief")

    assert isinstance(make(ForecastPolicy(predictor="kalman")), KalmanPredictor)


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("import a_library_that_is_not_there\n", "a_library_that_is_not_there"),
        ("", "build"),
        ("build = 3\n", "that is not a function"),
    ],
    ids=["missing library", "missing builder", "not a builder"],
)
def test_a_predictor_that_cannot_be_loaded_says_what_is_missing(
    install: Callable[..., None], module: str, problem: str
) -> None:
    name = f"broken{len(module)}"
    install(entry_point(name), {f"{name}_predictor.py": module}, name=name)

    with pytest.raises(ConfigError, match=problem) as caught:
        make(ForecastPolicy(predictor=name))

    assert caught.value.key == "forecast.predictor"


def test_the_distribution_declares_the_built_in_predictors() -> None:
    declared = {entry.name: entry.load() for entry in entry_points(group=GROUP)}

    assert declared["constant"](ForecastPolicy()).forecast(1).mean == 0.0
    assert isinstance(declared["kalman"](ForecastPolicy()), KalmanPredictor)
    assert EntryPoint(name="kalman", value="predictors.kalman:build", group=GROUP) in entry_points(
        group=GROUP
    )


async def test_choosing_a_cheap_predictor_imports_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from config.policy import ForecastPolicy\n"
        "from predictors.load import LoadForecaster\n"
        "LoadForecaster(ForecastPolicy(predictor='kalman'))\n"
        "print(sorted({'numpy', 'scipy', 'filterpy', 'pmdarima', 'prophet', 'pandas'} & set(sys.modules)))\n"
    )

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()

    assert process.returncode == 0
    assert output.decode().strip() == "[]"
