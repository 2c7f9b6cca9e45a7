"""From settings to policies."""

from config.load import load
from config.policies import forecast_policy_from, policy_from
from config.policy import DecodePoints, EngineProfile, ForecastPolicy, PrefillPoints, Role
from config.settings import Settings

_PROFILE = EngineProfile(
    name="h100",
    prefill=PrefillPoints(isl_tokens=(1.0,), ttft_s=(0.1,), throughput_tokens_per_s_per_gpu=(10.0,)),
    decode=DecodePoints(
        kv_usage_ratio=(0.5,),
        context_tokens=(100.0,),
        itl_s=(0.01,),
        throughput_tokens_per_s_per_gpu=(5.0,),
        max_kv_tokens=1000.0,
    ),
)


def _settings(least: dict[str, object], **more: object) -> Settings:
    flags = {**least, **{key.replace("__", "."): value for key, value in more.items()}}
    return load(flags=flags, environment={}).settings


def test_each_pool_gets_its_half_of_the_profile(least: dict[str, object]) -> None:
    policy = policy_from(_settings(least), _PROFILE)

    prefill, decode = policy.pools
    assert (prefill.name, prefill.role, decode.name, decode.role) == (
        "prefill",
        Role.PREFILL,
        "decode",
        Role.DECODE,
    )
    assert prefill.profile == EngineProfile(name="h100", prefill=_PROFILE.prefill)
    assert decode.profile == EngineProfile(name="h100", decode=_PROFILE.decode)


def test_limits_go_to_their_own_pool(least: dict[str, object]) -> None:
    settings = _settings(
        least,
        pools__decode__max_replicas=5,
        pools__decode__scale_down_window="2m",
        pools__prefill__gpus_per_engine=2,
    )

    prefill, decode = policy_from(settings, _PROFILE).pools

    assert (prefill.max_replicas, prefill.gpus_per_engine, prefill.scale_down_window_s) == (None, 2, 90.0)
    assert (decode.max_replicas, decode.gpus_per_engine, decode.scale_down_window_s) == (5, 1, 120.0)


def test_targets_and_numbers_are_taken_over_in_seconds_and_shares(least: dict[str, object]) -> None:
    settings = _settings(
        least,
        targets__percentile="p95",
        interval="1m",
        sizing__quantile=0.9,
        look__drain="10s",
        correction__lower=0.5,
    )

    policy = policy_from(settings, _PROFILE)

    assert (policy.targets.ttft_s, policy.targets.itl_s, policy.targets.percentile_ratio) == (
        0.3,
        0.025,
        0.95,
    )
    assert (policy.budget_gpus, policy.interval_s, policy.size_quantile_ratio) == (8, 60.0, 0.9)
    assert (policy.look.drain_s, policy.correction.lower_ratio) == (10.0, 0.5)


def test_the_forecast_gives_every_quantile_that_is_used(least: dict[str, object]) -> None:
    plain = forecast_policy_from(_settings(least))
    special = forecast_policy_from(_settings(least, sizing__quantile=0.8, look__quantile=0.99))

    assert plain == ForecastPolicy(startup_s=60.0)
    assert special.levels == (0.05, 0.5, 0.8, 0.9, 0.95, 0.99)


def test_the_predictor_and_its_numbers_are_taken_over(least: dict[str, object]) -> None:
    settings = _settings(
        least,
        forecast__predictor="kalman",
        forecast__log1p=True,
        forecast__kalman_r=3,
        startup="2m",
        interval="10s",
    )

    policy = forecast_policy_from(settings)

    assert (policy.predictor, policy.log1p, policy.kalman_r) == ("kalman", True, 3.0)
    assert (policy.startup_s, policy.interval_s) == (120.0, 10.0)
