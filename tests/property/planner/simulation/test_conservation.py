"""No request is ever lost, whatever is done to the fleet."""

from hypothesis import given, settings
from hypothesis import strategies as st

from config.policy import Role
from planner.simulation.engines import Job
from planner.simulation.fleet import FleetSpec, SimulatedFleet
from planner.simulation.load import Request
from planner.simulation.pools import PoolSpec, Routing
from planner.simulation.profile import CurveTimes, embedded_itl_s, embedded_prefill_s

Command = tuple[float, str, int]

REQUESTS = st.lists(
    st.tuples(st.floats(0.0, 2.0), st.integers(1, 4000), st.integers(1, 300)), min_size=1, max_size=60
)
COMMANDS = st.lists(
    st.tuples(st.floats(0.0, 8.0), st.sampled_from(["prefill", "decode"]), st.integers(0, 5)), max_size=12
)


class Tally:
    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.firsts = 0
        self.finished_jobs = 0
        self.gap_tokens = 0

    def started(self, job: Job, /) -> None:
        self.jobs.append(job)

    def first_token(self, _job: Job, /) -> None:
        self.firsts += 1

    def gaps(self, tokens: int, gap_s: float) -> None:
        assert tokens > 0
        assert gap_s > 0.0
        self.gap_tokens += tokens

    def finished(self, _job: Job, /) -> None:
        self.finished_jobs += 1


def build(
    lengths: list[tuple[float, int, int]], routing: Routing, startup_s: float
) -> tuple[SimulatedFleet, Tally]:
    arrival_s = 0.0
    load = []
    for gap_s, isl_tokens, osl_tokens in lengths:
        arrival_s += gap_s
        load.append(Request(arrival_s, isl_tokens, osl_tokens))
    times = CurveTimes(prefill_s=embedded_prefill_s, itl_s=embedded_itl_s, max_kv_tokens=9000.0)
    pools = tuple(
        PoolSpec(name=role, role=role, times=times, replicas=1, startup_s=startup_s, routing=routing)
        for role in (Role.PREFILL, Role.DECODE)
    )
    tally = Tally()
    spec = FleetSpec(pools=pools, handover_s=0.02, seed=7)
    return SimulatedFleet(spec, load=load, observer=tally), tally


def check(fleet: SimulatedFleet, tally: Tally) -> None:
    census = fleet.census()
    assert census.offered == len(tally.jobs)
    assert census.offered == census.waiting + census.running + census.handing_over + census.completed
    assert census.completed == tally.finished_jobs <= tally.firsts <= census.offered
    for state in fleet.state().pools.values():
        assert state.live == state.desired


@given(
    lengths=REQUESTS,
    commands=COMMANDS,
    routing=st.sampled_from(list(Routing)),
    startup_s=st.sampled_from([0.0, 0.5, 5.0]),
)
@settings(max_examples=60, deadline=None)
def test_every_request_is_somewhere_and_in_the_end_served(
    lengths: list[tuple[float, int, int]], commands: list[Command], routing: Routing, startup_s: float
) -> None:
    fleet, tally = build(lengths, routing, startup_s)
    now_s = 0.0
    for pause_s, pool, replicas in commands:
        now_s += pause_s
        fleet.advance(now_s)
        fleet.scale(pool, replicas)
        check(fleet, tally)
    fleet.scale("prefill", 1)
    fleet.scale("decode", 1)

    fleet.advance(now_s + 1e5)

    check(fleet, tally)
    assert fleet.census().completed == len(lengths)
    assert fleet.held_gpus == 2
    assert tally.gap_tokens == sum(osl_tokens - 1 for _, _, osl_tokens in lengths)
    for job in tally.jobs:
        stages_s = (
            job.request.arrival_s,
            job.prefill_start_s,
            job.prefill_end_s,
            job.decode_start_s,
            job.first_token_s,
            job.finish_s,
        )
        assert list(stages_s) == sorted(stages_s)


@given(
    lengths=REQUESTS,
    routing=st.sampled_from(list(Routing)),
    looks_s=st.lists(st.floats(0.0, 60.0), max_size=30),
)
@settings(max_examples=40, deadline=None)
def test_looking_changes_nothing(
    lengths: list[tuple[float, int, int]], routing: Routing, looks_s: list[float]
) -> None:
    undisturbed, expected = build(lengths, routing, 1.0)
    watched, found = build(lengths, routing, 1.0)

    undisturbed.advance(1e5)
    for at_s in sorted(looks_s):
        watched.advance(at_s)
    watched.advance(1e5)

    assert [job.finish_s for job in found.jobs] == [job.finish_s for job in expected.jobs]
    assert found.gap_tokens == expected.gap_tokens
