"""Each change and each refusal is told, a hold once at either end, and a standby tells nothing."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from planner.core.decision import Reason, ReasonCode, because
from planner.core.words import explain, headline
from planner.serving.announcements import Announcement, Announcer
from planner.serving.records import Actuated, Outcome, Started, Stepped

Make = Callable[[float], Stepped]


@pytest.fixture
def announcer() -> Announcer:
    return Announcer(explain=explain, headline=headline)


def with_reasons(record: Stepped, *reasons: Reason) -> Stepped:
    return replace(record, decision=replace(record.decision, reasons=reasons))


def acted(step: Stepped, outcome: Outcome, detail: str = "") -> Actuated:
    return Actuated(
        at_wall_s=step.at_wall_s,
        now_s=step.now_s,
        target=step.target,
        replicas=step.decision.replicas.pools,
        outcome=outcome,
        detail=detail,
    )


def paused(why: str = "paused by ann") -> Reason:
    return because(ReasonCode.PAUSED, pool="decode", detail=why, wanted=5, replicas=4)


def stands_by() -> Reason:
    return because(ReasonCode.STANDBY, detail="a leads")


def test_a_change_is_told_for_its_pool_when_it_was_made(announcer: Announcer, make_look: Make) -> None:
    step = make_look(30.0)
    pool = replace(step.decision.pools[0], current=2, replicas=4, bound_by=ReasonCode.MAXIMUM)
    why = because(ReasonCode.MAXIMUM, pool="prefill", wanted=6, replicas=4, maximum=4)
    step = replace(
        step, decision=replace(step.decision, pools=(pool, step.decision.pools[1]), reasons=(why,))
    )

    at_decision = announcer.take(step)
    told = announcer.take(acted(step, Outcome.APPLIED))

    assert at_decision == ()
    assert [(one.pool, one.is_warning, one.reason) for one in told] == [("prefill", False, "Scaled")]
    assert told[0].message.startswith("prefill 2 → 4 (maximum): ")
    assert "prefill: " not in told[0].message


def test_nothing_changed_is_nothing_told(announcer: Announcer, make_look: Make) -> None:
    step = make_look(30.0)

    assert announcer.take(step) == ()
    assert announcer.take(acted(step, Outcome.APPLIED)) == ()


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        pytest.param(Outcome.REFUSED, "was refused: quota", id="refused"),
        pytest.param(Outcome.FAILED, "was not done: quota", id="failed"),
    ],
)
def test_what_was_not_done_is_a_warning_with_its_reason(
    announcer: Announcer, make_tick: Make, outcome: Outcome, words: str
) -> None:
    step = make_tick(30.0)
    step = with_reasons(step)
    announcer.take(step)

    told = announcer.take(acted(step, outcome, "quota"))

    assert [(one.pool, one.is_warning, one.reason) for one in told] == [("prefill", True, "ScalingFailed")]
    assert told[0].message == f"prefill 2 → 3 (load) {words}"


@pytest.mark.parametrize("outcome", [Outcome.ADVISORY, Outcome.SKIPPED, Outcome.STANDBY])
def test_what_was_never_asked_for_is_not_told(
    announcer: Announcer, make_tick: Make, outcome: Outcome
) -> None:
    step = with_reasons(make_tick(30.0))
    announcer.take(step)

    assert announcer.take(acted(step, outcome)) == ()


def test_who_leads_again_tells_the_hold_that_is_there_then(announcer: Announcer, make_tick: Make) -> None:
    step = make_tick(30.0)
    announcer.take(with_reasons(step, paused()))
    while_standing_by = announcer.take(with_reasons(step, stands_by()))

    told = announcer.take(with_reasons(step, paused()))

    assert while_standing_by == ()
    assert [(one.pool, one.reason) for one in told] == [("decode", "Holding")]


def test_an_outcome_before_any_decision_is_not_told(announcer: Announcer, make_tick: Make) -> None:
    assert announcer.take(acted(make_tick(30.0), Outcome.APPLIED)) == ()


def test_a_hold_is_told_once_when_it_begins_and_once_when_it_ends(
    announcer: Announcer, make_look: Make
) -> None:
    told = [
        announcer.take(with_reasons(make_look(at_s), *reasons))
        for at_s, reasons in ((0.0, ()), (5.0, (paused(),)), (10.0, (paused("by bob"),)), (15.0, ()))
    ]

    assert [len(each) for each in told] == [0, 1, 0, 1]
    begun, ended = told[1][0], told[3][0]
    assert (begun.pool, begun.is_warning, begun.reason) == ("decode", False, "Holding")
    assert "paused by ann" in begun.message
    assert ended == Announcement(
        pool="decode", is_warning=False, reason="HoldEnded", message=f"no longer: {begun.message}"
    )


def test_a_pause_is_not_over_because_nothing_is_seen_for_a_while(
    announcer: Announcer, make_tick: Make, make_hold: Make
) -> None:
    announcer.take(with_reasons(make_tick(30.0), paused()))

    blind = announcer.take(make_hold(60.0))
    seen_again = announcer.take(with_reasons(make_tick(90.0), paused()))
    over = announcer.take(with_reasons(make_tick(120.0)))

    assert [one.reason for one in blind] == ["Holding"]
    assert [(one.reason, one.pool) for one in seen_again] == [("HoldEnded", "")]
    assert [(one.reason, one.pool) for one in over] == [("HoldEnded", "decode")]


def test_a_blind_fleet_is_a_warning_of_the_whole_deployment(announcer: Announcer, make_hold: Make) -> None:
    told = announcer.take(make_hold(30.0))

    assert [(one.pool, one.is_warning, one.reason) for one in told] == [("", True, "Holding")]
    assert "prometheus did not answer" in told[0].message


def test_a_standby_tells_nothing_and_tells_what_is_so_when_it_leads(
    announcer: Announcer, make_look: Make
) -> None:
    while_standing_by = announcer.take(with_reasons(make_look(0.0), stands_by(), paused()))
    summary = announcer.summary(with_reasons(make_look(0.0), stands_by()))

    when_leading = announcer.take(with_reasons(make_look(5.0), paused()))

    assert while_standing_by == ()
    assert summary is None
    assert [one.reason for one in when_leading] == ["Holding"]


def test_the_summary_is_new_only_when_the_decision_is_another_one(
    announcer: Announcer, make_tick: Make, make_look: Make
) -> None:
    first = with_reasons(make_look(30.0), because(ReasonCode.QUIET))
    same = with_reasons(make_look(60.0), because(ReasonCode.QUIET), because(ReasonCode.SETTLING))
    other = with_reasons(make_tick(90.0))

    summaries = [announcer.summary(record) for record in (first, same, other)]

    assert summaries[1] is None
    assert summaries[0] is not None
    assert summaries[2] is not None
    decided = json.loads(summaries[2]["decision.json"])
    assert decided["pools"]["prefill"] == {"before": 2, "replicas": 3, "ready": 1, "bound_by": "load"}
    assert decided["at"] == "2023-11-14T22:14:50+00:00"
    assert summaries[2]["decision"].startswith("prefill 2 → 3 (load)")


def test_other_records_have_nothing_to_tell(announcer: Announcer, started: Started) -> None:
    assert announcer.take(started) == ()
    assert announcer.summary(started) is None
