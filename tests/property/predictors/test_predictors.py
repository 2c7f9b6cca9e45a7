"""What holds for every history, and however the predictors are asked meanwhile."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from config.policy import ForecastPolicy
from predictors.base import Predictor, SeriesForecast
from predictors.calibration import Calibrated
from predictors.constant import ConstantPredictor
from predictors.kalman import KalmanPredictor
from predictors.load import LoadForecaster

LEVELS = (0.05, 0.5, 0.9, 0.95)
HORIZONS = (1, 3, 11)

values = st.one_of(
    st.none(),
    st.just(0.0),
    st.floats(min_value=0.0, max_value=1e300, allow_nan=False),
    st.floats(min_value=0.0, max_value=1000.0, allow_nan=False),
)
histories = st.lists(values, max_size=60)
steps = st.integers(min_value=1, max_value=10**9)
kinds = st.sampled_from(("constant", "kalman", "kalman log1p", "kalman without noise"))


def bare(kind: str) -> Predictor:
    if kind == "constant":
        return ConstantPredictor()
    if kind == "kalman without noise":
        return KalmanPredictor(q_level=0.0, q_trend=0.0, r=0.0, min_points=1)
    return KalmanPredictor(log1p=kind == "kalman log1p", min_points=2)


def calibrated(kind: str) -> Calibrated:
    return Calibrated(bare(kind), levels=LEVELS, horizons=HORIZONS)


def is_usable(forecast: SeriesForecast) -> bool:
    found = [quantile.value for quantile in forecast.quantiles]
    return all(0.0 <= value < math.inf for value in (forecast.mean, *found)) and found == sorted(found)


@given(kind=kinds, history=histories, ahead=steps)
def test_forecasts_are_finite_not_negative_and_ascending(
    kind: str, history: list[float | None], ahead: int
) -> None:
    predictor = calibrated(kind)

    for value in history:
        predictor.observe(value)

        assert is_usable(predictor.forecast(ahead))
        assert all(is_usable(predictor.forecast(horizon)) for horizon in HORIZONS)


@given(
    kind=kinds,
    history=st.lists(
        st.tuples(values, st.lists(st.integers(min_value=1, max_value=20), max_size=3)), max_size=60
    ),
)
def test_forecasts_depend_on_the_history_alone_not_on_who_asked_when(
    kind: str, history: list[tuple[float | None, list[int]]]
) -> None:
    asked, quiet = calibrated(kind), calibrated(kind)

    for value, questions in history:
        asked.observe(value)
        quiet.observe(value)
        for horizon in questions:
            asked.forecast(horizon)

    for horizon in (*HORIZONS, 2, 20):
        assert asked.forecast(horizon) == quiet.forecast(horizon)


@given(kind=kinds, history=histories, ahead=st.integers(min_value=1, max_value=50))
def test_calibration_leaves_the_point_forecast_alone(
    kind: str, history: list[float | None], ahead: int
) -> None:
    predictor, wrapped = bare(kind), calibrated(kind)

    for value in history:
        predictor.observe(value)
        wrapped.observe(value)

    assert wrapped.forecast(ahead).mean == predictor.forecast(ahead).mean


@given(kind=kinds, idle=st.integers(min_value=0, max_value=20), history=histories)
def test_zeros_before_the_first_load_change_nothing(
    kind: str, idle: int, history: list[float | None]
) -> None:
    at_once, later = calibrated(kind), calibrated(kind)
    for _ in range(idle):
        later.observe(0.0)

    for value in history:
        at_once.observe(value)
        later.observe(value)

    assert [at_once.forecast(horizon) for horizon in HORIZONS] == [
        later.forecast(horizon) for horizon in HORIZONS
    ]


@settings(max_examples=30)
@given(
    value=st.floats(min_value=1e-6, max_value=1e6),
    count=st.integers(min_value=40, max_value=80),
    kind=st.sampled_from(("constant", "kalman", "kalman log1p")),
)
def test_a_load_that_never_moves_is_forecast_without_doubt(value: float, count: int, kind: str) -> None:
    predictor = Calibrated(bare(kind), levels=LEVELS)

    for _ in range(count):
        predictor.observe(value)

    forecast = predictor.forecast(1)
    assert forecast.calibrated
    for quantile in forecast.quantiles:
        assert math.isclose(quantile.value, value, rel_tol=1e-6, abs_tol=1e-9)


lengths = st.one_of(st.none(), st.floats(min_value=0.0, max_value=1e6, allow_nan=False))
rates = st.one_of(st.none(), st.just(0.0), st.floats(min_value=0.0, max_value=1e4, allow_nan=False))


@given(
    predictor=st.sampled_from(("constant", "kalman")),
    history=st.lists(st.tuples(rates, lengths, lengths, st.booleans()), max_size=60),
)
def test_a_load_forecaster_is_rebuilt_by_feeding_its_history_again(
    predictor: str, history: list[tuple[float | None, float | None, float | None, bool]]
) -> None:
    policy = ForecastPolicy(predictor=predictor, startup_s=120.0)
    running, rebuilt = LoadForecaster(policy), LoadForecaster(policy)

    for arrivals_rps, isl_tokens, osl_tokens, is_asked in history:
        running.observe(arrivals_rps=arrivals_rps, isl_tokens=isl_tokens, osl_tokens=osl_tokens)
        if is_asked:
            running.forecast(1.0)
    for arrivals_rps, isl_tokens, osl_tokens, _ in history:
        rebuilt.observe(arrivals_rps=arrivals_rps, isl_tokens=isl_tokens, osl_tokens=osl_tokens)

    assert running.forecast(9.0) == rebuilt.forecast(9.0)
    assert (running.forecast(9.0) is None) == all(entry[0] is None for entry in history)
