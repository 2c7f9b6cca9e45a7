"""How does a gauge get its value from the status board?

A gauge is read from the status board when it is scraped. What is unknown or idle has no series at that
moment: neither a zero nor the value of an hour ago. Statistics of requests, forecasts and expectations are
of the last tick; what counts replicas and GPUs is of the last step, look or tick.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from connectors.base import Fleet, HoldKind, PoolState, Reading, Traffic, Value
from planner.core.decision import PoolDecision
from planner.serving.status import StatusBoard
from predictors.base import Forecast, SeriesForecast

Labeled = tuple[tuple[str, ...], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One gauge.

    Attributes:
        name: Its full name.
        meaning: What it says, in one sentence; becomes its HELP text.
        labels: Its labels beside `target`.
        read: Gives label values and value; a value of None has no series.
    """

    name: str
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[StatusBoard], Iterable[Labeled]]

    def samples(self, board: StatusBoard) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield what there is to show now."""
        for labels, value in self.read(board):
            if value is not None and math.isfinite(value):
                yield labels, float(value)


def of_board(name: str, meaning: str, read: Callable[[StatusBoard], float | None]) -> Gauge:
    """Make a gauge of the deployment as a whole."""
    return Gauge(name=name, meaning=meaning, labels=(), read=lambda board: (((), read(board)),))


def of_pool(
    name: str, meaning: str, read: Callable[[PoolDecision], float | None], *, tick: bool = False
) -> Gauge:
    """Make a gauge of what was decided for each pool: what holds now, or what the last tick said."""

    def values(board: StatusBoard) -> Iterator[Labeled]:
        step = board.last_tick if tick else board.last_decided
        for pool in step.decision.pools if step else ():
            yield (pool.pool,), read(pool)

    return Gauge(name=name, meaning=meaning, labels=("pool",), read=values)


def of_engines(name: str, meaning: str, read: Callable[[PoolState], float]) -> Gauge:
    """Make a gauge of the engines of each pool, as the last step saw them."""

    def values(board: StatusBoard) -> Iterator[Labeled]:
        fleet = board.last_step.observation.fleet if board.last_step else None
        for pool, state in fleet.pools.items() if isinstance(fleet, Fleet) else ():
            yield (pool,), read(state)

    return Gauge(name=name, meaning=meaning, labels=("pool",), read=values)


def of_holds(board: StatusBoard) -> Iterator[Labeled]:
    """Yield for each pool and each kind of hold whether it is in force, as the last step saw it."""
    fleet = board.last_step.observation.fleet if board.last_step else None
    for pool, state in fleet.pools.items() if isinstance(fleet, Fleet) else ():
        for kind in HoldKind:
            yield (pool, kind.value), float(state.hold is not None and state.hold.kind is kind)


def leads(board: StatusBoard) -> float | None:
    """Return 1 if this process may write, 0 if another one leads or it only advises; None if not read."""
    fleet = board.last_step.observation.fleet if board.last_step else None
    return float(not fleet.standby and not board.advisory) if isinstance(fleet, Fleet) else None


def of_traffic(name: str, meaning: str, read: Callable[[Traffic], Reading]) -> Gauge:
    """Make a gauge of one signal, as the last tick saw it."""

    def value(board: StatusBoard) -> float | None:
        return _number(read(board.last_tick.observation.traffic)) if board.last_tick else None

    return of_board(name, meaning, value)


def of_latency(
    name: str, meaning: str, *, mean: Callable[[Traffic], Reading], quantile: Callable[[Traffic], Reading]
) -> Gauge:
    """Make a gauge of one latency, as the last tick saw it, labeled with its quantile."""

    def values(board: StatusBoard) -> Iterator[Labeled]:
        if board.last_tick is None:
            return
        traffic = board.last_tick.observation.traffic
        ratio = board.policy.targets.percentile_ratio if board.policy else None
        yield ("mean",), _number(mean(traffic))
        yield ("target" if ratio is None else f"{ratio:g}",), _number(quantile(traffic))

    return Gauge(name=name, meaning=meaning, labels=("quantile",), read=values)


def of_forecast(name: str, meaning: str, read: Callable[[Forecast], SeriesForecast | None]) -> Gauge:
    """Make a gauge of one forecast of the last tick, labeled with its quantile."""

    def values(board: StatusBoard) -> Iterator[Labeled]:
        forecast = board.last_tick.forecast if board.last_tick else None
        series = read(forecast) if forecast else None
        if series is None:
            return
        yield ("mean",), series.mean
        for quantile in series.quantiles:
            yield (f"{quantile.level_ratio:g}",), quantile.value

    return Gauge(name=name, meaning=meaning, labels=("quantile",), read=values)


def of_parts(board: StatusBoard) -> Iterator[Labeled]:
    """Yield how each part that reported last fared."""
    for part, health in board.parts.items():
        yield (part,), float(health.is_ok)


def _number(read: Reading) -> float | None:
    return read.value if isinstance(read, Value) else None
