"""Batches against a simulation that goes token by token."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

from config.policy import Role
from planner.simulation.engines import Job
from planner.simulation.fleet import FleetSpec, SimulatedFleet
from planner.simulation.load import Request
from planner.simulation.pools import PoolSpec, Routing
from planner.simulation.profile import CurveTimes, embedded_itl_s, embedded_prefill_s


@dataclass
class Watch:
    jobs: list[Job] = field(default_factory=list)
    tokens: int = 0
    gap_total_s: float = 0.0

    def started(self, job: Job, /) -> None:
        self.jobs.append(job)

    def first_token(self, job: Job, /) -> None:
        pass

    def gaps(self, tokens: int, gap_s: float) -> None:
        self.tokens += tokens
        self.gap_total_s += tokens * gap_s

    def finished(self, job: Job, /) -> None:
        pass


def decode(
    load: list[Request], *, max_kv_tokens: float = 400_000.0, replicas: int = 1, max_batch: int | None = None
) -> tuple[SimulatedFleet, Watch]:
    watch = Watch()
    pool = PoolSpec(
        name="decode",
        role=Role.DECODE,
        times=CurveTimes(prefill_s=embedded_prefill_s, itl_s=embedded_itl_s, max_kv_tokens=max_kv_tokens),
        replicas=replicas,
        routing=Routing.LEAST_LOADED,
        max_batch=max_batch,
    )
    return SimulatedFleet(FleetSpec(pools=(pool,)), load=load, observer=watch), watch


@dataclass
class Running:
    index: int
    context_tokens: int
    left_tokens: int


def token_by_token(load: list[Request]) -> tuple[list[float], list[float]]:
    """Return first-token and finish times of one engine that steps all of its batch together."""
    first_s = [0.0] * len(load)
    finish_s = [0.0] * len(load)
    batch: list[Running] = []
    now_s = 0.0
    coming = list(enumerate(load))
    while coming or batch:
        if not batch:
            now_s = max(now_s, coming[0][1].arrival_s)
        while coming and coming[0][1].arrival_s <= now_s:
            index, request = coming.pop(0)
            batch.append(Running(index, request.isl_tokens, request.osl_tokens))
        context_tokens = sum(running.context_tokens for running in batch) / len(batch)
        now_s += embedded_itl_s(len(batch), context_tokens)
        for running in batch:
            if running.left_tokens == load[running.index].osl_tokens:
                first_s[running.index] = now_s
            running.left_tokens -= 1
            running.context_tokens += 1
            if not running.left_tokens:
                finish_s[running.index] = now_s
        batch = [running for running in batch if running.left_tokens]
    return first_s, finish_s


def some_load(*, rate_rps: float, count: int, seed: int) -> list[Request]:
    rng = np.random.default_rng(seed)
    arrivals_s = np.cumsum(rng.exponential(1.0 / rate_rps, count)).tolist()
    return [
        Request(arrival_s, int(rng.integers(50, 3000)), int(rng.integers(2, 400))) for arrival_s in arrivals_s
    ]


def test_one_request_alone_takes_the_sum_of_its_steps() -> None:
    load = [Request(5.0, 1000, 300)]
    fleet, watch = decode(load)

    fleet.advance(100.0)

    (job,) = watch.jobs
    (first_s,), (finish_s,) = token_by_token(load)
    assert job.first_token_s == pytest.approx(first_s, abs=1e-6)
    assert job.finish_s - 5.0 == pytest.approx(finish_s - 5.0, rel=1e-4)


@pytest.mark.parametrize("rate_rps", [2.0, 8.0, 14.0])
def test_a_batch_agrees_with_a_simulation_token_by_token(rate_rps: float) -> None:
    load = some_load(rate_rps=rate_rps, count=400, seed=11)
    fleet, watch = decode(load)

    fleet.advance(1e6)

    arrivals_s = np.array([request.arrival_s for request in load])
    exact_s = np.array(token_by_token(load)[1]) - arrivals_s
    fluid_s = np.array([job.finish_s for job in watch.jobs]) - arrivals_s
    for percentile in (50, 90, 99):
        assert np.percentile(fluid_s, percentile) == pytest.approx(
            np.percentile(exact_s, percentile), rel=0.01
        )


def test_every_token_after_the_first_is_one_gap_and_their_sum_is_the_streaming_time() -> None:
    load = some_load(rate_rps=10.0, count=200, seed=4)
    fleet, watch = decode(load)

    fleet.advance(1e6)

    assert watch.tokens == sum(request.osl_tokens - 1 for request in load)
    streaming_s = sum(job.finish_s - job.first_token_s for job in watch.jobs)
    assert watch.gap_total_s == pytest.approx(streaming_s, rel=1e-6)


def test_tokens_show_while_a_long_answer_is_still_coming() -> None:
    fleet, watch = decode([Request(0.0, 100, 10_000)])

    fleet.advance(1.0)
    early = watch.tokens
    fleet.advance(2.0)

    assert 100 < early < watch.tokens < 10_000


def test_how_often_somebody_looks_changes_nothing() -> None:
    load = some_load(rate_rps=6.0, count=150, seed=9)
    rare, rare_watch = decode(load)
    often, often_watch = decode(load)

    rare.advance(200.0)
    for at_s in np.arange(0.0, 200.0, 0.037):
        often.advance(float(at_s))
    often.advance(200.0)

    assert [job.finish_s for job in rare_watch.jobs] == [job.finish_s for job in often_watch.jobs]
    assert rare_watch.tokens == often_watch.tokens


def test_a_full_cache_makes_requests_wait_in_order() -> None:
    load = [Request(0.001 * index, 900, 100) for index in range(5)]
    fleet, watch = decode(load, max_kv_tokens=2000.0)

    fleet.advance(0.1)
    assert (fleet.census().running, fleet.census().waiting) == (2, 3)

    fleet.advance(100.0)
    starts_s = [job.decode_start_s for job in watch.jobs]
    assert starts_s == sorted(starts_s)
    assert starts_s[2] == watch.jobs[0].finish_s
    assert fleet.census().completed == 5


def test_a_request_larger_than_the_cache_runs_alone() -> None:
    fleet, watch = decode([Request(0.0, 5000, 10), Request(0.01, 10, 10)], max_kv_tokens=2000.0)

    fleet.advance(10.0)

    assert watch.jobs[1].decode_start_s == watch.jobs[0].finish_s


def test_a_batch_limit_holds() -> None:
    fleet, _ = decode([Request(0.0, 100, 1000)] * 7, max_batch=3)

    fleet.advance(0.5)

    assert (fleet.census().running, fleet.census().waiting) == (3, 4)


def test_two_engines_share_the_work() -> None:
    load = [Request(0.0, 500, 200) for _ in range(10)]
    alone, alone_watch = decode(load)
    two, two_watch = decode(load, replicas=2)

    alone.advance(100.0)
    two.advance(100.0)

    assert max(job.finish_s for job in two_watch.jobs) < max(job.finish_s for job in alone_watch.jobs)


def test_an_answer_of_one_token_ends_with_its_first() -> None:
    fleet, watch = decode([Request(0.0, 100, 1), Request(0.0, 100, 1)])

    fleet.advance(1.0)

    assert all(job.finish_s == job.first_token_s for job in watch.jobs)
    assert watch.tokens == 0


def test_joining_late_never_costs_more_than_a_step_each() -> None:
    load = [Request(0.0, 1000, 50), Request(0.1, 1000, 50), Request(0.2, 1000, 50)]
    fleet, watch = decode(load)

    fleet.advance(100.0)

    longest_step_s = embedded_itl_s(3, 1050.0)
    changes = 2 * len(load)
    for job, exact_s in zip(watch.jobs, token_by_token(load)[1], strict=True):
        assert abs(job.finish_s - exact_s) <= changes * longest_step_s
    assert all(a.finish_s < b.finish_s for a, b in itertools.pairwise(watch.jobs))
