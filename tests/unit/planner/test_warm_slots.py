"""Where intervals of the past are put, and what is made of those that nobody tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.state import Lengths
from planner.warm_slots import Lived, Rhythm, merged, uncovered_s
from predictors.base import UNSEEN, LoadInterval

RHYTHM = Rhythm(last_s=300.0, interval_s=30.0)
IDLE = LoadInterval(arrivals_rps=0.0)


def load(rps: float) -> LoadInterval:
    return LoadInterval(arrivals_rps=rps, isl_tokens=1000.0, osl_tokens=100.0)


def lived(**by_time: LoadInterval) -> list[Lived]:
    """Return intervals by the time that they ended, as in `at_300=…`."""
    return [Lived(at_s=float(name.removeprefix("at_")), load=one) for name, one in by_time.items()]


def test_what_nobody_tells_is_unknown_and_neither_zero_nor_left_out() -> None:
    found = merged(lived(at_210=load(1.0)), lived(at_300=load(4.0), at_240=IDLE), rhythm=RHYTHM, most=10)

    assert found.recent == (load(1.0), IDLE, UNSEEN, load(4.0))
    assert (found.from_journal, found.from_source, found.unknown) == (1, 2, 1)
    assert found.oldest_s == 210.0


def test_the_journal_counts_where_both_tell_also_where_it_did_not_see() -> None:
    journal = lived(at_240=load(1.0), at_270=UNSEEN)
    source = lived(at_240=load(9.0), at_270=load(9.0), at_300=load(9.0))

    found = merged(journal, source, rhythm=RHYTHM, most=10)

    assert found.recent == (load(1.0), UNSEEN, load(9.0))
    assert (found.from_journal, found.from_source, found.unknown) == (1, 1, 1)


def test_nothing_is_told_before_the_first_known_interval() -> None:
    found = merged(lived(at_30=UNSEEN, at_60=UNSEEN), lived(at_270=IDLE), rhythm=RHYTHM, most=10)

    assert found.recent == (IDLE, UNSEEN)


def test_where_nothing_is_known_there_is_no_past() -> None:
    found = merged(lived(at_300=UNSEEN), (), rhythm=RHYTHM, most=10)

    assert found.recent == ()
    assert found.unknown == 0
    assert found.lengths() == Lengths()


def test_ticks_that_came_late_or_windows_that_end_between_ticks_find_their_interval() -> None:
    found = merged(lived(at_273=load(1.0)), lived(at_312=load(2.0)), rhythm=RHYTHM, most=10)

    assert found.recent == (load(1.0), load(2.0))


def test_what_is_older_than_wanted_or_not_over_yet_is_left_out() -> None:
    found = merged(lived(at_60=load(1.0)), lived(at_300=load(2.0), at_330=load(3.0)), rhythm=RHYTHM, most=3)

    assert found.recent == (load(2.0),)


def test_idle_intervals_do_not_make_lengths_older_and_unknown_ones_do() -> None:
    journal = lived(at_210=load(1.0), at_240=IDLE, at_270=UNSEEN, at_300=UNSEEN)

    found = merged(journal, (), rhythm=RHYTHM, most=10).lengths()

    assert found == Lengths(isl_tokens=1000.0, isl_at_s=240.0, osl_tokens=100.0, osl_at_s=240.0)


@pytest.mark.parametrize(
    ("now_s", "last_s"), [(329.9, 300.0), (330.0, 330.0), (330.0 - 1e-9, 330.0), (12.0, 0.0), (-1.0, -30.0)]
)
def test_the_rhythm_goes_on_from_any_time_at_which_a_tick_was_due(now_s: float, last_s: float) -> None:
    assert Rhythm.of(300.0, interval_s=30.0, now_s=now_s).last_s == pytest.approx(last_s)


def test_a_gap_inside_is_asked_for_from_its_beginning() -> None:
    ticks = lived(at_210=load(1.0), at_270=load(1.0), at_300=load(1.0))

    assert uncovered_s(ticks, rhythm=RHYTHM, most=4, now_s=310.0) == 310.0 - 240.0 + 30.0


TIMES = st.lists(st.floats(min_value=-400.0, max_value=400.0), max_size=20)


@given(told=TIMES, read=TIMES, most=st.integers(min_value=1, max_value=12))
def test_every_interval_is_accounted_for(told: list[float], read: list[float], most: int) -> None:
    journal = [Lived(at_s=at_s, load=load(1.0)) for at_s in told]
    source = [Lived(at_s=at_s, load=load(2.0)) for at_s in read]

    found = merged(journal, source, rhythm=RHYTHM, most=most)

    assert len(found.recent) <= most
    assert found.recent.count(load(1.0)) == found.from_journal
    assert found.recent.count(load(2.0)) == found.from_source
    assert found.recent.count(UNSEEN) == found.unknown
    assert not found.recent or found.recent[0] != UNSEEN
