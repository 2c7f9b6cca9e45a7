"""How are numbers drawn with characters? Columns in eighths of a line, and marks for what exceeds a limit."""

import math
from collections.abc import Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_NICE_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
UNKNOWN = "·"
ABOVE = "!"


def nice_ceiling(value: float) -> float:
    """Return the least round number that is not below the value, so that an axis rarely changes.

    Example:
        >>> nice_ceiling(0.0), nice_ceiling(37.2), nice_ceiling(411.0)
        (1.0, 40.0, 500.0)
    """
    if value <= 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _NICE_STEPS if step * power >= value * (1.0 - 1e-9))


def column(value: float, *, top: float, rows: int) -> list[str]:
    """Return one column from the top row down.

    Example:
        >>> column(5.0, top=10.0, rows=3)
        [' ', '▄', '█']
    """
    eighths = round(max(0.0, min(1.0, value / top)) * rows * 8)
    cells = [max(0, min(8, eighths - 8 * row)) for row in range(rows - 1, -1, -1)]
    return [_EIGHTHS[cell] for cell in cells]


def columns(values: Sequence[float | None], *, top: float, rows: int) -> list[str]:
    """Return rows of a chart from the top down; an unknown value is a dot on the ground.

    Example:
        >>> columns([1.0, None, 2.0], top=2.0, rows=2)
        ['  █', '█·█']
    """
    ground = [" "] * (rows - 1) + [UNKNOWN]
    drawn = [ground if value is None else column(value, top=top, rows=rows) for value in values]
    return ["".join(cells) for cells in zip(*drawn, strict=True)] if drawn else [""] * rows


def sparkline(values: Sequence[float | None], *, limit: float) -> str:
    """Return one line in which full height is the limit and what exceeds it is a mark.

    Example:
        >>> sparkline([0.0, 5.0, 10.0, 11.0, None], limit=10.0)
        '▁▅█!·'
    """
    return "".join(_spark(value, limit) for value in values)


def _spark(value: float | None, limit: float) -> str:
    if value is None:
        return UNKNOWN
    if value > limit:
        return ABOVE
    return _EIGHTHS[1 + min(7, int(value / limit * 8.0))] if limit > 0.0 else _EIGHTHS[1]


def marks(mark: str, count: int, *, per_mark: int = 1) -> str:
    """Return one mark per so many things, the last for fewer.

    Example:
        >>> marks("■", 3), marks("□", 5, per_mark=2), marks("×", 0)
        ('■■■', '□□□', '')
    """
    return mark * math.ceil(count / per_mark)
