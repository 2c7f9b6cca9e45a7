from collections.abc import Callable

import pytest

from config.errors import ConfigError, InternalError
from config.policy import ForecastPolicy
from predictors.base import Forecast, SeriesForecast
from predictors.load import LoadForecaster, kept_intervals


def forecast_of(load: LoadForecaster, *, now_s: float = 0.0) -> Forecast:
    forecast = load.forecast(now_s)
    assert forecast is not None
    return forecast


def observe_arrivals(load: LoadForecaster, *arrivals_rps: float | None) -> LoadForecaster:
    for value in arrivals_rps:
        load.observe(arrivals_rps=value, isl_tokens=None, osl_tokens=None)
    return load


def test_nothing_is_forecast_while_nothing_was_seen() -> None:
    load = LoadForecaster(ForecastPolicy())

    assert load.forecast(0.0) is None


def test_arrivals_never_known_are_not_forecast_as_zero() -> None:
    load = LoadForecaster(ForecastPolicy())
    load.observe(arrivals_rps=None, isl_tokens=900.0, osl_tokens=100.0)

    assert load.forecast(0.0) is None


def test_a_service_only_ever_idle_is_forecast_idle() -> None:
    forecast = forecast_of(observe_arrivals(LoadForecaster(ForecastPolicy()), 0.0, 0.0), now_s=60.0)

    assert forecast.arrivals_rps == SeriesForecast(mean=0.0)
    assert forecast.isl_tokens is None
    assert forecast.osl_tokens is None
    assert forecast.points == 0
    assert forecast.made_at_s == 60.0


def test_points_count_known_intervals_since_the_first_load() -> None:
    load = observe_arrivals(LoadForecaster(ForecastPolicy()), 0.0, None, 2.0, None, 0.0, 3.0)

    assert load.points == 3
    assert forecast_of(load).points == 3


@pytest.mark.parametrize(
    ("interval_s", "startup_s", "steps"),
    [(30.0, 0.0, 1), (30.0, 1.0, 2), (30.0, 30.0, 2), (30.0, 300.0, 11), (0.7, 2.1, 4), (60.0, 90.0, 3)],
)
def test_the_horizon_ends_one_interval_after_an_engine_has_started(
    interval_s: float, startup_s: float, steps: int
) -> None:
    load = observe_arrivals(LoadForecaster(ForecastPolicy(interval_s=interval_s, startup_s=startup_s)), 1.0)

    assert load.horizon_steps == steps
    assert load.horizon_s == pytest.approx(steps * interval_s)
    assert forecast_of(load).horizon_s == load.horizon_s


def test_the_forecast_is_for_the_horizon_not_for_the_next_interval() -> None:
    ramp = [float(step) for step in range(1, 60)]
    soon = observe_arrivals(LoadForecaster(ForecastPolicy(predictor="kalman")), *ramp)
    later = observe_arrivals(LoadForecaster(ForecastPolicy(predictor="kalman", startup_s=300.0)), *ramp)

    assert forecast_of(soon).arrivals_rps.mean == pytest.approx(60.0, rel=1e-3)
    assert forecast_of(later).arrivals_rps.mean == pytest.approx(70.0, rel=1e-3)


def test_the_filter_gets_counts_per_interval_as_in_dynamo() -> None:
    from_rates = LoadForecaster(ForecastPolicy(predictor="kalman", min_points=1, interval_s=30.0))
    from_counts = LoadForecaster(ForecastPolicy(predictor="kalman", min_points=1, interval_s=1.0))
    rates = (1.0, 2.0, 1.5, 4.0)

    observe_arrivals(from_rates, *rates)
    observe_arrivals(from_counts, *(30.0 * rate for rate in rates))

    assert 30.0 * forecast_of(from_rates).arrivals_rps.mean == pytest.approx(
        forecast_of(from_counts).arrivals_rps.mean
    )
    assert [30.0 * quantile.value for quantile in forecast_of(from_rates).arrivals_rps.quantiles] == (
        pytest.approx([quantile.value for quantile in forecast_of(from_counts).arrivals_rps.quantiles])
    )


def test_lengths_are_forecast_beside_arrivals() -> None:
    load = LoadForecaster(ForecastPolicy())
    load.observe(arrivals_rps=2.0, isl_tokens=900.0, osl_tokens=120.0)

    forecast = forecast_of(load)

    assert forecast.predictor == "constant"
    assert forecast.isl_tokens is not None
    assert forecast.isl_tokens.mean == 900.0
    assert forecast.osl_tokens is not None
    assert forecast.osl_tokens.mean == 120.0


def test_the_trend_of_lengths_does_not_run_on_through_an_idle_hour() -> None:
    load = LoadForecaster(ForecastPolicy(predictor="kalman"))
    for step in range(20):
        load.observe(arrivals_rps=2.0, isl_tokens=1000.0 + 20.0 * step, osl_tokens=100.0)
    before = forecast_of(load).isl_tokens

    observe_arrivals(load, *(0.0,) * 120)

    assert forecast_of(load).isl_tokens == before


def test_quantiles_become_calibrated() -> None:
    load = LoadForecaster(ForecastPolicy())
    for step in range(40):
        load.observe(arrivals_rps=2.0 + 0.1 * (step % 3), isl_tokens=900.0, osl_tokens=100.0)

    arrivals = forecast_of(load).arrivals_rps

    assert arrivals.calibrated
    assert [quantile.level_ratio for quantile in arrivals.quantiles] == list(ForecastPolicy().levels)


def test_zeros_after_a_warm_up_do_not_pull_the_forecast_down() -> None:
    load = observe_arrivals(LoadForecaster(ForecastPolicy()), 5.0, 5.0)
    load.end_warm_up()

    observe_arrivals(load, 0.0, 0.0)
    waiting = forecast_of(load).arrivals_rps.mean
    observe_arrivals(load, 1.0, 0.0)
    live = forecast_of(load).arrivals_rps.mean

    assert waiting == 5.0
    assert live == 0.0


def test_time_passes_for_arrivals_while_they_are_unknown() -> None:
    load = LoadForecaster(ForecastPolicy(predictor="kalman"))
    observe_arrivals(load, *(float(step) for step in range(1, 60)))

    observe_arrivals(load, *(None,) * 5)

    assert forecast_of(load).arrivals_rps.mean == pytest.approx(65.0, rel=1e-3)


@pytest.mark.parametrize("arrivals_rps", [-1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused_and_not_counted(arrivals_rps: float) -> None:
    load = LoadForecaster(ForecastPolicy())

    with pytest.raises(InternalError):
        observe_arrivals(load, arrivals_rps)

    assert load.points == 0
    assert load.forecast(0.0) is None


@pytest.mark.parametrize(
    ("policy", "key"),
    [
        (ForecastPolicy(interval_s=0.0), "forecast.interval"),
        (ForecastPolicy(startup_s=-1.0), "forecast.startup"),
        (ForecastPolicy(predictor="none"), "forecast.predictor"),
        (ForecastPolicy(levels=(0.9, 0.5)), "forecast.levels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_policy_that_makes_no_forecast_is_refused_by_key(policy: ForecastPolicy, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LoadForecaster(policy)

    assert caught.value.key == key


def test_a_late_forecast_is_for_as_much_later_and_is_less_sure() -> None:
    load = LoadForecaster(ForecastPolicy(predictor="kalman", startup_s=60.0))
    observe_arrivals(load, *(float(step + step % 3) for step in range(1, 60)))

    due, late = load.forecast(0.0), load.forecast(0.0, late_intervals=6)

    assert due is not None
    assert late is not None
    assert late.arrivals_rps.mean == pytest.approx(due.arrivals_rps.mean + 6.0, rel=0.05)
    assert (due.late_intervals, late.late_intervals) == (0, 6)
    assert due.horizon_s == late.horizon_s
    assert due.arrivals_rps.calibrated
    assert not late.arrivals_rps.calibrated
    assert spread(late.arrivals_rps) > 1.5 * spread(due.arrivals_rps)


def spread(series: SeriesForecast) -> float:
    return series.quantiles[-1].value - series.quantiles[0].value


def test_what_models_tell_of_themselves_is_told_once_for_all_series(install: Callable[..., None]) -> None:
    code = (
        "from predictors.constant import ConstantPredictor\n"
        "class Poorly(ConstantPredictor):\n"
        "    trouble = 'an older fit serves'\n"
        "def build(policy):\n"
        "    return Poorly()\n"
    )
    install("[setpoint.predictors]\npoorly = poorly:build\n", {"poorly.py": code}, name="poorly")

    assert LoadForecaster(ForecastPolicy(predictor="poorly")).trouble == "an older fit serves"
    assert LoadForecaster(ForecastPolicy()).trouble == ""


@pytest.mark.parametrize(("window_points", "kept"), [(None, 300), (50, 300), (500, 500)])
def test_a_predictor_with_a_long_window_is_rebuilt_from_as_much(window_points: int | None, kept: int) -> None:
    assert kept_intervals(ForecastPolicy(window_points=window_points)) == kept
