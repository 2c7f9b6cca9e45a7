"""The lines of Dynamo's planner keep secrets, stay on one line, and claim only what happened."""

import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import structlog

from config.clock import VirtualClock
from config.errors import Unreachable
from config.policy import Role
from connectors.base import Observation, PoolReplicas, Traffic, Unknown, Value
from planner.core.decision import Decision, PoolDecision, StepKind
from planner.core.words import explain
from planner.serving.desk import Desk
from planner.serving.journal import Journal
from planner.serving.log import FOREIGN_LOGGERS, configure, get_logger
from planner.serving.records import Actuated, Outcome, Started, Stepped
from planner.serving.status import StatusBoard

Make = Callable[[float], Stepped]


class Office:
    """A desk with Dynamo's log."""

    def __init__(self, board: StatusBoard, clock: VirtualClock, level: str = "info") -> None:
        self.stream = io.StringIO()
        configure(level=level, style="dynamo", stream=self.stream, clock=clock)
        self.desk = Desk(
            board=board,
            journal=Journal(),
            logger=get_logger(),
            explain=lambda decision: tuple(reason.code.value for reason in decision.reasons),
            headline=lambda _: "a decision",
            style="dynamo",
        )

    @property
    def lines(self) -> list[str]:
        return [line[21:] for line in self.stream.getvalue().splitlines()]

    @property
    def said(self) -> list[str]:
        return [line.partition("planner: ")[2] for line in self.lines if "planner: " in line]


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    for name in FOREIGN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.fixture
def office(board: StatusBoard, clock: VirtualClock, started: Started) -> Office:
    board.advisory = False
    made = Office(board, clock)
    made.desk.take(started)
    return made


def blind(step: Stepped, why: str) -> Stepped:
    traffic = Traffic(at_s=0.0, window_s=30.0, arrivals_rps=Unknown(why=why))
    return replace(step, observation=Observation(traffic=traffic, fleet=step.observation.fleet))


def moved(step: Stepped, *by: int) -> Stepped:
    pools = tuple(
        replace(pool, replicas=pool.current + delta)
        for pool, delta in zip(step.decision.pools, by, strict=True)
    )
    return replace(step, decision=replace(step.decision, pools=pools))


def actuated(outcome: Outcome) -> Actuated:
    counts = (("prefill", Role.PREFILL, 3), ("decode", Role.DECODE, 4))
    pools = tuple(PoolReplicas(pool=pool, role=role, count=count) for pool, role, count in counts)
    return Actuated(at_wall_s=0.0, now_s=0.0, target="llama", replicas=pools, outcome=outcome, detail="why")


def test_a_line_is_time_level_planner_and_text(office: Office, make_tick: Make) -> None:
    office.desk.take(make_tick(30.0))

    assert "2023-11-14T22:13:20Z info    planner: New adjustment interval started!" in (
        office.stream.getvalue().splitlines()
    )


def test_text_from_outside_stays_on_its_line_and_secrets_are_masked(office: Office, make_hold: Make) -> None:
    before = len(office.lines)
    hostile = "x\nplanner: forged\x1b[2J http://me:s3cr3t-pw@host Authorization: Bearer s3cr3t-value"
    office.desk.failed("source", Unreachable(hostile))
    lines = office.lines[before:]
    office.desk.take(blind(make_hold(30.0), hostile))

    assert len(lines) == 1
    assert lines[0].startswith("warning planner: Error getting avg metrics: x\\nplanner: forged\\x1b[2J")
    assert "s3cr3t" not in office.stream.getvalue()
    assert "********" in office.stream.getvalue()
    assert "\x1b" not in office.stream.getvalue()


def test_what_a_source_never_reads_is_no_missing_data(office: Office, make_tick: Make) -> None:
    tick = make_tick(30.0)
    traffic = Traffic(at_s=0.0, window_s=30.0, arrivals_rps=Value(value=2.0, at_s=0.0))
    office.desk.take(replace(tick, observation=Observation(traffic=traffic, fleet=tick.observation.fleet)))

    assert "Observed num_req: 60.00 isl: nan osl: nan" in office.said
    assert not any("No prometheus metric data" in line for line in office.said)


def test_a_fleet_that_cannot_be_read_is_told_and_no_worker_is_counted(
    office: Office, make_hold: Make
) -> None:
    office.desk.take(make_hold(30.0))

    assert not any(line.startswith("Number of prefill workers") for line in office.said)
    assert (
        "Metrics contain None or NaN values (prometheus did not answer), skipping adjustment" in office.said
    )


def test_the_deployment_counts_as_validated_once_every_pool_was_seen(
    office: Office, make_hold: Make, make_tick: Make
) -> None:
    validated = "Successfully validated the deployment"
    office.desk.take(make_hold(30.0))
    before = office.said.count(validated)
    office.desk.take(make_tick(60.0))
    office.desk.take(make_tick(90.0))

    assert office.said[0] == "Validating deployment..."
    assert (before, office.said.count(validated)) == (0, 1)


def test_a_decision_that_was_carried_out_tells_each_pool(office: Office, make_tick: Make) -> None:
    office.desk.take(make_tick(30.0))
    office.desk.take(actuated(Outcome.APPLIED))

    assert office.said[-2:] == [
        "Updating prefill component prefill to desired replica count 3",
        "Decode component decode already at desired replica count 4, skipping",
    ]


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
def test_a_decision_that_was_not_carried_out_claims_no_update(
    office: Office, make_tick: Make, outcome: Outcome
) -> None:
    office.desk.take(make_tick(30.0))
    office.desk.take(actuated(outcome))

    assert not any(line.startswith("Updating") for line in office.said)
    assert office.lines[-1].startswith(f"warning not scaled  outcome={outcome.value}")


def test_advice_neither_updates_nor_keeps(office: Office, make_tick: Make) -> None:
    office.desk.board.advisory = True
    office.desk.take(moved(make_tick(30.0), 0, 0))
    office.desk.take(actuated(Outcome.ADVISORY))

    assert not any("desired replica count" in line for line in office.said)


@pytest.mark.parametrize(
    ("by", "verdict", "delta"),
    [
        ((0, 0), "HOLD", "(+0, +0)"),
        ((1, 0), "SCALE_UP", "(+1, +0)"),
        ((0, -2), "SCALE_DOWN", "(+0, -2)"),
        ((1, -2), "REBALANCE", "(+1, -2)"),
    ],
)
def test_the_summary_says_where_the_fleet_goes(
    office: Office, make_tick: Make, *, by: tuple[int, int], verdict: str, delta: str
) -> None:
    office.desk.take(moved(make_tick(30.0), *by))

    (line,) = [line for line in office.said if line.startswith("[summary]")]
    assert line.startswith(f"[summary] {verdict} | current: prefill=2, decode=4 | recommended: prefill=")
    assert f" {delta} | load_reason=unset throughput_reason=" in line
    assert line.endswith("| est_ttft=250.00ms est_itl=n/a | bound_by: prefill=load, decode=minimum")


def test_a_look_that_adds_engines_is_summed_up_with_its_state_and_a_quiet_one_is_not(
    office: Office, make_tick: Make, make_look: Make
) -> None:
    office.desk.take(make_look(5.0))
    quiet = len([line for line in office.said if "[summary]" in line])
    office.desk.take(replace(make_tick(10.0), kind=StepKind.LOOK))

    (line,) = [line for line in office.said if "[summary]" in line]
    assert quiet == 0
    assert "load_reason=scale_up throughput_reason=unset" in line
    assert not any("New adjustment interval" in said for said in office.said)


@pytest.mark.parametrize(
    ("counts", "told"),
    [((0, 9), "prefill=1, decode=6"), ((4, 5), "prefill=4, decode=5")],
    ids=["beyond the limits of the pools", "within"],
)
def test_the_predicted_replicas_keep_to_the_limits_of_the_pools(
    office: Office, make_tick: Make, counts: tuple[int, int], told: str
) -> None:
    step = make_tick(30.0)
    needed = zip(step.decision.pools, counts, strict=True)
    pools = tuple(replace(pool, needed=count) for pool, count in needed)
    office.desk.take(replace(step, decision=replace(step.decision, pools=pools)))

    assert f"Predicted number of engine replicas: {told}" in office.said


def test_limits_that_dynamo_does_not_have_are_told_in_setpoints_words(
    office: Office, make_tick: Make
) -> None:
    office.desk.take(make_tick(30.0))

    assert "info    because  minimum" in office.lines
    assert not any(line.endswith("because  load") for line in office.lines)


def test_before_the_fleet_was_ever_seen_the_summary_names_no_counts(office: Office, make_hold: Make) -> None:
    hold = make_hold(30.0)
    unseen: tuple[PoolDecision, ...] = ()
    office.desk.take(replace(hold, decision=replace(hold.decision, pools=unseen)))

    (line,) = [line for line in office.said if "[summary]" in line]
    assert line.startswith("[summary] HOLD | current: unknown | recommended: unknown ()")


def test_other_events_go_on_in_the_form_of_the_console(office: Office) -> None:
    office.desk.failed("actuator", Unreachable("no answer"))
    office.desk.skipped(2)

    assert office.lines[-2:] == [
        'warning trouble  part=actuator  error=Unreachable  why="no answer"',
        "warning the interval overran  ticks_skipped=2",
    ]


@pytest.mark.parametrize(("style", "is_dynamo"), [("dynamo", True), ("console", False)])
def test_a_warm_up_is_told_in_dynamos_words_in_its_format_only(
    clock: VirtualClock, style: str, *, is_dynamo: bool
) -> None:
    stream = io.StringIO()
    configure(level="info", style=style, stream=stream, clock=clock)
    get_logger().info("warmed", intervals=7, journal=5, source=2, unknown=1, trace=10)

    told = "planner: Warmed load predictors with 17 intervals from trace (10), journal (5), source (2)"
    assert (told in stream.getvalue()) is is_dynamo


def test_the_words_of_a_step_are_one_for_each_reason(make_hold: Make) -> None:
    decision: Decision = make_hold(30.0).decision

    assert len(explain(decision)) == len(decision.reasons)
