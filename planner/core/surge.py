"""When a look must not wait for the next tick: a surge beyond the forecast, or a queue that stands."""

import math

from config.policy import Policy, Role
from connectors.base import Observation, PoolState, Value
from planner.core.decision import Demand, Reason, ReasonCode, because
from planner.core.sight import MOST_REQUESTS, Sight, forecast_demand, observed_demand, usable
from predictors.base import Forecast


def surge(
    policy: Policy,
    planned: Demand | None,
    observation: Observation,
    forecast: Forecast | None,
    *,
    sight: Sight,
) -> tuple[Demand, Reason] | None:
    """Return the load that a look should size for, and why; None where the plan still holds.

    Args:
        policy: Gives the band, the drain time and the TTFT target.
        planned: What the last good tick sized for; None before there was one.
        observation: What the look saw; its window may be shorter than an interval.
        forecast: The forecast of the last tick.
        sight: The usable part of the observation.
    """
    arrivals = sight.arrivals_rps
    if planned is None or arrivals is None or sight.fleet is None:
        return None
    edge_rps = _band_edge_rps(policy, planned, forecast, sight, window_s=observation.traffic.window_s)
    if arrivals > edge_rps:
        why = because(
            ReasonCode.SURGE, arrivals_rps=arrivals, edge_rps=edge_rps, planned_rps=planned.arrivals_rps
        )
        return observed_demand(sight, arrivals_rps=arrivals), why
    backlog = _backlog(policy, planned, observation, sight.fleet)
    total_rps = arrivals + backlog / policy.look.drain_s
    if backlog > 0.0 and total_rps > edge_rps:
        why = because(ReasonCode.QUEUE, backlog=backlog, arrivals_rps=arrivals, edge_rps=edge_rps)
        return observed_demand(sight, arrivals_rps=total_rps), why
    return None


def _band_edge_rps(
    policy: Policy, planned: Demand, forecast: Forecast | None, sight: Sight, *, window_s: float
) -> float:
    """Return the arrival rate above which the forecast has failed.

    It allows for counting noise: where n arrivals are expected, up to about n + 3·√n come by chance.
    """
    edge_rps = planned.arrivals_rps * (1.0 + policy.look.band_ratio)
    upper = forecast_demand(forecast, sight, level_ratio=policy.look.quantile_ratio)
    if upper is not None and forecast is not None and forecast.arrivals_rps.calibrated:
        edge_rps = max(upper.arrivals_rps, planned.arrivals_rps)
    seconds = window_s if math.isfinite(window_s) and window_s > 1.0 else 1.0
    return edge_rps + 3.0 * math.sqrt(max(edge_rps * seconds, 1.0)) / seconds


def _backlog(
    policy: Policy, planned: Demand, observation: Observation, fleet: tuple[PoolState, ...]
) -> float:
    """Return the requests that wait beyond what a fleet in balance holds before the first token."""
    queued = usable(observation.traffic.queued, most=MOST_REQUESTS)
    if not isinstance(queued, Value):
        return 0.0
    pairs = zip(policy.pools, fleet, strict=True)
    serving = sum(state.ready for pool, state in pairs if pool.role is not Role.DECODE)
    # Dynamo's gauge counts running prefills too; within target, arrivals × TTFT are there by Little's law.
    normal = serving + planned.arrivals_rps * policy.targets.ttft_s
    return max(0.0, queued.value - normal)
