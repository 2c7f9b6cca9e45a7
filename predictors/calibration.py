"""How far off will the forecast be? As far as this predictor's own forecasts were at that horizon.

Every interval the wrapped predictor's forecast for each horizon in use is put aside, and scored when the
value that it was for arrives. The quantiles are conformal: with n past errors, the error that a level's
next one stays below is the ⌈(n + 1) × level⌉-th smallest (rounded down below the median). If past and next
errors may be swapped, that holds for any model (Vovk et al., Algorithmic Learning in a Random World, 2005).
Real loads wander, so it holds about, and only the last 200 errors count.

Errors are differences of square roots, √(y + 3/8), which have the same spread for a count at any level
(Anscombe, 1948). Measured on recorded traffic: plain differences miss when the level moves (86 % below the
0.9 quantile with a window of 1000), and logarithms explode where bursts follow silence (tens of times the
pinball loss); roots do neither.

Until there are enough errors a prior serves: normal in the same scale, as wide as the noise of a count
together with a quarter of the forecast, and never narrower than the errors seen so far. Enough is what the
outermost level needs (20 for 0.05 and 0.95), and three times the horizon, since forecasts that overlap
share their surprises.
"""

import bisect
import itertools
import math
from collections import deque
from statistics import NormalDist

from config.errors import ConfigError
from predictors.base import Predictor, Quantile, SeriesForecast
from predictors.series import IdleSkip, bounded, checked, checked_steps

_WINDOW = 200
_LEAST_ERRORS = 20
_ERRORS_PER_STEP = 3
_PRIOR_RATIO = 0.25
_COUNT_DEVIATION = 0.5  # of the square root of a count, whatever its level
_SHIFT = 0.375
_MEDIAN = 0.5
_TOLERANCE = 1e-9


class Calibrated:
    """A predictor whose forecasts carry quantiles that rest on its own past errors.

    What it forecasts depends on the observations alone, not on when or how often it was asked. The mean is
    the wrapped predictor's, untouched. While nothing but zeros was seen there are no quantiles.

    Args:
        predictor: A fresh one; it is fed and asked from here only.
        levels: Quantiles to give, ascending shares between 0 and 1.
        horizons: Steps ahead that will be asked for. Other steps are answered too, with the errors of the
            nearest of these and never as calibrated. Beyond it they grow as those of a walk would, with the
            square root of the steps.

    Raises:
        ConfigError: If the levels are not ascending shares.

    Example:
        >>> from predictors.constant import ConstantPredictor
        >>> load = Calibrated(ConstantPredictor(), levels=(0.05, 0.95))
        >>> for count in (100.0, 110.0) * 20:
        ...     load.observe(count)
        >>> forecast = load.forecast(1)
        >>> forecast.mean, forecast.calibrated, [round(quantile.value, 1) for quantile in forecast.quantiles]
        (110.0, True, [100.0, 120.5])
    """

    __slots__ = ("_levels", "_predictor", "_skip", "_tracks")

    def __init__(
        self, predictor: Predictor, *, levels: tuple[float, ...], horizons: tuple[int, ...] = (1,)
    ) -> None:
        self._predictor = predictor
        self._levels = _checked_levels(levels)
        self._tracks = tuple(_Track(steps, levels) for steps in sorted(set(horizons)))
        self._skip = IdleSkip()

    def observe(self, value: float | None) -> None:
        """Score the forecasts that were for this interval, learn from it, and put the next ones aside.

        An unknown interval scores nothing. Zeros before the first load are not evidence of good forecasts.
        """
        known = None if value is None else checked(value)
        if known is not None:
            self._skip.drops(known)
        self._predictor.observe(known)
        if self._skip.is_over:
            for track in self._tracks:
                track.advance(known, self._predictor.forecast(track.steps).mean)

    def forecast(self, steps: int) -> SeriesForecast:
        """Return the predictor's forecast with quantiles around it."""
        checked_steps(steps)
        mean = bounded(self._predictor.forecast(steps).mean)
        if not self._skip.is_over or not self._tracks:
            return SeriesForecast(mean=mean)
        track = min(self._tracks, key=lambda candidate: abs(candidate.steps - steps))
        center, growth = _to_scale(mean), math.sqrt(max(1.0, steps / track.steps))
        quantiles = tuple(
            Quantile(level_ratio=level, value=_from_scale(center + growth * track.error_at(level, center)))
            for level in self._levels
        )
        return SeriesForecast(
            mean=mean, quantiles=quantiles, calibrated=track.has_enough and track.steps == steps
        )


class _Track:
    """The pending forecasts and the past errors of one horizon."""

    __slots__ = ("_ascending", "_needed", "_pending", "_recent", "_window", "steps")

    def __init__(self, steps: int, levels: tuple[float, ...]) -> None:
        self.steps = checked_steps(steps)
        tail = min((min(level, 1.0 - level) for level in levels), default=0.5)
        self._needed = max(_LEAST_ERRORS, math.ceil(1.0 / tail - _TOLERANCE), _ERRORS_PER_STEP * steps)
        self._window = max(_WINDOW, self._needed)
        self._pending: deque[float] = deque()
        self._recent: deque[float] = deque()
        self._ascending: list[float] = []

    @property
    def has_enough(self) -> bool:
        return len(self._ascending) >= self._needed

    def advance(self, value: float | None, next_mean: float) -> None:
        """Let one interval pass: score what was pending for it, and keep the forecast made at its end."""
        if len(self._pending) == self.steps:
            issued = self._pending.popleft()
            if value is not None:
                self._remember(_to_scale(value) - issued)
        self._pending.append(_to_scale(bounded(next_mean)))

    def error_at(self, level: float, center: float) -> float:
        """Return the error that the next one stays below with this probability, in the scale of errors."""
        if self.has_enough:
            return self._ranked(level)
        prior = _prior_deviation(center) * NormalDist().inv_cdf(level)
        if level == _MEDIAN or not self._ascending:
            return prior
        return max(prior, self._ranked(level)) if prior > 0.0 else min(prior, self._ranked(level))

    def _ranked(self, level: float) -> float:
        count = len(self._ascending)
        exact = (count + 1) * level
        rank = math.ceil(exact - _TOLERANCE) if level >= _MEDIAN else math.floor(exact + _TOLERANCE)
        return self._ascending[min(max(rank, 1), count) - 1]

    def _remember(self, error: float) -> None:
        self._recent.append(error)
        bisect.insort(self._ascending, error)
        if len(self._recent) > self._window:
            del self._ascending[bisect.bisect_left(self._ascending, self._recent.popleft())]


def _to_scale(value: float) -> float:
    return math.sqrt(value + _SHIFT)


def _from_scale(root: float) -> float:
    positive = max(0.0, root)
    return bounded(positive * positive - _SHIFT)


def _prior_deviation(center: float) -> float:
    # A deviation of a quarter of y is an eighth of √y in the scale of roots.
    return math.hypot(_COUNT_DEVIATION, 0.5 * _PRIOR_RATIO * center)


def _checked_levels(levels: tuple[float, ...]) -> tuple[float, ...]:
    edges = (0.0, *levels, 1.0)
    if not all(below < above for below, above in itertools.pairwise(edges)):
        raise ConfigError(
            f"the levels are {', '.join(f'{level:g}' for level in levels)}",
            key="forecast.levels",
            hint="give ascending shares between 0 and 1, such as 0.05, 0.5, 0.95",
        )
    return levels
