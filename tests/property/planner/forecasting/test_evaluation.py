"""What holds for every load: the yardstick measures itself as 1, and quantiles keep their promise."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.forecasting.evaluation import Series, score_of, walk
from predictors.constant import ConstantPredictor
from predictors.kalman import KalmanPredictor

LOADS = st.lists(st.none() | st.just(0.0) | st.floats(1e-3, 1e6), max_size=60)


def still() -> float:
    return 0.0


@given(values=LOADS, steps=st.integers(1, 12), factor=st.sampled_from((1.0, 30.0, 180.0)))
def test_the_last_value_relative_to_itself_is_one(
    values: list[float | None], steps: int, factor: float
) -> None:
    # The predictor drops zeros before the first load, where the last value is the same zero.
    series = Series(values=tuple(values), predictor_factor=factor)

    score = score_of(walk(ConstantPredictor(), series, horizons=(steps,), now_s=still).points[steps])

    if score is not None:
        assert score.relative_error is not None
        assert abs(score.relative_error - 1.0) < 1e-9


@given(values=LOADS, steps=st.integers(1, 5))
def test_every_interval_is_scored_at_most_once_and_after_the_warm_up(
    values: list[float | None], steps: int
) -> None:
    points = walk(KalmanPredictor(), Series(values=tuple(values)), horizons=(steps,), now_s=still).points[
        steps
    ]

    indices = [point.index for point in points]
    assert indices == sorted(set(indices))
    assert all(index >= 0.2 * len(values) and values[index] is not None for index in indices)
    assert all(point.low <= point.sized <= point.high * (1.0 + 1e-12) for point in points)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), level=st.sampled_from((20.0, 300.0)))
def test_quantiles_of_noise_cover_what_they_say(seed: int, level: float) -> None:
    noise = random.Random(seed)
    values = tuple(max(0.0, noise.gauss(level, level**0.5)) for _ in range(1500))

    walked = walk(ConstantPredictor(), Series(values=values), horizons=(1,), now_s=still)

    score = score_of(walked.points[1])
    assert score is not None
    assert 0.86 < score.covered_ratio < 0.94
    assert 0.86 < score.central_ratio < 0.94
    assert score.calibrated_ratio == 1.0
