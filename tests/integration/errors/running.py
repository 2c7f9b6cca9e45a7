"""What goes wrong inside a daemon that runs, and what it does about it."""

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

from typing_extensions import override

from config.clock import VirtualClock
from config.errors import ActuationError, Conflict, Refused, Unreachable
from config.load import reload
from config.policies import forecast_policy_from, policy_from
from connectors.base import Observation, Replicas, Value
from connectors.testing import FakeActuator, FakeMetricsSource
from planner.commands.assemble import pace_of
from planner.core.decision import Decision, StepKind
from planner.core.words import explain, headline
from planner.daemon import Change, Daemon, Parts
from planner.mind import Mind
from planner.serving.desk import Desk
from planner.serving.journal import Journal, open_journal_file
from planner.serving.log import configure, get_logger
from planner.serving.records import Actuated, Outcome, Record, Reloaded, Stepped
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile
from tests.integration.errors.row import Row, is_kept, judged
from tests.integration.errors.stage import INTERVAL_S, LOAD, loaded

BUSIER = dataclasses.replace(LOAD, arrivals_rps=Value(value=40.0, at_s=0.0))


class MoodyMind(Mind):
    """Raises on demand."""

    fault: Exception | None = None

    @override
    def decide(self, observation: Observation, *, now_s: float, kind: StepKind) -> Decision:
        if self.fault is not None:
            raise self.fault
        return super().decide(observation, now_s=now_s, kind=kind)


class Engines(FakeActuator):
    """Says yes and does nothing, on demand."""

    is_deaf = False

    @override
    async def scale(self, replicas: Replicas) -> None:
        await super().scale(Replicas(()) if self.is_deaf else replicas)


class Rig:
    """A daemon on a virtual clock, without looks."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "settings.yaml"
        self.file.write_text("{look_interval: 0s}")
        self._loaded = loaded(file=self.file)
        self.clock = VirtualClock(wall_origin_s=1.7e9)
        self.source = FakeMetricsSource([LOAD], self.clock)
        self.engines = Engines(Replicas.of(prefill=1, decode=1), self.clock)
        settings = self._loaded.settings
        self.mind = MoodyMind(
            policy_from(settings, embedded_profile()), forecast_policy_from(settings), clock=self.clock
        )
        self.log = StringIO()
        configure(level="warning", style="console", stream=self.log, clock=self.clock)
        self.desk = Desk(
            board=StatusBoard(clock=self.clock, version="0", target="llm", advisory=False),
            journal=Journal(open_journal_file(folder / "decisions.jsonl")),
            logger=get_logger(),
            explain=explain,
            headline=headline,
        )
        parts = Parts(source=self.source, actuator=self.engines, desk=self.desk, clock=self.clock)
        self.daemon = Daemon(self.mind, parts, pace_of(self._loaded.settings), reload=self._reload)

    def _reload(self) -> Change:
        settings = reload(self._loaded).settings
        return Change(
            policy=policy_from(settings, embedded_profile()),
            forecast_policy=forecast_policy_from(settings),
            pace=pace_of(settings),
        )


# What breaks, and how; a row is then taken from what the daemon recorded since.
Break = Callable[[Rig], object]


def _raise_inside(rig: Rig) -> None:
    rig.mind.fault = ZeroDivisionError("division by zero")


def _bad_file(rig: Rig) -> None:
    rig.file.write_text("{look_interval: 0s, intervall: 1m}")
    rig.daemon.reload()


def _file_gone(rig: Rig) -> None:
    rig.file.unlink()
    rig.daemon.reload()


def _more_load(*errors: Exception) -> Break:
    def more(rig: Rig) -> None:
        rig.engines.fail_next_scale(*errors)
        rig.source.push(BUSIER)

    return more


def _deaf(rig: Rig) -> None:
    rig.engines.is_deaf = True
    rig.source.push(BUSIER)


STEPS: tuple[tuple[str, Break], ...] = (
    ("a step raises", _raise_inside),
    ("the metrics source raises", lambda rig: rig.source.fail_next(KeyError("token"))),
    ("the metrics source hangs", lambda rig: rig.source.hang()),
    (
        "the fleet cannot be read",
        lambda rig: rig.engines.fail_next_read(Unreachable("api.test did not answer within 5 s")),
    ),
    ("reading the fleet raises", lambda rig: rig.engines.fail_next_read(TypeError("NoneType"))),
    ("reading the fleet hangs", lambda rig: rig.engines.hang()),
)
WRITES: tuple[tuple[str, Break], ...] = (
    ("scaling up is refused", _more_load(Refused("exceeded quota: gpus=5"))),
    ("scaling up meets a second writer", _more_load(Conflict("the target was changed to 9 replicas"))),
    ("scaling up fails three times", _more_load(*[ActuationError("api.test answered HTTP 500")] * 3)),
    ("scaling up is accepted and not done", _deaf),
)
RELOADS: tuple[tuple[str, Break], ...] = (
    ("SIGHUP with a broken file", _bad_file),
    ("SIGHUP with the file gone", _file_gone),
)


async def running(folder: Path) -> list[Row]:
    """Break each part of a daemon that works well, and wait for the next tick."""
    rows = []
    for number, (what, spoil) in enumerate((*STEPS, *WRITES, *RELOADS)):
        here = folder / str(number)
        here.mkdir(parents=True)
        rows.append(await _row(what, spoil, here))
    rows.append(await _full_disk(folder))
    return rows


async def _row(what: str, spoil: Break, folder: Path) -> Row:
    async with _running(folder) as rig:
        spoil(rig)
        # What was pushed to the source is seen at the second tick.
        decision, records = await _ticks(rig, 2 if (what, spoil) in WRITES else 1)
    says = tuple(line.replace(f"{folder}/", "") for line in _told(records))
    if not says:
        return judged(what, decision)
    stays = "the fleet stays as it is; decided again at the next tick: " if decision.is_change else ""
    return Row(what=what, says=says, effect=stays + headline(decision), is_kept=is_kept(decision))


def _told(records: list[Record]) -> Iterator[str]:
    """Return what was not done as it should; a decision tells its own story."""
    for record in records:
        if isinstance(record, Reloaded):
            yield f"the settings before stay in force: {record.problem}"
        if isinstance(record, Actuated) and record.outcome is not Outcome.APPLIED:
            yield f"not scaled, {record.outcome.value}: {record.detail}"


async def _full_disk(folder: Path) -> Row:
    (folder / "decisions.jsonl").symlink_to("/dev/full")
    async with _running(folder) as rig:
        decision, _ = await _ticks(rig, 1)
    line = next(line for line in rig.log.getvalue().splitlines() if "journal" in line)
    return Row(
        what="the disk of the journal is full",
        says=(_LOG_HEAD.sub("", line).replace(f"{folder}/", ""),),
        effect=f"goes on, and counts what was lost: {headline(decision)}",
        is_kept=is_kept(decision),
    )


_LOG_HEAD = re.compile(r"^\S+ ")


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[Rig]:
    rig = Rig(folder)
    running = asyncio.ensure_future(rig.daemon.run())
    await rig.clock.advance(2 * INTERVAL_S)
    yield rig
    rig.daemon.stop("the row is told")
    await running


async def _ticks(rig: Rig, count: int) -> tuple[Decision, list[Record]]:
    """Wait for so many ticks; one that hangs ends by its deadline. Return the last, and all records."""
    before = len(rig.desk.journal.recent())
    await rig.clock.advance((count + 1) * INTERVAL_S - 1.0)
    records = [*rig.desk.journal.recent()[before:]]
    return [record.decision for record in records if isinstance(record, Stepped)][count - 1], records
