"""The frozen policies that the core takes: what was decided before the loop began.

Plain data of the standard library. They are made from settings by `config.settings` and journalled once
per start or reload, so that a recorded day can be replayed. Times are seconds, latencies seconds, lengths
tokens, loads requests per second, shares 0 to 1.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What the engines of a pool do."""

    PREFILL = "prefill"
    DECODE = "decode"
    AGGREGATED = "aggregated"


class Solver(StrEnum):
    """How replicas are sized."""

    THROUGHPUT = "throughput"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillPoints:
    """Measured prefill performance of one engine, one entry per prompt length, ascending.

    Attributes:
        isl_tokens: Prompt lengths.
        ttft_s: Time to first token of a single prompt of that length.
        throughput_tokens_per_s_per_gpu: Prompt tokens per second and GPU.
    """

    isl_tokens: tuple[float, ...]
    ttft_s: tuple[float, ...]
    throughput_tokens_per_s_per_gpu: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePoints:
    """Measured decode performance of one engine at scattered operating points.

    Attributes:
        kv_usage_ratio: Share of the KV cache in use.
        context_tokens: Tokens per sequence.
        itl_s: Time between tokens.
        throughput_tokens_per_s_per_gpu: Output tokens per second and GPU.
        max_kv_tokens: KV capacity of one engine.
    """

    kv_usage_ratio: tuple[float, ...]
    context_tokens: tuple[float, ...]
    itl_s: tuple[float, ...]
    throughput_tokens_per_s_per_gpu: tuple[float, ...]
    max_kv_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProfile:
    """What one kind of engine can do; a part that was not measured is None."""

    name: str
    prefill: PrefillPoints | None = None
    decode: DecodePoints | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """One pool of equal engines and its limits.

    Attributes:
        name: The pool's name in the fleet, the journal and the metrics.
        role: What its engines do.
        profile: What one engine can do.
        gpus_per_engine: GPUs that one replica takes; what the fleet reports wins over it.
        min_replicas: Never fewer, unless the budget is smaller.
        max_replicas: Never more; None is no limit of its own.
        max_step_up: Most replicas added by one decision; None is no limit.
        max_step_down: Most replicas removed by one decision; None is no limit.
        scale_up_window_s: An increase is taken only as far as it was wanted for so long.
        scale_down_window_s: A decrease is taken only as far as it was wanted for so long.
    """

    name: str
    role: Role
    profile: EngineProfile
    gpus_per_engine: int = 1
    min_replicas: int = 1
    max_replicas: int | None = None
    max_step_up: int | None = None
    max_step_down: int | None = None
    scale_up_window_s: float = 0.0
    scale_down_window_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The latency that users were promised.

    Attributes:
        ttft_s: Time to first token.
        itl_s: Time between tokens.
        percentile_ratio: Share of requests that must meet both, or None where the targets are means.
    """

    ttft_s: float
    itl_s: float
    percentile_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionPolicy:
    """How observed latency corrects the profile.

    Attributes:
        enabled: If False all factors stay 1.
        smoothing_ratio: Weight of the newest factor; 1 takes it as it is, as Dynamo does.
        lower_ratio: Least factor taken.
        upper_ratio: Largest factor taken.
    """

    enabled: bool = True
    smoothing_ratio: float = 1.0
    lower_ratio: float = 0.05
    upper_ratio: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPolicy:
    """When the look between two ticks may add engines.

    Attributes:
        band_ratio: Where the forecast gives no quantiles, arrivals above forecast × (1 + this) are a surge.
        quantile_ratio: Upper edge of the forecast's band, where the forecast gives quantiles.
        drain_s: Standing queues are to be gone within this time.
    """

    band_ratio: float = 0.25
    quantile_ratio: float = 0.95
    drain_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that `step` needs to know beside what it sees.

    Attributes:
        pools: The pools of the deployment, in a fixed order.
        targets: The latency targets.
        budget_gpus: Hard upper limit of committed GPUs.
        interval_s: The adjustment interval.
        solver: How replicas are sized.
        size_quantile_ratio: Quantile of the load forecast that is sized for; None is its mean.
        blind_lengths_intervals: For so many intervals the last known lengths may stand in.
        correction: How observed latency corrects the profile.
        look: The rule between ticks.
    """

    pools: tuple[PoolPolicy, ...]
    targets: Targets
    budget_gpus: int
    interval_s: float
    solver: Solver = Solver.THROUGHPUT
    size_quantile_ratio: float | None = None
    blind_lengths_intervals: int = 3
    correction: CorrectionPolicy = CorrectionPolicy()
    look: LookPolicy = LookPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPolicy:
    """Which predictor forecasts the load, and how far ahead.

    Attributes:
        predictor: Name in the registry.
        log1p: Forecast ln(1 + y) instead of y.
        min_points: With fewer observations the forecast is the last value.
        window_points: Observations that a windowed model fits on; None is the predictor's own choice.
        kalman_q_level: Process noise of the level.
        kalman_q_trend: Process noise of the trend.
        kalman_r: Measurement noise.
        interval_s: Time between two observations.
        startup_s: Time that a new engine needs; the forecast is for the interval after it.
        levels: Quantiles that are given with each forecast, ascending shares.
    """

    predictor: str = "constant"
    log1p: bool = False
    min_points: int = 5
    window_points: int | None = None
    kalman_q_level: float = 1.0
    kalman_q_trend: float = 0.1
    kalman_r: float = 10.0
    interval_s: float = 30.0
    startup_s: float = 0.0
    levels: tuple[float, ...] = (0.05, 0.5, 0.9, 0.95)
