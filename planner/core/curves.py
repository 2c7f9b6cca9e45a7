"""What one engine can do at an operating point: interpolation of profiled points.

The interpolation is that of Dynamo's SLA Planner 0.9.0, so that a profile means the same here and there
(reference: `golden/dynamo-090.json`).

Prefill: a cubic spline through TTFT and through throughput; the prompt length is clamped to the profiled
range, so nothing is extrapolated.

Decode: ITL and throughput are surfaces over KV usage and context length. Each is sampled once on a grid of
100 x 100 cells, KV usage 0 to 1 and context 0 to the longest profiled, by Clough-Tocher interpolation of the
scattered points; cells outside their convex hull take the nearest point. A lookup takes the nearest cell. The
axes are not rescaled first and the surface is fitted in milliseconds, both as in 0.9.0: the gradient estimate
inside Clough-Tocher stops at an absolute tolerance, so the unit matters in the last digits.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from config.errors import InternalError
from config.policy import DecodePoints, EngineProfile, Policy, PrefillPoints
from planner.core.sampling import (
    CELLS,
    MS_PER_S,
    Floats,
    Sampled,
    SampledDecode,
    SampledPrefill,
    sample,
)

# Samples that were made elsewhere. A profile has one sample, so this changes no result, only its cost.
_known: dict[EngineProfile, Sampled] = {}
_MOST_KNOWN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePoint:
    """What one decode engine does at one operating point.

    Attributes:
        itl_s: Time between tokens.
        throughput_tokens_per_s_per_gpu: Output tokens per second and GPU.
        kv_usage_ratio: Share of the KV cache in use.
        is_attainable: False if no operating point at this context meets the ITL that was asked for.
    """

    itl_s: float
    throughput_tokens_per_s_per_gpu: float
    kv_usage_ratio: float
    is_attainable: bool = True


class PrefillCurve:
    """Prefill performance of one engine over prompt length."""

    def __init__(self, points: PrefillPoints, sampled: SampledPrefill) -> None:
        self._lower, self._upper = points.isl_tokens[0], points.isl_tokens[-1]
        self._sampled = sampled
        self._least_throughput = min(points.throughput_tokens_per_s_per_gpu)
        self._least_ttft_s = min(points.ttft_s)

    def covers(self, isl_tokens: float) -> bool:
        """Tell whether a prompt length lies within the profiled range."""
        return self._lower <= isl_tokens <= self._upper

    def ttft_s(self, isl_tokens: float) -> float:
        """Return the time to first token of one prompt, in seconds; never below half the least profiled."""
        # A cubic may overshoot between points; a latency that is not positive is not one.
        return max(self._at(self._sampled.ttft_s, isl_tokens), 0.5 * self._least_ttft_s)

    def throughput_tokens_per_s_per_gpu(self, isl_tokens: float) -> float:
        """Return prompt tokens per second and GPU; never below half the least profiled."""
        return max(self._at(self._sampled.throughput, isl_tokens), 0.5 * self._least_throughput)

    def _at(self, pieces: Floats, isl_tokens: float) -> float:
        knots = self._sampled.knots
        at = min(max(isl_tokens, self._lower), self._upper)
        piece = min(int(np.searchsorted(knots, at, side="right")), len(knots) - 1) - 1
        cubic, square, slope, level = (float(power[piece]) for power in pieces)
        along = at - float(knots[piece])
        return ((cubic * along + square) * along + slope) * along + level


class DecodeCurve:
    """Decode performance of one engine over KV usage and context length."""

    def __init__(self, points: DecodePoints, sampled: SampledDecode) -> None:
        self._max_kv_tokens = points.max_kv_tokens
        self._max_context = max(points.context_tokens)
        self._itl_ms, self._throughput = sampled.itl_ms, sampled.throughput
        self._usage = np.linspace(0.0, 1.0, CELLS)
        self._least_itl_ms = MS_PER_S * min(points.itl_s)

    @property
    def max_kv_tokens(self) -> float:
        """KV capacity of one engine, in tokens."""
        return self._max_kv_tokens

    def covers(self, context_tokens: float) -> bool:
        """Tell whether a context length lies within the profiled range."""
        return context_tokens <= self._max_context

    def cell(self, *, concurrency: float, context_tokens: float) -> tuple[int, int]:
        """Return the grid cell (context row, usage column) of an operating point."""
        usage_ratio = concurrency * context_tokens / self._max_kv_tokens
        return self._row(context_tokens), _nearest(usage_ratio * (CELLS - 1))

    def at(self, *, concurrency: float, context_tokens: float) -> DecodePoint:
        """Return what an engine does with so many requests of so much context."""
        row, column = self.cell(concurrency=concurrency, context_tokens=context_tokens)
        return self._point(row, column)

    def best_within(self, *, itl_s: float, context_tokens: float) -> DecodePoint:
        """Return the operating point of highest KV usage that meets an ITL.

        Where none does, the emptiest cell is returned and marked as unattainable: one stream per engine is
        the fastest that this engine can be. A cell whose interpolated throughput is not positive is passed
        over.
        """
        row = self._row(context_tokens)
        meets = (self._itl_ms[row] <= itl_s * MS_PER_S) & (self._throughput[row] > 0.0)
        columns = np.flatnonzero(meets)
        if columns.size:
            return self._point(row, int(columns[-1]))
        point = self._point(row, 0)
        return DecodePoint(
            itl_s=point.itl_s,
            throughput_tokens_per_s_per_gpu=point.throughput_tokens_per_s_per_gpu,
            kv_usage_ratio=point.kv_usage_ratio,
            is_attainable=False,
        )

    def _row(self, context_tokens: float) -> int:
        return _nearest(context_tokens / (self._max_context / (CELLS - 1)))

    def _point(self, row: int, column: int) -> DecodePoint:
        itl_ms = max(float(self._itl_ms[row, column]), 0.5 * self._least_itl_ms)
        throughput = float(self._throughput[row, column])
        if throughput <= 0.0:
            throughput = MS_PER_S / itl_ms  # one stream: the surface says nothing usable here
        return DecodePoint(
            itl_s=itl_ms / MS_PER_S,
            throughput_tokens_per_s_per_gpu=throughput,
            kv_usage_ratio=float(self._usage[column]),
        )


@lru_cache(maxsize=64)
def prefill_curve(profile: EngineProfile) -> PrefillCurve:
    """Return the prefill curve of a profile, built once.

    Raises:
        InternalError: If the profile has no prefill part; loaders and settings see to that.
    """
    sampled = _sampled(profile).prefill
    if profile.prefill is None or sampled is None:
        raise InternalError(f"profile {profile.name!r} has no prefill part")
    return PrefillCurve(profile.prefill, sampled)


@lru_cache(maxsize=64)
def decode_curve(profile: EngineProfile) -> DecodeCurve:
    """Return the decode curve of a profile, built once.

    Raises:
        InternalError: If the profile has no decode part; loaders and settings see to that.
    """
    sampled = _sampled(profile).decode
    if profile.decode is None or sampled is None:
        raise InternalError(f"profile {profile.name!r} has no decode part")
    return DecodeCurve(profile.decode, sampled)


def build_curves(policy: Policy) -> None:
    """Build all curves of a policy now, so that no step waits for it."""
    for pool in policy.pools:
        if pool.profile.prefill is not None:
            prefill_curve(pool.profile)
        if pool.profile.decode is not None:
            decode_curve(pool.profile)


def _nearest(index: float) -> int:
    return min(max(round(min(index, 2.0 * CELLS)), 0), CELLS - 1)


def know(profile: EngineProfile, sampled: Sampled) -> None:
    """Take a sample of a profile that was made elsewhere, by `sample`."""
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[profile] = sampled


def is_known(profile: EngineProfile) -> bool:
    """Tell whether a sample of the profile was taken already."""
    return profile in _known


def _sampled(profile: EngineProfile) -> Sampled:
    return _known.get(profile) or sample(profile)
