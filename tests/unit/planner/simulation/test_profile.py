"""The embedded engine, as curves and as points."""

import pytest

from planner.simulation.profile import embedded_itl_s, embedded_profile, embedded_times


def test_prefill_points_lie_on_the_curve_and_ascend() -> None:
    points, times = embedded_profile().prefill, embedded_times()
    assert points is not None

    assert len(points.isl_tokens) >= 9
    assert list(points.isl_tokens) == sorted(set(points.isl_tokens))
    for isl, ttft_s, throughput in zip(
        points.isl_tokens, points.ttft_s, points.throughput_tokens_per_s_per_gpu, strict=True
    ):
        assert ttft_s == times.prefill_s(isl)
        assert throughput == pytest.approx(isl / ttft_s)


def test_decode_points_lie_on_the_curve_and_fill_the_corners() -> None:
    points = embedded_profile().decode
    assert points is not None
    rows = list(
        zip(
            points.kv_usage_ratio,
            points.context_tokens,
            points.itl_s,
            points.throughput_tokens_per_s_per_gpu,
            strict=True,
        )
    )

    assert len(rows) >= 40
    contexts = sorted(set(points.context_tokens))
    assert {(usage, context) for usage, context, _, _ in rows} >= {
        (usage, context) for usage in (0.0, 1.0) for context in (contexts[0], contexts[-1])
    }
    for usage, context, itl_s, throughput in rows:
        batch = usage * points.max_kv_tokens / context
        assert throughput == pytest.approx(batch / itl_s)
        assert itl_s == pytest.approx(embedded_itl_s(batch, context))


def test_longer_prompts_and_larger_batches_take_longer() -> None:
    times = embedded_times()

    prefill_s = [times.prefill_s(isl) for isl in (1, 100, 1000, 10_000)]
    itl_s = [times.itl_s(batch, context) for batch, context in ((1, 100.0), (10, 100.0), (10, 1000.0))]

    assert prefill_s == sorted(prefill_s)
    assert itl_s == sorted(itl_s)
    assert min(*prefill_s, *itl_s) > 0.0
