"""What quantiles of buckets promise."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.prometheus.histogram import (
    NO_EVENTS,
    Buckets,
    buckets_of,
    distribution,
    is_beyond_buckets,
    quantile,
)

BOUNDS = st.lists(st.floats(0.001, 1000.0), min_size=1, max_size=12, unique=True).map(sorted)
LEVELS = st.floats(0.01, 1.0)


@st.composite
def samples_in_bounds(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    bounds = draw(BOUNDS)
    return bounds, draw(st.lists(st.floats(0.0, 2.0 * bounds[-1]), min_size=1, max_size=60))


def filled(bounds: list[float], values: list[float]) -> Buckets:
    upper = [*bounds, math.inf]
    counts = {bound: float(sum(value <= bound for value in values)) for bound in upper}
    return buckets_of(counts, count=float(len(values)), total=sum(values))


@given(samples_in_bounds(), LEVELS)
def test_a_quantile_lies_in_the_bucket_of_the_true_one(
    drawn: tuple[list[float], list[float]], level: float
) -> None:
    bounds, values = drawn
    true = sorted(values)[max(0, math.ceil(level * len(values)) - 1)]

    found = quantile(filled(bounds, values), level)

    assert found is not None
    above = next((bound for bound in bounds if bound >= true), bounds[-1])
    below = max((bound for bound in bounds if bound < true), default=0.0)
    assert min(below, bounds[-1]) - 1e-9 <= found <= above + 1e-9


@given(samples_in_bounds(), LEVELS, LEVELS)
def test_quantiles_ascend(drawn: tuple[list[float], list[float]], one: float, other: float) -> None:
    found = filled(*drawn)

    low, high = quantile(found, min(one, other)), quantile(found, max(one, other))

    assert low is not None
    assert high is not None
    assert low <= high + 1e-9


@given(samples_in_bounds())
def test_a_distribution_counts_every_event_once(drawn: tuple[list[float], list[float]]) -> None:
    found = distribution(filled(*drawn))

    assert found is not None
    assert sum(found.counts) == len(drawn[1])
    assert all(count >= 0.0 for count in found.counts)


@given(st.dictionaries(st.floats(0.0, 10.0), st.floats(0.0, 10.0), min_size=1))
def test_counts_that_descend_are_raised(counts: dict[float, float]) -> None:
    found = buckets_of(counts, count=1.0, total=1.0)

    assert all(before <= after for before, after in itertools.pairwise(found.cumulative))


def test_an_open_bucket_counts_as_its_lower_bound_and_says_so() -> None:
    found = buckets_of({1.0: 5.0, math.inf: 10.0}, count=10.0, total=100.0)

    assert quantile(found, 0.9) == 1.0
    assert is_beyond_buckets(found, 0.9)
    assert not is_beyond_buckets(found, 0.5)


@pytest.mark.parametrize("empty", [NO_EVENTS, buckets_of({1.0: 0.0, math.inf: 0.0}, count=0.0, total=0.0)])
def test_without_events_there_is_no_answer(empty: Buckets) -> None:
    assert quantile(empty, 0.5) is None
    assert distribution(empty) is None


def test_a_histogram_of_nothing_but_the_open_bucket_has_no_quantile() -> None:
    assert quantile(buckets_of({math.inf: 3.0}, count=3.0, total=9.0), 0.5) is None
