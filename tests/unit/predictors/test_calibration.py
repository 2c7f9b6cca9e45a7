import random
from statistics import fmean

import pytest

from config.errors import ConfigError
from predictors.base import Predictor, SeriesForecast
from predictors.calibration import Calibrated
from predictors.constant import ConstantPredictor
from predictors.kalman import KalmanPredictor

LEVELS = (0.05, 0.5, 0.95)


class Oracle:
    """Forecasts the same number always, and counts how often it was asked."""

    def __init__(self, mean: float) -> None:
        self.mean = mean
        self.seen: list[float | None] = []

    def observe(self, value: float | None) -> None:
        self.seen.append(value)

    def forecast(self, steps: int) -> SeriesForecast:
        return SeriesForecast(mean=self.mean + (steps - 1) * 0.0)


def around(predictor: Predictor, *, levels: tuple[float, ...] = LEVELS, steps: int = 1) -> Calibrated:
    return Calibrated(predictor, levels=levels, horizons=(steps,))


def fed(predictor: Calibrated, *values: float | None) -> Calibrated:
    for value in values:
        predictor.observe(value)
    return predictor


def edges(forecast: SeriesForecast) -> list[float]:
    return [quantile.value for quantile in forecast.quantiles]


def test_quantiles_are_the_predictors_own_past_errors() -> None:
    # Values 1 to 39 around a forecast that never moves: the quantile of the errors is that of the values.
    load = fed(around(Oracle(20.0)), 20.0, *(float(value) for value in range(1, 40)))

    forecast = load.forecast(1)

    assert forecast.calibrated
    assert forecast.mean == 20.0
    assert edges(forecast) == pytest.approx([2.0, 20.0, 38.0])


def test_a_small_sample_is_corrected_for() -> None:
    # With 19 errors the 0.95 quantile is the largest, not the 18th.
    load = fed(around(Oracle(20.0)), 20.0, *(float(value) for value in range(10, 30)))

    assert edges(load.forecast(1)) == pytest.approx([10.0, 20.0, 29.0])


def test_until_there_are_enough_errors_a_prior_serves_and_says_so() -> None:
    load = fed(around(ConstantPredictor()), *(100.0,) * 20)

    before = load.forecast(1)
    load.observe(100.0)
    after = load.forecast(1)

    assert not before.calibrated
    assert edges(before)[0] < 70.0
    assert 140.0 < edges(before)[2] < 160.0
    assert after.calibrated
    assert edges(after) == pytest.approx([100.0, 100.0, 100.0])


def test_the_prior_is_never_narrower_than_the_errors_seen() -> None:
    load = fed(around(Oracle(100.0)), 100.0, 1000.0, 0.0)

    forecast = load.forecast(1)

    assert not forecast.calibrated
    assert edges(forecast)[0] == pytest.approx(0.0, abs=1e-9)
    assert edges(forecast)[2] == pytest.approx(1000.0)


def test_a_long_horizon_needs_more_errors() -> None:
    near = fed(around(ConstantPredictor()), *(50.0,) * 25)
    far = fed(around(ConstantPredictor(), steps=11), *(50.0,) * 43)

    before = far.forecast(11)
    far.observe(50.0)

    assert near.forecast(1).calibrated
    assert not before.calibrated
    assert far.forecast(11).calibrated


def test_an_extreme_level_needs_enough_errors_to_be_reached() -> None:
    load = fed(around(ConstantPredictor(), levels=(0.5, 0.999)), *(50.0,) * 1000)

    before = load.forecast(1)
    load.observe(50.0)

    assert not before.calibrated
    assert load.forecast(1).calibrated


def test_an_error_is_scored_at_its_own_horizon() -> None:
    # A ramp of 10 a step: last value is 10 off one step ahead and 50 off five steps ahead.
    ramp = [1000.0 + 10.0 * step for step in range(120)]
    load = fed(Calibrated(ConstantPredictor(), levels=(0.5,), horizons=(1, 5)), *ramp)

    assert edges(load.forecast(1))[0] - ramp[-1] == pytest.approx(10.0, rel=0.2)
    assert edges(load.forecast(5))[0] - ramp[-1] == pytest.approx(50.0, rel=0.2)


def test_a_horizon_that_was_not_announced_is_answered_but_not_as_calibrated() -> None:
    load = fed(around(ConstantPredictor(), steps=3), *(50.0,) * 60)

    assert load.forecast(3).calibrated
    assert not load.forecast(4).calibrated
    assert len(load.forecast(4).quantiles) == 3


def test_beyond_the_announced_horizon_quantiles_grow_as_those_of_a_walk() -> None:
    load = fed(around(ConstantPredictor(), steps=3), *(1000.0 + 60.0 * (step % 4) for step in range(60)))
    due, later = edges(load.forecast(3)), edges(load.forecast(12))

    assert later[-1] - later[0] == pytest.approx(2.0 * (due[-1] - due[0]), rel=0.05)
    assert load.forecast(2).quantiles == load.forecast(3).quantiles


def test_unknown_intervals_are_not_scored() -> None:
    with_holes = fed(
        around(Oracle(20.0)), 20.0, *(value for one in range(1, 40) for value in (float(one), None))
    )
    without = fed(around(Oracle(20.0)), 20.0, *(float(value) for value in range(1, 40)))

    assert with_holes.forecast(1) == without.forecast(1)


def test_old_errors_are_forgotten() -> None:
    load = fed(around(Oracle(100.0)), *(0.0, 200.0) * 100, *(100.0,) * 201)

    assert edges(load.forecast(1)) == pytest.approx([100.0, 100.0, 100.0])


def test_idle_before_the_first_load_is_no_evidence() -> None:
    load = fed(around(ConstantPredictor()), *(0.0,) * 100)

    idle = load.forecast(1)
    load.observe(100.0)

    assert idle == SeriesForecast(mean=0.0)
    assert not load.forecast(1).calibrated
    assert edges(load.forecast(1))[2] > 130.0


def test_the_wrapped_predictor_sees_every_interval() -> None:
    oracle = Oracle(5.0)

    fed(around(oracle), 0.0, None, 5.0)

    assert oracle.seen == [0.0, None, 5.0]


def test_a_negative_point_forecast_is_cut_at_zero() -> None:
    load = fed(around(Oracle(-4.0)), 3.0)

    assert load.forecast(1).mean == 0.0


@pytest.mark.parametrize("steps", [1, 5])
def test_coverage_on_poisson_like_load_is_what_the_levels_promise(steps: int) -> None:
    rng = random.Random(7)
    levels = (0.05, 0.5, 0.9, 0.95)
    load = around(KalmanPredictor(), levels=levels, steps=steps)
    pending: list[SeriesForecast] = []
    below: list[list[bool]] = []
    for _ in range(3000):
        value = max(0.0, rng.gauss(100.0, 10.0))
        if len(pending) == steps and (due := pending.pop(0)).calibrated:
            below.append([value <= edge for edge in edges(due)])
        load.observe(value)
        pending.append(load.forecast(steps))

    coverage = [fmean(column) for column in zip(*below, strict=True)]

    assert coverage == pytest.approx(levels, abs=0.02)


@pytest.mark.parametrize("levels", [(0.5, 0.5), (0.9, 0.5), (0.0, 0.5), (0.5, 1.0), (float("nan"),)])
def test_levels_that_are_not_ascending_shares_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        Calibrated(ConstantPredictor(), levels=levels)

    assert caught.value.key == "forecast.levels"


def test_without_levels_the_mean_is_all_there_is() -> None:
    load = fed(around(ConstantPredictor(), levels=()), *(50.0,) * 60)

    assert load.forecast(1) == SeriesForecast(mean=50.0, calibrated=True)
