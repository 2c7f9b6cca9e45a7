from typing import Any

import pytest

from config.policy import EngineProfile
from planner.core.curves import decode_curve, prefill_curve

PROFILES = (
    "h200-llama-3.1-8b-fp8-tp1",
    "h100-llama-3.3-70b-fp8-tp8",
    "h100-llama-3.3-70b-fp8-tp4",
    "h100-llama-3.3-70b-fp8-tp2",
)


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", PROFILES)
def test_prefill_curve_equals_dynamo_at_every_golden_point(
    golden: dict[str, Any], profiles: dict[str, EngineProfile], name: str
) -> None:
    curve = prefill_curve(profiles[name])
    points = golden["interpolators"][name]["prefill"]

    assert len(points) == 49
    for point in points:
        isl_tokens = point["isl_tokens"]
        assert curve.ttft_s(isl_tokens) * 1000 == close(point["ttft_ms"])
        expected = point["throughput_tokens_per_s_per_gpu"]
        assert curve.throughput_tokens_per_s_per_gpu(isl_tokens) == close(expected)


@pytest.mark.parametrize("name", PROFILES)
def test_decode_curve_equals_dynamo_at_every_golden_point(
    golden: dict[str, Any], profiles: dict[str, EngineProfile], name: str
) -> None:
    curve = decode_curve(profiles[name])
    points = golden["interpolators"][name]["decode"]

    assert len(points) == 144
    for point in points:
        where = {
            "concurrency": point["concurrency_requests"],
            "context_tokens": point["context_length_tokens"],
        }
        assert curve.cell(**where) == (point["grid_iy"], point["grid_ix"])
        assert curve.at(**where).itl_s * 1000 == close(point["itl_ms"])
        throughput = point["throughput_tokens_per_s_per_gpu"]
        if throughput > 0:
            assert curve.at(**where).throughput_tokens_per_s_per_gpu == close(throughput)
        else:  # a 0.9.0 defect: no engine has a throughput that is not positive
            assert curve.at(**where).throughput_tokens_per_s_per_gpu > 0


@pytest.mark.parametrize("name", PROFILES)
def test_best_operating_point_equals_dynamo_at_every_golden_search(
    golden: dict[str, Any], profiles: dict[str, EngineProfile], name: str
) -> None:
    curve = decode_curve(profiles[name])
    searches = golden["interpolators"][name]["decode_best_throughput_under_itl"]

    assert len(searches) == 140
    for search in searches:
        best = curve.best_within(
            itl_s=search["itl_target_ms"] / 1000, context_tokens=search["context_length_tokens"]
        )
        assert best.is_attainable == search["itl_target_met"]
        assert best.throughput_tokens_per_s_per_gpu > 0
        if search["throughput_tokens_per_s_per_gpu"] > 0:
            assert best.itl_s * 1000 == close(search["itl_ms"])
            assert best.kv_usage_ratio == close(search["kv_usage_ratio"])
            assert best.throughput_tokens_per_s_per_gpu == close(search["throughput_tokens_per_s_per_gpu"])
