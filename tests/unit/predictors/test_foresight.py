import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError, ForecastError
from config.policy import ForecastPolicy
from config.sections import ForecastProcess
from predictors.apart import WorkerForesight
from predictors.base import UNSEEN, LoadInterval
from predictors.foresight import InlineForesight, foresight_of

FICKLE = """
from predictors.base import SeriesForecast

class Fickle:
    trouble = ""
    last = 0.0

    def observe(self, value):
        if value == 666.0:
            raise ZeroDivisionError("learned too much")
        self.last = value
        self.trouble = "an older fit serves" if value == 555.0 else ""

    def forecast(self, steps):
        if self.last == 777.0:
            raise KeyError("no idea")
        return SeriesForecast(mean=self.last)

def build(policy):
    return Fickle()
"""
POLICY = ForecastPolicy(predictor="fickle", interval_s=1.0)


@pytest.fixture
def fickle(install: Callable[..., None]) -> InlineForesight:
    install("[setpoint.predictors]\nfickle = fickle:build\n", {"fickle.py": FICKLE}, name="fickle")
    return InlineForesight(POLICY)


def load(*arrivals_rps: float | None) -> list[LoadInterval]:
    return [LoadInterval(arrivals_rps=value) for value in arrivals_rps]


async def test_inline_what_was_learned_is_forecast(fickle: InlineForesight) -> None:
    await fickle.learn(load(1.0, 5.0))
    forecast = await fickle.forecast(now_s=7.0)

    assert forecast is not None
    assert (forecast.arrivals_rps.mean, forecast.made_at_s, forecast.late_intervals) == (5.0, 7.0, 0)
    assert fickle.trouble is None


async def test_inline_nothing_is_forecast_while_nothing_was_known(fickle: InlineForesight) -> None:
    await fickle.learn([])

    assert await fickle.forecast(now_s=0.0) is None
    assert fickle.trouble is None


async def test_inline_zeros_after_an_older_trace_are_a_service_not_yet_in_use() -> None:
    foresight = InlineForesight(ForecastPolicy())
    await foresight.learn_older(load(5.0, 5.0))
    await foresight.learn(load(0.0, 0.0))

    forecast = await foresight.forecast(now_s=0.0)

    assert forecast is not None
    assert forecast.arrivals_rps.mean == 5.0


async def test_inline_what_a_model_raises_while_learning_costs_one_forecast(fickle: InlineForesight) -> None:
    await fickle.learn(load(5.0, 666.0, 6.0))

    first = await fickle.forecast(now_s=0.0)
    told = fickle.trouble
    second = await fickle.forecast(now_s=0.0)

    assert first is None
    assert isinstance(told, ZeroDivisionError)
    assert second is not None
    assert second.arrivals_rps.mean == 6.0
    assert fickle.trouble is None


async def test_inline_what_a_model_raises_while_forecasting_is_told(fickle: InlineForesight) -> None:
    await fickle.learn(load(777.0))

    assert await fickle.forecast(now_s=0.0) is None
    assert isinstance(fickle.trouble, KeyError)


async def test_inline_what_a_model_tells_of_itself_is_told_beside_its_forecast(
    fickle: InlineForesight,
) -> None:
    await fickle.learn(load(555.0))
    forecast = await fickle.forecast(now_s=0.0)

    assert forecast is not None
    assert isinstance(fickle.trouble, ForecastError)
    assert str(fickle.trouble) == "an older fit serves"
    assert fickle.trouble.predictor == "fickle"


async def test_inline_many_intervals_leave_turns_to_the_event_loop() -> None:
    foresight, turns = InlineForesight(ForecastPolicy()), 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await VirtualClock().sleep(0.0)

    counting = asyncio.ensure_future(count())
    await foresight.learn(load(*(5.0,) * 50))
    counting.cancel()

    assert turns >= 50


@pytest.mark.parametrize(
    ("predictor", "process", "is_apart"),
    [
        ("constant", ForecastProcess.AUTO, False),
        ("kalman", ForecastProcess.AUTO, False),
        ("arima", ForecastProcess.AUTO, True),
        ("prophet", ForecastProcess.AUTO, True),
        ("arima", ForecastProcess.INLINE, False),
        ("kalman", ForecastProcess.WORKER, True),
    ],
)
def test_heavy_predictors_are_apart_unless_the_user_says_otherwise(
    predictor: str, process: ForecastProcess, *, is_apart: bool
) -> None:
    # No event loop runs here, so no process starts.
    policy = ForecastPolicy(predictor=predictor)
    foresight = foresight_of(policy, process=process, clock=VirtualClock(), deadline_s=1.0)

    assert isinstance(foresight, WorkerForesight) is is_apart


@pytest.mark.parametrize("process", list(ForecastProcess))
def test_a_predictor_that_nobody_knows_is_refused_wherever_it_was_to_live(process: ForecastProcess) -> None:
    with pytest.raises(ConfigError, match="profet"):
        foresight_of(
            ForecastPolicy(predictor="profet"), process=process, clock=VirtualClock(), deadline_s=1.0
        )


def test_who_chose_a_cheap_predictor_pays_nothing_for_the_worker() -> None:
    code = (
        "import sys\n"
        "from config.clock import SystemClock\n"
        "from config.policy import ForecastPolicy\n"
        "from config.sections import ForecastProcess\n"
        "from predictors.foresight import foresight_of\n"
        "foresight_of(ForecastPolicy(), process=ForecastProcess.AUTO, clock=SystemClock(), deadline_s=1.0)\n"
        "print({'predictors.apart', 'predictors.keeper', 'pmdarima', 'prophet'} & set(sys.modules))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


async def test_an_unseen_interval_is_no_load(fickle: InlineForesight) -> None:
    await fickle.learn([UNSEEN])

    assert await fickle.forecast(now_s=0.0) is None
