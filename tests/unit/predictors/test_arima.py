import importlib
import itertools
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from config.errors import InternalError
from config.policy import ForecastPolicy
from planner.forecasting.trace import read_trace
from predictors.arima import ArimaPredictor, Fit, Order, build, fitted
from predictors.statespace import StateSpace
from predictors.testing import Factory, PredictorConformance

SEASON = tuple(300.0 + 200.0 * math.sin(step * math.pi / 6.0) for step in range(60))


def fed(predictor: ArimaPredictor, values: Sequence[float | None]) -> ArimaPredictor:
    for value in values:
        predictor.observe(value)
    return predictor


def wandering(count: int) -> list[float]:
    rng = random.Random(3)
    level, values = 200.0, []
    for _ in range(count):
        level = max(20.0, level + rng.gauss(0.0, 8.0))
        values.append(float(max(0.0, round(rng.gauss(level, math.sqrt(level))))))
    return values


class Counting:
    """Fits as pmdarima does, fails from a given call on, and remembers what was asked."""

    def __init__(self, *, fails: frozenset[int] = frozenset()) -> None:
        self.asked: list[tuple[int, Order | None]] = []
        self.fails = fails

    def __call__(self, window: tuple[float, ...], order: Order | None) -> Fit:
        self.asked.append((len(window), order))
        if len(self.asked) - 1 in self.fails:
            raise ValueError("nothing converges")
        return fitted(window, order or Order(p=0, d=1, q=1))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("check", PredictorConformance().checks(), ids=lambda check: check.__name__)
def test_arima_keeps_every_promise(check: Callable[[Factory], None]) -> None:
    check(ArimaPredictor)


def test_a_step_is_followed_where_dynamo_forecasts_a_third_of_it(shared_dir: Path) -> None:
    golden = json.loads((shared_dir / "golden" / "dynamo-090.json").read_text())
    case = next(case for case in golden["other_predictor_cases"]["arima"] if case["sequence"] == "step_up")

    predictor = fed(ArimaPredictor(), case["input"])

    assert case["model_order_pdq"] == [0, 0, 0]
    assert case["predicted_after_each_input"][-1] < 40.0
    assert predictor.forecast(1).mean == pytest.approx(100.0, rel=0.02)
    assert predictor.order == Order(p=0, d=1, q=0)


def test_a_ramp_goes_on() -> None:
    predictor = fed(ArimaPredictor(), [10.0 * step for step in range(1, 21)])

    assert predictor.forecast(1).mean == pytest.approx(210.0, rel=0.01)
    assert predictor.forecast(5).mean == pytest.approx(250.0, rel=0.01)


def test_a_season_is_learned_as_an_oscillation() -> None:
    predictor = fed(ArimaPredictor(), SEASON[:48])

    found = [predictor.forecast(steps).mean for steps in range(1, 13)]

    assert found == pytest.approx(SEASON[48:], abs=10.0)


def test_values_that_are_all_the_same_are_forecast_exactly() -> None:
    assert fed(ArimaPredictor(), [70.1] * 20).forecast(30).mean == pytest.approx(70.1, rel=1e-12)


def test_the_forecast_is_the_last_value_until_there_are_enough_points() -> None:
    predictor = fed(ArimaPredictor(min_points=12), [10.0 * step for step in range(1, 12)])

    before = predictor.forecast(1).mean
    predictor.observe(120.0)

    assert before == 110.0
    assert predictor.forecast(1).mean == pytest.approx(130.0, rel=1e-3)


def test_the_order_is_chosen_again_by_the_number_of_points() -> None:
    counting = Counting()
    predictor = ArimaPredictor(fit=counting, window_points=1000)

    selections = []
    for value in wandering(60):
        before = len(counting.asked)
        predictor.observe(value)
        selections += [points for points, order in counting.asked[before:] if order is None]

    assert selections == [5, 7, 10, 15, 22, 33, 49]
    refits = [points for points, order in counting.asked if order is not None]
    assert [points for points in refits if points >= 30] == [40, 60]


def test_a_failed_fit_leaves_the_last_model_in_use_and_is_told() -> None:
    values = wandering(40)
    failing = fed(ArimaPredictor(fit=Counting(fails=frozenset(range(1, 100)))), values[:6])
    assert failing.trouble.startswith("no ARIMA model fits 6 points: nothing converges; the last model")

    fed(failing, values[6:])

    assert failing.order == Order(p=0, d=1, q=1)
    assert failing.forecast(1).mean == pytest.approx(values[-1], rel=0.5)
    assert failing.forecast(1).mean != values[-1]


def test_after_a_failed_fit_the_order_is_chosen_again_and_the_trouble_ends() -> None:
    counting = Counting(fails=frozenset({1}))
    predictor = fed(ArimaPredictor(fit=counting), wandering(16))

    assert [order for _, order in counting.asked] == [None, Order(p=0, d=1, q=1), None]
    assert predictor.trouble == ""


def test_without_any_model_the_last_value_serves() -> None:
    predictor = fed(ArimaPredictor(fit=Counting(fails=frozenset(range(100)))), wandering(20))

    assert predictor.forecast(3).mean == wandering(20)[-1]
    assert predictor.order is None
    assert "the last value stays in use" in predictor.trouble


def test_unknown_intervals_are_filled_and_are_no_points() -> None:
    predictor = fed(ArimaPredictor(), [*SEASON[:40], None, None, None])

    assert (predictor.points, predictor.filled) == (40, 3)
    assert predictor.forecast(1).mean == pytest.approx(SEASON[43], abs=10.0)


def explosive(window: tuple[float, ...], order: Order | None) -> Fit:
    """Return a model that grows by a tenth with each interval, as a fit to a steep ramp may."""
    one, none = np.ones((1, 1)), np.zeros((1, 1))
    space = StateSpace(
        design=np.ones(1),
        transition=1.1 * one,
        intercept=np.zeros(1),
        noise=one,
        state=np.array([window[-1]]),
        covariance=none,
    )
    return Fit(order=order or Order(p=1, d=0, q=0), scale=1.0, space=space)


@pytest.mark.parametrize("log1p", ["", "log1p"])
@pytest.mark.parametrize("unknown", [40, 250])
def test_a_long_outage_does_not_lift_the_forecast_by_its_own_forecasts(log1p: str, unknown: int) -> None:
    predictor = ArimaPredictor(log1p=bool(log1p), fit=explosive)

    fed(predictor, [*[100.0] * 20, 50.0, *[None] * unknown])

    assert 149.0 < predictor.forecast(1).mean < 301.0


def test_an_unknown_interval_before_the_first_load_is_nothing() -> None:
    predictor = fed(ArimaPredictor(), [None, 0.0, None, 8.0])

    assert (predictor.points, predictor.filled, predictor.forecast(1).mean) == (1, 0, 8.0)


def test_the_filter_says_what_statsmodels_says_of_the_same_points() -> None:
    values = wandering(80)
    order = Order(p=1, d=1, q=1)
    reference = importlib.import_module("pmdarima").ARIMA((1, 1, 1), with_intercept=False)
    scale = max(values[:60])
    result = reference.fit(np.array(values[:60]) / scale).arima_res_
    space = fitted(tuple(values[:60]), order).space
    missing = {65, 66, 72}

    for index in range(60, 80):
        value = math.nan if index in missing else values[index] / scale
        result = result.append(np.array([value]))
        space = space.passed() if index in missing else space.seen(value)

        expected = result.forecast(4)
        assert [space.expected(steps) for steps in range(1, 5)] == pytest.approx(expected, rel=1e-6)


def test_no_forecast_is_above_three_times_what_was_seen() -> None:
    predictor = fed(ArimaPredictor(), [10.0 * step for step in range(1, 21)])

    assert predictor.forecast(200).mean == 600.0


def test_the_policy_reaches_the_predictor() -> None:
    policy = ForecastPolicy(predictor="arima", log1p=True, min_points=8, window_points=30)
    values = [value + 40.0 * (index % 3) for index, value in enumerate(SEASON[:40])]

    built = fed(build(policy), values)

    direct = fed(ArimaPredictor(log1p=True, min_points=8, window_points=30), values)
    assert built.forecast(2) == direct.forecast(2)
    assert built.forecast(2) != fed(ArimaPredictor(), values).forecast(2)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_value_that_no_load_has_is_refused(value: float) -> None:
    with pytest.raises(InternalError, match=re.escape("expected a finite number")):
        ArimaPredictor().observe(value)


@pytest.mark.slow
def test_a_load_that_wanders_under_noise_is_forecast_better_than_by_the_last_value() -> None:
    values = wandering(250)
    predictor = fed(ArimaPredictor(), values[:50])

    off, last_off = 0.0, 0.0
    for before, value in itertools.pairwise(values[49:]):
        off += abs(value - predictor.forecast(1).mean)
        last_off += abs(value - before)
        predictor.observe(value)

    assert off < 0.95 * last_off


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("trace", "worst"), [("azure2023_conv", 1.05), ("mooncake_conversation", 0.85), ("azure2023_code", 1.0)]
)
def test_on_recorded_traffic_it_is_no_worse_than_the_last_value(
    shared_dir: Path, trace: str, worst: float
) -> None:
    passed = read_trace(shared_dir / "traces" / f"{trace}.jsonl.gz", interval_s=60.0)
    values = [60.0 * (interval.arrivals_rps or 0.0) for interval in passed]
    start = len(values) // 5
    predictor = fed(ArimaPredictor(), values[:start])

    off, last_off = 0.0, 0.0
    for before, value in itertools.pairwise(values[start - 1 :]):
        off += abs(value - predictor.forecast(1).mean)
        last_off += abs(value - before)
        predictor.observe(value)

    assert off < worst * last_off
