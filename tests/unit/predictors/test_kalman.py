import importlib
import random

import numpy as np
import pytest

from config.errors import ConfigError, InternalError
from config.policy import ForecastPolicy
from predictors.kalman import KalmanPredictor, KalmanState, build


def fed(predictor: KalmanPredictor, *values: float | None) -> KalmanPredictor:
    for value in values:
        predictor.observe(value)
    return predictor


def test_the_filter_in_floats_equals_filterpy() -> None:
    q_level, q_trend, r = 1.0, 0.1, 10.0
    reference = importlib.import_module("filterpy.kalman").KalmanFilter(dim_x=2, dim_z=1)
    reference.F = np.array([[1.0, 1.0], [0.0, 1.0]])
    reference.H = np.array([[1.0, 0.0]])
    reference.Q = np.diag([q_level, q_trend])
    reference.R = np.array([[r]])
    reference.P = 1000.0 * np.eye(2)
    reference.x = np.zeros((2, 1))
    state = KalmanState()
    rng = random.Random(1)

    for _ in range(200):
        state = state.predicted(q_level=q_level, q_trend=q_trend)
        reference.predict()
        if rng.random() < 0.9:
            value = rng.uniform(0.0, 500.0)
            state = state.updated(value, r=r)
            reference.update(value)

        assert state.level == pytest.approx(float(reference.x[0, 0]), rel=1e-12, abs=1e-12)
        assert state.trend == pytest.approx(float(reference.x[1, 0]), rel=1e-12, abs=1e-12)
        assert state.level_variance == pytest.approx(float(reference.P[0, 0]), rel=1e-12)
        assert state.covariance == pytest.approx(float(reference.P[0, 1]), rel=1e-12)
        assert state.covariance == pytest.approx(float(reference.P[1, 0]), rel=1e-12)
        assert state.trend_variance == pytest.approx(float(reference.P[1, 1]), rel=1e-12)


def test_the_forecast_is_the_last_value_until_there_are_enough_points() -> None:
    predictor = fed(KalmanPredictor(min_points=4), 10.0, 20.0, 30.0)

    before = predictor.forecast(1).mean
    predictor.observe(40.0)
    after = predictor.forecast(1).mean

    assert before == 30.0
    assert after == pytest.approx(49.898, abs=1e-3)


def test_dropped_zeros_and_unknown_intervals_are_not_points() -> None:
    predictor = fed(KalmanPredictor(min_points=2), 0.0, None, 0.0, 10.0, None)

    assert predictor.forecast(1).mean == 10.0


def test_the_trend_is_extrapolated_over_the_horizon() -> None:
    predictor = fed(KalmanPredictor(min_points=1), *(10.0 * step for step in range(1, 40)))
    level, trend = predictor.state.level, predictor.state.trend

    assert predictor.forecast(1).mean == level
    assert predictor.forecast(11).mean == pytest.approx(level + 10.0 * trend)
    assert predictor.forecast(11).mean == pytest.approx(500.0, rel=1e-3)


def test_a_falling_load_is_forecast_at_zero_not_below() -> None:
    predictor = fed(KalmanPredictor(min_points=1), 1000.0, 10.0)

    assert predictor.state.level < 0.0
    assert predictor.forecast(1).mean == 0.0


def test_an_unknown_interval_lets_time_pass_and_widens_the_variance() -> None:
    predictor = fed(KalmanPredictor(min_points=1), *(10.0 * step for step in range(1, 40)))
    before = predictor.state

    predictor.observe(None)

    assert predictor.state.level == before.level + before.trend
    assert predictor.state.trend == before.trend
    assert predictor.state.level_variance > before.level_variance


def test_unknown_intervals_before_the_first_load_change_nothing() -> None:
    predictor = fed(KalmanPredictor(min_points=1), None, 0.0, None)

    assert predictor.state == KalmanState()
    assert predictor.forecast(3).mean == 0.0


def test_logarithms_that_explode_stay_finite() -> None:
    predictor = fed(KalmanPredictor(log1p=True, min_points=1), 1.0, 1e300)

    assert predictor.forecast(60).mean == pytest.approx(1e300)


def test_noises_have_floors() -> None:
    floored = fed(KalmanPredictor(q_level=0.0, q_trend=0.0, r=0.0), 5.0, 6.0, 9.0)
    explicit = fed(KalmanPredictor(q_level=1e-12, q_trend=1e-12, r=1e-9), 5.0, 6.0, 9.0)

    assert floored.state == explicit.state


@pytest.mark.parametrize("noise", [-1.0, float("nan"), float("inf"), 1e13])
def test_a_noise_that_is_no_variance_is_refused_by_name(noise: float) -> None:
    with pytest.raises(ConfigError) as caught:
        KalmanPredictor(r=noise)

    assert caught.value.key == "forecast.kalman_r"


def test_the_policy_reaches_the_filter() -> None:
    policy = ForecastPolicy(
        predictor="kalman", kalman_q_level=0.1, kalman_q_trend=0.01, kalman_r=1.0, log1p=True, min_points=2
    )
    direct = KalmanPredictor(q_level=0.1, q_trend=0.01, r=1.0, log1p=True, min_points=2)

    built = build(policy)

    values = (3.0, 9.0, 27.0)
    assert fed(built, *values).state == fed(direct, *values).state
    assert built.forecast(1) == direct.forecast(1)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_value_that_no_load_has_is_refused(value: float) -> None:
    with pytest.raises(InternalError, match="expected a finite number"):
        KalmanPredictor().observe(value)


def test_the_past_is_not_forecast() -> None:
    with pytest.raises(InternalError, match="expected 1 or more"):
        KalmanPredictor().forecast(0)
