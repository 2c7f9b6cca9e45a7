"""What a predictor is told of the past."""

from dataclasses import replace

import pytest

from connectors.base import Idle, Reading, Traffic, Unknown, Value
from planner.past import Past, interval_of
from predictors.base import UNSEEN, LoadInterval

SEEN = LoadInterval(arrivals_rps=2.0, isl_tokens=900.0, osl_tokens=90.0)
TRAFFIC = Traffic(
    at_s=0.0,
    window_s=30.0,
    arrivals_rps=Value(value=2.0, at_s=0.0),
    isl_tokens=Value(value=900.0, at_s=0.0),
    osl_tokens=Value(value=90.0, at_s=0.0),
)


def test_what_was_seen_is_learned_as_it_is() -> None:
    assert interval_of(TRAFFIC) == SEEN


def test_an_idle_interval_has_a_load_of_zero_and_no_lengths() -> None:
    idle = Idle(at_s=0.0)
    traffic = replace(TRAFFIC, arrivals_rps=Value(value=0.0, at_s=0.0), isl_tokens=idle, osl_tokens=idle)

    assert interval_of(traffic) == LoadInterval(arrivals_rps=0.0)


@pytest.mark.parametrize(
    "arrivals", [Unknown(why="away"), Value(value=float("nan"), at_s=0.0), Value(value=-1.0, at_s=0.0)]
)
def test_arrivals_that_cannot_be_true_are_unknown(arrivals: Reading) -> None:
    assert interval_of(replace(TRAFFIC, arrivals_rps=arrivals)).arrivals_rps is None


def test_skipped_intervals_are_told_once_and_before_the_next() -> None:
    past = Past(most=10)
    past.skip(2)

    first, second = past.take(SEEN), past.take(SEEN)

    assert first == (UNSEEN, UNSEEN, SEEN)
    assert second == (SEEN,)
    assert past.recent == (*first, *second)


def test_no_more_is_kept_and_skipped_than_wanted() -> None:
    past = Past(most=3)
    past.skip(2)
    past.skip(100)

    assert past.take(SEEN) == (UNSEEN, UNSEEN, UNSEEN, SEEN)
    assert past.recent == (UNSEEN, UNSEEN, SEEN)


def test_another_past_takes_the_place_of_this_one_with_what_was_skipped() -> None:
    past = Past(most=3)
    past.take(UNSEEN)
    past.skip(1)

    past.replace(older=[SEEN], recent=[SEEN, UNSEEN])

    assert (past.older, past.recent, past.is_known) == ((SEEN,), (SEEN, UNSEEN), True)
    assert past.take(SEEN) == (SEEN,)


def test_a_longer_memory_forgets_nothing() -> None:
    past = Past(most=2)
    past.replace(older=(), recent=[SEEN, UNSEEN])

    past.keep(most=4)
    past.take(SEEN)
    past.take(SEEN)

    assert past.recent == (SEEN, UNSEEN, SEEN, SEEN)


def test_who_saw_nothing_is_not_informed() -> None:
    past = Past(most=2)
    past.replace(older=[SEEN], recent=[UNSEEN])

    assert not past.is_known
