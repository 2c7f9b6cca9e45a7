"""One deployment with two pools, and the records of a tick, a look and a hold."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from config.clock import VirtualClock
from config.policy import EngineProfile, ForecastPolicy, Policy, PoolPolicy, Role, Targets
from connectors.base import Fleet, Idle, Observation, PoolState, Traffic, Unknown, Value
from planner.core.decision import Decision, Demand, PoolDecision, ReasonCode, StepKind, because
from planner.core.state import initial_state
from planner.serving.records import Started, Stepped
from planner.serving.status import StatusBoard
from predictors.base import Forecast, Quantile, SeriesForecast

WALL_S = 1_700_000_000.0


@pytest.fixture
def policy() -> Policy:
    profile = EngineProfile(name="some-engine")
    return Policy(
        pools=(
            PoolPolicy(name="prefill", role=Role.PREFILL, profile=profile),
            PoolPolicy(name="decode", role=Role.DECODE, profile=profile, max_replicas=6),
        ),
        targets=Targets(ttft_s=0.3, itl_s=0.03, percentile_ratio=0.95),
        budget_gpus=8,
        interval_s=30.0,
    )


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(wall_origin_s=WALL_S)


@pytest.fixture
def board(clock: VirtualClock) -> StatusBoard:
    return StatusBoard(clock=clock, version="0.1.0", target="llama", advisory=True)


@pytest.fixture
def started(policy: Policy) -> Started:
    return Started(
        at_wall_s=WALL_S,
        now_s=0.0,
        version="0.1.0",
        target="llama",
        policy=policy,
        forecast_policy=ForecastPolicy(),
        state=initial_state(policy),
    )


def observation(at_s: float) -> Observation:
    return Observation(
        traffic=Traffic(
            at_s=at_s - 2.0,
            window_s=30.0,
            arrivals_rps=Value(value=12.34, at_s=at_s),
            isl_tokens=Value(value=3000.0, at_s=at_s),
            osl_tokens=Value(value=150.0, at_s=at_s),
            ttft_s=Value(value=0.2, at_s=at_s),
            ttft_quantile_s=Value(value=0.4, at_s=at_s),
            itl_s=Idle(at_s=at_s),
            queued=Unknown(why="no such series"),
        ),
        fleet=Fleet(
            at_s=at_s,
            pools={
                "prefill": PoolState(desired=2, ready=1, starting=1),
                "decode": PoolState(desired=4, ready=4, terminating=1),
            },
        ),
    )


def series(mean: float) -> SeriesForecast:
    quantiles = (Quantile(level_ratio=0.5, value=mean), Quantile(level_ratio=0.95, value=2.0 * mean))
    return SeriesForecast(mean=mean, quantiles=quantiles, calibrated=True)


FORECAST = Forecast(
    made_at_s=30.0,
    horizon_s=60.0,
    predictor="constant",
    arrivals_rps=series(13.0),
    isl_tokens=series(3000.0),
    osl_tokens=None,
    points=7,
    late_intervals=2,
)


def decision(at_s: float, kind: StepKind) -> Decision:
    prefill = PoolDecision(
        pool="prefill",
        role=Role.PREFILL,
        current=2,
        ready=1,
        needed=3,
        replicas=3,
        gpus_per_engine=1,
        demand_tokens_per_s=39_000.0,
        capacity_tokens_per_s=15_000.0,
        utilization_ratio=0.8,
        expected_latency_s=0.25,
        correction_ratio=1.1,
    )
    decode = PoolDecision(
        pool="decode",
        role=Role.DECODE,
        current=4,
        ready=4,
        needed=3,
        replicas=4,
        gpus_per_engine=1,
        bound_by=ReasonCode.MINIMUM,
    )
    return Decision(
        at_s=at_s,
        kind=kind,
        pools=(prefill, decode),
        budget_gpus=8,
        committed_gpus=8,
        demand=Demand(arrivals_rps=13.0, isl_tokens=3000.0, osl_tokens=150.0),
        expected_ttft_s=0.25,
        reasons=(
            because(ReasonCode.LOAD, pool="prefill", replicas=3),
            because(ReasonCode.MINIMUM, pool="decode"),
        ),
    )


def unchanged(made: Decision) -> Decision:
    return replace(made, pools=tuple(replace(pool, replicas=pool.current) for pool in made.pools))


def tick(now_s: float = 30.0) -> Stepped:
    return Stepped(
        at_wall_s=WALL_S + now_s,
        now_s=now_s,
        target="llama",
        kind=StepKind.TICK,
        observation=observation(now_s),
        forecast=FORECAST,
        decision=decision(now_s, StepKind.TICK),
        duration_s=0.02,
    )


def look(now_s: float = 35.0) -> Stepped:
    record = tick(now_s)
    quiet = unchanged(decision(now_s, StepKind.LOOK))
    return replace(record, kind=StepKind.LOOK, decision=replace(quiet, reasons=(because(ReasonCode.QUIET),)))


def hold(now_s: float = 30.0) -> Stepped:
    record = tick(now_s)
    traffic = replace(record.observation.traffic, arrivals_rps=Unknown(why="prometheus did not answer"))
    held = replace(
        unchanged(record.decision),
        is_hold=True,
        reasons=(because(ReasonCode.BLIND_ARRIVALS, detail="prometheus did not answer"),),
    )
    seen = Observation(traffic=traffic, fleet=Unknown(why="connection refused"))
    return replace(record, observation=seen, decision=held, forecast=None)


@pytest.fixture
def make_tick() -> Callable[[float], Stepped]:
    return tick


@pytest.fixture
def make_look() -> Callable[[float], Stepped]:
    return look


@pytest.fixture
def make_hold() -> Callable[[float], Stepped]:
    return hold


def explain(made: Decision) -> tuple[str, ...]:
    return tuple(f"{reason.pool}{reason.code.value} {reason.detail}".strip() for reason in made.reasons)


def headline(made: Decision) -> str:
    pools = ", ".join(f"{pool.pool} {pool.current}→{pool.replicas} ({pool.bound_by})" for pool in made.pools)
    return f"{pools}; {made.committed_gpus} of {made.budget_gpus} GPUs"


@pytest.fixture
def words() -> Callable[[Decision], tuple[str, ...]]:
    return explain


@pytest.fixture
def head_line() -> Callable[[Decision], str]:
    return headline
