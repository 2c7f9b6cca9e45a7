import pytest

from config.errors import InternalError
from config.policy import PoolPolicy, Role
from planner.core.decision import Demand
from planner.core.sizing.throughput import expected_latency_s, need, replicas_for
from tests.unit.planner.core.scene import PROFILE, policy, pool


@pytest.mark.parametrize(
    ("demand", "capacity", "replicas"),
    [
        pytest.param(0.0, 2.0, 0, id="nothing"),
        pytest.param(1e-12, 2.0, 0, id="rounding noise above nothing"),
        pytest.param(1e-6, 2.0, 1, id="next to nothing"),
        pytest.param(4.0, 2.0, 2, id="exactly two"),
        pytest.param(4.001, 2.0, 3, id="a little more than two"),
        pytest.param(0.1 * 3, 0.1, 3, id="rounding noise buys no GPU"),
        pytest.param(1e300, 1e-300, 10**9, id="beyond any fleet"),
    ],
)
def test_replicas_are_rounded_up(demand: float, capacity: float, replicas: int) -> None:
    assert replicas_for(demand=demand, capacity=capacity) == replicas


def test_a_role_without_a_formula_is_our_own_error() -> None:
    both = PoolPolicy(name="all", role=Role.AGGREGATED, profile=PROFILE)
    demand = Demand(arrivals_rps=1.0, isl_tokens=100.0, osl_tokens=10.0)

    with pytest.raises(InternalError, match="no formula for a pool with role aggregated"):
        need(policy(both), both, demand, correction_ratio=1.0, gpus_per_engine=1)


def test_a_pool_of_none_has_no_latency() -> None:
    demand = Demand(arrivals_rps=1.0, isl_tokens=100.0, osl_tokens=10.0)

    assert expected_latency_s(pool(), demand, replicas=0, correction_ratio=1.0) is None


def test_more_decode_engines_are_expected_to_be_faster() -> None:
    demand = Demand(arrivals_rps=20.0, isl_tokens=1000.0, osl_tokens=100.0)
    few, many = (
        expected_latency_s(pool("decode"), demand, replicas=count, correction_ratio=1.0) for count in (1, 10)
    )

    assert few is not None
    assert many is not None
    assert many < few
