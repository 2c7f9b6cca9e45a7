"""Which series of Dynamo's planner does Setpoint show too, under which names?

Existing dashboards ask for the gauges of Dynamo's planner 0.9.0 (`planner:…`) and 1.6.1
(`dynamo_planner_…`), in Dynamo's units: milliseconds, requests per second, tokens, GPU-hours. One daemon
scales one deployment, so that they have no labels of their own, as Dynamo's; pod labels come from scraping.
What is unknown or idle has no series at that moment, where Dynamo writes 0 or NaN.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric, StateSetMetricFamily

from config.policy import Role
from connectors.base import Fleet, Reading, Traffic, Value
from planner.core.decision import PoolDecision, StepKind
from planner.serving.dynamo_states import LoadState, ThroughputState, load_state, throughput_state
from planner.serving.records import Record, Stepped
from planner.serving.status import StatusBoard
from predictors.base import Forecast, SeriesForecast

_MS_PER_S = 1000.0
_S_PER_H = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the gauges are read from.

    Attributes:
        board: What is known now.
        gpu_hours: GPU-hours of serving engines since the start.
    """

    board: StatusBoard
    gpu_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoGauge:
    """One number under the names that Dynamo's planners give it.

    Attributes:
        name_090: After `planner:`; empty if 0.9.0 has no such gauge.
        name_161: After `dynamo_planner_`; empty if 1.6.1 has no such gauge.
        meaning: What the number is here; becomes the HELP text.
        read: Gives the value; None has no series.
    """

    name_090: str
    name_161: str
    meaning: str
    read: Callable[[Known], float | None]

    @property
    def names(self) -> tuple[str, ...]:
        """The full names."""
        spelled = (("planner:", self.name_090), ("dynamo_planner_", self.name_161))
        return tuple(f"{prefix}{name}" for prefix, name in spelled if name)


def _serving(role: Role) -> Callable[[Known], float | None]:
    def read(known: Known) -> float | None:
        step = known.board.last_step
        return serving_engines(step, role) if step else None

    return read


def serving_engines(step: Stepped, role: Role) -> int | None:
    """Return the engines of a role that served at a step; None if the fleet or the pool was not seen."""
    fleet = step.observation.fleet
    if not isinstance(fleet, Fleet):
        return None
    names = [pool.pool for pool in step.decision.pools if pool.role is role and pool.pool in fleet.pools]
    return sum(fleet.pools[name].ready for name in names) if names else None


def _seen(signal: Callable[[Traffic], Reading], scale: float = 1.0) -> Callable[[Known], float | None]:
    def read(known: Known) -> float | None:
        tick = known.board.last_tick
        found = signal(tick.observation.traffic) if tick else None
        return found.value * scale if isinstance(found, Value) else None

    return read


def _expected(series: Callable[[Forecast], SeriesForecast | None]) -> Callable[[Known], float | None]:
    def read(known: Known) -> float | None:
        tick = known.board.last_tick
        found = series(tick.forecast) if tick and tick.forecast else None
        return found.mean if found else None

    return read


def _pool_of(
    role: Role, figure: Callable[[PoolDecision], float | None], *, tick: bool = True
) -> Callable[[Known], float | None]:
    def read(known: Known) -> float | None:
        step = known.board.last_tick if tick else known.board.last_decided
        pools = [pool for pool in step.decision.pools if pool.role is role] if step else []
        return figure(pools[0]) if pools else None

    return read


def _capacity_rps(role: Role) -> Callable[[Known], float | None]:
    def read(known: Known) -> float | None:
        tick = known.board.last_tick
        demand = tick.decision.demand if tick else None
        pools = [pool for pool in tick.decision.pools if pool.role is role] if tick else []
        if demand is None or not pools or not pools[0].demand_tokens_per_s:
            return None
        # Tokens per request as they were sized for, so that arrivals over capacity are the engines needed.
        capacity = pools[0].capacity_tokens_per_s
        tokens_per_request = pools[0].demand_tokens_per_s / demand.arrivals_rps
        return capacity / tokens_per_request if capacity is not None else None

    return read


def _target(latency: str) -> Callable[[Known], float | None]:
    def read(known: Known) -> float | None:
        policy = known.board.policy
        if policy is None:
            return None
        return _MS_PER_S * (policy.targets.ttft_s if latency == "ttft" else policy.targets.itl_s)

    return read


def _estimate(latency: str) -> Callable[[Known], float | None]:
    def read(known: Known) -> float | None:
        decision = known.board.last_tick.decision if known.board.last_tick else None
        if decision is None:
            return None
        expected_s = decision.expected_ttft_s if latency == "ttft" else decision.expected_itl_s
        return expected_s * _MS_PER_S if expected_s is not None else None

    return read


def _gauge(name_090: str, name_161: str, meaning: str, read: Callable[[Known], float | None]) -> DynamoGauge:
    return DynamoGauge(name_090=name_090, name_161=name_161, meaning=meaning, read=read)


DYNAMO_GAUGES: tuple[DynamoGauge, ...] = (
    _gauge("num_p_workers", "num_prefill_replicas", "Prefill engines that serve.", _serving(Role.PREFILL)),
    _gauge("num_d_workers", "num_decode_replicas", "Decode engines that serve.", _serving(Role.DECODE)),
    _gauge(
        "observed_ttft",
        "observed_ttft_ms",
        "Mean time to first token, in ms.",
        _seen(lambda traffic: traffic.ttft_s, _MS_PER_S),
    ),
    _gauge(
        "observed_itl",
        "observed_itl_ms",
        "Mean time between tokens, in ms.",
        _seen(lambda traffic: traffic.itl_s, _MS_PER_S),
    ),
    _gauge(
        "observed_request_rate",
        "observed_requests_per_second",
        "Offered load, in requests per second.",
        _seen(lambda traffic: traffic.arrivals_rps),
    ),
    _gauge(
        "observed_request_duration",
        "observed_request_duration_seconds",
        "Mean time from arrival to last token, in seconds.",
        _seen(lambda traffic: traffic.request_duration_s),
    ),
    _gauge(
        "observed_isl",
        "observed_input_sequence_tokens",
        "Mean prompt length, in tokens.",
        _seen(lambda traffic: traffic.isl_tokens),
    ),
    _gauge(
        "observed_osl",
        "observed_output_sequence_tokens",
        "Mean output length, in tokens.",
        _seen(lambda traffic: traffic.osl_tokens),
    ),
    _gauge(
        "p_correction_factor",
        "",
        "Observed over expected TTFT.",
        _pool_of(Role.PREFILL, lambda pool: pool.correction_ratio),
    ),
    _gauge(
        "d_correction_factor",
        "",
        "Observed over expected ITL.",
        _pool_of(Role.DECODE, lambda pool: pool.correction_ratio),
    ),
    _gauge(
        "predicted_request_rate",
        "predicted_requests_per_second",
        "Forecast of the offered load, in requests per second.",
        _expected(lambda forecast: forecast.arrivals_rps),
    ),
    _gauge(
        "predicted_isl",
        "predicted_input_sequence_tokens",
        "Forecast of the prompt length, in tokens.",
        _expected(lambda forecast: forecast.isl_tokens),
    ),
    _gauge(
        "predicted_osl",
        "predicted_output_sequence_tokens",
        "Forecast of the output length, in tokens.",
        _expected(lambda forecast: forecast.osl_tokens),
    ),
    _gauge(
        "predicted_num_p",
        "predicted_num_prefill_replicas",
        "Prefill replicas that were decided, after all limits.",
        _pool_of(Role.PREFILL, lambda pool: pool.replicas, tick=False),
    ),
    _gauge(
        "predicted_num_d",
        "predicted_num_decode_replicas",
        "Decode replicas that were decided, after all limits.",
        _pool_of(Role.DECODE, lambda pool: pool.replicas, tick=False),
    ),
    _gauge(
        "gpu_hours",
        "gpu_hours",
        "GPU-hours of serving engines since the start, by the interval.",
        lambda known: known.gpu_hours,
    ),
    _gauge("", "sla_target_ttft_ms", "Target of the time to first token, in ms.", _target("ttft")),
    _gauge("", "sla_target_itl_ms", "Target of the time between tokens, in ms.", _target("itl")),
    _gauge("", "estimated_ttft_ms", "TTFT expected at the decided size, in ms.", _estimate("ttft")),
    _gauge("", "estimated_itl_ms", "ITL expected at the decided size, in ms.", _estimate("itl")),
    _gauge(
        "",
        "engine_prefill_capacity_requests_per_second",
        "Requests per second that one prefill engine carries.",
        _capacity_rps(Role.PREFILL),
    ),
    _gauge(
        "",
        "engine_decode_capacity_requests_per_second",
        "Requests per second that one decode engine carries within the ITL target.",
        _capacity_rps(Role.DECODE),
    ),
)

LOAD_DECISION = "dynamo_planner_load_scaling_decision"
THROUGHPUT_DECISION = "dynamo_planner_throughput_scaling_decision"

DYNAMO_NAMES: tuple[str, ...] = (
    *(name for gauge in DYNAMO_GAUGES for name in gauge.names),
    LOAD_DECISION,
    THROUGHPUT_DECISION,
)


class DynamoSeries:
    """Dynamo's series of one deployment, as prometheus_client collects them.

    Args:
        board: What is known now; it is told of a record before `take` is.
    """

    def __init__(self, board: StatusBoard) -> None:
        self._board = board
        self._gpu_hours = 0.0
        self._last_look: Stepped | None = None

    def take(self, record: Record) -> None:
        """Count a tick's GPU time and keep the newest look, which the board forgets at a tick."""
        if not isinstance(record, Stepped):
            return
        if record.kind is StepKind.LOOK:
            self._last_look = record
        elif self._board.policy is not None:
            self._gpu_hours += _serving_gpus(record) * self._board.policy.interval_s / _S_PER_H

    def collect(self) -> Iterator[Metric]:
        """Yield one family for each name."""
        known = Known(board=self._board, gpu_hours=self._gpu_hours)
        for gauge in DYNAMO_GAUGES:
            value = gauge.read(known)
            for name in gauge.names:
                family = GaugeMetricFamily(name, gauge.meaning)
                if value is not None and math.isfinite(value):
                    family.add_metric((), float(value))
                yield family
        yield _states(LOAD_DECISION, "What the last look did.", LoadState, load_state(self._last_look))
        tick_state = throughput_state(self._board.last_tick)
        yield _states(THROUGHPUT_DECISION, "What the last tick did.", ThroughputState, tick_state)


def _serving_gpus(record: Stepped) -> int:
    fleet = record.observation.fleet
    if not isinstance(fleet, Fleet):
        return 0
    pools = [pool for pool in record.decision.pools if pool.pool in fleet.pools]
    return sum(fleet.pools[pool.pool].ready * pool.gpus_per_engine for pool in pools)


def _states(
    name: str,
    meaning: str,
    states: type[LoadState] | type[ThroughputState],
    now: LoadState | ThroughputState,
) -> Metric:
    return StateSetMetricFamily(name, meaning, value={state.value: state is now for state in states})
