"""Who was served in time, and what it cost."""

import pytest

from config.clock import VirtualClock
from config.policy import Targets
from connectors.base import Replicas
from planner.simulation.embedded import Scenario, embedded_world
from planner.simulation.engines import Job
from planner.simulation.frontend import SimulatedFrontend
from planner.simulation.load import Request
from planner.simulation.score import Scorecard

TARGETS = Targets(ttft_s=0.5, itl_s=0.02)


def scored(*, ttft_s: float, itl_s: float, osl_tokens: int = 11) -> tuple[int, int, int]:
    scorecard = Scorecard(TARGETS, then=SimulatedFrontend(model="m"))
    job = Job(Request(100.0, 1000, osl_tokens))
    scorecard.started(job)
    job.first_token_s = 100.0 + ttft_s
    scorecard.first_token(job)
    job.finish_s = job.first_token_s + itl_s * (osl_tokens - 1)
    scorecard.finished(job)
    score = scorecard.score(now_s=200.0, gpu_hours=0.0)
    assert score.judged == 1
    return score.ttft_met, score.itl_met, score.attained


@pytest.mark.parametrize(
    ("ttft_s", "itl_s", "expected"),
    [
        (0.3, 0.015, (1, 1, 1)),
        (0.6, 0.015, (0, 1, 0)),
        (0.3, 0.025, (1, 0, 0)),
        (0.6, 0.025, (0, 0, 0)),
    ],
    ids=["both", "first-late", "tokens-late", "neither"],
)
def test_a_request_attains_if_both_latencies_are_within_target(
    ttft_s: float, itl_s: float, expected: tuple[int, int, int]
) -> None:
    assert scored(ttft_s=ttft_s, itl_s=itl_s) == expected


def test_an_answer_of_one_token_has_only_a_first_token_to_miss() -> None:
    assert scored(ttft_s=0.3, itl_s=0.0, osl_tokens=1) == (1, 1, 1)


def test_a_request_that_waits_too_long_counts_as_missed_before_it_is_done() -> None:
    scorecard = Scorecard(TARGETS, then=SimulatedFrontend(model="m"))
    scorecard.started(Job(Request(100.0, 1000, 10)))

    early = scorecard.score(now_s=100.4, gpu_hours=0.0)
    late = scorecard.score(now_s=100.6, gpu_hours=0.0)

    assert (early.judged, early.attained_ratio) == (0, None)
    assert (late.judged, late.attained_ratio) == (1, 0.0)


async def test_gpu_hours_count_starting_and_draining_engines() -> None:
    clock = VirtualClock()
    one_each = Scenario(startup_s=600.0, low_rps=0.5, high_rps=1.0, prefill_replicas=1, decode_replicas=1)
    world = embedded_world(one_each, clock=clock)

    await clock.advance(1800.0)
    world.scale(Replicas.of(prefill=3, decode=1))
    await clock.advance(300.0)
    world.scale(Replicas.of(prefill=1, decode=1))
    await clock.advance(1500.0)

    assert world.score().gpu_hours == pytest.approx(2.0 + 2.0 * 300.0 / 3600.0)


async def test_a_fleet_that_is_large_enough_attains_nearly_everything() -> None:
    clock = VirtualClock()
    world = embedded_world(Scenario(prefill_replicas=12, decode_replicas=12, day_s=300.0), clock=clock)

    await clock.advance(60.0)

    score = world.score()
    assert score.judged > 500
    assert score.attained_ratio is not None
    assert score.attained_ratio > 0.98
