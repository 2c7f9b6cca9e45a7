"""Pools that grow, shrink and hand over."""

import pytest

from config.errors import ConfigError, Refused
from config.policy import Role
from connectors.base import PoolState
from planner.simulation.fleet import FleetSpec, SimulatedFleet
from planner.simulation.frontend import SimulatedFrontend
from planner.simulation.load import Request
from planner.simulation.pools import PoolSpec, Routing
from planner.simulation.profile import CurveTimes

ONE_SECOND = CurveTimes(prefill_s=lambda _isl: 1.0, itl_s=lambda _batch, _context: 0.1, max_kv_tokens=1e6)


def prefill(
    replicas: int = 1, *, routing: Routing = Routing.SHARED, startup_s: float = 10.0, gpus_per_engine: int = 1
) -> PoolSpec:
    return PoolSpec(
        name="prefill",
        role=Role.PREFILL,
        times=ONE_SECOND,
        replicas=replicas,
        startup_s=startup_s,
        routing=routing,
        gpus_per_engine=gpus_per_engine,
    )


def decode(replicas: int = 1) -> PoolSpec:
    return PoolSpec(name="decode", role=Role.DECODE, times=ONE_SECOND, replicas=replicas)


def fleet_of(
    *pools: PoolSpec, load: list[Request], handover_s: float = 0.0, gpu_quota: int | None = None
) -> SimulatedFleet:
    spec = FleetSpec(pools=pools, handover_s=handover_s, gpu_quota=gpu_quota)
    return SimulatedFleet(spec, load=load, observer=SimulatedFrontend(model="m"))


def at_once(count: int, *, at_s: float = 0.0) -> list[Request]:
    return [Request(at_s, 100, 10)] * count


def prefill_state(fleet: SimulatedFleet) -> PoolState:
    return fleet.state().pools["prefill"]


def test_a_request_passes_prefill_hand_over_and_decode() -> None:
    fleet = fleet_of(prefill(), decode(), load=at_once(1), handover_s=0.5)

    places = []
    for at_s in (0.9, 1.2, 2.0, 2.6):
        fleet.advance(at_s)
        census = fleet.census()
        places.append((census.running, census.handing_over, census.completed))

    assert places == [(1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)]


def test_an_engine_serves_only_after_its_start_up_time() -> None:
    fleet = fleet_of(prefill(), load=at_once(30))

    fleet.scale("prefill", 2)
    before = prefill_state(fleet)
    fleet.advance(9.9)
    done_before = fleet.census().completed
    fleet.advance(10.1)
    after = prefill_state(fleet)
    fleet.advance(12.05)

    assert (before.desired, before.ready, before.starting) == (2, 1, 1)
    assert (after.ready, after.starting) == (2, 0)
    assert (done_before, fleet.census().completed) == (9, 9 + 3 + 2)


def test_a_new_engine_relieves_a_shared_queue_but_not_a_private_one() -> None:
    def done_at_16_s(routing: Routing) -> int:
        fleet = fleet_of(prefill(routing=routing), load=at_once(60))
        fleet.advance(0.0)
        fleet.scale("prefill", 4)
        fleet.advance(16.05)
        return fleet.census().completed

    assert done_at_16_s(Routing.SHARED) == 16 + 3 * 6
    assert done_at_16_s(Routing.LEAST_LOADED) == 16


def test_engines_that_are_given_up_finish_their_work_and_hold_their_gpus_until_then() -> None:
    fleet = fleet_of(prefill(3, gpus_per_engine=2), load=at_once(3))
    fleet.advance(0.5)

    fleet.scale("prefill", 1)
    draining, held_gpus = prefill_state(fleet), fleet.held_gpus
    fleet.advance(1.5)

    assert (draining.ready, draining.terminating, held_gpus) == (1, 2, 6)
    assert (prefill_state(fleet).terminating, fleet.held_gpus) == (0, 2)
    assert fleet.census().completed == 3


def test_a_draining_engine_finishes_its_private_queue() -> None:
    fleet = fleet_of(prefill(2, routing=Routing.ROUND_ROBIN), load=at_once(8))
    fleet.advance(0.5)

    fleet.scale("prefill", 1)
    fleet.advance(3.5)
    late = prefill_state(fleet)
    fleet.advance(4.5)

    assert late.terminating == 1
    assert fleet.census().completed == 8


def test_starting_engines_are_given_up_first() -> None:
    fleet = fleet_of(prefill(2), load=[])
    fleet.scale("prefill", 4)

    fleet.scale("prefill", 2)

    state = prefill_state(fleet)
    assert (state.ready, state.starting, state.terminating) == (2, 0, 0)
    fleet.advance(20.0)
    assert prefill_state(fleet).ready == 2


def test_the_engine_with_the_least_to_finish_is_given_up() -> None:
    fleet = fleet_of(prefill(2), load=at_once(1))
    fleet.advance(0.5)

    fleet.scale("prefill", 1)

    state = prefill_state(fleet)
    assert (state.ready, state.terminating, fleet.census().running) == (1, 0, 1)


def test_asking_twice_is_the_same_as_asking_once() -> None:
    fleet = fleet_of(prefill(1), load=[])

    fleet.scale("prefill", 3)
    fleet.scale("prefill", 3)

    assert prefill_state(fleet).starting == 2


@pytest.mark.parametrize("routing", list(Routing))
def test_requests_wait_while_a_pool_is_at_zero_and_are_served_when_it_is_back(routing: Routing) -> None:
    fleet = fleet_of(prefill(0, routing=routing, startup_s=5.0), load=at_once(4))
    fleet.advance(1.0)
    waiting = fleet.census().waiting

    fleet.scale("prefill", 2)
    fleet.advance(10.5)

    assert waiting == 4
    assert fleet.census().completed == 4


def test_a_quota_refuses_engines_that_do_not_fit_beside_draining_ones() -> None:
    fleet = fleet_of(prefill(2), decode(1), load=at_once(2), gpu_quota=3)
    fleet.advance(0.5)
    fleet.scale("prefill", 1)

    with pytest.raises(Refused, match=r"needs 1 GPUs more, and 3 of a quota of 3 are held"):
        fleet.scale("decode", 2)
    fleet.advance(1.5)
    fleet.scale("decode", 2)

    assert fleet.state().pools["decode"].starting == 1


@pytest.mark.parametrize(("pool", "replicas"), [("prefil", 1), ("prefill", -1)])
def test_nonsense_is_refused(pool: str, replicas: int) -> None:
    fleet = fleet_of(prefill(), load=[])

    with pytest.raises(Refused, match=pool):
        fleet.scale(pool, replicas)


@pytest.mark.parametrize(
    "pools",
    [
        (),
        (prefill(), prefill()),
        (PoolSpec(name="all", role=Role.AGGREGATED, times=ONE_SECOND),),
    ],
    ids=["none", "same-name", "aggregated"],
)
def test_a_fleet_that_cannot_be_is_a_configuration_error(pools: tuple[PoolSpec, ...]) -> None:
    with pytest.raises(ConfigError, match="pool"):
        fleet_of(*pools, load=[])


def test_time_does_not_go_back() -> None:
    fleet = fleet_of(prefill(), load=at_once(1))
    fleet.advance(5.0)

    fleet.advance(3.0)

    assert fleet.now_s == 5.0
