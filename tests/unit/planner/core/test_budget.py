import pytest

from planner.core.budget import Claim, cost_gpus, fair_split, proportional_split, split


def claim(wanted: int, least: int = 1, gpus: int = 1) -> Claim:
    return Claim(wanted=wanted, least=least, gpus=gpus)


@pytest.mark.parametrize(
    ("claims", "budget_gpus", "expected"),
    [
        pytest.param((claim(10), claim(7, gpus=2)), 24, (10, 7), id="all fits to the last GPU"),
        pytest.param((claim(10), claim(7, gpus=2)), 12, (6, 3), id="fair where the proportion overshoots"),
        pytest.param((claim(8), claim(8)), 8, (4, 4), id="in proportion"),
        pytest.param((claim(100), claim(1)), 8, (7, 1), id="a small pool keeps its minimum"),
        pytest.param((claim(5, least=4), claim(5, least=1)), 6, (4, 2), id="a minimum shifts the rest"),
        pytest.param((claim(4, least=3), claim(4, least=3)), 4, (2, 2), id="minimums yield to the budget"),
        pytest.param((claim(0, least=0), claim(9)), 4, (0, 4), id="a pool that wants nothing gets nothing"),
        pytest.param((claim(3), claim(3)), 0, (0, 0), id="no budget at all"),
        pytest.param((claim(9),), 5, (5,), id="one pool"),
        pytest.param((claim(4), claim(4), claim(4)), 7, (2, 2, 3), id="three pools"),
    ],
)
def test_split_table(claims: tuple[Claim, ...], budget_gpus: int, expected: tuple[int, ...]) -> None:
    granted = split(claims, budget_gpus)

    assert granted == expected
    assert cost_gpus(claims, granted) <= budget_gpus


def test_no_pool_is_given_more_than_it_wants() -> None:
    claims = (claim(2, gpus=4), claim(2))

    assert proportional_split(claims, 7) == (1, 3)
    assert split(claims, 7) == (1, 2)


def test_a_fair_split_spends_what_is_left_on_whom_it_helps() -> None:
    # Both at 1/2 takes 6 of 9 GPUs; the rest cannot carry another large engine, so the small pool gets all.
    assert fair_split((claim(2, gpus=4), claim(4)), 9) == (1, 4)
