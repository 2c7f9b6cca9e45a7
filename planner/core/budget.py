"""Sharing a hard limit of GPUs among pools.

Nothing here ever exceeds the budget: minimums and rounding yield to it.
"""

import math
from dataclasses import dataclass

# Halving 1 so often tells apart any two ratios of counts below a million.
_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one pool asks of the budget.

    Attributes:
        wanted: Replicas that it wants.
        least: Replicas that it should not go below.
        gpus: GPUs of one replica; at least 1.
    """

    wanted: int
    least: int
    gpus: int


def cost_gpus(claims: tuple[Claim, ...], counts: tuple[int, ...]) -> int:
    """Return the GPUs of so many replicas."""
    return sum(claim.gpus * count for claim, count in zip(claims, counts, strict=True))


def split(claims: tuple[Claim, ...], budget_gpus: int) -> tuple[int, ...]:
    """Return the replicas of each pool under a budget.

    All wants where they fit; else the split of Dynamo's SLA Planner 0.9.0 where that fits and gives no pool
    more than it wants; else the fair one.

    Example:
        >>> ten_by_one, seven_by_two = Claim(wanted=10, least=1, gpus=1), Claim(wanted=7, least=1, gpus=2)
        >>> split((ten_by_one, seven_by_two), 24), split((ten_by_one, seven_by_two), 12)
        ((10, 7), (6, 3))
    """
    wanted = tuple(claim.wanted for claim in claims)
    if cost_gpus(claims, wanted) <= budget_gpus:
        return wanted
    proportional = proportional_split(claims, budget_gpus)
    is_modest = all(count <= claim.wanted for claim, count in zip(claims, proportional, strict=True))
    if is_modest and cost_gpus(claims, proportional) <= budget_gpus:
        return proportional
    return fair_split(claims, budget_gpus)


def proportional_split(claims: tuple[Claim, ...], budget_gpus: int) -> tuple[int, ...]:
    """Return the split of 0.9.0: in proportion, the last pool takes the rest.

    It may exceed the budget, and the last pool may get more than it wants. `round` rounds halves to even,
    as there.
    """
    share = budget_gpus / cost_gpus(claims, tuple(claim.wanted for claim in claims))
    head = [max(claim.least, round(claim.wanted * share)) for claim in claims[:-1]]
    last = claims[-1]
    rest_gpus = budget_gpus - cost_gpus(claims[:-1], tuple(head))
    return (*head, max(last.least, round(rest_gpus / last.gpus)))


def fair_split(claims: tuple[Claim, ...], budget_gpus: int) -> tuple[int, ...]:
    """Return the feasible split whose worst-served pool is served best.

    It maximizes the least ratio of granted to wanted replicas, then spends what is left on the pools that are
    served worst. Where the least counts alone exceed the budget, they yield.
    """
    if cost_gpus(claims, tuple(claim.least for claim in claims)) > budget_gpus:
        claims = tuple(Claim(wanted=claim.wanted, least=0, gpus=claim.gpus) for claim in claims)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        fits = cost_gpus(claims, _at_ratio(claims, middle)) <= budget_gpus
        low, high = (middle, high) if fits else (low, middle)
    counts = list(_at_ratio(claims, low))
    _spend_rest(claims, counts, budget_gpus)
    return tuple(counts)


def _at_ratio(claims: tuple[Claim, ...], ratio: float) -> tuple[int, ...]:
    return tuple(max(claim.least, math.ceil(ratio * claim.wanted)) for claim in claims)


def _spend_rest(claims: tuple[Claim, ...], counts: list[int], budget_gpus: int) -> None:
    rest_gpus = budget_gpus - cost_gpus(claims, tuple(counts))
    while True:
        open_pools = [
            index
            for index, claim in enumerate(claims)
            if counts[index] < claim.wanted and claim.gpus <= rest_gpus
        ]
        if not open_pools:
            return
        worst = min(open_pools, key=lambda index: counts[index] / claims[index].wanted)
        counts[worst] += 1
        rest_gpus -= claims[worst].gpus
