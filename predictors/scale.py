"""On which scale does a model work, and how far above what was seen may it go?

Loads double and triple; a model that extrapolates a thousandfold is wrong, and a fleet sized for it is dear.
So a forecast is cut at three times the largest value in the model's window, and at 0 below. On the recorded
traces the cut changes no score (tried at 1.5 and 3 times): it is a guard, not a tuning.
"""

import math

from predictors.series import LARGEST, bounded

HIGHEST_RATIO = 3.0
"""A forecast is at most this many times the largest value in the window."""

_LARGEST_LOG = math.log(LARGEST)


def scaled(value: float, *, log1p: bool) -> float:
    """Return the value on the model's scale: ln(1 + y), or y itself.

    Example:
        >>> scaled(0.0, log1p=True), scaled(7.0, log1p=False)
        (0.0, 7.0)
    """
    return math.log1p(value) if log1p else value


def unscaled(value: float, *, log1p: bool, highest: float) -> float:
    """Return the load that a number on the model's scale stands for, from 0 to three times the highest.

    Args:
        value: What the model says; a number.
        log1p: Whether it is a logarithm.
        highest: The largest value in the window, on the model's scale.

    Example:
        >>> [unscaled(value, log1p=False, highest=10.0) for value in (-5.0, 12.0, 1e9)]
        [0.0, 12.0, 30.0]
    """
    return min(_plain(value, log1p=log1p), bounded(HIGHEST_RATIO * _plain(highest, log1p=log1p)))


def _plain(value: float, *, log1p: bool) -> float:
    return bounded(math.expm1(min(value, _LARGEST_LOG)) if log1p else value)
