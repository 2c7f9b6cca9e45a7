"""The queues against theory."""

from collections.abc import Iterator

import numpy as np
import pytest

from config.policy import Role
from planner.simulation.engines import Job
from planner.simulation.fleet import FleetSpec, SimulatedFleet
from planner.simulation.load import Request
from planner.simulation.pools import PoolSpec, Routing
from planner.simulation.profile import CurveTimes

MILLISECOND_PER_TOKEN = CurveTimes(
    prefill_s=lambda isl: isl * 1e-3, itl_s=lambda _batch, _context: 0.01, max_kv_tokens=1e6
)


class Waits:
    """Keeps how long each request waited for its prefill."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self.in_system_s = 0.0

    def started(self, job: Job, /) -> None:
        pass

    def first_token(self, job: Job, /) -> None:
        pass

    def gaps(self, tokens: int, gap_s: float) -> None:
        pass

    def finished(self, job: Job, /) -> None:
        self.waits_s.append(job.prefill_start_s - job.request.arrival_s)
        self.in_system_s += job.finish_s - job.request.arrival_s


def requests(*, rate_rps: float, isl_tokens: list[int], seed: int) -> Iterator[Request]:
    gaps_s = np.random.default_rng(seed).exponential(1.0 / rate_rps, len(isl_tokens))
    for arrival_s, isl in zip(np.cumsum(gaps_s).tolist(), isl_tokens, strict=True):
        yield Request(arrival_s, isl, 1)


def fleet_of(load: Iterator[Request], waits: Waits, *, engines: int, routing: Routing) -> SimulatedFleet:
    pool = PoolSpec(
        name="prefill", role=Role.PREFILL, times=MILLISECOND_PER_TOKEN, replicas=engines, routing=routing
    )
    return SimulatedFleet(FleetSpec(pools=(pool,)), load=load, observer=waits)


def run(load: Iterator[Request], *, engines: int, routing: Routing = Routing.SHARED) -> Waits:
    waits = Waits()
    fleet_of(load, waits, engines=engines, routing=routing).advance(1e9)
    return waits


def erlang_c(*, servers: int, offered: float) -> float:
    """Return the probability that a request waits, by the usual recursion over Erlang B."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked / (1.0 - offered / servers * (1.0 - blocked))


def test_one_engine_with_equal_prompts_waits_as_m_d_1() -> None:
    service_s, utilization = 0.1, 0.6

    waits = run(requests(rate_rps=utilization / service_s, isl_tokens=[100] * 60_000, seed=3), engines=1)

    theory_s = utilization * service_s / (2.0 * (1.0 - utilization))
    assert np.mean(waits.waits_s) == pytest.approx(theory_s, rel=0.04)


@pytest.mark.parametrize(("engines", "utilization"), [(2, 0.6), (5, 0.7)])
def test_a_shared_queue_with_exponential_prompts_waits_as_m_m_c(engines: int, utilization: float) -> None:
    means_s = []
    for seed in range(3):
        draws = np.random.default_rng(100 + seed).exponential(1000.0, 40_000)
        isl_tokens = np.maximum(1, np.rint(draws)).astype(int).tolist()
        load = requests(rate_rps=engines * utilization, isl_tokens=isl_tokens, seed=seed)
        means_s.append(float(np.mean(run(load, engines=engines).waits_s)))

    offered = engines * utilization
    theory_s = erlang_c(servers=engines, offered=offered) / (engines - offered)
    assert np.mean(means_s) == pytest.approx(theory_s, rel=0.05)


def test_the_number_in_the_system_is_the_rate_times_the_time_in_it() -> None:
    rate_rps, count = 7.0, 20_000
    waits = Waits()
    fleet = fleet_of(
        requests(rate_rps=rate_rps, isl_tokens=[100] * count, seed=1),
        waits,
        engines=1,
        routing=Routing.SHARED,
    )
    end_s = count / rate_rps

    inside = []
    for at_s in np.arange(0.0, end_s, 0.1):
        fleet.advance(float(at_s))
        census = fleet.census()
        inside.append(census.offered - census.completed)
    fleet.advance(1e9)

    mean_time_s = waits.in_system_s / count
    assert np.mean(inside) == pytest.approx(rate_rps * mean_time_s, rel=0.02)


def test_private_queues_wait_longer_than_a_shared_one() -> None:
    isl_tokens = np.random.default_rng(8).exponential(100.0, 15_000).astype(int).tolist()

    def mean_wait_s(routing: Routing) -> float:
        load = requests(rate_rps=32.0, isl_tokens=isl_tokens, seed=2)
        return float(np.mean(run(load, engines=4, routing=routing).waits_s))

    wait_s = {routing: mean_wait_s(routing) for routing in Routing}
    assert sorted(wait_s, key=wait_s.__getitem__) == [
        Routing.SHARED,
        Routing.LEAST_LOADED,
        Routing.ROUND_ROBIN,
        Routing.RANDOM,
    ]
