"""One step after the other: what a tick makes of load, limits, budget and fleets."""

import pytest

from config.policy import Policy, PoolPolicy
from connectors.base import Idle
from planner.core.decision import ReasonCode
from tests.unit.planner.core.scene import Loop, codes, counts, fleet, forecast, policy, pool, traffic


def beside_one_decode(prefill: PoolPolicy, *, budget_gpus: int = 64) -> Policy:
    """Return a policy whose decode pool is a bystander at one engine."""
    return policy(prefill, pool("decode", bounds=(1, 1)), budget_gpus=budget_gpus)


@pytest.mark.parametrize(
    ("found", "bounds", "expected", "code"),
    [
        pytest.param(0, (4, None), 4, ReasonCode.MINIMUM, id="below the minimum"),
        pytest.param(20, (1, 8), 8, ReasonCode.MAXIMUM, id="above the maximum"),
    ],
)
def test_windows_and_steps_do_not_delay_the_pool_s_own_bounds(
    found: int, bounds: tuple[int, int | None], expected: int, code: ReasonCode
) -> None:
    loop = Loop(beside_one_decode(pool(bounds=bounds, steps=(1, 1), windows_s=(600.0, 600.0))))

    decision = loop.tick(75.0 if found else 5.0, fleet(prefill=found, decode=1))

    assert counts(decision)["prefill"] == expected
    assert decision.pools[0].bound_by is code


def test_idle_from_the_start_says_nothing_about_a_prompt_of_no_tokens() -> None:
    nothing = traffic(0.0, isl=Idle(at_s=0.0), osl=Idle(at_s=0.0))

    decision = Loop(policy()).tick(
        nothing, fleet(prefill=8, decode=8), plan=forecast(0.0, isl=None, osl=None)
    )

    assert counts(decision) == {"prefill": 1, "decode": 1}
    assert ReasonCode.OUTSIDE_PROFILE not in codes(decision)
