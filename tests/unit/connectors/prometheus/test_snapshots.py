"""What remembered scrapes promise: growth is right whatever restarts in between, and memory is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.prometheus.exposition import Sample
from connectors.prometheus.snapshots import RETENTION_S, Snapshots

KEY = ("requests", frozenset[tuple[str, str]]())
# One scrape: whether the process restarted before it, and what it has counted since the scrape before.
STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 50)), min_size=1, max_size=30)


def counter(value: float) -> list[Sample]:
    return [Sample("requests", {}, value)]


@given(STEPS, st.integers(0, 1000))
def test_growth_counts_every_event_across_restarts(steps: list[tuple[bool, int]], start: int) -> None:
    kept = Snapshots(frozenset())
    kept.add(counter(start), at_s=0.0)
    value, events = start, 0
    for index, (restarted, count) in enumerate(steps, start=1):
        # A restart is visible only where the count afterwards is below the one before.
        value = count if restarted and count < value else value + count
        events += count
        kept.add(counter(value), at_s=float(index))

    assert kept.newest is not None
    assert kept.newest.grown[KEY] == events


def test_a_series_that_was_not_there_before_began_at_zero() -> None:
    kept = Snapshots(frozenset())
    kept.add([], at_s=0.0)
    kept.add(counter(5.0), at_s=1.0)

    assert kept.newest is not None
    assert kept.newest.grown[KEY] == 5.0


def test_a_process_that_restarts_and_exports_later_began_at_zero() -> None:
    kept = Snapshots(frozenset())
    for at_s, samples in enumerate([counter(100.0), [], counter(120.0)]):
        kept.add(samples, at_s=float(at_s))

    assert kept.newest is not None
    assert kept.newest.grown[KEY] == 120.0


def test_gauges_are_kept_as_they_are() -> None:
    kept = Snapshots(frozenset({"requests"}))
    kept.add(counter(5.0), at_s=0.0)
    kept.add(counter(3.0), at_s=1.0)

    assert kept.newest is not None
    assert kept.newest.gauges == {KEY: 3.0}


@given(st.floats(0.1, 90.0))
def test_memory_is_bounded_and_ten_minutes_are_kept(spacing_s: float) -> None:
    kept = Snapshots(frozenset())
    count = int(3 * RETENTION_S / spacing_s)
    for index in range(min(count, 3000)):
        kept.add([], at_s=index * spacing_s)
    now_s = (min(count, 3000) - 1) * spacing_s

    assert len(kept) <= 600
    base = kept.nearest(now_s - 600.0)
    assert base is not None
    assert abs(base.at_s - max(0.0, now_s - 600.0)) <= max(spacing_s, 2.5)


def test_one_scrape_has_nothing_to_compare_with() -> None:
    kept = Snapshots(frozenset())
    assert kept.newest is None

    kept.add([], at_s=0.0)

    assert kept.nearest(0.0) is None
