"""The loop equals the fold of `step` over its journal, and keeps its promises, whatever happens to it.

Days are scripted interval by interval: traffic that is known, idle, unknown or absurd, surges between
ticks, and connectors that raise, hang, refuse and lose answers, with settings read again in between.
"""

import asyncio
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from config.clock import VirtualClock
from config.errors import ActuationError, ConfigError, Conflict, ObservationError, Refused, Standby
from config.load import load
from config.policies import forecast_policy_from, policy_from
from config.policy import Policy
from config.settings import Settings
from connectors.base import (
    Fleet,
    HoldKind,
    Idle,
    Observation,
    PoolHold,
    PoolState,
    Reading,
    Replicas,
    Traffic,
    Unknown,
    Value,
)
from connectors.virtual.memory import MemoryActuator
from planner.core.decision import Decision, StepKind
from planner.core.state import State
from planner.core.step import step
from planner.core.words import explain, headline
from planner.daemon import Change, Daemon, Pace, Parts
from planner.mind import Mind
from planner.serving.desk import Desk
from planner.serving.journal import Journal, open_journal_file
from planner.serving.log import configure, get_logger
from planner.serving.reader import read_journal
from planner.serving.records import Actuated, Outcome, Record, Reloaded, Started, Stepped, Stopped
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile

INTERVAL_S = 30.0
LOOK_INTERVAL_S = 10.0
STARTUP_S = 45.0
DRAIN_S = 40.0
PROFILE = embedded_profile()


class Fault(StrEnum):
    """What goes wrong during one interval."""

    UNKNOWN = auto()
    NAN = auto()
    INFINITE = auto()
    NEGATIVE = auto()
    HUGE = auto()
    NO_LENGTHS = auto()
    IDLE_LENGTHS = auto()
    SOURCE_RAISES = auto()
    SOURCE_IS_FAULTY = auto()
    SOURCE_HANGS = auto()
    READ_RAISES = auto()
    READ_IS_FAULTY = auto()
    READ_HANGS = auto()
    SCALE_REFUSED = auto()
    SCALE_CONFLICTS = auto()
    SCALE_RAISES = auto()
    SCALE_LOSES_THE_ANSWER = auto()
    SCALE_IS_FAULTY = auto()
    SCALE_HANGS = auto()
    PREFILL_IS_PAUSED = auto()
    DECODE_ROLLS_OUT = auto()
    NO_ROOM = auto()
    ANOTHER_LEADS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One interval of a day.

    Attributes:
        rps: Offered load.
        surge_rps: Offered load as the looks see it.
        queued: Requests that wait.
        faults: What goes wrong.
        budget_gpus: Settings that are read at its beginning; None reads none, 0 is a bad file.
    """

    rps: float
    surge_rps: float
    queued: float
    isl_tokens: float
    faults: frozenset[Fault]
    budget_gpus: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """Committed GPUs before and after a change of the fleet, and the budget in force."""

    before_gpus: int
    after_gpus: int
    budget_gpus: int


class Stage:
    """Source and actuator in one: shows the scene that is on."""

    def __init__(self, clock: VirtualClock, mind: Mind) -> None:
        self.clock, self.mind = clock, mind
        self.scene = Scene(
            rps=1.0, surge_rps=1.0, queued=0.0, isl_tokens=1000.0, faults=frozenset(), budget_gpus=None
        )
        self.gpus = {pool.name: pool.gpus_per_engine for pool in mind.policy.pools}
        self.fleet = MemoryActuator.of_policies(mind.policy.pools, clock, startup_s=STARTUP_S)
        self.leaving: dict[str, list[float]] = {name: [] for name in self.gpus}
        self.jumps: list[Jump] = []

    # The source.

    async def observe(self, window_s: float) -> Traffic:
        await self._mishap(Fault.SOURCE_HANGS, Fault.SOURCE_RAISES, Fault.SOURCE_IS_FAULTY)
        now_s, scene = self.clock.now_s(), self.scene
        rps = scene.rps if window_s == INTERVAL_S else scene.surge_rps
        isl, osl = self._length(scene.isl_tokens), self._length(150.0)
        return Traffic(
            at_s=now_s,
            window_s=window_s,
            arrivals_rps=self._arrivals(rps),
            isl_tokens=isl,
            osl_tokens=osl,
            ttft_s=Value(value=0.1 + 0.01 * rps, at_s=now_s),
            itl_s=Value(value=0.01, at_s=now_s),
            queued=Value(value=scene.queued, at_s=now_s),
        )

    async def history(self, duration_s: float, step_s: float) -> tuple[Traffic, ...]:
        del duration_s, step_s
        return ()

    def _arrivals(self, rps: float) -> Reading:
        absurd = {
            Fault.NAN: math.nan,
            Fault.INFINITE: math.inf,
            Fault.NEGATIVE: -1.0,
            Fault.HUGE: 1e300,
        }
        for fault, value in absurd.items():
            if fault in self.scene.faults:
                return Value(value=value, at_s=self.clock.now_s())
        if Fault.UNKNOWN in self.scene.faults:
            return Unknown(why="HTTP 503")
        return Value(value=rps, at_s=self.clock.now_s())

    def _length(self, tokens: float) -> Reading:
        if Fault.NO_LENGTHS in self.scene.faults:
            return Unknown(why="no such family")
        if Fault.IDLE_LENGTHS in self.scene.faults or self.scene.rps == 0.0:
            return Idle(at_s=self.clock.now_s())
        return Value(value=tokens, at_s=self.clock.now_s())

    # The actuator: engines that are given up hold their GPUs for a while.

    async def read(self) -> Fleet:
        await self._mishap(Fault.READ_HANGS, Fault.READ_RAISES, Fault.READ_IS_FAULTY)
        return await self._seen()

    async def scale(self, replicas: Replicas) -> None:
        scaling = {
            Fault.SCALE_REFUSED: Refused("no quota"),
            Fault.SCALE_CONFLICTS: Conflict("somebody was faster"),
            Fault.SCALE_RAISES: ActuationError("try again"),
            Fault.ANOTHER_LEADS: Standby("the other one leads"),
        }
        for fault, error in scaling.items():
            if fault in self.scene.faults:
                raise error
        await self._mishap(Fault.SCALE_HANGS, None, Fault.SCALE_IS_FAULTY)
        await self._move(replicas)
        if Fault.SCALE_LOSES_THE_ANSWER in self.scene.faults:
            raise ActuationError("the connection broke")

    async def close(self) -> None:
        """Nothing to close."""

    async def _mishap(self, hangs: Fault, raises: Fault | None, is_faulty: Fault) -> None:
        if hangs in self.scene.faults:
            await asyncio.Event().wait()
        if raises in self.scene.faults:
            raise ObservationError("nobody is there")
        if is_faulty in self.scene.faults:
            raise ValueError("not a number")

    async def _move(self, replicas: Replicas) -> None:
        before, had = self._committed(await self._seen()), dict((await self.fleet.read()).pools)
        await self.fleet.scale(replicas)
        for name, count in replicas.items():
            given_up = max(0, had[name].desired - count)
            self.leaving[name].extend([self.clock.now_s() + DRAIN_S] * given_up)
        after = self._committed(await self._seen())
        budget_gpus = self.mind.policy.budget_gpus
        self.jumps.append(Jump(before_gpus=before, after_gpus=after, budget_gpus=budget_gpus))

    async def _seen(self) -> Fleet:
        fleet, now_s = await self.fleet.read(), self.clock.now_s()
        leaving = {name: sum(end_s > now_s for end_s in ends) for name, ends in self.leaving.items()}
        pools = {name: replace(pool, terminating=leaving[name]) for name, pool in fleet.pools.items()}
        told = {name: self._told(name, pool) for name, pool in pools.items()}
        standby = "the other one leads" if Fault.ANOTHER_LEADS in self.scene.faults else ""
        return replace(fleet, pools=told, standby=standby)

    def _told(self, name: str, pool: PoolState) -> PoolState:
        faults = self.scene.faults
        if Fault.NO_ROOM in faults:
            waiting = pool.starting
            pool = replace(pool, starting=0, failing=waiting, unschedulable=waiting)
        if Fault.PREFILL_IS_PAUSED in faults and name == "prefill":
            return replace(pool, hold=PoolHold(kind=HoldKind.PAUSED, why="somebody said so"))
        if Fault.DECODE_ROLLS_OUT in faults and name == "decode":
            return replace(pool, hold=PoolHold(kind=HoldKind.ROLLING_OUT, why="a new image"))
        return pool

    def _committed(self, fleet: Fleet) -> int:
        return sum(
            (max(pool.desired, pool.live) + pool.terminating) * self.gpus[name]
            for name, pool in fleet.pools.items()
        )


def asked_for(budget_gpus: int) -> Settings:
    flags = {
        "targets.ttft": "300ms",
        "targets.itl": "25ms",
        "budget_gpus": str(budget_gpus),
        "look_interval": f"{LOOK_INTERVAL_S:g}s",
        "startup": f"{STARTUP_S:g}s",
        "actuate": "true",
        "pools.decode.gpus_per_engine": "2",
        "pools.decode.scale_down_window": "60s",
        "pools.prefill.scale_down_window": "0s",
        "forecast.predictor": "kalman",
    }
    return load(flags=flags, environment={}).settings


SETTINGS = {gpus: asked_for(gpus) for gpus in (3, 6, 12, 24)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day left behind.

    Attributes:
        records: The journal as it was read back.
        state: The planner's state at the end.
        jumps: Each change of the fleet.
    """

    records: tuple[Record, ...]
    state: State
    jumps: tuple[Jump, ...]


async def live(scenes: list[Scene], path: Path) -> Day:
    clock = VirtualClock(wall_origin_s=1.7e9)
    mind = Mind(policy_from(SETTINGS[12], PROFILE), forecast_policy_from(SETTINGS[12]), clock=clock)
    budgets = [12]
    stage = Stage(clock, mind)
    daemon = daemon_of(stage, mind, budgets, path)
    running = asyncio.ensure_future(daemon.run())
    for scene in scenes:
        stage.scene = scene
        if scene.budget_gpus is not None:
            budgets.append(scene.budget_gpus)
            daemon.reload()
            await clock.advance(0.0)
        await clock.advance(INTERVAL_S)
    stage.scene = replace(stage.scene, faults=frozenset())
    await clock.advance(INTERVAL_S - 0.1)
    daemon.stop("the day is over")
    await running
    records = tuple(read_journal(path, report=lambda line: pytest.fail(str(line))))
    return Day(records=records, state=mind.state, jumps=tuple(stage.jumps))


def daemon_of(stage: Stage, mind: Mind, budgets: list[int], path: Path) -> Daemon:
    def reload() -> Change:
        if budgets[-1] not in SETTINGS:
            raise ConfigError("not a whole number", key="budget_gpus")
        asked = SETTINGS[budgets[-1]]
        return Change(
            policy=policy_from(asked, PROFILE), forecast_policy=forecast_policy_from(asked), pace=pace
        )

    daemons: list[Daemon] = []
    # So small that the file is rotated every few records.
    file = open_journal_file(path, max_bytes=60_000, keep=10_000)
    configure(level="error", style="json", stream=StringIO(), clock=stage.clock)
    desk = Desk(
        board=StatusBoard(clock=stage.clock, version="0", target="a", advisory=False),
        journal=Journal(file, head=lambda: daemons[0].opening(is_continued=True)),
        logger=get_logger(),
        explain=explain,
        headline=headline,
    )
    pace = Pace(interval_s=INTERVAL_S, look_interval_s=LOOK_INTERVAL_S, deadline_s=24.0, actuate=True)
    parts = Parts(source=stage, actuator=stage, desk=desk, clock=stage.clock)
    daemons.append(Daemon(mind, parts, pace, reload=reload))
    return daemons[0]


RATES = st.sampled_from([0.0, 0.5, 5.0, 20.0, 60.0, 200.0]) | st.floats(min_value=0.0, max_value=100.0)
FAULTS = st.frozensets(st.sampled_from(Fault), max_size=2)
SCENES = st.builds(
    Scene,
    rps=RATES,
    surge_rps=RATES,
    queued=st.sampled_from([0.0, 0.0, 50.0, 1000.0]),
    isl_tokens=st.sampled_from([1.0, 300.0, 1000.0, 3000.0, 50_000.0]),
    faults=st.just(frozenset[Fault]()) | FAULTS,
    budget_gpus=st.sampled_from([None, None, None, None, 0, *SETTINGS]),
)
DAYS = st.lists(SCENES, min_size=2, max_size=10)


def play(scenes: list[Scene]) -> Day:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(live(scenes, Path(folder) / "journal.jsonl"))


def steps_of(day: Day) -> Iterator[tuple[Policy, Stepped]]:
    policy = None
    for record in day.records:
        if isinstance(record, Started | Reloaded):
            policy = record.policy
        elif isinstance(record, Stepped) and policy is not None:
            yield policy, record


def fold(records: tuple[Record, ...]) -> tuple[list[Decision], State]:
    first, *others = records
    assert isinstance(first, Started)
    policy, state, decisions = first.policy, first.state, list[Decision]()
    for record in others:
        if isinstance(record, Started | Reloaded):
            assert repr(record.state) == repr(state)  # each file can be replayed alone
            policy = record.policy
        elif isinstance(record, Stepped):
            state, decision = step(
                policy, state, record.observation, record.forecast, now_s=record.now_s, kind=record.kind
            )
            decisions.append(decision)
    return decisions, state


def is_blind(observation: Observation) -> bool:
    arrivals, fleet = observation.traffic.arrivals_rps, observation.fleet
    is_known = isinstance(arrivals, Value) and 0.0 <= arrivals.value <= 1e7
    return isinstance(fleet, Unknown) or not is_known


def over_budget(decision: Decision) -> bool:
    return sum(pool.current * pool.gpus_per_engine for pool in decision.pools) > decision.budget_gpus


@pytest.mark.slow
@examples(deadline=None, max_examples=40)
@given(scenes=DAYS)
def test_the_loop_equals_the_fold_over_its_journal_and_keeps_its_promises(scenes: list[Scene]) -> None:
    day = play(scenes)
    decisions, state = fold(day.records)

    assert repr(decisions) == repr([record.decision for _, record in steps_of(day)])
    assert repr(state) == repr(day.state)
    assert_ticks_at_a_fixed_rate(day, intervals=len(scenes))
    assert_nothing_is_removed_unseen(day)
    assert_the_budget_holds(day)
    assert_each_change_is_on_record(day)


def assert_ticks_at_a_fixed_rate(day: Day, *, intervals: int) -> None:
    ticks = [record for _, record in steps_of(day) if record.kind is StepKind.TICK]
    late_s = [
        record.now_s - record.duration_s - INTERVAL_S * number for number, record in enumerate(ticks, 1)
    ]

    assert len(ticks) == intervals
    # A look that hangs may delay a tick, by less than another look, and not the ticks after it.
    assert all(-1e-6 < late < LOOK_INTERVAL_S for late in late_s)
    # The head of a file that the very last record filled may follow.
    assert any(isinstance(record, Stopped) for record in day.records[-2:])


def assert_nothing_is_removed_unseen(day: Day) -> None:
    for policy, record in steps_of(day):
        decision = record.decision
        assert decision.budget_gpus == policy.budget_gpus
        if decision.is_hold or is_blind(record.observation):
            assert decision.is_hold
            assert decision.reasons
            # Only the budget outranks a blind hold.
            assert over_budget(decision) or all(pool.replicas >= pool.current for pool in decision.pools)
        assert_held_pools_are_left_alone(record)
        if record.kind is StepKind.LOOK:
            assert all(pool.replicas >= pool.current for pool in decision.pools)


def assert_held_pools_are_left_alone(record: Stepped) -> None:
    fleet = record.observation.fleet
    if isinstance(fleet, Unknown):
        return
    for pool in record.decision.pools:
        if fleet.pools[pool.pool].hold is not None:
            assert pool.replicas == pool.current


def assert_the_budget_holds(day: Day) -> None:
    for jump in day.jumps:
        # A fleet that a smaller budget found too large may shrink step by step, and never grows.
        assert jump.after_gpus <= max(jump.budget_gpus, jump.before_gpus)
    for _, record in steps_of(day):
        decision = record.decision
        if any(pool.replicas > pool.current for pool in decision.pools):
            assert decision.committed_gpus <= decision.budget_gpus


def assert_each_change_is_on_record(day: Day) -> None:
    steps_and_outcomes = [record for record in day.records if isinstance(record, Stepped | Actuated)]
    for record, follower in pairwise(steps_and_outcomes):
        is_asked = isinstance(record, Stepped) and record.decision.is_change
        assert is_asked == isinstance(follower, Actuated)
    applied = [r for r in day.records if isinstance(r, Actuated) and r.outcome is Outcome.APPLIED]
    assert len(applied) <= len(day.jumps)
