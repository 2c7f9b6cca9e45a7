"""What `plan` says is what the daemon would decide."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ConfigError
from config.load import load
from config.policies import policy_from
from config.policy import Policy
from connectors.base import Fleet, Observation, PoolState, Traffic, Value
from planner.commands.plan import PlanRequest, plan_for
from planner.commands.plan_view import text
from planner.core.decision import Demand, StepKind
from planner.core.state import initial_state
from planner.core.step import step
from planner.simulation.profile import embedded_profile

PLAN = (
    "plan",
    "--profile",
    "embedded",
    "--rate",
    "40",
    "--isl",
    "2000",
    "--osl",
    "300",
    "--ttft",
    "300ms",
    "--itl",
)
KINDS = {
    "replicas": {"prefill": "int", "decode": "int"},
    "gpus": "int",
    "budget_gpus": "NoneType",
    "expected": {"ttft_s": "float", "itl_s": "float"},
    "bound_by": {"prefill": "str", "decode": "str"},
    "reasons": "list",
    "reasons_data": "list",
    "cautions": "list",
    "demand": {"arrivals_rps": "float", "isl_tokens": "float", "osl_tokens": "float"},
    "targets": {"ttft_s": "float", "itl_s": "float", "percentile_ratio": "NoneType"},
    "solver": "str",
    "profile": "str",
    "pools": "list",
    "sensitivity": "list",
}


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]


def policy(**flags: str) -> Policy:
    given_flags = {"budget_gpus": "64", "targets.ttft": "300ms", "targets.itl": "20ms"} | {
        key.replace("__", "."): value for key, value in flags.items()
    }
    return policy_from(load(flags=given_flags, environment={}).settings, embedded_profile())


def in_the_loop(under: Policy, demand: Demand, *, ticks: int) -> dict[str, int]:
    """Fold the daemon's step over a steady load, each decision carried out at once."""
    state, counts = initial_state(under), {pool.name: 1 for pool in under.pools}
    for number in range(ticks):
        now_s = number * under.interval_s
        fleet = Fleet(at_s=now_s, pools={name: PoolState(desired=n, ready=n) for name, n in counts.items()})
        traffic = Traffic(
            at_s=now_s,
            window_s=under.interval_s,
            arrivals_rps=Value(value=demand.arrivals_rps, at_s=now_s),
            isl_tokens=Value(value=demand.isl_tokens, at_s=now_s),
            osl_tokens=Value(value=demand.osl_tokens, at_s=now_s),
        )
        observation = Observation(traffic=traffic, fleet=fleet)
        state, decision = step(under, state, observation, None, now_s=now_s, kind=StepKind.TICK)
        counts = dict(decision.replicas)
    return counts


@settings(max_examples=40, deadline=None)
@given(
    rate_rps=st.floats(0.1, 300.0),
    isl_tokens=st.floats(100.0, 10_000.0),
    osl_tokens=st.floats(1.0, 2000.0),
    budget_gpus=st.integers(2, 60),
)
def test_a_plan_is_what_the_daemon_decides_at_that_load(
    rate_rps: float, isl_tokens: float, osl_tokens: float, budget_gpus: int
) -> None:
    under = policy(budget_gpus=str(budget_gpus))
    demand = Demand(arrivals_rps=rate_rps, isl_tokens=isl_tokens, osl_tokens=osl_tokens)

    plan = plan_for(PlanRequest(policy=under, demand=demand))

    assert dict(plan.decision.replicas) == in_the_loop(under, demand, ticks=1)
    assert plan.decision.gpus <= budget_gpus


def test_limits_that_only_spread_a_change_over_time_do_not_lower_the_plan() -> None:
    under = policy(pools__prefill__max_step_up="1", pools__decode__scale_up_window="5m")
    demand = Demand(arrivals_rps=60.0, isl_tokens=2000.0, osl_tokens=300.0)

    plan = plan_for(PlanRequest(policy=under, demand=demand))

    assert dict(plan.decision.replicas) == in_the_loop(under, demand, ticks=30)


def test_without_a_budget_nothing_is_cut() -> None:
    under = policy(budget_gpus="2")
    demand = Demand(arrivals_rps=60.0, isl_tokens=2000.0, osl_tokens=300.0)

    free = plan_for(PlanRequest(policy=under, demand=demand, is_budgeted=False))
    bound = plan_for(PlanRequest(policy=under, demand=demand))

    assert free.budget_gpus is None
    assert free.decision.replicas["prefill"] == free.decision.pools[0].needed
    assert bound.decision.gpus == 2
    assert len(bound.cautions) == 2


def test_the_sensitivity_grows_with_the_rate() -> None:
    demand = Demand(arrivals_rps=40.0, isl_tokens=2000.0, osl_tokens=300.0)

    plan = plan_for(PlanRequest(policy=policy(), demand=demand))

    rates = [one.decision.gpus for one in plan.sensitivity if one.change.startswith("rate")]
    assert rates == sorted(rates)
    assert plan.decision in [one.decision for one in plan.sensitivity]


def test_a_load_that_no_step_can_judge_is_refused() -> None:
    demand = Demand(arrivals_rps=float("nan"), isl_tokens=1.0, osl_tokens=1.0)

    with pytest.raises(ConfigError, match="cannot be judged: holding: the offered load is not known"):
        plan_for(PlanRequest(policy=policy(), demand=demand))


def test_a_slow_prompt_is_said_to_be_beyond_the_help_of_more_engines() -> None:
    slow = replace(policy(), targets=replace(policy().targets, ttft_s=0.05))

    plan = plan_for(
        PlanRequest(policy=slow, demand=Demand(arrivals_rps=1.0, isl_tokens=4000.0, osl_tokens=10.0))
    )

    assert any("longer than the TTFT target of 50 ms: more engines do not help" in c for c in plan.cautions)


def kinds(found: object) -> object:
    return (
        {key: kinds(one) for key, one in found.items()} if isinstance(found, dict) else type(found).__name__
    )


@pytest.mark.parametrize("budget", [(), ("--budget", "9")], ids=["unlimited", "bound"])
def test_json_holds_every_field_with_its_kind(setpoint: Run, budget: tuple[str, ...]) -> None:
    answered = setpoint(*PLAN, "20ms", "--output", "json", *budget)

    document = json.loads(answered.out)
    assert answered.err == ""
    assert kinds(document) == KINDS | ({"budget_gpus": "int"} if budget else {})
    assert sum(document["replicas"].values()) == document["gpus"]
    assert {one["code"] for one in document["reasons_data"]} == {"load", *(["budget"] if budget else [])}
    assert len(document["reasons"]) == len(document["reasons_data"])


def test_the_table_names_the_answer_first(setpoint: Run) -> None:
    answered = setpoint(*PLAN, "20ms")

    assert answered.out.startswith("6 prefill + 4 decode = 10 GPUs\n")
    assert "no budget given, so GPUs are not limited" in " ".join(answered.out.split())
    assert "as asked" in answered.out
    assert "\x1b[" not in answered.out


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table_fits_the_terminal(setpoint: Run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    answered = setpoint(*PLAN, "4ms", "--budget", "3", "--prefill-gpus", "2")

    assert max(map(len, answered.out.splitlines())) <= int(columns)
    assert "overload" in answered.out
    assert "Raise the target or use faster engines" in " ".join(answered.out.split())


def test_a_plan_takes_the_settings_of_the_daemon(
    setpoint: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "setpoint.yaml"
    file.write_text("budget_gpus: 6\nprofile: embedded\ntargets: {ttft: 300ms, itl: 20ms}\n")
    point = ("--rate", "40", "--isl", "2000", "--osl", "300", "-o", "json")

    from_file = json.loads(setpoint("plan", "-c", str(file), *point).out)
    over_file = json.loads(setpoint("plan", "-c", str(file), *point, "--budget", "8").out)
    monkeypatch.setenv("SETPOINT_BUDGET_GPUS", "7")
    from_variable = json.loads(setpoint("plan", "-c", str(file), *point).out)

    assert [plan["budget_gpus"] for plan in (from_file, over_file, from_variable)] == [6, 8, 7]


def optimistic(itl: str) -> Policy:
    """Return a policy with a profile whose throughput at an ITL is higher than its own curve can explain."""
    profile = embedded_profile()
    assert profile.decode is not None
    faster = tuple(one * 1.6 for one in profile.decode.throughput_tokens_per_s_per_gpu)
    decode = replace(profile.decode, throughput_tokens_per_s_per_gpu=faster)
    flags = {"budget_gpus": "64", "targets.ttft": "300ms", "targets.itl": itl}
    return policy_from(load(flags=flags, environment={}).settings, replace(profile, decode=decode))


def test_an_itl_above_the_target_is_cautioned_with_a_number_of_engines_that_meets_it() -> None:
    demand = Demand(arrivals_rps=40.0, isl_tokens=2000.0, osl_tokens=300.0)
    under = optimistic("10ms")

    plan = plan_for(PlanRequest(policy=under, demand=demand))

    (caution,) = plan.cautions
    asked = re.search(r"--min-decode (\d+)", caution)
    assert "above the ITL target of 10.0 ms. The throughput solver divides the load by" in caution
    assert "Lower --itl" in caution
    assert asked is not None
    enough = [
        replace(pool, min_replicas=int(asked[1])) if pool.name == "decode" else pool for pool in under.pools
    ]
    with_headroom = plan_for(PlanRequest(policy=replace(under, pools=tuple(enough)), demand=demand))
    assert with_headroom.cautions == ()


def test_an_itl_target_out_of_reach_is_cautioned() -> None:
    demand = Demand(arrivals_rps=10.0, isl_tokens=2000.0, osl_tokens=300.0)

    plan = plan_for(PlanRequest(policy=policy(targets__itl="2ms"), demand=demand, is_budgeted=False))

    (caution,) = plan.cautions
    assert "the ITL target of 2.0 ms is out of reach" in caution
    assert f"so {plan.decision.replicas['decode']} engines would be bought for nothing" in caution


def test_what_if_rows_note_an_itl_above_the_target() -> None:
    demand = Demand(arrivals_rps=40.0, isl_tokens=2000.0, osl_tokens=300.0)

    shown = text(plan_for(PlanRequest(policy=optimistic("10ms"), demand=demand)))

    (row,) = [line for line in shown.splitlines() if line.startswith("rate × 1 ")]
    assert row.endswith("ITL above target")
