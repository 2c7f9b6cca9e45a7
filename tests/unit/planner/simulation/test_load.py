"""Streams of requests."""

import itertools

import numpy as np
import pytest

from config.errors import ConfigError
from planner.simulation.load import (
    DAY_S,
    ConstantRate,
    DayRate,
    LognormalLengths,
    RateCurve,
    Request,
    StepRate,
    poisson,
)

LENGTHS = LognormalLengths(isl_mean_tokens=1000.0, osl_mean_tokens=200.0)


def take(rate: RateCurve, count: int, *, seed: int = 0, start_s: float = 0.0) -> list[Request]:
    return list(itertools.islice(poisson(rate, LENGTHS, seed=seed, start_s=start_s), count))


def test_arrivals_ascend_and_come_at_the_rate() -> None:
    requests = take(ConstantRate(rate_rps=20.0), 20_000)

    arrivals_s = np.array([request.arrival_s for request in requests])
    assert np.all(np.diff(arrivals_s) > 0.0)
    assert len(requests) / arrivals_s[-1] == pytest.approx(20.0, rel=0.03)


def test_gaps_between_arrivals_are_as_irregular_as_poisson_says() -> None:
    gaps_s = np.diff([request.arrival_s for request in take(ConstantRate(rate_rps=5.0), 20_000)])

    assert np.std(gaps_s) / np.mean(gaps_s) == pytest.approx(1.0, rel=0.03)


def test_lengths_have_the_mean_and_spread_asked_for() -> None:
    isl_tokens = np.array([request.isl_tokens for request in take(ConstantRate(rate_rps=5.0), 20_000)])

    assert np.mean(isl_tokens) == pytest.approx(1000.0, rel=0.03)
    assert np.std(isl_tokens) / np.mean(isl_tokens) == pytest.approx(0.7, rel=0.06)
    assert np.min(isl_tokens) >= 1


def test_equal_lengths_are_possible() -> None:
    lengths = LognormalLengths(
        isl_mean_tokens=300.0, osl_mean_tokens=30.0, isl_cv_ratio=0.0, osl_cv_ratio=0.0
    )

    requests = itertools.islice(poisson(ConstantRate(rate_rps=1.0), lengths), 50)

    assert {(request.isl_tokens, request.osl_tokens) for request in requests} == {(300, 30)}


def test_the_same_seed_gives_the_same_stream_and_another_one_does_not() -> None:
    rate = DayRate(low_rps=2.0, high_rps=10.0)

    assert take(rate, 3000, seed=5) == take(rate, 3000, seed=5)
    assert take(rate, 10, seed=5) != take(rate, 10, seed=6)


def test_a_step_is_seen_when_it_happens() -> None:
    rate = StepRate(starts_s=(10.0, 110.0), levels_rps=(5.0, 50.0))

    arrivals_s = np.array([request.arrival_s for request in take(rate, 4000)])

    assert arrivals_s[0] >= 10.0
    assert np.sum(arrivals_s < 110.0) == pytest.approx(500, rel=0.15)
    assert np.sum((arrivals_s >= 110.0) & (arrivals_s < 150.0)) == pytest.approx(2000, rel=0.08)


@pytest.mark.parametrize("seed", range(4))
def test_a_day_is_busiest_when_it_says_and_stays_below_its_bound(seed: int) -> None:
    day = DayRate(low_rps=4.0, high_rps=40.0, seed=seed)

    rates_rps = day.rates_rps(np.arange(0.0, DAY_S, 60.0))

    assert np.max(rates_rps) <= day.peak_rps
    assert np.min(rates_rps) > 0.0
    assert abs(float(np.argmax(rates_rps)) * 60.0 - day.busiest_s) < 3.0 * 3600.0
    assert np.max(rates_rps) / np.min(rates_rps) > 5.0


def test_a_short_day_has_the_shape_of_a_long_one() -> None:
    long, short = (
        DayRate(low_rps=1.0, high_rps=9.0, busiest_s=day_s / 2.0, day_s=day_s) for day_s in (DAY_S, 600.0)
    )

    shares = np.linspace(0.0, 1.0, 50)
    assert long.rates_rps(shares * DAY_S) == pytest.approx(short.rates_rps(shares * 600.0))


def test_a_stream_can_begin_later() -> None:
    assert take(ConstantRate(rate_rps=1.0), 1, start_s=500.0)[0].arrival_s > 500.0


@pytest.mark.parametrize("rate_rps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_without_a_bound_is_a_configuration_error(rate_rps: float) -> None:
    with pytest.raises(ConfigError, match="positive"):
        poisson(ConstantRate(rate_rps=rate_rps), LENGTHS)
