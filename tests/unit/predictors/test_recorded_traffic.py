"""Are the quantiles honest on recorded traffic, where nothing is exchangeable?"""

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.policy import ForecastPolicy
from predictors.load import LoadForecaster

if TYPE_CHECKING:
    from predictors.base import SeriesForecast

INTERVAL_S = 30.0


def rates_of(trace: Path) -> list[float]:
    with gzip.open(trace, "rt") as lines:
        stamps_ms = [int(found) for line in lines for found in re.findall(r'"timestamp":\s*(\d+)', line)]
    width_ms = int(1000 * INTERVAL_S)
    counts = [0.0] * (stamps_ms[-1] // width_ms)
    for stamp_ms in stamps_ms:
        if stamp_ms // width_ms < len(counts):
            counts[stamp_ms // width_ms] += 1.0
    return [count / INTERVAL_S for count in counts]


@pytest.mark.slow
@pytest.mark.parametrize("predictor", ["constant", "kalman"])
@pytest.mark.parametrize("startup_s", [0.0, 300.0])
def test_quantiles_cover_a_day_of_recorded_load(shared_dir: Path, predictor: str, startup_s: float) -> None:
    policy = ForecastPolicy(predictor=predictor, interval_s=INTERVAL_S, startup_s=startup_s)
    load = LoadForecaster(policy)
    pending: list[SeriesForecast] = []
    below = [0] * len(policy.levels)
    scored = 0

    for rate in rates_of(shared_dir / "traces" / "servegen_m-large_day.jsonl.gz"):
        if len(pending) == load.horizon_steps and (due := pending.pop(0)).calibrated:
            scored += 1
            for index, quantile in enumerate(due.quantiles):
                below[index] += rate <= quantile.value
        load.observe(arrivals_rps=rate, isl_tokens=None, osl_tokens=None)
        forecast = load.forecast(0.0)
        assert forecast is not None
        pending.append(forecast.arrivals_rps)

    assert scored > 2700
    assert [count / scored for count in below] == pytest.approx(policy.levels, abs=0.025)
