"""The throughput solver and the corrections against the answers of Dynamo's planner 0.9.0."""

import math
from typing import Any

import pytest

from config.policy import CorrectionPolicy, EngineProfile, Policy, PoolPolicy, Role, Targets
from connectors.base import Fleet, Idle, Observation, PoolState, Reading, Traffic, Unknown, reading
from planner.core.decision import Decision, Demand, ReasonCode, StepKind
from planner.core.sizing.throughput import need
from planner.core.state import State, initial_state
from planner.core.step import step
from predictors.base import Forecast, SeriesForecast

LOOSE = CorrectionPolicy(lower_ratio=1e-9, upper_ratio=1e9)


def policy_of(case: dict[str, Any], profile: EngineProfile) -> Policy:
    least = case.get("min_endpoint_replicas", 1)
    return Policy(
        pools=tuple(
            PoolPolicy(
                name=role,
                role=role,
                profile=profile,
                gpus_per_engine=case.get(f"{role}_gpus_per_engine", 1),
                min_replicas=least,
            )
            for role in (Role.PREFILL, Role.DECODE)
        ),
        targets=Targets(
            ttft_s=case.get("ttft_target_ms", 200.0) / 1000, itl_s=case.get("itl_target_ms", 50.0) / 1000
        ),
        budget_gpus=case["max_gpu_budget_gpus"],
        interval_s=case["adjustment_interval_s"],
        correction=LOOSE,
    )


def fleet_of(prefill: int, decode: int) -> Fleet:
    return Fleet(
        at_s=0.0,
        pools={
            "prefill": PoolState(desired=prefill, ready=prefill),
            "decode": PoolState(desired=decode, ready=decode),
        },
    )


def forecast_of(arrivals_rps: float, isl_tokens: float, osl_tokens: float) -> Forecast:
    return Forecast(
        made_at_s=0.0,
        horizon_s=60.0,
        predictor="golden",
        arrivals_rps=SeriesForecast(mean=arrivals_rps),
        isl_tokens=SeriesForecast(mean=isl_tokens),
        osl_tokens=SeriesForecast(mean=osl_tokens),
        points=1,
    )


def decide_replica_case(case: dict[str, Any], profile: EngineProfile, fleet: Fleet) -> Decision:
    policy = policy_of(case, profile)
    state = initial_state(policy)
    ratios = (case["prefill_correction_factor"], case["decode_correction_factor"])
    memories = tuple(
        memory.__class__(pool=memory.pool, correction_ratio=ratio, gpus_per_engine=memory.gpus_per_engine)
        for memory, ratio in zip(state.pools, ratios, strict=True)
    )
    state = State(pools=memories)
    arrivals = float(case["num_req_per_interval"]) / case["adjustment_interval_s"]
    traffic = Traffic(
        at_s=0.0,
        window_s=case["adjustment_interval_s"],
        arrivals_rps=reading(arrivals, at_s=0.0),
        isl_tokens=reading(float(case["isl_tokens"]), at_s=0.0),
        osl_tokens=reading(float(case["osl_tokens"]), at_s=0.0),
    )
    forecast = forecast_of(arrivals, float(case["isl_tokens"]), float(case["osl_tokens"]))
    observation = Observation(traffic=traffic, fleet=fleet)
    return step(policy, state, observation, forecast, now_s=0.0, kind=StepKind.TICK)[1]


def is_sane(case: dict[str, Any]) -> bool:
    """Tell whether a deployment could have shown this: no negative load, and no mean length below a token."""
    load = float(case["num_req_per_interval"])
    lengths = (float(case["isl_tokens"]), float(case["osl_tokens"]))
    return math.isfinite(load) and load >= 0 and all(length >= 1 for length in lengths)


def best_possible_ratio(case: dict[str, Any], needs: tuple[int, int]) -> float:
    """Find the best least ratio by trying every affordable pair."""
    gpus = (case["prefill_gpus_per_engine"], case["decode_gpus_per_engine"])
    budget = case["max_gpu_budget_gpus"]
    least = case["min_endpoint_replicas"]
    if least * sum(gpus) > budget:
        least = 0
    return max(
        min(p / needs[0], d / needs[1])
        for p in range(least, needs[0] + 1)
        for d in range(least, needs[1] + 1)
        if p * gpus[0] + d * gpus[1] <= budget
    )


def test_replica_counts_equal_dynamo_or_improve_on_its_defects(
    golden: dict[str, Any], profiles: dict[str, EngineProfile]
) -> None:
    checked = {"equal": 0, "over_budget": 0, "insane": 0}
    for case in golden["replica_cases"]:
        expected = case["expected"]
        decision = decide_replica_case(case, profiles[case["profile"]], fleet_of(0, 0))
        context = case["id"], case["note"], decision.replicas, expected
        assert decision.gpus <= case["max_gpu_budget_gpus"], context
        assert decision.committed_gpus <= case["max_gpu_budget_gpus"], context
        if not is_sane(case):  # a 0.9.0 defect: such a forecast is refused and the fleet is held
            assert decision.is_hold or ReasonCode.FORECAST_MISSING in {r.code for r in decision.reasons}
            checked["insane"] += 1
        elif expected["exceeds_budget"]:  # a 0.9.0 defect: the best affordable split is right
            least = case["min_endpoint_replicas"]
            needs = tuple(max(pool.needed or 0, least) for pool in decision.pools)
            got = min(pool.replicas / n for pool, n in zip(decision.pools, needs, strict=True))
            assert got == pytest.approx(best_possible_ratio(case, (needs[0], needs[1]))), context
            checked["over_budget"] += 1
        else:
            counts = (decision.replicas.prefill, decision.replicas.decode)
            assert counts == (expected["prefill_replicas"], expected["decode_replicas"]), context
            checked["equal"] += 1
    assert checked == {"equal": 209, "over_budget": 60, "insane": 5}


def test_intermediate_capacities_equal_dynamo(
    golden: dict[str, Any], profiles: dict[str, EngineProfile]
) -> None:
    for case in golden["replica_cases"]:
        if not is_sane(case):
            continue
        policy, expected = policy_of(case, profiles[case["profile"]]), case["expected"]
        demand = Demand(
            arrivals_rps=case["num_req_per_interval"] / case["adjustment_interval_s"],
            isl_tokens=case["isl_tokens"],
            osl_tokens=case["osl_tokens"],
        )
        needs = [
            need(
                policy,
                pool,
                demand,
                correction_ratio=case[f"{pool.name}_correction_factor"],
                gpus_per_engine=pool.gpus_per_engine,
            )
            for pool in policy.pools
        ]

        assert needs[0].capacity_tokens_per_s == pytest.approx(
            expected["prefill_throughput_tokens_per_s_per_gpu"] * case["prefill_gpus_per_engine"], rel=1e-6
        )
        assert needs[1].capacity_tokens_per_s == pytest.approx(
            expected["decode_best_throughput_tokens_per_s_per_gpu"] * case["decode_gpus_per_engine"],
            rel=1e-6,
        )
        unattainable = ReasonCode.TARGET_UNATTAINABLE in {reason.code for reason in needs[1].reasons}
        assert unattainable == (not expected["itl_target_attainable"])


def reading_of(value: object, *, outage: bool) -> Reading:
    if outage:
        return Unknown(why="the server is down")
    number = float(str(value))
    return Idle(at_s=0.0) if math.isnan(number) else reading(number, at_s=0.0)


def observe(case: dict[str, Any], *, fleet: Fleet, interval_s: float) -> Observation:
    """Translate what 0.9.0 was fed: NaN is an idle window there, zero latency an outage."""
    outage = float(str(case["ttft_s"])) == 0.0
    arrivals = float(case["num_req"]) / interval_s
    traffic = Traffic(
        at_s=0.0,
        window_s=interval_s,
        arrivals_rps=reading_of(arrivals, outage=outage),
        isl_tokens=reading_of(case["isl"], outage=outage),
        osl_tokens=reading_of(case["osl"], outage=outage),
        ttft_s=reading_of(case["ttft_s"], outage=outage),
        itl_s=reading_of(case["itl_s"], outage=outage),
        request_duration_s=reading_of(case["request_duration_s"], outage=outage),
    )
    return Observation(traffic=traffic, fleet=fleet)


def test_correction_steps_equal_dynamo(golden: dict[str, Any], profiles: dict[str, EngineProfile]) -> None:
    for case in golden["correction_cases"]:
        expected = case["expected"]
        policy = policy_of(case, profiles[case["profile"]])
        seen = {
            "ttft_s": case["observed_ttft_s"],
            "itl_s": case["observed_itl_s"],
            "num_req": case["observed_num_req_per_interval"],
            "isl": case["observed_isl_tokens"],
            "osl": case["observed_osl_tokens"],
            "request_duration_s": case["observed_request_duration_s"],
        }
        fleet = fleet_of(case["prefill_workers"], case["decode_workers"])
        observation = observe(seen, fleet=fleet, interval_s=policy.interval_s)
        isl, osl = float(str(seen["isl"])), float(str(seen["osl"]))
        forecast = forecast_of(float(seen["num_req"]) / policy.interval_s, isl, osl)

        state, decision = step(
            policy, initial_state(policy), observation, forecast, now_s=0.0, kind=StepKind.TICK
        )

        outage = seen["ttft_s"] == 0.0
        ratios = [memory.correction_ratio for memory in state.pools]
        if outage:  # a 0.9.0 defect: an outage is no observation; nothing is corrected or changed
            assert ratios == [1.0, 1.0]
            assert decision.is_hold
            continue
        wanted = [expected["prefill_correction_factor"], expected["decode_correction_factor"]]
        assert ratios == [pytest.approx(float(ratio), rel=1e-6) for ratio in wanted], case["id"]
        if expected["scaling_call"] is not None and decision.gpus > 0:
            needed = {pool.pool: max(pool.needed or 0, 1) for pool in decision.pools}
            if sum(needed.values()) <= policy.budget_gpus:
                assert needed == expected["scaling_call"], case["id"]


def test_loop_sequences_give_the_right_answer_where_dynamo_has_defects(
    golden: dict[str, Any], profiles: dict[str, EngineProfile]
) -> None:
    """Check that idle shrinks to the minimum, an outage changes nothing, and good steps equal 0.9.0's."""
    for case in golden["loop_cases"]:
        policy = policy_of(case, profiles[case["profile"]])
        fleet, state = fleet_of(case["prefill_workers"], case["decode_workers"]), initial_state(policy)
        serving = dict.fromkeys(("prefill", "decode"), 1)
        for number, recorded in enumerate(case["steps"]):
            seen = recorded["observed"]
            observation = observe(seen, fleet=fleet, interval_s=policy.interval_s)
            now_s = policy.interval_s * (number + 1)
            state, decision = step(policy, state, observation, None, now_s=now_s, kind=StepKind.TICK)
            counts = dict(decision.replicas)
            context = case["scenario"], case["load_predictor"], number, counts, recorded
            if float(str(seen["ttft_s"])) == 0.0:
                assert decision.is_hold, context
                assert counts == serving, context
            elif float(seen["num_req"]) == 0.0:
                assert counts == {"prefill": 1, "decode": 1}, context
            elif case["load_predictor"] == "constant" or number == 0:
                assert counts == recorded["scaling_call"], context
            # In these runs 0.9.0 always found the same workers, so only what is desired moves.
            serving = counts
            fleet = Fleet(
                at_s=now_s,
                pools={name: PoolState(desired=counts[name], ready=1) for name in counts},
            )
