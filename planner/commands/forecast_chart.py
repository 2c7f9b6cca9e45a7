"""How did forecasts follow the load? A chart of characters: what came, what was expected, and the band."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from planner.forecasting.evaluation import Point
from planner.simulation.plot import nice_ceiling

CAME, EXPECTED, BAND = "●", "─", "░"
_MINUTE_S = 60.0
_ROWS = 12
_AXIS = 8
_LEAST_COLUMNS = 20


def ahead(seconds: float) -> str:
    """Return a length of time in words, as short as an axis needs.

    Example:
        >>> ahead(30.0), ahead(90.0), ahead(300.0)
        ('30 s', '1.5 min', '5 min')
    """
    return f"{seconds:g} s" if seconds < _MINUTE_S else f"{seconds / _MINUTE_S:.3g} min"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """What one column shows: means over the intervals that fall into it."""

    actual: float
    mean: float
    low: float
    high: float


def chart(points: Sequence[Point], *, interval_s: float, width: int) -> list[str]:
    r"""Draw the scored forecasts of one horizon, time from left to right.

    Intervals that were not scored are left blank. Where there are more intervals than columns, a column
    shows means.

    Example:
        >>> points = [Point(index=index, actual=float(index % 4), last=1.0, mean=2.0, low=1.0, sized=3.0,
        ...                 high=3.0, calibrated=True) for index in range(6)]
        >>> print("\n".join(chart(points, interval_s=60.0, width=30)[:4]))
              3 ░░░●░░
                ░░░░░░
                ░░░░░░
                ░░░░░░
    """
    room = max(_LEAST_COLUMNS, width - _AXIS)
    first, last = points[0].index, points[-1].index
    drawn = _columns(points, first=first, per_column=max(1, -(-(last + 1 - first) // room)))
    top = nice_ceiling(max(max(one.actual, one.mean, one.high) for one in drawn if one is not None))
    labels = {0: f"{top:g}", _ROWS // 2: f"{top / 2:g}", _ROWS - 1: "0"}
    cells = [_cells(one, top) for one in drawn]
    rows = [
        f"{labels.get(row, ''):>{_AXIS - 1}} {''.join(column[row] for column in cells)}".rstrip()
        for row in range(_ROWS)
    ]
    return [*rows, _time_axis(first * interval_s, (last + 1) * interval_s, len(drawn))]


def _columns(points: Sequence[Point], *, first: int, per_column: int) -> list[_Column | None]:
    found: dict[int, list[Point]] = {}
    for point in points:
        found.setdefault((point.index - first) // per_column, []).append(point)
    return [_averaged(found.get(number, [])) for number in range(max(found) + 1)]


def _averaged(points: Sequence[Point]) -> _Column | None:
    if not points:
        return None
    return _Column(
        actual=statistics.fmean(point.actual for point in points),
        mean=statistics.fmean(point.mean for point in points),
        low=statistics.fmean(point.low for point in points),
        high=statistics.fmean(point.high for point in points),
    )


def _cells(one: _Column | None, top: float) -> list[str]:
    if one is None:
        return [" "] * _ROWS
    above, below = _row(one.high, top), _row(one.low, top)
    cells = [BAND if above <= row <= below else " " for row in range(_ROWS)]
    cells[_row(one.mean, top)] = EXPECTED
    cells[_row(one.actual, top)] = CAME
    return cells


def _row(value: float, top: float) -> int:
    return _ROWS - 1 - round(min(1.0, max(0.0, value / top)) * (_ROWS - 1))


def _time_axis(begin_s: float, end_s: float, columns: int) -> str:
    left, right = ahead(begin_s), ahead(end_s)
    return f"{'':{_AXIS}}{left}{right:>{max(len(right) + 1, columns - len(left))}}"
