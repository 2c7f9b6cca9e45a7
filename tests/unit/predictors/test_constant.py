import pytest

from config.errors import InternalError
from config.policy import ForecastPolicy
from predictors.constant import ConstantPredictor, build


def test_the_last_known_value_serves_for_every_horizon() -> None:
    predictor = ConstantPredictor()
    for value in (3.0, 8.0, None):
        predictor.observe(value)

    assert [predictor.forecast(steps).mean for steps in (1, 2, 60)] == [8.0, 8.0, 8.0]


def test_zeros_count_once_there_was_load() -> None:
    predictor = ConstantPredictor()
    for value in (0.0, 4.0, 0.0):
        predictor.observe(value)

    assert predictor.forecast(1).mean == 0.0


def test_without_any_value_the_forecast_is_zero() -> None:
    assert build(ForecastPolicy()).forecast(1).mean == 0.0


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_value_that_no_load_has_is_refused(value: float) -> None:
    with pytest.raises(InternalError, match="expected a finite number"):
        ConstantPredictor().observe(value)
