"""Which lines would Dynamo's planner write for a step?

The shapes are those of Dynamo's planner 0.9.0, and the summary of 1.6.1, so that searches that people saved
go on finding. Dynamo counts requests per interval and latencies in milliseconds; so do these lines. A number
that is not known, or idle, reads `nan`. Where the words of the original would be false (a value that is
missing does not count as 0 here) its searchable beginning stays and the rest says what is true.
"""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from config.policy import Policy, Role
from connectors.base import NOT_READ, Reading, Unknown, Value
from planner.core.decision import Decision, Direction, PoolDecision, Reason, ReasonCode, StepKind
from planner.core.guard import limited
from planner.serving.dynamo_series import serving_engines
from planner.serving.dynamo_states import load_state, throughput_state
from planner.serving.records import Actuated, Stepped

NAN = math.nan
# The kind of target that Dynamo has a line of its own for, as its name begins.
_ADAPTER = "dynamographdeploymentscalingadapter"

# These reasons have lines of their own below.
TOLD = frozenset(
    {
        ReasonCode.LOAD,
        ReasonCode.BUDGET,
        ReasonCode.FORECAST_MISSING,
        ReasonCode.CORRECTION_FROZEN,
        ReasonCode.BLIND_ARRIVALS,
        ReasonCode.BLIND_LENGTHS,
        ReasonCode.BLIND_FLEET,
        ReasonCode.INTERNAL,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line and how severe it is."""

    text: str
    level: int = logging.INFO


def tick_lines(tick: Stepped, policy: Policy, *, is_advisory: bool) -> Iterator[Line]:
    """Yield the lines of a tick in Dynamo's order, but for its summary and its writes."""
    yield Line(text="New adjustment interval started!")
    yield from _observed(tick, policy)
    if tick.decision.is_hold:
        yield from (line for reason in tick.decision.reasons for line in _skipped(reason))
        return
    yield from _failures(tick.decision)
    yield _factors(tick.decision)
    yield from _predicted(tick, policy)
    yield from _sized(tick.decision, policy)
    yield from _budget(tick.decision)
    yield from _ignored(tick)
    if not is_advisory and not tick.decision.is_change:
        for pool in tick.decision.pools:
            yield _kept(pool.role, _component(tick, pool.pool), pool.replicas)


def summary(step: Stepped, *, last_tick: Stepped | None, last_look: Stepped | None) -> Line:
    """Return the one line that sums a step up.

    Args:
        step: The step.
        last_tick: The newest tick, which may be the step itself.
        last_look: The newest look, which may be the step itself.
    """
    decision, pools = step.decision, step.decision.pools
    current = ", ".join(f"{pool.pool}={pool.current}" for pool in pools) or "unknown"
    wanted = ", ".join(f"{pool.pool}={pool.replicas}" for pool in pools) or "unknown"
    delta = ", ".join(f"{pool.replicas - pool.current:+d}" for pool in pools)
    bound = ", ".join(f"{pool.pool}={pool.bound_by}" for pool in pools) or "unknown"
    is_quiet = step.kind is StepKind.LOOK and not decision.is_change
    return Line(
        text=(
            f"[summary] {_verdict(decision)} | current: {current} | recommended: {wanted} ({delta})"
            f" | load_reason={load_state(last_look)} throughput_reason={throughput_state(last_tick)}"
            f" | est_ttft={_ms(decision.expected_ttft_s)} est_itl={_ms(decision.expected_itl_s)}"
            f" | bound_by: {bound}"
        ),
        level=logging.DEBUG if is_quiet else logging.INFO,
    )


def written(actuated: Actuated, step: Stepped) -> Iterator[Line]:
    """Yield what became of each pool of a decision that was carried out.

    Args:
        actuated: What was asked for.
        step: The step, which tells what each pool is called and what it was asked for before.
    """
    current = {pool.pool: pool.current for pool in step.decision.pools}
    for pool in actuated.replicas:
        name = _component(step, pool.pool)
        if current.get(pool.pool) == pool.count:
            yield _kept(pool.role, name, pool.count)
            continue
        yield Line(text=f"Updating {pool.role} component {name} to desired replica count {pool.count}")
        kind, _, adapter = _target(step, pool.pool).partition(" ")
        if kind == _ADAPTER:
            yield Line(text=f"Scaled DGDSA {adapter} to {pool.count} replicas")


def _ignored(tick: Stepped) -> Iterator[Line]:
    for reason in tick.decision.reasons:
        figures = reason.numbers()
        if reason.code is ReasonCode.ROLLING_OUT and figures.get("wanted") != figures.get("replicas"):
            text = f"Deployment {tick.target} is not ready, ignoring this scaling"
            yield Line(text=f"{text} of {reason.pool} ({reason.detail})", level=logging.WARNING)


def _component(step: Stepped, pool: str) -> str:
    """Return the service that is the pool, where its target says so, else the pool's own name."""
    return _target(step, pool).partition(":")[2] or pool


def _target(step: Stepped, pool: str) -> str:
    fleet = step.observation.fleet
    state = None if isinstance(fleet, Unknown) else fleet.pools.get(pool)
    return "" if state is None else state.target


def _kept(role: Role, name: str, count: int) -> Line:
    head = role.value.capitalize()
    return Line(text=f"{head} component {name} already at desired replica count {count}, skipping")


def _observed(tick: Stepped, policy: Policy) -> Iterator[Line]:
    traffic = tick.observation.traffic
    signals = {
        "num_req": traffic.arrivals_rps,
        "isl": traffic.isl_tokens,
        "osl": traffic.osl_tokens,
        "ttft": traffic.ttft_s,
        "itl": traffic.itl_s,
        "request_duration": traffic.request_duration_s,
    }
    for name, read in signals.items():
        if isinstance(read, Unknown) and read != NOT_READ:
            text = f"No prometheus metric data available for {name} ({read.why}), it is unknown and not 0"
            yield Line(text=text, level=logging.WARNING)
    num_req = _number(traffic.arrivals_rps) * policy.interval_s
    isl, osl = _number(traffic.isl_tokens), _number(traffic.osl_tokens)
    yield Line(text=f"Observed num_req: {num_req:.2f} isl: {isl:.2f} osl: {osl:.2f}")
    ttft_ms, itl_ms = _number(traffic.ttft_s) * 1000.0, _number(traffic.itl_s) * 1000.0
    yield Line(text=f"Observed ttft: {ttft_ms:.2f}ms itl: {itl_ms:.2f}ms")
    prefill, decode = serving_engines(tick, Role.PREFILL), serving_engines(tick, Role.DECODE)
    if prefill is not None and decode is not None:
        yield Line(text=f"Number of prefill workers: {prefill}, number of decode workers: {decode}")


def _skipped(reason: Reason) -> Iterator[Line]:
    why = reason.detail
    if reason.code in {ReasonCode.BLIND_ARRIVALS, ReasonCode.BLIND_LENGTHS}:
        text = f"Metrics contain None or NaN values ({why}), skipping adjustment"
        yield Line(text=text, level=logging.WARNING)
    elif reason.code is ReasonCode.BLIND_FLEET:
        yield Line(text=f"Failed to get worker counts: {why}, skipping adjustment", level=logging.WARNING)
    elif reason.code is ReasonCode.INTERNAL:
        yield Line(text=f"Failed to compute number of replicas: {why}", level=logging.ERROR)


def _failures(decision: Decision) -> Iterator[Line]:
    for reason in decision.reasons:
        if reason.code is ReasonCode.CORRECTION_FROZEN:
            ratio = reason.numbers().get("ratio", NAN)
            text = f"Failed to correct prediction factors: {reason.pool} stays {ratio:.3f} ({reason.detail})"
            yield Line(text=text, level=logging.WARNING)


def _factors(decision: Decision) -> Line:
    ttft, itl = (
        _figure(decision, role, lambda pool: pool.correction_ratio) for role in (Role.PREFILL, Role.DECODE)
    )
    return Line(text=f"Correction factors: TTFT: {ttft:.3f}, ITL: {itl:.3f}")


def _predicted(tick: Stepped, policy: Policy) -> Iterator[Line]:
    missing = [reason for reason in tick.decision.reasons if reason.code is ReasonCode.FORECAST_MISSING]
    for reason in missing:
        rps = reason.numbers().get("arrivals_rps", NAN)
        text = f"Failed to predict load: no usable forecast, sized for num_req={rps * policy.interval_s:.2f}"
        yield Line(text=f"{text} as observed", level=logging.WARNING)
    forecast = tick.forecast
    if forecast is None or missing:
        return
    num_req = forecast.arrivals_rps.mean * policy.interval_s
    isl = forecast.isl_tokens.mean if forecast.isl_tokens else NAN
    osl = forecast.osl_tokens.mean if forecast.osl_tokens else NAN
    yield Line(text=f"Predicted load: num_req={num_req:.2f}, isl={isl:.2f}, osl={osl:.2f}")


def _sized(decision: Decision, policy: Policy) -> Iterator[Line]:
    for role, letter in ((Role.PREFILL, "p"), (Role.DECODE, "d")):
        for pool in decision.pools:
            if pool.role is role and pool.needed is not None and pool.capacity_tokens_per_s is not None:
                demand = pool.demand_tokens_per_s or 0.0
                yield Line(
                    text=(
                        f"{role.value.capitalize()} calculation: {demand:.2f}({letter}_thpt) / "
                        f"{pool.capacity_tokens_per_s:.2f}({letter}_engine_cap) = {pool.needed}(num_{letter})"
                    )
                )
    prefill, decode = (
        sum(_floored(pool, policy) for pool in decision.pools if pool.role is role)
        for role in (Role.PREFILL, Role.DECODE)
    )
    if any(pool.needed is not None for pool in decision.pools):
        yield Line(text=f"Predicted number of engine replicas: prefill={prefill}, decode={decode}")


def _floored(pool: PoolDecision, policy: Policy) -> int:
    needed = pool.needed or 0
    return next((limited(limits, needed) for limits in policy.pools if limits.name == pool.pool), needed)


def _budget(decision: Decision) -> Iterator[Line]:
    cuts = [reason for reason in decision.reasons if reason.code is ReasonCode.BUDGET]
    if not cuts:
        return
    asked, budget = cuts[0].numbers().get("asked_gpus", NAN), decision.budget_gpus
    replicas = decision.replicas
    yield Line(
        text=(
            f"Total number of GPUs required ({asked:.0f}) exceeds the max GPU budget ({budget}),"
            f" scaling down to {replicas.prefill} prefill and {replicas.decode} decode replicas"
        ),
        level=logging.WARNING,
    )


def _verdict(decision: Decision) -> str:
    directions = {pool.direction for pool in decision.pools} - {Direction.NONE}
    if directions == {Direction.UP, Direction.DOWN}:
        return "REBALANCE"
    names = {Direction.UP: "SCALE_UP", Direction.DOWN: "SCALE_DOWN"}
    return names[directions.pop()] if directions else "HOLD"


def _figure(decision: Decision, role: Role, figure: Callable[[PoolDecision], float]) -> float:
    return next((figure(pool) for pool in decision.pools if pool.role is role), NAN)


def _number(read: Reading) -> float:
    return read.value if isinstance(read, Value) else NAN


def _ms(seconds: float | None) -> str:
    return "n/a" if seconds is None else f"{seconds * 1000.0:.2f}ms"
