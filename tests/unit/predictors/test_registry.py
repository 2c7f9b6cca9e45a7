import asyncio
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.policy import ForecastPolicy
from predictors.arima import ArimaPredictor
from predictors.constant import ConstantPredictor
from predictors.kalman import KalmanPredictor
from predictors.prophet import ProphetPredictor
from predictors.registry import GROUP, make, names

ROOT = Path(__file__).resolve().parents[3]


def entry_point(name: str) -> str:
    return f"[{GROUP}]\n{name} = {name}_predictor:build\n"


BUILT_IN: dict[str, type] = {
    "arima": ArimaPredictor,
    "constant": ConstantPredictor,
    "kalman": KalmanPredictor,
    "prophet": ProphetPredictor,
}


@pytest.mark.parametrize(("name", "kind"), BUILT_IN.items(), ids=BUILT_IN.keys())
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
        "forecast.predictor: no predictor is called 'KALMANN'; did you mean 'kalman'? "
        "known: arima, constant, kalman, prophet"
    )


def test_a_name_like_none_that_is_known_gets_no_guess() -> None:
    with pytest.raises(ConfigError) as caught:
        make(ForecastPolicy(predictor="xyz"))

    assert caught.value.hint.startswith("known: arima, constant, kalman, prophet")


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
    declared = {entry.name: entry for entry in entry_points(group=GROUP)}

    for name, kind in BUILT_IN.items():
        assert declared[name] == EntryPoint(name=name, value=f"predictors.{name}:build", group=GROUP)
        assert isinstance(declared[name].load()(ForecastPolicy()), kind)


@pytest.mark.parametrize("name", BUILT_IN)
async def test_choosing_a_predictor_imports_no_heavy_library(name: str) -> None:
    program = (
        "import sys\n"
        "from config.policy import ForecastPolicy\n"
        "from predictors.load import LoadForecaster\n"
        f"LoadForecaster(ForecastPolicy(predictor='{name}'))\n"
        "print(sorted({'numpy', 'scipy', 'filterpy', 'pmdarima', 'prophet', 'pandas'} & set(sys.modules)))\n"
    )

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()

    assert process.returncode == 0
    assert output.decode().strip() == "[]"
