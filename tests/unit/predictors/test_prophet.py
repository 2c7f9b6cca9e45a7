import itertools
import json
import logging
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from config.errors import InternalError
from config.policy import ForecastPolicy
from planner.forecasting.trace import read_trace
from predictors.prophet import Curve, ProphetPredictor, Window, build, fitted
from predictors.testing import Factory, PredictorConformance


def every_minute(*, min_points: int = 5) -> ProphetPredictor:
    return ProphetPredictor(interval_s=60.0, min_points=min_points)


def fed(predictor: ProphetPredictor, values: Sequence[float | None]) -> ProphetPredictor:
    for value in values:
        predictor.observe(value)
    return predictor


def straight(window: Window, interval_s: float) -> Curve:
    """Fit as if nothing ever rose: the curve is the last value."""
    index, value = window[-1]
    return Curve(index=index, trend=value, slope=0.0, interval_s=interval_s)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("check", PredictorConformance().checks(), ids=lambda check: check.__name__)
def test_prophet_keeps_every_promise(check: Callable[[Factory], None]) -> None:
    check(every_minute)


def test_a_ramp_goes_on_where_dynamo_asks_for_the_wrong_moment(shared_dir: Path) -> None:
    golden = json.loads((shared_dir / "golden" / "dynamo-090.json").read_text())
    case = golden["other_predictor_cases"]["prophet"][0]

    predictor = fed(every_minute(), case["input"])

    assert case["input"][-1] == 200.0
    assert case["predictions"][-1]["prediction"] < 14.0
    assert predictor.forecast(1).mean == pytest.approx(210.0, rel=0.02)


def test_a_step_is_followed() -> None:
    predictor = fed(every_minute(), [10.0] * 8 + [100.0] * 10)

    assert predictor.forecast(1).mean == pytest.approx(100.0, rel=0.1)


def test_the_slope_fades_with_the_horizon() -> None:
    curve = Curve(index=9, trend=100.0, slope=10.0, interval_s=60.0)

    assert curve.at(9) == 100.0
    assert curve.at(10) == pytest.approx(108.0)
    assert curve.at(11) == pytest.approx(114.4)
    assert curve.at(10_000) == pytest.approx(140.0)


@pytest.mark.slow
def test_a_day_is_learned_once_the_window_spans_two() -> None:
    hourly = [300.0 + 200.0 * math.sin(hour * math.pi / 12.0) for hour in range(72)]
    predictor = fed(ProphetPredictor(interval_s=3600.0), hourly[:60])

    found = [predictor.forecast(steps).mean for steps in range(1, 13)]

    assert found == pytest.approx(hourly[60:], abs=15.0)


def test_time_passes_through_unknown_intervals_without_a_value_for_them() -> None:
    ramp = [10.0 * step for step in range(1, 31)]
    predictor = fed(every_minute(), [*ramp[:20], None, None, None, *ramp[23:]])

    assert predictor.forecast(1).mean == pytest.approx(308.0, rel=0.02)
    assert (predictor.points, predictor.filled) == (27, 0)


def test_the_forecast_is_the_last_value_until_there_are_enough_points() -> None:
    predictor = fed(every_minute(min_points=8), [10.0 * step for step in range(1, 8)])

    assert predictor.forecast(4).mean == 70.0


def test_values_that_are_all_the_same_are_forecast_exactly() -> None:
    assert fed(every_minute(), [70.1] * 20).forecast(30).mean == pytest.approx(70.1, rel=1e-12)


def test_a_fall_is_forecast_at_zero_not_below() -> None:
    predictor = fed(every_minute(), [100.0 - 10.0 * step for step in range(10)])

    assert predictor.forecast(5).mean == 0.0


def test_a_failed_fit_leaves_the_last_model_in_use_and_is_told() -> None:
    calls: list[int] = []

    def failing(window: Window, interval_s: float) -> Curve:
        calls.append(len(window))
        if len(calls) == 2:
            raise RuntimeError("the optimizer found nothing")
        return straight(window, interval_s)

    predictor = fed(ProphetPredictor(interval_s=60.0, fit=failing), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0])

    assert predictor.trouble == (
        "no Prophet model fits 6 points: the optimizer found nothing; the last model stays in use"
    )
    assert predictor.forecast(1).mean == pytest.approx(60.0)
    predictor.observe(70.0)
    assert predictor.trouble == ""


def test_without_any_model_the_last_value_serves() -> None:
    def failing(_window: Window, _interval_s: float) -> Curve:
        raise ValueError("no")

    predictor = fed(ProphetPredictor(interval_s=60.0, fit=failing), [float(step) for step in range(1, 9)])

    assert predictor.forecast(3).mean == 8.0
    assert "the last value stays in use" in predictor.trouble


def test_a_longer_window_is_fitted_more_rarely() -> None:
    calls: list[int] = []

    def counting(window: Window, interval_s: float) -> Curve:
        calls.append(len(window))
        return straight(window, interval_s)

    fed(ProphetPredictor(interval_s=60.0, window_points=1000, fit=counting), [5.0, 6.0] * 250)

    assert calls[:196] == [*range(5, 200), 200]
    assert calls[196:199] == [202, 204, 206]
    assert calls[-3:] == [492, 496, 500]


def test_a_fit_writes_nothing_and_leaves_no_files(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    logging.getLogger("cmdstanpy").disabled = False

    fitted(tuple((index, 5.0 + index % 3) for index in range(20)), 60.0)

    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert not list(tmp_path.glob("setpoint-*"))


def test_the_policy_reaches_the_predictor() -> None:
    policy = ForecastPolicy(predictor="prophet", log1p=True, min_points=8, window_points=15, interval_s=60.0)
    values = [float(10 + step % 7 + step) for step in range(20)]

    built = fed(build(policy), values)

    direct = ProphetPredictor(interval_s=60.0, log1p=True, min_points=8, window_points=15)
    assert built.forecast(2) == fed(direct, values).forecast(2)
    assert built.forecast(2) != fed(every_minute(), values).forecast(2)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_value_that_no_load_has_is_refused(value: float) -> None:
    with pytest.raises(InternalError, match="expected a finite number"):
        every_minute().observe(value)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("trace", "worst"), [("azure2023_conv", 1.1), ("mooncake_conversation", 0.85), ("azure2023_code", 1.0)]
)
def test_on_recorded_traffic_it_is_no_worse_than_the_last_value(
    shared_dir: Path, trace: str, worst: float
) -> None:
    passed = read_trace(shared_dir / "traces" / f"{trace}.jsonl.gz", interval_s=60.0)
    values = [60.0 * (interval.arrivals_rps or 0.0) for interval in passed]
    start = len(values) // 5
    predictor = fed(every_minute(), values[:start])

    off, last_off = 0.0, 0.0
    for before, value in itertools.pairwise(values[start - 1 :]):
        off += abs(value - predictor.forecast(1).mean)
        last_off += abs(value - before)
        predictor.observe(value)

    assert off < worst * last_off
