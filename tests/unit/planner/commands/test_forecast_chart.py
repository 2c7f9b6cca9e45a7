"""The chart shows what came, what was expected and the band, whatever the load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.commands.forecast_chart import BAND, CAME, EXPECTED, chart
from planner.forecasting.evaluation import Point


def point(index: int, actual: float, *, mean: float = 5.0, half: float = 2.0) -> Point:
    return Point(
        index=index,
        actual=actual,
        last=actual,
        mean=mean,
        low=max(0.0, mean - half),
        sized=mean + half,
        high=mean + half,
        calibrated=True,
    )


def column(rows: list[str], number: int) -> str:
    return "".join(row[8 + number] if len(row) > 8 + number else " " for row in rows[:-1])


def test_a_column_shows_one_interval() -> None:
    rows = chart([point(0, 10.0), point(1, 0.0)], interval_s=30.0, width=80)

    assert column(rows, 0).index(CAME) < column(rows, 0).index(EXPECTED)
    assert column(rows, 1).index(CAME) == 11
    assert BAND in column(rows, 0)


def test_what_was_not_scored_is_blank() -> None:
    rows = chart([point(10, 5.0), point(12, 5.0)], interval_s=30.0, width=80)

    assert column(rows, 1).strip() == ""
    assert rows[-1].strip() == "5 min 6.5 min"


@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_long_load_fits_the_width(width: int) -> None:
    rows = chart([point(index, float(index % 9)) for index in range(2880)], interval_s=30.0, width=width)

    assert max(map(len, rows)) <= width


@given(loads=st.lists(st.floats(0.0, 1e9), min_size=1, max_size=50), mean=st.floats(0.0, 1e9))
def test_every_load_can_be_drawn(loads: list[float], mean: float) -> None:
    points = [point(index, load, mean=mean) for index, load in enumerate(loads)]

    rows = chart(points, interval_s=60.0, width=100)

    assert len(rows) == 13
    assert all(column(rows, number).count(CAME) == 1 for number in range(len(points)))
