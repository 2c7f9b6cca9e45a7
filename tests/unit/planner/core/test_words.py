"""Every reason in words, with the figures that real steps give; the manual quotes the same sentences."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from config.policy import CorrectionPolicy
from connectors.base import HoldKind, PoolHold, PoolState, Unknown
from planner.core.decision import Decision, ReasonCode, StepKind, because
from planner.core.report import held
from planner.core.words import explain, headline, sentence
from tests.unit.planner.core.scene import Loop, fleet, forecast, policy, pool, reason, traffic

MANUAL = Path(__file__).resolve().parents[4] / "docs" / "decisions.md"
DOWN = Unknown(why="no answer within 5 s")
TWO = fleet(prefill=2, decode=1)


def simple() -> Loop:
    return Loop(policy(correction=CorrectionPolicy(enabled=False)))


def bounded() -> Loop:
    prefill = pool(bounds=(2, 8), steps=(3, 1))
    return Loop(policy(prefill, pool("decode"), correction=CorrectionPolicy(enabled=False)))


def windowed() -> Loop:
    prefill = pool(windows_s=(60.0, 300.0))
    return Loop(policy(prefill, pool("decode"), correction=CorrectionPolicy(enabled=False)))


def load() -> Decision:
    return simple().tick(95.0, TWO)


def load_corrected() -> Decision:
    return Loop(policy()).tick(traffic(95.0, ttft_s=0.035), fleet(prefill=2, decode=8), plan=95.0)


def minimum() -> Decision:
    return bounded().tick(5.0, fleet(prefill=2, decode=1))


def maximum() -> Decision:
    return bounded().tick(95.0, fleet(prefill=8, decode=3))


def budget() -> Decision:
    loop = Loop(policy(budget_gpus=8, correction=CorrectionPolicy(enabled=False)))
    return loop.tick(95.0, fleet(prefill=1, decode=1))


def budget_found() -> Decision:
    loop = Loop(policy(budget_gpus=8, correction=CorrectionPolicy(enabled=False)))
    return loop.tick(95.0, fleet(prefill=9, decode=3))


def budget_wait() -> Decision:
    loop = Loop(policy(budget_gpus=14, correction=CorrectionPolicy(enabled=False)))
    return loop.tick(95.0, fleet(prefill=2, decode=PoolState(desired=3, ready=3, terminating=5)))


def step_up() -> Decision:
    return bounded().tick(75.0, TWO)


def step_down() -> Decision:
    return bounded().tick(25.0, fleet(prefill=7, decode=1))


def window_up() -> Decision:
    return windowed().tick(75.0, TWO)


def window_down() -> Decision:
    return windowed().tick(25.0, fleet(prefill=7, decode=1))


def surge() -> Decision:
    loop = simple()
    loop.tick(20.0, TWO)
    return loop.look(60.0, TWO, plan=20.0)


def surge_keeps() -> Decision:
    return simple().tick(15.0, TWO, plan=5.0)


def queue() -> Decision:
    loop = simple()
    loop.tick(20.0, TWO)
    return loop.look(traffic(20.0, queued=906.0), TWO)


def queue_keeps() -> Decision:
    return simple().tick(traffic(5.0, queued=903.0), TWO, plan=5.0)


def called_off() -> Decision:
    loop = simple()
    loop.tick(20.0, TWO)
    return loop.look(40.0, fleet(prefill=PoolState(desired=2, ready=5), decode=1), plan=20.0)


def quiet() -> Decision:
    loop = simple()
    loop.tick(20.0, TWO)
    return loop.look(19.0, TWO, plan=20.0)


def settling() -> Decision:
    return simple().tick(35.0, fleet(prefill=PoolState(desired=4, ready=1, starting=3), decode=1))


def failing() -> Decision:
    return simple().tick(35.0, fleet(prefill=PoolState(desired=4, ready=3, failing=1), decode=1))


def failing_why() -> Decision:
    why = "2 cannot pull their image (registry.example/vllm:v9: not found)"
    return simple().tick(
        35.0, fleet(prefill=PoolState(desired=4, ready=2, failing=2, why_failing=why), decode=1)
    )


def unschedulable() -> Decision:
    prefill = PoolState(desired=4, ready=2, failing=2, unschedulable=2)
    return simple().tick(95.0, fleet(prefill=prefill, decode=1))


def held_by(kind: HoldKind, why: str) -> Decision:
    prefill = PoolState(desired=4, ready=4, hold=PoolHold(kind=kind, why=why))
    return simple().tick(95.0, fleet(prefill=prefill, decode=1))


def paused() -> Decision:
    return held_by(HoldKind.PAUSED, "paused by the annotation setpoint.dev/paused: Ada upgrades")


def paused_content() -> Decision:
    prefill = PoolState(
        desired=2,
        ready=2,
        hold=PoolHold(kind=HoldKind.PAUSED, why="paused by the annotation setpoint.dev/paused-prefill"),
    )
    return simple().tick(19.0, fleet(prefill=prefill, decode=1))


def rolling_out() -> Decision:
    return held_by(HoldKind.ROLLING_OUT, "deployment prefill rolls out: 2 of 4 pods are new")


def rival() -> Decision:
    return held_by(HoldKind.RIVAL, "somebody else scales it, too: horizontalpodautoscaler prefill")


def target_minimum() -> Decision:
    return simple().tick(5.0, fleet(prefill=PoolState(desired=3, ready=3, least=3), decode=1))


def target_maximum() -> Decision:
    return simple().tick(95.0, fleet(prefill=PoolState(desired=3, ready=3, most=4), decode=1))


def grace_short() -> Decision:
    window = traffic(5.0, request_duration_s=90.0)
    return simple().tick(
        window, fleet(prefill=1, decode=PoolState(desired=3, ready=3, grace_s=30.0)), plan=5.0
    )


def gpus_reported() -> Decision:
    return simple().tick(19.0, fleet(prefill=PoolState(desired=2, ready=2, gpus_per_engine=4), decode=1))


def standby() -> Decision:
    engines = replace(fleet(prefill=2, decode=1), standby="setpoint-0 holds the lease setpoint-llm")
    return simple().tick(95.0, engines)


def unattainable() -> Decision:
    loop = Loop(policy(itl_s=0.004, correction=CorrectionPolicy(enabled=False)))
    return loop.tick(20.0, TWO)


def outside() -> Decision:
    return simple().tick(2.0, TWO, plan=forecast(2.0, isl=12_000.0))


def clamped() -> Decision:
    return Loop(policy()).tick(traffic(20.0, ttft_s=7.0), TWO, plan=20.0)


def frozen() -> Decision:
    return Loop(policy()).tick(traffic(20.0, ttft_s=DOWN), TWO, plan=20.0)


def remembered() -> Decision:
    loop = simple()
    loop.tick(20.0, TWO)
    return loop.tick(traffic(20.0, isl=DOWN), TWO, plan=20.0)


def forecast_missing() -> Decision:
    return simple().tick(traffic(20.0), TWO)


def blind_arrivals() -> Decision:
    return simple().tick(traffic(DOWN), TWO)


def blind_lengths() -> Decision:
    loop = simple()
    loop.tick(20.0, TWO)
    return loop.tick(traffic(20.0, isl=DOWN), TWO, after_s=120.0)


def blind_fleet() -> Decision:
    return simple().tick(20.0, Unknown(why="HTTP 503"))


def internal() -> Decision:
    loop = simple()
    loop.tick(20.0, TWO)
    why = because(ReasonCode.INTERNAL, detail="profile 'a' has no decode part")
    return held(loop.policy, loop.state, (why,), now_s=60.0, kind=StepKind.TICK)


SAYS: Mapping[tuple[ReasonCode, str], tuple[Callable[[], Decision], str]] = {
    (ReasonCode.LOAD, "plain"): (
        load,
        (
            "prefill: 95.00 requests/s of 1000 prompt and 100 output tokens are 95000 tokens/s; one engine "
            "carries 10000 tokens/s, so 10 are needed"
        ),
    ),
    (ReasonCode.LOAD, "corrected"): (
        load_corrected,
        (
            "prefill: 95.00 requests/s of 1000 prompt and 100 output tokens are 47500 tokens/s at a "
            "correction of 0.50; one engine carries 10000 tokens/s, so 5 are needed"
        ),
    ),
    (ReasonCode.MINIMUM, ""): (minimum, "prefill: 1 wanted, 2 granted: the pool's minimum is 2"),
    (ReasonCode.MAXIMUM, ""): (maximum, "prefill: 10 wanted, 8 granted: the pool's maximum is 8"),
    (ReasonCode.BUDGET, ""): (
        budget,
        "prefill: 10 wanted, 6 granted: 13 GPUs would exceed the budget of 8",
    ),
    (ReasonCode.BUDGET_WAIT, ""): (
        budget_wait,
        (
            "prefill: 10 wanted, 6 granted: the rest waits for GPUs that engines on their way out still hold "
            "(budget 14, shutting down 5)"
        ),
    ),
    (ReasonCode.STEP_UP, ""): (step_up, "prefill: 8 wanted, 5 granted: one decision adds at most 3"),
    (ReasonCode.STEP_DOWN, ""): (step_down, "prefill: 3 wanted, 6 granted: one decision removes at most 1"),
    (ReasonCode.WINDOW_UP, ""): (
        window_up,
        "prefill: 8 wanted, 2 granted: this many were wanted throughout the last 60 s",
    ),
    (ReasonCode.WINDOW_DOWN, ""): (
        window_down,
        "prefill: 3 wanted, 7 granted: so many were needed within the last 300 s",
    ),
    (ReasonCode.SURGE, "tick"): (
        surge_keeps,
        "prefill: arrivals of 15.00 requests/s left the forecast's band (up to 7.62); nothing is removed",
    ),
    (ReasonCode.SURGE, "look"): (
        surge,
        "arrivals of 60.00 requests/s left the forecast's band (up to 27.74); sized for at once",
    ),
    (ReasonCode.QUEUE, "look"): (
        queue,
        "900 requests wait beyond what 20.00 requests/s explain; sized for at once",
    ),
    (ReasonCode.QUEUE, "tick"): (
        queue_keeps,
        "prefill: 900 requests wait beyond what 5.00 requests/s explain; nothing is removed",
    ),
    (ReasonCode.REMOVAL_CALLED_OFF, ""): (
        called_off,
        (
            "prefill: the pending removal is called off: 5 engines are still there, 2 were to stay, "
            "4 are to stay now"
        ),
    ),
    (ReasonCode.QUIET, ""): (quiet, "nothing left the forecast's band"),
    (ReasonCode.SETTLING, ""): (
        settling,
        "prefill: still settling: 1 engine serves and 3 are starting, 4 were asked for",
    ),
    (ReasonCode.ENGINES_FAILING, ""): (
        failing,
        "prefill: 1 engine fails to start and counts against the budget",
    ),
    (ReasonCode.ENGINES_FAILING, "why"): (
        failing_why,
        (
            "prefill: 2 engines fail to start and count against the budget: 2 cannot pull their image "
            "(registry.example/vllm:v9: not found)"
        ),
    ),
    (ReasonCode.UNSCHEDULABLE, ""): (
        unschedulable,
        (
            "prefill: 10 wanted, 4 granted: 2 engines wait for GPUs that nobody has; asking for more would "
            "only wait, too"
        ),
    ),
    (ReasonCode.PAUSED, ""): (
        paused,
        (
            "prefill: left alone: paused by the annotation setpoint.dev/paused: Ada upgrades; 10 wanted, "
            "4 stay"
        ),
    ),
    (ReasonCode.PAUSED, "content"): (
        paused_content,
        "prefill: left alone: paused by the annotation setpoint.dev/paused-prefill; 2 stay",
    ),
    (ReasonCode.ROLLING_OUT, ""): (
        rolling_out,
        "prefill: left alone: deployment prefill rolls out: 2 of 4 pods are new; 10 wanted, 4 stay",
    ),
    (ReasonCode.RIVAL, ""): (
        rival,
        (
            "prefill: left alone: somebody else scales it, too: horizontalpodautoscaler prefill; 10 wanted, "
            "4 stay"
        ),
    ),
    (ReasonCode.TARGET_MINIMUM, ""): (
        target_minimum,
        "prefill: 1 wanted, 3 granted: the target itself has a minimum of 3",
    ),
    (ReasonCode.TARGET_MAXIMUM, ""): (
        target_maximum,
        "prefill: 10 wanted, 4 granted: the target itself has a maximum of 4",
    ),
    (ReasonCode.GRACE_SHORT, ""): (
        grace_short,
        (
            "decode: engines are given 30 s to finish, the longest requests take 90 s: raise "
            "terminationGracePeriodSeconds"
        ),
    ),
    (ReasonCode.GPUS_REPORTED, ""): (
        gpus_reported,
        ("prefill: an engine takes 4 GPUs, as the fleet reports; gpus_per_engine is 1 and is not used"),
    ),
    (ReasonCode.STANDBY, ""): (
        standby,
        "standby: setpoint-0 holds the lease setpoint-llm; written only once this process leads",
    ),
    (ReasonCode.BUDGET, "found"): (
        budget_found,
        "prefill: 10 wanted, 6 granted: 13 GPUs would exceed the budget of 8; 9 were found at start",
    ),
    (ReasonCode.TARGET_UNATTAINABLE, ""): (
        unattainable,
        (
            "decode: no load is light enough to meet the ITL target of 4 ms: the best that this engine "
            "does is 6.01 ms (correction 1.00); sized for one request per engine. Raise the target or use "
            "faster engines"
        ),
    ),
    (ReasonCode.OUTSIDE_PROFILE, "prefill"): (
        outside,
        "prefill: a prompt length of 12000 tokens lies outside the profile; its edge was used",
    ),
    (ReasonCode.OUTSIDE_PROFILE, "decode"): (
        outside,
        "decode: a context of 12050 tokens lies outside the profile; its edge was used",
    ),
    (ReasonCode.CORRECTION_CLAMPED, ""): (
        clamped,
        "prefill: the correction factor 100.00 was bounded to 20.00",
    ),
    (ReasonCode.CORRECTION_FROZEN, ""): (
        frozen,
        "prefill: the correction factor stays 1.00: latency is unknown (no answer within 5 s)",
    ),
    (ReasonCode.LENGTHS_REMEMBERED, ""): (
        remembered,
        "the last known length of 1000 tokens stands in (isl: no answer within 5 s)",
    ),
    (ReasonCode.FORECAST_MISSING, ""): (
        forecast_missing,
        "there is no usable forecast; sized for the observed 20.00 requests/s",
    ),
    (ReasonCode.BLIND_ARRIVALS, ""): (
        blind_arrivals,
        "holding: the offered load is not known (no answer within 5 s)",
    ),
    (ReasonCode.BLIND_LENGTHS, ""): (
        blind_lengths,
        "holding: request lengths are not known for 120 s (isl is unknown: no answer within 5 s)",
    ),
    (ReasonCode.BLIND_FLEET, ""): (blind_fleet, "holding: the fleet is not known (HTTP 503)"),
    (ReasonCode.INTERNAL, ""): (
        internal,
        "holding: Setpoint failed inside (profile 'a' has no decode part); please report it",
    ),
}


@pytest.mark.parametrize(("code", "case"), [pytest.param(*key, id=f"{key[0]}-{key[1]}") for key in SAYS])
def test_every_reason_reads_well(code: ReasonCode, case: str) -> None:
    decide, expected = SAYS[code, case]
    name = expected.partition(":")[0] if expected.startswith(("prefill", "decode")) else ""

    assert sentence(reason(decide(), code, name)) == expected


def test_no_reason_is_without_a_sentence() -> None:
    assert {code for code, _ in SAYS} == set(ReasonCode)


@pytest.mark.parametrize(("code", "case"), [pytest.param(*key, id=f"{key[0]}-{key[1]}") for key in SAYS])
def test_the_manual_quotes_what_is_really_said(code: ReasonCode, case: str) -> None:
    manual = MANUAL.read_text(encoding="utf-8")

    section = manual.partition(f"\n### `{code}`\n")[2].partition("\n#")[0]

    assert SAYS[code, case][1] in " ".join(section.replace("\n> ", " ").split())
    assert "What to do: " in section


def test_an_explanation_has_one_line_per_reason_in_order() -> None:
    decision = load()

    assert len(explain(decision)) == len(decision.reasons) == 2
    assert [line.partition(":")[0] for line in explain(decision)] == ["prefill", "decode"]


@pytest.mark.parametrize(
    ("decide", "expected"),
    [
        pytest.param(load, "prefill 2 → 10 (load), decode 1 → 3 (load); 13 of 64 GPUs", id="a change"),
        pytest.param(quiet, "prefill 2 (quiet), decode 1 (quiet); 3 of 64 GPUs", id="a quiet look"),
        pytest.param(
            blind_arrivals,
            "hold: prefill 2 (blind arrivals), decode 1 (blind arrivals); 3 of 64 GPUs",
            id="a hold",
        ),
        pytest.param(
            standby, "standby: prefill 2 → 10 (load), decode 1 → 3 (load); 13 of 64 GPUs", id="a standby"
        ),
        pytest.param(paused, "prefill 4 (paused), decode 1 → 3 (load); 7 of 64 GPUs", id="a pause"),
        pytest.param(blind_fleet, "hold: the fleet was not seen yet", id="before the first sight"),
        pytest.param(
            budget_wait, "prefill 2 → 6 (budget wait), decode 3 (load); 14 of 14 GPUs", id="on the budget"
        ),
    ],
)
def test_the_headline_says_it_in_one_line(decide: Callable[[], Decision], expected: str) -> None:
    assert headline(decide()) == expected
