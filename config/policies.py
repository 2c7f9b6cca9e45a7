"""From settings to the frozen policies that the core and the predictors take."""

from config.policy import (
    CorrectionPolicy,
    EngineProfile,
    ForecastPolicy,
    LookPolicy,
    Policy,
    PoolPolicy,
    Role,
    Targets,
)
from config.settings import PoolSettings, Settings


def policy_from(settings: Settings, profile: EngineProfile) -> Policy:
    """Return the policy of the core: the pools prefill and decode, each with its half of the profile."""
    prefill = EngineProfile(name=profile.name, prefill=profile.prefill)
    decode = EngineProfile(name=profile.name, decode=profile.decode)
    return Policy(
        pools=(
            _pool(settings.pools.prefill, role=Role.PREFILL, profile=prefill),
            _pool(settings.pools.decode, role=Role.DECODE, profile=decode),
        ),
        targets=Targets(
            ttft_s=settings.targets.ttft,
            itl_s=settings.targets.itl,
            percentile_ratio=settings.targets.percentile_ratio,
        ),
        budget_gpus=settings.budget_gpus,
        interval_s=settings.interval,
        solver=settings.sizing.solver,
        size_quantile_ratio=settings.sizing.quantile,
        correction=_correction(settings),
        look=_look(settings),
    )


def forecast_policy_from(settings: Settings) -> ForecastPolicy:
    """Return the policy of the predictors; every quantile that sizing or looks use is among its levels."""
    forecast = settings.forecast
    wanted = {settings.look.quantile, *ForecastPolicy().levels}
    if settings.sizing.quantile is not None:
        wanted.add(settings.sizing.quantile)
    return ForecastPolicy(
        predictor=forecast.predictor,
        log1p=forecast.log1p,
        min_points=forecast.min_points,
        window_points=forecast.window_points,
        kalman_q_level=forecast.kalman_q_level,
        kalman_q_trend=forecast.kalman_q_trend,
        kalman_r=forecast.kalman_r,
        interval_s=settings.interval,
        startup_s=settings.startup,
        levels=tuple(sorted(wanted)),
    )


def _pool(pool: PoolSettings, *, role: Role, profile: EngineProfile) -> PoolPolicy:
    return PoolPolicy(
        name=role.value,
        role=role,
        profile=profile,
        gpus_per_engine=pool.gpus_per_engine,
        min_replicas=pool.min_replicas,
        max_replicas=pool.max_replicas,
        max_step_up=pool.max_step_up,
        max_step_down=pool.max_step_down,
        scale_up_window_s=pool.scale_up_window,
        scale_down_window_s=pool.scale_down_window,
    )


def _correction(settings: Settings) -> CorrectionPolicy:
    correction = settings.correction
    return CorrectionPolicy(
        enabled=correction.enabled,
        smoothing_ratio=correction.smoothing,
        lower_ratio=correction.lower,
        upper_ratio=correction.upper,
    )


def _look(settings: Settings) -> LookPolicy:
    look = settings.look
    return LookPolicy(band_ratio=look.band, quantile_ratio=look.quantile, drain_s=look.drain)
