"""Observed over expected latency: smoothed, bounded, frozen, shown."""

import math

import pytest

from config.policy import CorrectionPolicy, PoolPolicy
from connectors.base import Idle, PoolState, Reading, Traffic, Unknown
from planner.core.corrections import correct, observed_ratio, operating_point
from planner.core.decision import ReasonCode
from planner.core.words import sentence
from tests.unit.planner.core.scene import Loop, codes, counts, fleet, policy, pool, say, traffic

DOWN = Unknown(why="the server is down")
BIG = fleet(prefill=8, decode=8)
SERVING = PoolState(desired=4, ready=4)
# The profile expects 70 ms for this prompt length.
EXPECTED_TTFT_S = 0.07


def prefill_ratio(rule: CorrectionPolicy, *, last: float, ttft_s: float | Reading) -> float:
    ratio, _ = correct(
        policy(correction=rule), pool(), last_ratio=last, traffic=traffic(45.0, ttft_s=ttft_s), state=SERVING
    )
    return ratio


@pytest.mark.parametrize(
    ("rule", "last", "ttft_s", "expected"),
    [
        pytest.param(CorrectionPolicy(), 1.0, 0.14, 2.0, id="twice as slow"),
        pytest.param(CorrectionPolicy(), 9.0, 0.07, 1.0, id="the newest counts alone"),
        pytest.param(CorrectionPolicy(smoothing_ratio=0.25), 1.0, 0.14, 1.25, id="smoothed"),
        pytest.param(CorrectionPolicy(smoothing_ratio=0.0), 1.5, 0.14, 1.5, id="never moved"),
        pytest.param(CorrectionPolicy(upper_ratio=3.0), 1.0, 0.7, 3.0, id="bounded above"),
        pytest.param(CorrectionPolicy(lower_ratio=0.5), 1.0, 0.007, 0.5, id="bounded below"),
        pytest.param(CorrectionPolicy(upper_ratio=2.0), 1.0, 0.14, 2.0, id="exactly at the bound"),
        pytest.param(CorrectionPolicy(enabled=False), 3.0, 0.14, 1.0, id="disabled is one"),
        pytest.param(CorrectionPolicy(), 1.7, DOWN, 1.7, id="unknown freezes"),
        pytest.param(CorrectionPolicy(), 1.7, Idle(at_s=0.0), 1.7, id="idle freezes"),
        pytest.param(CorrectionPolicy(), 1.7, 0.0, 1.7, id="a latency of nothing freezes"),
        pytest.param(CorrectionPolicy(), 1.7, math.nan, 1.7, id="nan freezes"),
    ],
)
def test_factor_table(rule: CorrectionPolicy, last: float, ttft_s: float | Reading, expected: float) -> None:
    assert prefill_ratio(rule, last=last, ttft_s=ttft_s) == pytest.approx(expected)


def test_a_bounded_factor_says_so() -> None:
    _, reasons = correct(
        policy(correction=CorrectionPolicy(upper_ratio=3.0)),
        pool(),
        last_ratio=1.0,
        traffic=traffic(45.0, ttft_s=0.7),
        state=SERVING,
    )

    assert [sentence(reason) for reason in reasons] == [
        "prefill: the correction factor 10.00 was bounded to 3.00"
    ]


def test_idle_latency_is_nothing_to_report() -> None:
    quiet = traffic(0.0, ttft_s=Idle(at_s=0.0), itl_s=Idle(at_s=0.0))

    assert correct(policy(), pool(), last_ratio=1.2, traffic=quiet, state=SERVING) == (1.2, ())


@pytest.mark.parametrize(
    ("rules", "ready", "expected"),
    [
        pytest.param(pool("prefill"), 0, 1.0, id="prefill does not ask how many serve"),
        pytest.param(pool("decode"), 0, None, id="no decode engine serves"),
    ],
)
def test_a_ratio_needs_engines_only_for_decode(rules: PoolPolicy, ready: int, expected: float | None) -> None:
    ratio = observed_ratio(rules, operating_point(traffic(45.0, ttft_s=EXPECTED_TTFT_S)), ready=ready)

    assert ratio == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(traffic(45.0, ttft_s=DOWN), id="ttft"),
        pytest.param(traffic(45.0, itl_s=DOWN), id="itl"),
    ],
)
def test_either_latency_missing_leaves_both_factors(window: Traffic) -> None:
    for rules in (pool("prefill"), pool("decode")):
        assert observed_ratio(rules, operating_point(window), ready=4) is None


def test_busier_engines_are_expected_to_be_slower() -> None:
    point = operating_point(traffic(40.0, itl_s=0.012, request_duration_s=2.0))
    few, many = (observed_ratio(pool("decode"), point, ready=ready) for ready in (1, 20))

    assert few is not None
    assert many is not None
    assert few < many


def test_disabled_corrections_stay_one_through_steps() -> None:
    loop = Loop(policy(correction=CorrectionPolicy(enabled=False)))

    decision = loop.tick(traffic(45.0, ttft_s=0.035), BIG, plan=45.0)

    assert {p.correction_ratio for p in decision.pools} == {1.0}
    assert counts(decision)["prefill"] == 5
    assert codes(decision) == {ReasonCode.LOAD}


@pytest.mark.parametrize("latency", [DOWN, math.nan, math.inf, -1.0])
def test_unknown_latency_freezes_the_corrections_and_nothing_else(latency: Reading | float) -> None:
    loop = Loop(policy(correction=CorrectionPolicy(smoothing_ratio=1.0)))
    loop.tick(traffic(45.0, ttft_s=0.035), BIG, plan=45.0)

    decision = loop.tick(traffic(45.0, ttft_s=latency), BIG, plan=45.0)

    assert decision.pools[0].correction_ratio == pytest.approx(0.5)
    assert counts(decision)["prefill"] == 3
    assert "the correction factor stays 0.50: latency is unknown (" in say(
        decision, ReasonCode.CORRECTION_FROZEN, "prefill"
    )
