"""What no sequence of steps may break: the budget, the limits, and blindness."""

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import cast

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from config.policy import CorrectionPolicy, Policy, PoolPolicy
from connectors.base import (
    Fleet,
    HoldKind,
    Idle,
    Observation,
    PoolHold,
    PoolState,
    Reading,
    Traffic,
    Unknown,
    Value,
)
from planner.core.decision import Decision, ReasonCode, StepKind
from planner.core.state import State, initial_state
from planner.core.step import step
from planner.core.words import explain, headline
from predictors.base import Forecast, Quantile, SeriesForecast
from tests.unit.planner.core.scene import INTERVAL_S, fleet, forecast, policy, pool, traffic

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

RATES = st.floats(0.0, 400.0)
ODD = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, -0.0, 0.5, 1e300, 5e-324, 1e7, 1e8]),
    st.floats(),
)
ODD_READINGS: st.SearchStrategy[Reading] = st.one_of(
    ODD.map(lambda number: Value(value=number, at_s=0.0)),
    st.just(Idle(at_s=0.0)),
    st.just(Unknown(why="the server is down")),
)


@st.composite
def pools(draw: st.DrawFn, name: str) -> PoolPolicy:
    least = draw(st.integers(0, 3))
    return pool(
        name,
        gpus=draw(st.sampled_from([1, 2, 4])),
        bounds=(least, draw(st.none() | st.integers(max(least, 1), 30))),
        steps=(draw(st.none() | st.integers(1, 5)), draw(st.none() | st.integers(1, 5))),
        windows_s=(draw(st.sampled_from([0.0, 30.0, 90.0])), draw(st.sampled_from([0.0, 45.0, 90.0]))),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    both = (draw(pools("prefill")), draw(pools("decode")))
    least = sum(max(rules.min_replicas, 1) * rules.gpus_per_engine for rules in both)
    return policy(*both, budget_gpus=draw(st.integers(least, 60)))


@dataclass
class Orchestrator:
    """A pool's engines between two steps: asked for at once, there and gone with delay."""

    desired: int
    ready: int
    starting: int = 0
    terminating: int = 0

    def ask(self, desired: int) -> None:
        self.desired = desired

    def reconcile(self) -> None:
        """Notice what was asked for: begin starts, give up the surplus."""
        missing = self.desired - self.ready - self.starting
        if missing > 0:
            self.starting += missing
            return
        unborn = min(-missing, self.starting)
        self.starting -= unborn
        self.ready += missing + unborn
        self.terminating -= missing

    def settle(self, *, started: int, released: int) -> None:
        """Let some starts and releases finish."""
        started, released = min(started, self.starting), min(released, self.terminating)
        self.starting, self.ready = self.starting - started, self.ready + started
        self.terminating -= released

    def seen(self) -> PoolState:
        return PoolState(
            desired=self.desired, ready=self.ready, starting=self.starting, terminating=self.terminating
        )


def committed(rules: Policy, world: Mapping[str, Orchestrator]) -> int:
    return sum(
        (max(p.desired, p.ready + p.starting) + p.terminating) * r.gpus_per_engine
        for r, p in ((r, world[r.name]) for r in rules.pools)
    )


@dataclass(frozen=True)
class Event:
    """What happens around one step."""

    rate: float
    plan: float
    queued: float
    kind: StepKind
    blind: str
    is_noticed: bool
    started: int
    released: int


EVENTS = st.builds(
    Event,
    rate=RATES,
    plan=RATES,
    queued=st.sampled_from([0.0, 50.0, 5000.0]),
    kind=st.sampled_from([StepKind.TICK, StepKind.TICK, StepKind.LOOK]),
    blind=st.sampled_from(["", "", "", "arrivals", "isl", "fleet"]),
    is_noticed=st.booleans(),
    started=st.integers(0, 8),
    released=st.integers(0, 8),
)
GOOD = Event(
    rate=20.0, plan=20.0, queued=0.0, kind=StepKind.TICK, blind="", is_noticed=True, started=9, released=9
)
DOWN = Unknown(why="the server is down")
COUNTS = st.integers(0, 12)
STATES = st.builds(
    PoolState, desired=COUNTS, ready=COUNTS, starting=COUNTS, terminating=COUNTS, failing=st.integers(0, 2)
)
FLEETS = st.builds(lambda prefill, decode: fleet(prefill=prefill, decode=decode), STATES, STATES)


def take(
    rules: Policy, state: State, event: Event, engines: Fleet | Unknown, *, now_s: float
) -> tuple[State, Decision]:
    window = traffic(
        DOWN if event.blind == "arrivals" else event.rate,
        isl=DOWN if event.blind == "isl" else 1000.0,
        queued=event.queued,
    )
    observation = Observation(traffic=window, fleet=DOWN if event.blind == "fleet" else engines)
    return step(rules, state, observation, forecast(event.plan), now_s=now_s, kind=event.kind)


def in_pool(decision: Decision, name: str) -> set[ReasonCode]:
    return {reason.code for reason in decision.reasons if reason.pool == name}


def held_gpus(rules: Policy, engines: Fleet) -> int:
    states = [(pool.gpus_per_engine, engines.pools[pool.name]) for pool in rules.pools]
    return sum((max(s.desired, s.live) + s.terminating) * (s.gpus_per_engine or gpus) for gpus, s in states)


@quick
@given(policies(), st.lists(EVENTS, min_size=1, max_size=25))
def test_a_fleet_within_its_budget_never_exceeds_it(rules: Policy, events: list[Event]) -> None:
    world = {p.name: Orchestrator(desired=p.min_replicas, ready=p.min_replicas) for p in rules.pools}
    state = initial_state(rules)

    for index, event in enumerate(events):
        engines = fleet(**{name: p.seen() for name, p in world.items()})
        state, decision = take(rules, state, event, engines, now_s=index * INTERVAL_S)
        for name, count in decision.replicas.items():
            world[name].ask(count)

        assert committed(rules, world) <= rules.budget_gpus
        if event.blind != "fleet":
            assert decision.committed_gpus == committed(rules, world)
        for p in world.values():
            if event.is_noticed:
                p.reconcile()
            p.settle(started=event.started, released=event.released)
        assert committed(rules, world) <= rules.budget_gpus


@quick
@given(policies(), FLEETS, EVENTS)
def test_no_step_commits_more_than_the_budget_or_what_was_found(
    rules: Policy, engines: Fleet, event: Event
) -> None:
    found_gpus = held_gpus(rules, engines)

    _, decision = take(rules, initial_state(rules), event, engines, now_s=0.0)

    assert decision.committed_gpus <= max(rules.budget_gpus, found_gpus)
    if decision.committed_gpus > rules.budget_gpus:  # found beyond it: nobody grows
        for name, count in decision.replicas.items():
            assert count <= max(engines.pools[name].desired, engines.pools[name].live)


@quick
@given(policies(), FLEETS, st.lists(RATES, min_size=1, max_size=8))
def test_counts_stay_within_bounds_steps_and_windows_unless_the_budget_says_otherwise(
    rules: Policy, engines: Fleet, rates: list[float]
) -> None:
    state = initial_state(rules)
    wishes: dict[str, list[tuple[float, int]]] = {
        p.name: [(0.0, engines.pools[p.name].desired)] for p in rules.pools
    }

    for index, rate in enumerate(rates):
        now_s = index * INTERVAL_S
        window = traffic(rate, ttft_s=DOWN)
        observation = Observation(traffic=window, fleet=engines)
        state, decision = step(rules, state, observation, forecast(rate), now_s=now_s, kind=StepKind.TICK)
        for limits, got in zip(rules.pools, decision.pools, strict=True):
            assert got.needed is not None
            most = limits.max_replicas if limits.max_replicas is not None else 10**9
            wish = max(min(got.needed, most), limits.min_replicas)
            wishes[limits.name].append((now_s, wish))
            assert got.replicas <= most or got.replicas < got.current
            if in_pool(decision, limits.name) & {ReasonCode.BUDGET, ReasonCode.BUDGET_WAIT}:
                continue
            assert limits.min_replicas <= got.replicas <= most
            if not limits.min_replicas <= got.current <= most:
                continue
            assert got.replicas - got.current <= (limits.max_step_up or 10**9)
            assert got.current - got.replicas <= (limits.max_step_down or 10**9)
            begin_s = now_s - limits.scale_down_window_s
            recent = [count for at_s, count in wishes[limits.name] if at_s > begin_s]
            before = [count for at_s, count in wishes[limits.name] if at_s <= begin_s]
            if limits.scale_down_window_s > 0.0:
                assert got.replicas >= min(got.current, max(recent + before[-1:]))
        engines = fleet(**dict(decision.replicas))


@quick
@given(policies(), FLEETS, EVENTS, EVENTS.filter(lambda event: event.blind != ""))
def test_blind_never_scales_down(rules: Policy, engines: Fleet, first: Event, event: Event) -> None:
    rules = replace(rules, budget_gpus=10_000)
    first = replace(first, blind="", kind=StepKind.TICK, queued=0.0)
    event = replace(event, queued=0.0, rate=event.rate + 0.1)
    state, _ = take(rules, initial_state(rules), first, engines, now_s=0.0)
    last = {memory.pool: memory.desired for memory in state.pools}

    _, decision = take(rules, state, event, engines, now_s=4 * INTERVAL_S)

    assert decision.is_hold
    kept = {name: last[name] if event.blind == "fleet" else engines.pools[name].desired for name in last}
    assert dict(decision.replicas) == kept


@quick
@given(policies(), FLEETS, RATES, RATES)
def test_more_load_never_gets_fewer_engines(rules: Policy, engines: Fleet, low: float, high: float) -> None:
    low, high = sorted((low, high))
    rules = replace(rules, budget_gpus=10_000, correction=CorrectionPolicy(enabled=False))

    def decide(rate: float) -> Decision:
        observation = Observation(traffic=traffic(rate), fleet=engines)
        state = initial_state(rules)
        return step(rules, state, observation, forecast(rate), now_s=0.0, kind=StepKind.TICK)[1]

    for less, more in zip(decide(low).pools, decide(high).pools, strict=True):
        assert (less.needed or 0) <= (more.needed or 0)
        assert less.replicas <= more.replicas


@quick
@given(policies(), FLEETS, EVENTS, EVENTS)
def test_a_look_only_adds_and_learns_nothing(
    rules: Policy, engines: Fleet, first: Event, event: Event
) -> None:
    state, _ = take(rules, initial_state(rules), replace(first, kind=StepKind.TICK), engines, now_s=0.0)

    after, decision = take(rules, state, replace(event, kind=StepKind.LOOK), engines, now_s=5.0)

    if event.blind != "fleet":
        assert all(p.replicas >= p.current for p in decision.pools)
    assert (after.lengths, after.planned, after.blind_since_s) == (
        state.lengths,
        state.planned,
        state.blind_since_s,
    )
    assert [m.correction_ratio for m in after.pools] == [m.correction_ratio for m in state.pools]


@quick
@given(policies(), FLEETS, EVENTS, EVENTS)
def test_a_step_is_deterministic_and_leaves_its_inputs_alone(
    rules: Policy, engines: Fleet, first: Event, event: Event
) -> None:
    state, _ = take(rules, initial_state(rules), first, engines, now_s=0.0)
    before = copy.deepcopy((state, dict(engines.pools)))

    once = take(rules, state, event, engines, now_s=INTERVAL_S)
    twice = take(rules, state, event, engines, now_s=INTERVAL_S)

    assert once == twice
    assert (state, dict(engines.pools)) == before


@quick
@given(policies(), STATES, STATES, RATES)
def test_ready_or_starting_is_the_same_to_a_plan(
    rules: Policy, prefill: PoolState, decode: PoolState, rate: float
) -> None:
    def counts(*states: PoolState) -> dict[str, int]:
        engines = fleet(prefill=states[0], decode=states[1])
        observation = Observation(traffic=traffic(rate, ttft_s=DOWN), fleet=engines)
        state = initial_state(rules)
        return dict(
            step(rules, state, observation, forecast(rate), now_s=0.0, kind=StepKind.TICK)[1].replicas
        )

    swapped = [replace(s, ready=s.starting, starting=s.ready) for s in (prefill, decode)]

    assert counts(prefill, decode) == counts(*swapped)


@quick
@given(policies(), st.integers(1, 16), st.integers(0, 6), RATES)
def test_the_fleet_knows_best_how_many_gpus_an_engine_has(
    rules: Policy, gpus: int, count: int, rate: float
) -> None:
    first, second = rules.pools
    assume(
        first.min_replicas * gpus + second.min_replicas * second.gpus_per_engine <= rules.budget_gpus
    )  # else it is not believed
    engines = fleet(prefill=PoolState(desired=count, ready=count, gpus_per_engine=gpus), decode=0)
    observation = Observation(traffic=traffic(rate), fleet=engines)

    _, decision = step(
        rules, initial_state(rules), observation, forecast(rate), now_s=0.0, kind=StepKind.TICK
    )

    assert decision.pools[0].gpus_per_engine == gpus
    assert decision.pools[1].gpus_per_engine == rules.pools[1].gpus_per_engine
    assert decision.gpus <= max(rules.budget_gpus, held_gpus(rules, engines))


ODD_COUNTS = st.one_of(
    st.integers(0, 9),
    st.integers(-(10**18), 10**18),
    st.sampled_from([cast("int", math.nan), cast("int", math.inf)]),
)
ODD_STATES = st.builds(
    PoolState,
    desired=ODD_COUNTS,
    ready=ODD_COUNTS,
    starting=ODD_COUNTS,
    terminating=ODD_COUNTS,
    failing=ODD_COUNTS,
    gpus_per_engine=st.none() | ODD_COUNTS,
    unschedulable=ODD_COUNTS,
    hold=st.none() | st.builds(PoolHold, kind=st.sampled_from(HoldKind), why=st.text(max_size=9)),
    least=ODD_COUNTS,
    most=st.none() | ODD_COUNTS,
    grace_s=st.none() | ODD,
)
ODD_FLEETS: st.SearchStrategy[Fleet | Unknown] = st.one_of(
    FLEETS,
    st.just(DOWN),
    st.dictionaries(st.sampled_from(["prefill", "decode", "other"]), ODD_STATES).map(
        lambda states: Fleet(at_s=math.nan, pools=states)
    ),
)
ODD_TRAFFIC = st.builds(
    Traffic,
    at_s=ODD,
    window_s=ODD,
    arrivals_rps=ODD_READINGS,
    isl_tokens=ODD_READINGS,
    osl_tokens=ODD_READINGS,
    ttft_s=ODD_READINGS,
    itl_s=ODD_READINGS,
    request_duration_s=ODD_READINGS,
    queued=ODD_READINGS,
)
ODD_SERIES = st.builds(
    SeriesForecast,
    mean=ODD,
    quantiles=st.lists(st.builds(Quantile, level_ratio=ODD, value=ODD), max_size=3).map(tuple),
    calibrated=st.booleans(),
)
ODD_FORECASTS = st.none() | st.builds(
    Forecast,
    made_at_s=ODD,
    horizon_s=ODD,
    predictor=st.just("odd"),
    arrivals_rps=ODD_SERIES,
    isl_tokens=st.none() | ODD_SERIES,
    osl_tokens=st.none() | ODD_SERIES,
    points=st.integers(-1, 10),
)
ODD_STEPS = st.tuples(ODD_TRAFFIC, ODD_FLEETS, ODD_FORECASTS, st.sampled_from(StepKind))


@settings(quick, max_examples=150)
@given(policies(), st.none() | st.floats(0.0, 1.0), st.lists(ODD_STEPS, min_size=1, max_size=5))
def test_nothing_absurd_gets_through(
    rules: Policy,
    level_ratio: float | None,
    steps: list[tuple[Traffic, Fleet | Unknown, Forecast | None, StepKind]],
) -> None:
    rules = replace(rules, size_quantile_ratio=level_ratio)
    state, _ = take(rules, initial_state(rules), GOOD, fleet(prefill=1, decode=1), now_s=0.0)

    for index, (window, engines, plan, kind) in enumerate(steps):
        observation = Observation(traffic=window, fleet=engines)
        state, decision = step(rules, state, observation, plan, now_s=30.0 * (index + 1), kind=kind)

        json.dumps(asdict(state), allow_nan=False)
        json.dumps(asdict(decision), allow_nan=False)
        assert headline(decision)
        assert len(explain(decision)) == len(decision.reasons) > 0
        for p in decision.pools:
            assert type(p.replicas) is int
            assert p.replicas >= 0
        if ReasonCode.BLIND_FLEET not in {reason.code for reason in decision.reasons}:
            assert isinstance(engines, Fleet)
            assert decision.committed_gpus <= max(rules.budget_gpus, held_gpus(rules, engines))
