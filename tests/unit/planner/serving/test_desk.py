"""One call, and the board, the metrics, the journal and the log all know."""

import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import structlog

from config.clock import VirtualClock
from config.errors import Stale
from config.policy import Role
from connectors.base import PoolReplicas
from planner.core.decision import Decision
from planner.serving.desk import Desk
from planner.serving.journal import Journal
from planner.serving.log import FOREIGN_LOGGERS, configure, get_logger
from planner.serving.logfile import RotatingFile
from planner.serving.records import Actuated, Outcome, Reloaded, Started, Stepped, Stopped
from planner.serving.status import StatusBoard

Make = Callable[[float], Stepped]

COUNTS = (("prefill", Role.PREFILL, 2), ("decode", Role.DECODE, 4))


@dataclass
class Office:
    desk: Desk
    stream: io.StringIO

    @property
    def lines(self) -> list[str]:
        return [line[21:] for line in self.stream.getvalue().splitlines()]

    @property
    def page(self) -> str:
        return self.desk.metrics.render().decode()


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
def open_office(
    clock: VirtualClock,
    board: StatusBoard,
    words: Callable[[Decision], tuple[str, ...]],
    head_line: Callable[[Decision], str],
) -> Callable[[Journal], Office]:
    def make(journal: Journal) -> Office:
        stream = io.StringIO()
        configure(level="info", style="console", stream=stream, clock=clock)
        logger = get_logger()
        return Office(
            Desk(board=board, journal=journal, logger=logger, explain=words, headline=head_line), stream
        )

    return make


@pytest.fixture
def office(open_office: Callable[[Journal], Office]) -> Office:
    return open_office(Journal())


def actuated(outcome: Outcome, detail: str = "") -> Actuated:
    return Actuated(
        at_wall_s=0.0,
        now_s=0.0,
        target="llama",
        replicas=tuple(PoolReplicas(pool=pool, role=role, count=n) for pool, role, n in COUNTS),
        outcome=outcome,
        detail=detail,
    )


def test_a_record_reaches_everybody(office: Office, started: Started, make_tick: Make) -> None:
    office.desk.take(started)
    office.desk.take(make_tick(30.0))

    assert office.desk.board.last_tick == make_tick(30.0)
    assert office.desk.journal.recent() == (started, make_tick(30.0))
    assert 'setpoint_steps_total{kind="tick",target="llama"} 1.0' in office.page
    assert office.lines[0] == "info    started  version=0.1.0  target=llama"
    assert office.lines[1].startswith("info    tick  load 12.3 rps")


def test_an_actuation_is_told_only_when_it_did_not_happen(office: Office) -> None:
    office.desk.take(actuated(Outcome.APPLIED))
    office.desk.take(actuated(Outcome.STANDBY, "another daemon leads"))
    office.desk.take(actuated(Outcome.FAILED, "etcd did not answer"))

    assert office.lines == [
        'warning not scaled  outcome=failed  asked="prefill 2, decode 4"  why="etcd did not answer"'
    ]
    assert office.desk.board.last_actuation == actuated(Outcome.FAILED, "etcd did not answer")


def test_new_settings_and_refused_ones_are_told(office: Office, started: Started) -> None:
    for problem in ("", "no such key"):
        office.desk.take(
            Reloaded(
                at_wall_s=0.0,
                now_s=0.0,
                target="llama",
                policy=started.policy,
                forecast_policy=None,
                state=started.state,
                problem=problem,
            )
        )
    office.desk.take(Stopped(at_wall_s=0.0, now_s=0.0, target="llama", cause="SIGTERM"))

    assert office.desk.board.policy == started.policy
    assert office.lines == [
        "info    the settings were read again",
        'error   the settings before stay in force  why="no such key"',
        "info    stopped  cause=SIGTERM",
    ]


def test_a_part_in_trouble_is_counted_shown_and_told_and_so_is_its_recovery(office: Office) -> None:
    office.desk.worked("source")
    office.desk.failed("source", TimeoutError("no answer in 5 s"))
    trouble = dict(office.desk.board.parts)
    office.desk.worked("source")
    office.desk.worked("source")

    assert not trouble["source"].is_ok
    assert trouble["source"].why == "no answer in 5 s"
    assert office.desk.board.parts["source"].is_ok
    assert 'setpoint_errors_total{part="source",target="llama"} 1.0' in office.page
    assert office.lines == [
        'warning trouble  part=source  error=TimeoutError  why="no answer in 5 s"',
        "info    works again  part=source",
    ]


def test_an_outage_whose_age_grows_is_told_once(office: Office) -> None:
    for age_s in (17, 20.5, 23):
        office.desk.failed("source", Stale(f"stale: the newest scrape is {age_s} s old"))

    assert len(office.lines) == 1
    assert office.desk.board.parts["source"].why == "stale: the newest scrape is 23 s old"


def test_an_outage_is_told_once_and_again_when_it_changes(office: Office) -> None:
    for why in ("no answer", "no answer", "HTTP 503", "HTTP 503"):
        office.desk.failed("source", TimeoutError(why))

    assert [line.rpartition("why=")[2] for line in office.lines] == ['"no answer"', '"HTTP 503"']
    assert 'setpoint_errors_total{part="source",target="llama"} 4.0' in office.page


def test_an_unexpected_error_comes_with_its_traceback(office: Office) -> None:
    counts: dict[str, int] = {}
    try:
        counts["pool"] += 1
    except KeyError as error:
        office.desk.crashed("step", error)

    assert office.lines[0] == "error   unexpected error, please report it  part=step"
    assert office.stream.getvalue().splitlines()[-1] == "KeyError: 'pool'"
    assert office.desk.board.parts["step"].why == "KeyError: 'pool'"


def test_an_unexpected_error_that_repeats_is_told_once_and_counted_each_time(office: Office) -> None:
    for age_s, kind in ((1, KeyError), (2.5, KeyError), (3, ValueError)):
        office.desk.crashed("step", kind(f"no pool for {age_s} s"))
    office.desk.worked("step")
    office.desk.crashed("step", ValueError("no pool for 4 s"))

    assert [line for line in office.lines if "part=step" in line] == [
        "error   unexpected error, please report it  part=step",
        "error   unexpected error, please report it  part=step",
        "info    works again  part=step",
        "error   unexpected error, please report it  part=step",
    ]
    assert 'setpoint_errors_total{part="step",target="llama"} 4.0' in office.page
    assert office.desk.board.parts["step"].why == "ValueError: no pool for 4 s"


def test_skipped_ticks_are_counted_and_told(office: Office) -> None:
    office.desk.skipped(2)

    assert 'setpoint_ticks_skipped_total{target="llama"} 2.0' in office.page
    assert office.lines == ["warning the interval overran  ticks_skipped=2"]


def test_a_journal_that_cannot_be_written_is_told_once_and_counted_each_time(
    open_office: Callable[[Journal], Office], make_look: Make
) -> None:
    office = open_office(Journal(RotatingFile(Path("/dev/full"), max_bytes=2**20, keep=0)))
    office.desk.take(make_look(35.0))
    office.desk.take(make_look(40.0))
    office.desk.journal.close()

    assert len(office.lines) == 1
    assert office.lines[0].startswith("error   a record was not written to the journal  why=")
    assert 'setpoint_journal_write_errors_total{target="llama"} 2.0' in office.page
    assert not office.desk.board.parts["journal"].is_ok


def test_a_record_lost_after_a_file_that_could_not_be_reopened_is_told(
    tmp_path: Path, open_office: Callable[[Journal], Office], make_look: Make
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    office = open_office(Journal(RotatingFile(folder / "journal.jsonl", max_bytes=2**20, keep=0)))
    (folder / "journal.jsonl").unlink()
    folder.rmdir()
    office.desk.journal.reopen()
    office.desk.take(make_look(35.0))
    office.desk.take(make_look(40.0))
    folder.mkdir()
    office.desk.take(make_look(45.0))
    office.desk.journal.close()

    assert [line[8:].split("  ")[0] for line in office.lines] == [
        "a record was not written to the journal",
        "works again",
    ]
    assert 'setpoint_journal_write_errors_total{target="llama"} 2.0' in office.page


def test_a_journal_that_works_again_is_told(
    tmp_path: Path, open_office: Callable[[Journal], Office], make_look: Make
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    office = open_office(Journal(RotatingFile(folder / "journal.jsonl", max_bytes=2**20, keep=0)))
    (folder / "journal.jsonl").unlink()
    folder.rmdir()
    office.desk.take(make_look(35.0))
    folder.mkdir()
    office.desk.take(make_look(40.0))
    office.desk.journal.close()

    assert office.lines[-1] == "info    works again  part=journal"
    assert office.desk.board.parts["journal"].is_ok


async def test_the_desk_serves_what_it_knows(office: Office, make_tick: Make) -> None:
    office.desk.take(make_tick(30.0))
    server = await office.desk.serve(host="127.0.0.1", port=0)
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{server.url}/api/v1/decisions")
    finally:
        await server.stop()

    assert answer.json()["decisions"][0]["decision"]["committed_gpus"] == 8
    assert office.lines[-1] == f"info    serving  url={server.url}"
