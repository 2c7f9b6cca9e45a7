"""How long the longest requests stay on an engine is estimated from what is measured, and not made up."""

import math
from dataclasses import replace

import pytest

from config.policy import Role
from connectors.base import Histogram, Unknown
from planner.core.grace import longest_s
from tests.unit.planner.core.scene import traffic

DOWN = Unknown(why="down")
WINDOW = traffic(5.0, osl=100.0, ttft_s=2.0, itl_s=0.1, request_duration_s=DOWN)


def lengths(*counts: float) -> Histogram:
    return Histogram(upper_bounds=(100.0, 1000.0, math.inf), counts=counts)


@pytest.mark.parametrize(
    ("counts", "expected_s"),
    [
        pytest.param((5.0, 0.0, 0.0), 12.0, id="the first bucket"),
        pytest.param((5.0, 1.0, 0.0), 102.0, id="the last bucket that has anything"),
        pytest.param((5.0, 0.0, 1.0), 102.0, id="beyond the last finite bound"),
    ],
)
def test_the_longest_answers_take_their_tokens_and_the_first_one(
    counts: tuple[float, ...], expected_s: float
) -> None:
    assert longest_s(replace(WINDOW, osl_histogram=lengths(*counts)), Role.DECODE) == pytest.approx(
        expected_s
    )


def test_without_a_distribution_the_mean_length_stands_in() -> None:
    assert longest_s(WINDOW, Role.DECODE) == pytest.approx(12.0)


def test_the_mean_duration_is_a_floor() -> None:
    window = traffic(5.0, osl=100.0, ttft_s=2.0, itl_s=0.1, request_duration_s=40.0)

    assert longest_s(window, Role.DECODE) == 40.0


def test_a_prefill_engine_has_a_request_until_its_first_token() -> None:
    assert longest_s(WINDOW, Role.PREFILL) == 2.0


def test_where_nothing_is_known_nothing_is_estimated() -> None:
    window = traffic(5.0, ttft_s=DOWN, itl_s=DOWN, request_duration_s=math.inf)

    assert longest_s(window, Role.PREFILL) is None
    assert longest_s(window, Role.DECODE) is None
    assert longest_s(replace(WINDOW, osl_histogram=lengths(0.0, 0.0, 0.0)), Role.DECODE) is None
