"""Whatever is delayed, lost, frozen or wrongly timed: by their own clocks never two lead at once.

What is assumed is what the module states: clocks differ in speed by less than the margin (a fifth), and
nobody starts anew in the very moment in which somebody deletes the Lease. Nothing is assumed about delays.
"""

import asyncio
import itertools
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from config.clock import VirtualClock
from connectors.kubernetes.lease import Leadership, LeaseOptions
from tests.cluster.fake_api import FakeApi
from tests.cluster.line import CrookedClock, Fault, Line

LEASE = "/apis/coordination.k8s.io/v1/namespaces/llm/leases/setpoint-llm"
STEP_S = 0.5
STEPS = 160


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A daemon: when it starts, how its clock goes, what befalls its requests, when its line is cut."""

    start: int
    speed: float
    wall_offset_s: float
    faults: tuple[Fault, ...]
    cut: int
    cut_for: int
    closes: int


FAULTS = st.lists(
    st.builds(
        Fault,
        there_s=st.sampled_from((0.0, 0.0, 0.3, 1.5, 4.0, 30.0)),
        back_s=st.sampled_from((0.0, 0.0, 0.3, 1.5, 4.0, 30.0)),
        is_request_lost=st.sampled_from((False, False, False, True)),
        is_answer_lost=st.sampled_from((False, False, False, True)),
    ),
    min_size=1,
    max_size=6,
).map(tuple)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        start=st.integers(0, 30),
        speed=st.sampled_from((0.91, 1.0, 1.09)),
        wall_offset_s=st.sampled_from((-86_400.0, 0.0, 3_600.0)),
        faults=FAULTS,
        cut=st.integers(0, STEPS),
        cut_for=st.integers(0, 60),
        closes=st.integers(STEPS // 2, 2 * STEPS),
    ),
    min_size=2,
    max_size=3,
)


@given(candidates=CANDIDATES, deletion=st.integers(40, 2 * STEPS))
@settings(max_examples=25)
def test_never_two_lead_at_once(candidates: list[Candidate], deletion: int) -> None:
    most, _ = asyncio.run(_played(candidates, deletion))

    assert most <= 1


@given(
    speeds=st.tuples(st.sampled_from((0.91, 1.0, 1.09)), st.sampled_from((0.91, 1.0, 1.09))),
    answer_s=st.sampled_from((0.0, 1.0, 2.2)),
    second=st.integers(4, 30),
    silent=st.integers(40, 60),
    is_deleted=st.booleans(),
)
@settings(max_examples=25)
def test_a_leader_that_falls_silent_has_stepped_down_when_the_next_leads_within_15_s(
    *, speeds: tuple[float, float], answer_s: float, second: int, silent: int, is_deleted: bool
) -> None:
    one = _steady(0, speed=speeds[0], fault=Fault(back_s=answer_s), cut=silent)
    other = _steady(second, speed=speeds[1], fault=Fault(), cut=STEPS)

    most, leading = asyncio.run(_played([one, other], silent if is_deleted else 2 * STEPS))

    assert most == 1
    assert all(leading[max(second + 4, 12) : silent])
    assert all(leading[silent + int(15.0 / STEP_S) :])


def _steady(start: int, *, speed: float, fault: Fault, cut: int) -> Candidate:
    return Candidate(
        start=start,
        speed=speed,
        wall_offset_s=0.0,
        faults=(fault,),
        cut=cut,
        cut_for=STEPS,
        closes=2 * STEPS,
    )


async def _played(candidates: list[Candidate], deletion: int) -> tuple[int, list[bool]]:
    """Return how many led at once at most, and whether anybody did at each step."""
    clock = VirtualClock(wall_origin_s=1_767_225_600.0)
    api = FakeApi(clock)
    own = [CrookedClock(clock, speed=each.speed, wall_offset_s=each.wall_offset_s) for each in candidates]
    lines = [Line(api, its, itertools.cycle(each.faults)) for each, its in zip(candidates, own, strict=True)]
    all_of_them = [
        Leadership(line, LeaseOptions(namespace="llm", name="setpoint-llm", identity=f"d{number}"), its)
        for number, (line, its) in enumerate(zip(lines, own, strict=True))
    ]
    counts: list[int] = []
    tasks: list[asyncio.Task[None]] = []
    for step in range(STEPS):
        for each, line, daemon in zip(candidates, lines, all_of_them, strict=True):
            line.is_cut = each.cut <= step < each.cut + each.cut_for
            tasks += [asyncio.create_task(daemon.start())] if each.start == step else []
            tasks += [asyncio.create_task(daemon.close())] if each.closes == step else []
        if step >= deletion and all(daemon.holder for daemon in all_of_them) and api.has(LEASE):
            api.remove(LEASE)
            deletion = 2 * STEPS
        await clock.advance(STEP_S)
        counts.append(sum(not daemon.standby() for daemon in all_of_them))
    for task in (*tasks, *(asyncio.create_task(daemon.close()) for daemon in all_of_them)):
        await clock.advance(10.0)
        await task
    return max(counts), [count > 0 for count in counts]
