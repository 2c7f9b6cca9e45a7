"""How fast is one engine? The service times that the simulated fleet runs on, and the embedded engine.

The embedded engine is synthetic and belongs to nobody: closed forms with the shape of measured curves, about
an 8-billion-parameter model on one GPU.

    prefill  t(isl)        = 20 ms + 60 µs · isl + 1.5 ns · isl²
    decode   itl(n, ctx)   = 6 ms + 0.12 ms · n + 50 ns · n · ctx

The profile is those forms sampled on a grid, as a profiler would have measured them, so that a planner that
reads it and a fleet that runs on the closed forms agree up to interpolation.
"""

from collections.abc import Callable
from typing import Protocol

from config.policy import DecodePoints, EngineProfile, PrefillPoints

EMBEDDED_NAME = "embedded"
EMBEDDED_MAX_KV_TOKENS = 400_000.0

_ISL_GRID = (
    64.0,
    128.0,
    250.0,
    500.0,
    1000.0,
    1500.0,
    2000.0,
    3000.0,
    4000.0,
    6000.0,
    8000.0,
    12000.0,
    16000.0,
)
# Dense enough that a cubic surface through the points is within one percent of the closed form from 400
# tokens on.
_CONTEXT_GRID = (
    *(100.0, 140.0, 200.0, 280.0, 390.0, 540.0, 760.0, 1070.0),
    *(1500.0, 2100.0, 2950.0, 4130.0, 5800.0, 8130.0, 11410.0, 16000.0),
)
_USAGE_GRID = (0.0, 0.02, 0.05, 0.1, 0.17, 0.25, 0.35, 0.47, 0.6, 0.73, 0.87, 1.0)


class EngineTimes(Protocol):
    """How long one engine needs."""

    @property
    def max_kv_tokens(self) -> float:
        """KV capacity of one engine."""
        ...

    def prefill_s(self, isl_tokens: float) -> float:
        """Return the time that one prompt of this length takes alone; positive."""
        ...

    def itl_s(self, batch: int, context_tokens: float) -> float:
        """Return the time of one decode step of so many requests of this mean context; positive."""
        ...


class CurveTimes:
    """Engine times from any two functions, for example interpolated curves of a measured profile.

    Args:
        prefill_s: Time of one prompt by its length.
        itl_s: Time of one decode step by batch size and mean context.
        max_kv_tokens: KV capacity of one engine.

    Example:
        >>> times = CurveTimes(prefill_s=lambda isl: isl / 1e3, itl_s=lambda n, _: n / 100, max_kv_tokens=1e5)
        >>> times.prefill_s(500), times.itl_s(2, 100.0)
        (0.5, 0.02)
    """

    def __init__(
        self,
        *,
        prefill_s: Callable[[float], float],
        itl_s: Callable[[int, float], float],
        max_kv_tokens: float,
    ) -> None:
        self.prefill_s = prefill_s
        self.itl_s = itl_s
        self.max_kv_tokens = max_kv_tokens


def embedded_prefill_s(isl_tokens: float) -> float:
    """Return how long the embedded engine takes for one prompt.

    Example:
        >>> round(embedded_prefill_s(1000.0), 6)
        0.0815
    """
    return 0.020 + isl_tokens * (60e-6 + 1.5e-9 * isl_tokens)


def embedded_itl_s(batch: float, context_tokens: float) -> float:
    """Return how long one decode step of the embedded engine takes.

    Example:
        >>> round(embedded_itl_s(64, 2000.0), 6)
        0.02008
    """
    return 0.006 + batch * (0.12e-3 + 50e-9 * context_tokens)


def embedded_times() -> CurveTimes:
    """Return the embedded engine's service times."""
    return CurveTimes(
        prefill_s=embedded_prefill_s, itl_s=embedded_itl_s, max_kv_tokens=EMBEDDED_MAX_KV_TOKENS
    )


def embedded_profile() -> EngineProfile:
    """Return the embedded engine as a profiler would have measured it.

    Example:
        >>> profile = embedded_profile()
        >>> profile.name, len(profile.prefill.isl_tokens), len(profile.decode.itl_s)
        ('embedded', 13, 192)
    """
    return EngineProfile(name=EMBEDDED_NAME, prefill=_prefill_points(), decode=_decode_points())


def _prefill_points() -> PrefillPoints:
    ttft_s = tuple(embedded_prefill_s(isl) for isl in _ISL_GRID)
    return PrefillPoints(
        isl_tokens=_ISL_GRID,
        ttft_s=ttft_s,
        throughput_tokens_per_s_per_gpu=tuple(
            isl / ttft for isl, ttft in zip(_ISL_GRID, ttft_s, strict=True)
        ),
    )


def _decode_points() -> DecodePoints:
    grid = [(usage, context) for context in _CONTEXT_GRID for usage in _USAGE_GRID]
    batches = [usage * EMBEDDED_MAX_KV_TOKENS / context for usage, context in grid]
    itl_s = [embedded_itl_s(batch, context) for batch, (_, context) in zip(batches, grid, strict=True)]
    return DecodePoints(
        kv_usage_ratio=tuple(usage for usage, _ in grid),
        context_tokens=tuple(context for _, context in grid),
        itl_s=tuple(itl_s),
        throughput_tokens_per_s_per_gpu=tuple(
            batch / step_s for batch, step_s in zip(batches, itl_s, strict=True)
        ),
        max_kv_tokens=EMBEDDED_MAX_KV_TOKENS,
    )
