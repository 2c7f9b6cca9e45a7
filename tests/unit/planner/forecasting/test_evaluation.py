"""Forecasts are scored against what came, and never rest on it."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from planner.forecasting.evaluation import Point, Score, Series, score_of, walk
from planner.forecasting.trace import read_trace
from predictors.base import Predictor
from predictors.constant import ConstantPredictor
from predictors.kalman import KalmanPredictor


def still() -> float:
    return 0.0


def score(predictor: Predictor, *values: float | None, steps: int = 1, factor: float = 1.0) -> Score | None:
    series = Series(values=values, predictor_factor=factor)
    return score_of(walk(predictor, series, horizons=(steps,), now_s=still).points[steps])


def test_a_forecast_is_scored_when_its_interval_has_come() -> None:
    values = tuple(float(value) for value in range(10, 30))

    walked = walk(ConstantPredictor(), Series(values=values), horizons=(1, 3), now_s=still)

    assert {(point.index, point.actual - point.mean) for point in walked.points[1]} == {
        (index, 1.0) for index in range(4, 20)
    }
    assert {point.actual - point.mean for point in walked.points[3]} == {3.0}


def test_what_comes_later_changes_no_earlier_forecast() -> None:
    values = (5.0, 7.0, 6.0, 9.0, 8.0, 7.0, 9.0, 11.0, 10.0, 12.0)

    calm = walk(KalmanPredictor(), Series(values=(*values, 12.0)), horizons=(1,), now_s=still).points[1]
    jump = walk(KalmanPredictor(), Series(values=(*values, 900.0)), horizons=(1,), now_s=still).points[1]

    assert calm[:-1] == jump[:-1]
    assert replace(calm[-1], actual=900.0) == jump[-1]


def test_unknown_intervals_score_nothing_and_are_no_zeros() -> None:
    known = walk(ConstantPredictor(), Series(values=(4.0, 4.0, 4.0, 4.0)), horizons=(1,), now_s=still)
    holes = walk(ConstantPredictor(), Series(values=(4.0, 4.0, None, 4.0)), horizons=(1,), now_s=still)

    assert [point.index for point in known.points[1]] == [1, 2, 3]
    assert [(point.index, point.mean, point.last) for point in holes.points[1]] == [
        (1, 4.0, 4.0),
        (3, 4.0, 4.0),
    ]


def test_lengths_are_learned_only_from_intervals_that_have_one() -> None:
    values = (100.0, None, 200.0, None, 300.0, None, 400.0, None, 500.0, None, 600.0, 700.0)

    sparse = walk(
        KalmanPredictor(min_points=1), Series(values=values, is_sparse=True), horizons=(1,), now_s=still
    )
    dense = walk(
        KalmanPredictor(min_points=1),
        Series(values=tuple(value for value in values if value)),
        horizons=(1,),
        now_s=still,
    )

    assert sparse.points[1][-1].mean == dense.points[1][-1].mean
    assert (
        sparse.points[1][-1].mean
        != walk(KalmanPredictor(min_points=1), Series(values=values), horizons=(1,), now_s=still)
        .points[1][-1]
        .mean
    )


def test_predictors_get_the_unit_of_the_daemon_and_errors_have_that_of_the_series() -> None:
    rates = (2.0, 3.0, 5.0, 4.0, 6.0, 5.0, 7.0, 8.0, 6.0, 9.0)

    by_rate = score(KalmanPredictor(), *rates, factor=60.0)
    by_count = score(KalmanPredictor(), *(60.0 * rate for rate in rates))

    assert by_rate is not None
    assert by_count is not None
    assert by_rate.mean_error == pytest.approx(by_count.mean_error / 60.0)
    assert by_rate.relative_error == pytest.approx(by_count.relative_error)


def point(**parts: float) -> Point:
    figures = {"actual": 10.0, "last": 9.0, "mean": 11.0, "low": 5.0, "sized": 12.0, "high": 14.0} | parts
    return Point(index=0, calibrated=True, **figures)


def test_a_score_is_the_mean_over_all_points() -> None:
    found = score_of([point(), point(actual=15.0, last=15.0), point(actual=4.0), point(actual=12.0)])

    assert found is not None
    assert found.mean_actual == pytest.approx(41.0 / 4)
    assert found.mean_error == pytest.approx((1.0 + 4.0 + 7.0 + 1.0) / 4)
    assert found.mean_last_error == pytest.approx((1.0 + 0.0 + 5.0 + 3.0) / 4)
    assert found.bias == pytest.approx(3.0 / 4)
    assert found.covered_ratio == 0.75
    assert found.central_ratio == 0.5
    assert found.sized_loss == pytest.approx((0.1 * 2.0 + 0.9 * 3.0 + 0.1 * 8.0) / 4)


def test_without_any_error_of_the_last_value_there_is_no_ratio() -> None:
    found = score_of([point(last=10.0)])
    perfect = score_of([point(last=10.0, mean=10.0)])

    assert found is not None
    assert perfect is not None
    assert (found.relative_error, perfect.relative_error) == (None, 1.0)


@pytest.mark.parametrize("values", [(), (3.0,), (None, None, None), (None, None, 5.0)])
def test_what_is_too_short_has_no_score(values: tuple[float | None, ...]) -> None:
    assert score(ConstantPredictor(), *values) is None


def test_times_are_those_of_the_clock_that_is_given() -> None:
    ticks = itertools.count()
    counts: list[int] = []

    walked = walk(
        ConstantPredictor(),
        Series(values=(1.0, 2.0, 3.0)),
        horizons=(1,),
        now_s=lambda: float(next(ticks)),
        passed=counts.append,
    )

    assert walked.step_times_s == (1.0, 1.0, 1.0)
    assert counts == [1, 2, 3]


# Measured independently of this code, and published beside the traces: Kalman relative to last value.
@pytest.mark.parametrize(
    ("name", "ahead", "expected"),
    [
        ("azure2023_code", (30.0, 1), 0.97),
        ("azure2023_conv", (60.0, 1), 1.15),
        ("mooncake_conversation", (30.0, 1), 0.78),
        ("azure2023_code", (60.0, 5), 1.08),
        ("azure2023_conv", (60.0, 5), 1.14),
        ("mooncake_conversation", (60.0, 5), 0.91),
    ],
)
def test_errors_are_those_measured_elsewhere(
    shared_dir: Path, name: str, ahead: tuple[float, int], expected: float
) -> None:
    interval_s, steps = ahead
    trace = read_trace(shared_dir / "traces" / f"{name}.jsonl.gz", interval_s=interval_s)

    found = score(
        KalmanPredictor(min_points=1), *(one.arrivals_rps for one in trace), steps=steps, factor=interval_s
    )

    assert found is not None
    assert found.relative_error == pytest.approx(expected, abs=0.08)
