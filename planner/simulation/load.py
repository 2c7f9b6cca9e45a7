"""Who asks for what, and when? Seeded streams of requests.

Arrivals are a Poisson process whose rate changes with time, drawn by thinning (Lewis and Shedler, 1979):
candidates come at the highest rate, and each is kept with probability rate ÷ highest rate. Random numbers
are drawn in blocks, so a stream costs under a microsecond a request and never holds more than one block.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError

DAY_S = 86_400.0

_BLOCK = 1024
# Periods of the day's irregular part, in seconds; chosen so that they share no common multiple in a day.
_RIPPLE_PERIODS_S = (23_100.0, 9_700.0, 4_130.0, 1_790.0)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as its user sends it.

    Attributes:
        arrival_s: When it arrives, on the simulation's clock.
        isl_tokens: Length of its prompt, at least 1.
        osl_tokens: Tokens that will be answered, at least 1.
    """

    arrival_s: float
    isl_tokens: int
    osl_tokens: int


class RateCurve(Protocol):
    """An arrival rate that depends on time."""

    @property
    def peak_rps(self) -> float:
        """An upper bound of the rate, finite and positive."""
        ...

    def rates_rps(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rates at these times."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRate:
    """The same rate at all times."""

    rate_rps: float

    @property
    def peak_rps(self) -> float:
        """The rate itself."""
        return self.rate_rps

    def rates_rps(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rate, as often as asked."""
        return np.full_like(at_s, self.rate_rps)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRate:
    """A rate that jumps.

    Attributes:
        starts_s: When each level begins, ascending; before the first one nothing arrives.
        levels_rps: The levels, as many as starts.

    Example:
        >>> StepRate(starts_s=(0.0, 60.0), levels_rps=(1.0, 5.0)).rates_rps(np.array([59.0, 60.0])).tolist()
        [1.0, 5.0]
    """

    starts_s: tuple[float, ...]
    levels_rps: tuple[float, ...]

    @property
    def peak_rps(self) -> float:
        """The highest level."""
        return max(self.levels_rps)

    def rates_rps(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the level in force at each time."""
        levels = np.array((0.0, *self.levels_rps))
        rates: NDArray[np.float64] = levels[np.searchsorted(np.array(self.starts_s), at_s, side="right")]
        return rates


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRate:
    """A day: quiet at night, busy in the afternoon, never quite regular.

    The irregular part is a sum of slow waves with seeded phases: bounded, smooth, and the same whoever asks.

    Attributes:
        low_rps: Rate at the quietest hour, before the irregular part.
        high_rps: Rate at the busiest hour, before the irregular part.
        busiest_s: Time of day of the busiest hour.
        ripple_ratio: Standard deviation of the irregular part, relative to the rate.
        day_s: Length of the day.
        seed: Chooses the phases.
    """

    low_rps: float
    high_rps: float
    busiest_s: float = 15.0 * 3600.0
    ripple_ratio: float = 0.06
    day_s: float = DAY_S
    seed: int = 0

    @property
    def peak_rps(self) -> float:
        """The highest rate that can occur."""
        return self.high_rps * (1.0 + self.ripple_ratio * math.sqrt(2.0 * len(_RIPPLE_PERIODS_S)))

    def rates_rps(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rates at these times of the simulation, which begins at midnight."""
        busy = 0.5 + 0.5 * np.cos(2.0 * math.pi * (at_s - self.busiest_s) / self.day_s)
        phases = np.random.default_rng(self.seed).uniform(0.0, 2.0 * math.pi, len(_RIPPLE_PERIODS_S))
        scale = self.day_s / DAY_S
        waves = sum(
            np.sin(2.0 * math.pi * at_s / (period_s * scale) + phase)
            for period_s, phase in zip(_RIPPLE_PERIODS_S, phases, strict=True)
        )
        ripple = self.ripple_ratio * math.sqrt(2.0 / len(_RIPPLE_PERIODS_S)) * waves
        rates: NDArray[np.float64] = (self.low_rps + (self.high_rps - self.low_rps) * busy) * (1.0 + ripple)
        return np.maximum(0.0, rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class LognormalLengths:
    """Prompt and output lengths, independent and lognormal, as real traffic roughly is.

    Attributes:
        isl_mean_tokens: Mean prompt length.
        osl_mean_tokens: Mean output length.
        isl_cv_ratio: Standard deviation over mean of the prompt length; 0 makes all equal.
        osl_cv_ratio: The same for the output length.
        max_tokens: Longer draws are cut to this.
    """

    isl_mean_tokens: float
    osl_mean_tokens: float
    isl_cv_ratio: float = 0.7
    osl_cv_ratio: float = 0.7
    max_tokens: int = 16_000

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[int], list[int]]:
        """Return so many prompt lengths and output lengths."""
        return (
            self._lengths(rng, count, mean=self.isl_mean_tokens, cv=self.isl_cv_ratio),
            self._lengths(rng, count, mean=self.osl_mean_tokens, cv=self.osl_cv_ratio),
        )

    def _lengths(self, rng: np.random.Generator, count: int, *, mean: float, cv: float) -> list[int]:
        variance = math.log1p(cv * cv)
        draws = rng.lognormal(math.log(mean) - variance / 2.0, math.sqrt(variance), count)
        lengths: list[int] = np.clip(np.rint(draws), 1, self.max_tokens).astype(int).tolist()
        return lengths


def poisson(
    rate: RateCurve, lengths: LognormalLengths, *, seed: int = 0, start_s: float = 0.0
) -> Iterator[Request]:
    """Yield requests for ever, in the order of arrival; the same for the same seed.

    Raises:
        ConfigError: If the rate's upper bound is not a positive number.

    Example:
        >>> lengths = LognormalLengths(isl_mean_tokens=1000, osl_mean_tokens=100)
        >>> first = next(poisson(ConstantRate(rate_rps=10.0), lengths, seed=1))
        >>> first == next(poisson(ConstantRate(rate_rps=10.0), lengths, seed=1))
        True
    """
    if not (math.isfinite(rate.peak_rps) and rate.peak_rps > 0.0):
        raise ConfigError(
            f"the highest arrival rate is {rate.peak_rps:g}", key="load", hint="give a positive number"
        )
    return _thinned(rate, lengths, np.random.default_rng(seed), start_s)


def _thinned(
    rate: RateCurve, lengths: LognormalLengths, rng: np.random.Generator, now_s: float
) -> Iterator[Request]:
    peak_rps = rate.peak_rps
    while True:
        candidates_s = now_s + np.cumsum(rng.exponential(1.0 / peak_rps, _BLOCK))
        now_s = float(candidates_s[-1])
        kept_s = candidates_s[rng.random(_BLOCK) * peak_rps < rate.rates_rps(candidates_s)]
        isl_tokens, osl_tokens = lengths.draw(rng, len(kept_s))
        yield from map(Request, kept_s.tolist(), isl_tokens, osl_tokens)
