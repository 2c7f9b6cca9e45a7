"""What numbers a series may hold, and when its first zeros say nothing."""

import math

from config.errors import InternalError

LARGEST = 1e300
"""No series has a larger value; leaves room to add and extrapolate without reaching infinity."""


def checked(value: float) -> float:
    """Return an observation, cut at `LARGEST`.

    Raises:
        InternalError: If it is negative or not finite; the connectors refuse such numbers, and an interval
            that is not known is None.

    Example:
        >>> checked(2.5), checked(1e305)
        (2.5, 1e+300)
    """
    if not 0.0 <= value < math.inf:
        raise InternalError(
            f"a predictor was given {value}, expected a finite number that is not negative; "
            "an interval that is not known is None"
        )
    return min(value, LARGEST)


def bounded(value: float) -> float:
    """Return a forecast cut to what a load can be: from 0 to `LARGEST`.

    Raises:
        InternalError: If it is not a number, which no cut can mend.

    Example:
        >>> bounded(-3.0), bounded(4.0), bounded(float("inf"))
        (0.0, 4.0, 1e+300)
    """
    if math.isnan(value):
        raise InternalError("a forecast is not a number; a predictor must give a finite one on any history")
    return min(max(0.0, value), LARGEST)


def checked_steps(steps: int) -> int:
    """Return the number of intervals ahead.

    Raises:
        InternalError: If it is not positive; the past is not forecast.

    Example:
        >>> checked_steps(1)
        1
    """
    if steps < 1:
        raise InternalError(f"a forecast of {steps} intervals ahead was asked for, expected 1 or more")
    return steps


class IdleSkip:
    """Drops zeros until the first load: a service that nobody has used yet says nothing about its load.

    Later zeros are kept. This is the idle skip of Dynamo 0.9.0.

    Example:
        >>> skip = IdleSkip()
        >>> [value for value in (0.0, 0.0, 5.0, 0.0) if not skip.drops(value)]
        [5.0, 0.0]
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting = True

    @property
    def is_over(self) -> bool:
        """True once a load was seen."""
        return not self._waiting

    def drops(self, value: float) -> bool:
        """Take the next value and say whether it is to be dropped."""
        self._waiting = self._waiting and value == 0.0
        return self._waiting

    def rearm(self) -> None:
        """Drop zeros again until the next load, as after a warm-up with an old trace."""
        self._waiting = True
