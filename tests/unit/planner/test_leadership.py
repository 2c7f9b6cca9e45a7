"""Two daemons on one fleet: only the leader writes, and who leads changes no count."""

import asyncio
from dataclasses import dataclass, replace
from io import StringIO

import pytest
from typing_extensions import override

from config.clock import VirtualClock
from config.errors import Standby
from config.load import load
from config.policies import forecast_policy_from, policy_from
from connectors.base import Fleet, Replicas, Traffic, Value
from connectors.testing import FakeMetricsSource
from connectors.virtual.memory import MemoryActuator
from planner.commands.assemble import pace_of
from planner.core.words import explain, headline
from planner.daemon import Daemon, Parts
from planner.mind import Mind
from planner.serving.desk import Desk
from planner.serving.journal import Journal
from planner.serving.log import configure, get_logger
from planner.serving.records import Actuated, Outcome, Stepped
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile

INTERVAL_S = 30.0
FLAGS = {
    "targets.ttft": "300ms",
    "targets.itl": "25ms",
    "budget_gpus": "40",
    "actuate": "true",
    "forecast.predictor": "kalman",
}


def traffic(rps: float) -> Traffic:
    return Traffic(
        at_s=0.0,
        window_s=INTERVAL_S,
        arrivals_rps=Value(value=rps, at_s=0.0),
        isl_tokens=Value(value=1000.0, at_s=0.0),
        osl_tokens=Value(value=150.0, at_s=0.0),
        ttft_s=Value(value=0.1, at_s=0.0),
        itl_s=Value(value=0.01, at_s=0.0),
    )


class Lease:
    """Who leads."""

    holder = ""


class Candidate(MemoryActuator):
    """One daemon's way to the fleet that all share."""

    def __init__(self, name: str, fleet: MemoryActuator, lease: Lease) -> None:
        self.name, self.fleet, self.lease = name, fleet, lease

    @property
    def standby(self) -> str:
        leads = self.lease.holder == self.name
        return "" if leads else f"{self.lease.holder} holds the lease"

    @override
    async def read(self) -> Fleet:
        return replace(await self.fleet.read(), standby=self.standby)

    @override
    async def scale(self, replicas: Replicas) -> None:
        if self.standby:
            raise Standby(self.standby)
        await self.fleet.scale(replicas)


@dataclass
class Running:
    """A daemon that runs."""

    desk: Desk
    source: FakeMetricsSource
    daemon: Daemon
    task: "asyncio.Task[None]"

    def outcomes(self) -> set[Outcome]:
        return {one.outcome for one in self.desk.journal.recent() if isinstance(one, Actuated)}


class Pair:
    """Two daemons that began half an interval apart."""

    def __init__(self) -> None:
        self.clock, self.lease = VirtualClock(), Lease()
        self.fleet = MemoryActuator(Replicas.of(prefill=1, decode=1), self.clock, startup_s=20.0)
        self.daemons: dict[str, Running] = {}

    async def start(self, name: str) -> Running:
        asked = load(flags=FLAGS, environment={}).settings
        configure(level="info", style="console", stream=StringIO(), clock=self.clock)
        board = StatusBoard(clock=self.clock, version="0", target="llm", advisory=False)
        desk = Desk(board=board, journal=Journal(), logger=get_logger(), explain=explain, headline=headline)
        source = FakeMetricsSource([traffic(5.0)], self.clock)
        policy = policy_from(asked, embedded_profile())
        mind = Mind(policy, forecast_policy_from(asked), clock=self.clock)
        candidate = Candidate(name, self.fleet, self.lease)
        parts = Parts(source=source, actuator=candidate, desk=desk, clock=self.clock)
        daemon = Daemon(mind, parts, pace_of(asked))
        running = Running(desk, source, daemon, asyncio.ensure_future(daemon.run()))
        self.daemons[name] = running
        await self.clock.advance(INTERVAL_S / 2.0)
        return running

    async def intervals(self, number: int, *, rps: float) -> None:
        for running in self.daemons.values():
            running.source.push(traffic(rps))
        await self.clock.advance(number * INTERVAL_S)

    async def stop(self) -> None:
        for running in self.daemons.values():
            running.daemon.stop("the test is over")
            await running.task


@pytest.fixture
def pair() -> Pair:
    return Pair()


async def test_who_takes_over_changes_no_count_because_of_it(pair: Pair) -> None:
    pair.lease.holder = "a"
    await pair.start("a")
    standby = await pair.start("b")
    await pair.intervals(6, rps=40.0)
    before = pair.fleet.calls
    assert standby.outcomes() <= {Outcome.STANDBY}

    pair.lease.holder = "b"
    await pair.intervals(10, rps=40.0)
    await pair.stop()

    assert len(before) >= 1
    assert pair.fleet.calls == before


async def test_the_new_leader_scales_when_the_load_says_so(pair: Pair) -> None:
    pair.lease.holder = "a"
    await pair.start("a")
    standby = await pair.start("b")
    await pair.intervals(6, rps=40.0)
    before = pair.fleet.calls

    pair.lease.holder = "b"
    await pair.intervals(4, rps=80.0)
    await pair.stop()

    assert len(pair.fleet.calls) > len(before)
    assert Outcome.APPLIED in standby.outcomes()


async def test_a_standby_is_ready_and_in_no_trouble(pair: Pair) -> None:
    pair.lease.holder = "another one"
    standby = await pair.start("b")
    await pair.intervals(4, rps=40.0)
    board = standby.desk.board
    await pair.stop()

    assert board.ready(explain).is_ok
    assert all(health.is_ok for health in board.parts.values())
    assert pair.fleet.calls == ()
    assert "setpoint_errors_total{" not in standby.desk.metrics.render().decode()
    tick = board.last_tick
    assert isinstance(tick, Stepped)
    assert headline(tick.decision).startswith("standby: prefill 1 → ")
