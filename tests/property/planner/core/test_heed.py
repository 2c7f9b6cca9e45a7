"""What no sequence of steps may break while pools are paused, lack room, or have limits of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.policy import Policy
from connectors.base import Fleet, HoldKind, PoolHold, PoolState
from planner.core.decision import ReasonCode, StepKind
from planner.core.state import initial_state
from planner.core.words import explain, headline
from tests.property.planner.core.test_step import (
    EVENTS,
    STATES,
    Event,
    Orchestrator,
    committed,
    held_gpus,
    in_pool,
    policies,
    take,
)
from tests.unit.planner.core.scene import INTERVAL_S, fleet

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HOLDS = st.none() | st.builds(PoolHold, kind=st.sampled_from(HoldKind), why=st.just("because"))


@dataclass(frozen=True)
class Side:
    """What the orchestrator's side says of one pool for a while."""

    hold: PoolHold | None
    unschedulable: int
    least: int
    most: int | None
    grace_s: float | None

    def told(self, state: PoolState) -> PoolState:
        """Return the state with it; engines without room are among those that were starting."""
        waiting = min(self.unschedulable, state.starting)
        return replace(
            state,
            starting=state.starting - waiting,
            failing=state.failing + waiting,
            unschedulable=waiting,
            hold=self.hold,
            least=self.least,
            most=self.most,
            grace_s=self.grace_s,
        )


SIDES = st.builds(
    Side,
    hold=HOLDS,
    unschedulable=st.sampled_from([0, 0, 1, 5]),
    least=st.sampled_from([0, 0, 2, 30]),
    most=st.none() | st.integers(0, 12),
    grace_s=st.none() | st.sampled_from([0.0, 30.0, 1e9]),
)
BOTH_SIDES = st.fixed_dictionaries({"prefill": SIDES, "decode": SIDES})
SEEN = st.builds(
    lambda prefill, decode, sides: seen({"prefill": prefill, "decode": decode}, sides),
    STATES,
    STATES,
    BOTH_SIDES,
)
STANDBYS = st.sampled_from(["", "", "the other one leads"])


def seen(states: Mapping[str, PoolState], sides: Mapping[str, Side], standby: str = "") -> Fleet:
    told = {name: sides[name].told(state) for name, state in states.items()}
    return replace(fleet(**told), standby=standby)


@quick
@given(policies(), st.lists(st.tuples(EVENTS, BOTH_SIDES, STANDBYS), min_size=1, max_size=25))
def test_a_fleet_within_its_budget_never_exceeds_it_whatever_the_orchestrators_side_says(
    rules: Policy, events: list[tuple[Event, dict[str, Side], str]]
) -> None:
    world = {p.name: Orchestrator(desired=p.min_replicas, ready=p.min_replicas) for p in rules.pools}
    state = initial_state(rules)

    for index, (event, sides, standby) in enumerate(events):
        engines = seen({name: p.seen() for name, p in world.items()}, sides, standby)
        state, decision = take(rules, state, event, engines, now_s=index * INTERVAL_S)
        if not standby:
            for name, count in decision.replicas.items():
                world[name].ask(count)

        assert committed(rules, world) <= rules.budget_gpus
        for p in world.values():
            if event.is_noticed:
                p.reconcile()
            p.settle(started=event.started, released=event.released)
        assert committed(rules, world) <= rules.budget_gpus


@quick
@given(policies(), SEEN, EVENTS, EVENTS)
def test_each_step_leaves_alone_what_is_held_and_adds_nothing_where_no_room_is(
    rules: Policy, engines: Fleet, first: Event, event: Event
) -> None:
    found_gpus = held_gpus(rules, engines)
    state, _ = take(rules, initial_state(rules), replace(first, kind=StepKind.TICK), engines, now_s=0.0)

    _, decision = take(rules, state, replace(event, blind=""), engines, now_s=INTERVAL_S)

    assert decision.committed_gpus <= max(rules.budget_gpus, found_gpus)
    assert len(explain(decision)) == len(decision.reasons)
    assert headline(decision)
    for got in decision.pools:
        seen_state = engines.pools[got.pool]
        if seen_state.hold is not None:
            assert got.replicas == seen_state.desired
            assert got.bound_by.value == seen_state.hold.kind.value
        if seen_state.unschedulable:
            assert got.replicas <= seen_state.desired
        if decision.committed_gpus > rules.budget_gpus:
            assert got.replicas <= max(seen_state.desired, seen_state.live)


@quick
@given(policies(), SEEN, EVENTS)
def test_the_limits_of_the_target_hold_unless_something_stronger_says_otherwise(
    rules: Policy, engines: Fleet, event: Event
) -> None:
    _, decision = take(
        rules, initial_state(rules), replace(event, blind="", kind=StepKind.TICK), engines, now_s=0.0
    )

    stronger = {ReasonCode.BUDGET, ReasonCode.BUDGET_WAIT, ReasonCode.UNSCHEDULABLE}
    for got in decision.pools:
        state = engines.pools[got.pool]
        if state.hold is None and not in_pool(decision, got.pool) & stronger:
            assert got.replicas >= state.least
            assert state.most is None or got.replicas <= max(state.most, state.least)


@quick
@given(policies(), SEEN, EVENTS, EVENTS.filter(lambda event: event.blind != ""))
def test_blind_never_scales_down_whatever_the_orchestrators_side_says(
    rules: Policy, engines: Fleet, first: Event, event: Event
) -> None:
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
@given(policies(), SEEN, EVENTS)
def test_a_standby_decides_what_a_leader_would(rules: Policy, engines: Fleet, event: Event) -> None:
    follows = replace(engines, standby="another one leads")

    leading = take(rules, initial_state(rules), event, engines, now_s=0.0)
    waiting = take(rules, initial_state(rules), event, follows, now_s=0.0)

    assert waiting[0] == leading[0]
    assert waiting[1].pools == leading[1].pools
