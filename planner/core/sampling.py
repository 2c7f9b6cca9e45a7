"""Sampling profiled points into what curves look up: the only part that needs scipy.

Sampled numbers are plain arrays. They can be made in another process, so that scipy (half a second, some
45 MB) need not live in the daemon.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.policy import DecodePoints, EngineProfile, PrefillPoints

CELLS = 100
MS_PER_S = 1000.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledPrefill:
    """A prefill profile as cubic pieces.

    Attributes:
        knots: Prompt lengths at which pieces meet, ascending, n of them.
        ttft_s: Coefficients of each piece, shape (4, n - 1), the highest power first.
        throughput: The same for prompt tokens per second and GPU.
    """

    knots: Floats
    ttft_s: Floats
    throughput: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledDecode:
    """A decode profile on a grid, rows by context, columns by KV usage, both of shape (CELLS, CELLS).

    Attributes:
        itl_ms: Time between tokens, in milliseconds.
        throughput: Output tokens per second and GPU.
    """

    itl_ms: Floats
    throughput: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampled:
    """A profile, sampled; a part that was not measured is None."""

    prefill: SampledPrefill | None = None
    decode: SampledDecode | None = None


def sample(profile: EngineProfile) -> Sampled:
    """Sample a profile."""
    return Sampled(
        prefill=None if profile.prefill is None else _prefill(profile.prefill),
        decode=None if profile.decode is None else _decode(profile.decode),
    )


def _prefill(points: PrefillPoints) -> SampledPrefill:
    return SampledPrefill(
        knots=np.asarray(points.isl_tokens, dtype=np.float64),
        ttft_s=_cubic(points.isl_tokens, points.ttft_s),
        throughput=_cubic(points.isl_tokens, points.throughput_tokens_per_s_per_gpu),
    )


def _decode(points: DecodePoints) -> SampledDecode:
    return SampledDecode(
        itl_ms=_surface(points, tuple(MS_PER_S * itl_s for itl_s in points.itl_s)),
        throughput=_surface(points, points.throughput_tokens_per_s_per_gpu),
    )


def _cubic(x: tuple[float, ...], y: tuple[float, ...]) -> Floats:
    from scipy.interpolate import CubicSpline

    pieces: Floats = CubicSpline(x, y).c
    return pieces


def _surface(points: DecodePoints, values: tuple[float, ...]) -> Floats:
    from scipy.interpolate import griddata

    usage, context = np.meshgrid(
        np.linspace(0.0, 1.0, CELLS), np.linspace(0.0, max(points.context_tokens), CELLS)
    )
    where = (np.asarray(points.kv_usage_ratio), np.asarray(points.context_tokens))
    cubic = griddata(where, np.asarray(values), (usage, context), method="cubic")
    nearest = griddata(where, np.asarray(values), (usage, context), method="nearest")
    surface: Floats = np.where(np.isnan(cubic), nearest, cubic)
    return surface
