"""The sharing of a budget, against every affordable sharing."""

import itertools

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.core.budget import Claim, cost_gpus, fair_split, split

quick = settings(max_examples=100, deadline=None)


@st.composite
def claims(draw: st.DrawFn) -> tuple[Claim, ...]:
    made = []
    for _ in range(draw(st.integers(1, 3))):
        wanted = draw(st.integers(0, 7))
        gpus = draw(st.sampled_from([1, 2, 4]))
        made.append(Claim(wanted=wanted, least=draw(st.integers(0, min(wanted, 3))), gpus=gpus))
    return tuple(made)


def least_ratio(asked: tuple[Claim, ...], counts: tuple[int, ...]) -> float:
    ratios = [count / claim.wanted for claim, count in zip(asked, counts, strict=True) if claim.wanted]
    return min(ratios, default=1.0)


def best_ratio(asked: tuple[Claim, ...], budget_gpus: int) -> float:
    floors = [claim.least for claim in asked]
    if cost_gpus(asked, tuple(floors)) > budget_gpus:
        floors = [0 for _ in asked]
    ranges = [range(floor, claim.wanted + 1) for floor, claim in zip(floors, asked, strict=True)]
    fitting = (counts for counts in itertools.product(*ranges) if cost_gpus(asked, counts) <= budget_gpus)
    return max(least_ratio(asked, counts) for counts in fitting)


@quick
@given(claims(), st.integers(0, 40))
def test_a_fair_split_serves_the_worst_served_pool_best(asked: tuple[Claim, ...], budget_gpus: int) -> None:
    granted = fair_split(asked, budget_gpus)

    assert cost_gpus(asked, granted) <= budget_gpus
    assert least_ratio(asked, granted) >= best_ratio(asked, budget_gpus) - 1e-12


@quick
@given(claims(), st.integers(0, 40))
def test_a_split_is_affordable_and_gives_nobody_more_than_wanted(
    asked: tuple[Claim, ...], budget_gpus: int
) -> None:
    granted = split(asked, budget_gpus)

    assert cost_gpus(asked, granted) <= budget_gpus
    assert all(0 <= count <= claim.wanted for claim, count in zip(asked, granted, strict=True))


@quick
@given(claims(), st.integers(0, 40))
def test_minimums_are_kept_where_they_fit(asked: tuple[Claim, ...], budget_gpus: int) -> None:
    floors = tuple(claim.least for claim in asked)
    granted = split(asked, budget_gpus)

    if cost_gpus(asked, floors) <= budget_gpus:
        assert all(count >= floor for count, floor in zip(granted, floors, strict=True))


@quick
@given(claims(), st.integers(0, 40))
def test_nothing_is_left_that_somebody_could_use(asked: tuple[Claim, ...], budget_gpus: int) -> None:
    granted = fair_split(asked, budget_gpus)
    rest_gpus = budget_gpus - cost_gpus(asked, granted)

    for claim, count in zip(asked, granted, strict=True):
        assert count == claim.wanted or claim.gpus > rest_gpus


@quick
@given(claims(), st.integers(0, 39))
def test_a_larger_budget_never_serves_the_worst_served_pool_worse(
    asked: tuple[Claim, ...], budget_gpus: int
) -> None:
    # A minimum that begins to fit may cost the others more than one GPU brings.
    assume(cost_gpus(asked, tuple(claim.least for claim in asked)) <= budget_gpus)

    less, more = (fair_split(asked, gpus) for gpus in (budget_gpus, budget_gpus + 1))

    assert least_ratio(asked, less) <= least_ratio(asked, more)
