"""What a step can make of what was seen: usable numbers, or the reason why there are none.

Readings come from outside. A number that is not finite, negative, or beyond anything that an LLM service
can show is treated like one that was not read.
"""

import math
from dataclasses import dataclass, replace

from config.policy import Policy
from connectors.base import Fleet, Idle, Observation, PoolState, Reading, Unknown, Value
from planner.core.decision import Demand, Reason, ReasonCode, because
from planner.core.state import Lengths, State
from predictors.base import Forecast, SeriesForecast

MOST_RPS = 1e7
MOST_TOKENS = 1e8
MOST_SECONDS = 1e6
MOST_REQUESTS = 1e9
_MOST_REPLICAS = 10**6
_MOST_GPUS_PER_ENGINE = 10**4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one step can rely on.

    Attributes:
        arrivals_rps: Observed offered load, or None if blind to it.
        lengths: The lengths to use, observed or remembered.
        fleet: The pools in the policy's order, or None if blind to them.
        blind: Why the step cannot judge; empty if it can.
        notes: What was remarkable and did not blind the step.
    """

    arrivals_rps: float | None
    lengths: Lengths
    fleet: tuple[PoolState, ...] | None
    blind: tuple[Reason, ...]
    notes: tuple[Reason, ...]


def see(policy: Policy, state: State, observation: Observation, *, now_s: float) -> Sight:
    """Sort out what was seen."""
    traffic = observation.traffic
    arrivals = usable(traffic.arrivals_rps, most=MOST_RPS)
    lengths = _remember(state.lengths, observation, now_s=now_s)
    fleet, fleet_blind = _pools(policy, observation.fleet)
    blind = [*fleet_blind]
    notes: list[Reason] = []
    if isinstance(arrivals, Unknown):
        blind.append(because(ReasonCode.BLIND_ARRIVALS, detail=arrivals.why))
    elif number(arrivals) > 0.0:
        oldest = _oldest_allowed_s(policy, observation, now_s=now_s)
        missing, remembered = _judge_lengths(lengths, observation, oldest_at_s=oldest, now_s=now_s)
        blind.extend(missing)
        notes.extend(remembered)
    return Sight(
        arrivals_rps=None if isinstance(arrivals, Unknown) else number(arrivals),
        lengths=lengths,
        fleet=fleet,
        blind=tuple(blind),
        notes=tuple(notes),
    )


def usable(reading: Reading, *, most: float, least: float = 0.0) -> Reading:
    """Return the reading, or an `Unknown` where its number cannot be true.

    Example:
        >>> usable(Value(value=float("inf"), at_s=0.0), most=10.0)
        Unknown(why='the value inf is absurd', kind='unknown')
    """
    if isinstance(reading, Value) and not (math.isfinite(reading.value) and least <= reading.value <= most):
        return Unknown(why=f"the value {reading.value:g} is absurd")
    return reading


def number(reading: Reading) -> float:
    """Return the number of a reading, 0 where there was nothing to measure.

    Only for rates and gauges, of which an idle system has none.
    """
    return reading.value if isinstance(reading, Value) else 0.0


def length(reading: Reading) -> Reading:
    """Return a length reading; a mean length below one token cannot be true."""
    return usable(reading, most=MOST_TOKENS, least=1.0)


def forecast_demand(forecast: Forecast | None, sight: Sight, *, level_ratio: float | None) -> Demand | None:
    """Return the operating point of a forecast, its arrivals at a quantile; None where it cannot be used."""
    if forecast is None:
        return None
    arrivals = _at(forecast.arrivals_rps, level_ratio, most=MOST_RPS)
    # Uncertainty enters once, with the arrivals; quantiles of all three at once would stack margins.
    isl = _length_at(forecast.isl_tokens, sight.lengths.isl_tokens)
    osl = _length_at(forecast.osl_tokens, sight.lengths.osl_tokens)
    if arrivals is None or isl is None or osl is None:
        return None
    return Demand(arrivals_rps=arrivals, isl_tokens=isl, osl_tokens=osl)


def observed_demand(sight: Sight, *, arrivals_rps: float) -> Demand:
    """Return the operating point of an arrival rate at the lengths in use."""
    return Demand(
        arrivals_rps=arrivals_rps,
        isl_tokens=sight.lengths.isl_tokens or 0.0,
        osl_tokens=sight.lengths.osl_tokens or 0.0,
    )


def is_sizable(demand: Demand) -> bool:
    """Tell whether the lengths of a load are known; where no load is expected, none are needed."""
    return demand.arrivals_rps <= 0.0 or min(demand.isl_tokens, demand.osl_tokens) > 0.0


def _at(series: SeriesForecast, level_ratio: float | None, *, most: float) -> float | None:
    value = series.at(level_ratio)
    return value if math.isfinite(value) and 0.0 <= value <= most else None


def _length_at(series: SeriesForecast | None, last: float | None) -> float | None:
    if series is None:
        return last or 0.0
    value = _at(series, None, most=MOST_TOKENS)
    # A forecast of less than a token says that the predictor knows nothing, not that prompts are empty.
    return last or 0.0 if value is not None and value < 1.0 else value


def _remember(last: Lengths, observation: Observation, *, now_s: float) -> Lengths:
    isl, osl = length(observation.traffic.isl_tokens), length(observation.traffic.osl_tokens)
    if not isinstance(isl, Unknown):
        value = isl.value if isinstance(isl, Value) else last.isl_tokens
        last = replace(last, isl_tokens=value, isl_at_s=now_s)
    if not isinstance(osl, Unknown):
        value = osl.value if isinstance(osl, Value) else last.osl_tokens
        last = replace(last, osl_tokens=value, osl_at_s=now_s)
    return last


def _oldest_allowed_s(policy: Policy, observation: Observation, *, now_s: float) -> float:
    queued = usable(observation.traffic.queued, most=MOST_REQUESTS)
    if isinstance(queued, Value) and queued.value > 0.0:
        return -math.inf  # requests wait: no first token is overload, not blindness
    # Half an interval of slack, since the clock never counts three intervals as exactly three.
    return now_s - (policy.blind_lengths_intervals + 0.5) * policy.interval_s


def _judge_lengths(
    lengths: Lengths, observation: Observation, *, oldest_at_s: float, now_s: float
) -> tuple[list[Reason], list[Reason]]:
    blind: list[Reason] = []
    notes: list[Reason] = []
    traffic = observation.traffic
    for name, reading, value, at_s in (
        ("isl", traffic.isl_tokens, lengths.isl_tokens, lengths.isl_at_s),
        ("osl", traffic.osl_tokens, lengths.osl_tokens, lengths.osl_at_s),
    ):
        why = _why(length(reading))
        if value is None:
            blind.append(because(ReasonCode.BLIND_LENGTHS, detail=f"{name} was never seen ({why})"))
        elif at_s < oldest_at_s:
            blind.append(
                because(ReasonCode.BLIND_LENGTHS, detail=f"{name} is unknown: {why}", age_s=now_s - at_s)
            )
        elif not isinstance(length(reading), Value):
            notes.append(because(ReasonCode.LENGTHS_REMEMBERED, detail=f"{name}: {why}", tokens=value))
    return blind, notes


def _why(reading: Reading) -> str:
    if isinstance(reading, Unknown):
        return reading.why
    return "nothing was measured yet" if isinstance(reading, Idle) else "measured"


def _pools(policy: Policy, fleet: Fleet | Unknown) -> tuple[tuple[PoolState, ...] | None, tuple[Reason, ...]]:
    if isinstance(fleet, Unknown):
        return None, (because(ReasonCode.BLIND_FLEET, detail=fleet.why),)
    states = []
    for pool in policy.pools:
        state = fleet.pools.get(pool.name)
        if state is None:
            return None, (because(ReasonCode.BLIND_FLEET, pool=pool.name, detail="the pool is not there"),)
        if absurdity := _absurdity(state):
            return None, (because(ReasonCode.BLIND_FLEET, pool=pool.name, detail=absurdity),)
        states.append(state)
    return _affordable(policy, tuple(states))


def _affordable(
    policy: Policy, states: tuple[PoolState, ...]
) -> tuple[tuple[PoolState, ...] | None, tuple[Reason, ...]]:
    """Refuse a report by which not even the minimums fit the budget: obeying both would end the service."""
    gpus = [
        state.gpus_per_engine or pool.gpus_per_engine
        for pool, state in zip(policy.pools, states, strict=True)
    ]
    least_gpus = sum(pool.min_replicas * each for pool, each in zip(policy.pools, gpus, strict=True))
    as_set = all(pool.gpus_per_engine == each for pool, each in zip(policy.pools, gpus, strict=True))
    if as_set or least_gpus <= policy.budget_gpus:
        return states, ()
    detail = (
        f"by the GPUs per engine that it reports ({', '.join(map(str, gpus))}) the minimums alone take "
        f"{least_gpus} GPUs, more than the budget of {policy.budget_gpus}"
    )
    return None, (because(ReasonCode.BLIND_FLEET, detail=detail),)


def _absurdity(state: PoolState) -> str:
    """Return what cannot be in a report; empty if all of it can."""
    counts = {
        "desired": state.desired,
        "ready": state.ready,
        "starting": state.starting,
        "terminating": state.terminating,
        "failing": state.failing,
        "unschedulable": state.unschedulable,
        "least": state.least,
        "most": 0 if state.most is None else state.most,
    }
    for name, count in counts.items():
        if not 0 <= count <= _MOST_REPLICAS:
            return f"its replica counts are absurd: {name} {count}, not within 0 to {_MOST_REPLICAS}"
    gpus = state.gpus_per_engine
    if gpus is None or 1 <= gpus <= _MOST_GPUS_PER_ENGINE:
        return ""
    return f"its GPUs per engine are absurd: {gpus}, not within 1 to {_MOST_GPUS_PER_ENGINE}"
