"""`setpoint forecast`: which predictor suits this load?

Every predictor walks every load at every interval, each in a process of its own and one after the other, so
that their times are not each other's.
"""

import math
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from config.clock import Clock
from config.errors import ConfigError, ObservationError
from config.load import Loaded
from config.policies import forecast_policy_from
from config.policy import ForecastPolicy
from connectors.base import Traffic, Unknown
from planner.commands.connect import source_of
from planner.commands.forecast_flags import SeriesKind
from planner.commands.forecast_progress import Progress
from planner.forecasting.apart import Done, Failed, Job, walk_apart
from planner.forecasting.evaluation import Score, Series, score_of
from planner.forecasting.trace import read_trace
from planner.forecasting.verdict import Standing, Verdict, judge, together
from planner.past import interval_of
from predictors.base import LoadInterval

_LEAST_INTERVALS = 10
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be compared.

    Attributes:
        traces: Files of requests; empty to ask the metrics source of the settings.
        last_s: Only so much of the past; None is all of a trace.
        intervals_s: Lengths of an interval to try.
        horizons_s: How far ahead to forecast.
        predictors: Names in the registry.
        kind: Which series.
        limit_s: Longest time of one predictor on one load.
    """

    traces: tuple[Path, ...]
    last_s: float | None
    intervals_s: tuple[float, ...]
    horizons_s: tuple[float, ...]
    predictors: tuple[str, ...]
    kind: SeriesKind
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One load at one interval.

    Attributes:
        name: Where it is from.
        interval_s: Length of an interval.
        intervals: What each showed, oldest first.
    """

    name: str
    interval_s: float
    intervals: tuple[LoadInterval, ...]

    def series(self, kind: SeriesKind) -> Series:
        """Return one of its series, as the daemon gives it to predictors."""
        if kind is SeriesKind.ARRIVALS:
            rates = tuple(one.arrivals_rps for one in self.intervals)
            return Series(values=rates, predictor_factor=self.interval_s)
        is_isl = kind is SeriesKind.ISL
        lengths = tuple(one.isl_tokens if is_isl else one.osl_tokens for one in self.intervals)
        return Series(values=lengths, is_sparse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One predictor's walk over one load."""

    predictor: str
    outcome: Done | Failed

    def score(self, steps: int) -> Score | None:
        """Return its score so many steps ahead; None where there is none."""
        return score_of(self.outcome.walked.points[steps]) if isinstance(self.outcome, Done) else None

    @property
    def fit_times_s(self) -> tuple[float, ...]:
        """Time that each interval took."""
        return self.outcome.walked.step_times_s if isinstance(self.outcome, Done) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All predictors on one load.

    Attributes:
        load: The load.
        series: The series that was walked.
        steps: Horizons as intervals ahead, ascending.
        entries: One for each predictor.
    """

    load: Load
    series: Series
    steps: tuple[int, ...]
    entries: tuple[Entry, ...]

    def scores(self, predictor: str) -> tuple[Score | None, ...]:
        """Return a predictor's score at each horizon."""
        return tuple(
            entry.score(steps)
            for entry in self.entries
            if entry.predictor == predictor
            for steps in self.steps
        )


def verdict_of(comparisons: Sequence[Comparison]) -> Verdict:
    """Choose over all loads and horizons."""
    standings = {
        name: Standing(
            scores=tuple(score for one in comparisons for score in one.scores(name)),
            fit_s=_usual_fit_s(comparisons, name),
        )
        for name in {entry.predictor: None for one in comparisons for entry in one.entries}
    }
    return judge(standings, over=_extent(comparisons))


def _extent(comparisons: Sequence[Comparison]) -> str:
    return together(
        loads=len({one.load.name for one in comparisons}),
        intervals=len({one.load.interval_s for one in comparisons}),
        horizons=max(len(one.steps) for one in comparisons),
    )


def _usual_fit_s(comparisons: Sequence[Comparison], predictor: str) -> float:
    times_s = [
        time_s
        for one in comparisons
        for entry in one.entries
        if entry.predictor == predictor
        for time_s in entry.fit_times_s
    ]
    return statistics.median(times_s) if times_s else math.inf


async def compare(
    loaded: Loaded, question: Question, *, clock: Clock, progress: Progress
) -> tuple[Comparison, ...]:
    """Answer a question.

    Raises:
        ConfigError: If a trace or a setting cannot be used, or a load is too short.
        ObservationError: If the past cannot be read from the metrics source.
    """
    policy = forecast_policy_from(loaded.settings)
    return tuple(
        [
            await _compared(load, question, policy, progress)
            async for load in _loads(loaded, question, clock=clock)
        ]
    )


async def _compared(load: Load, question: Question, policy: ForecastPolicy, progress: Progress) -> Comparison:
    series = load.series(question.kind)
    steps = tuple(sorted({steps_of(horizon_s, load.interval_s) for horizon_s in question.horizons_s}))
    entries = []
    for name in question.predictors:
        told = progress.of(f"{load.name} at {load.interval_s:g} s: {name}", len(series.values))
        told(0)
        job = Job(
            policy=replace(policy, predictor=name, interval_s=load.interval_s), series=series, horizons=steps
        )
        outcome = await walk_apart(job, limit_s=question.limit_s, passed=told)
        entries.append(Entry(predictor=name, outcome=outcome))
    return Comparison(load=load, series=series, steps=steps, entries=tuple(entries))


def steps_of(horizon_s: float, interval_s: float) -> int:
    """Return the least number of intervals that reach so far ahead; as the daemon counts them.

    Example:
        >>> steps_of(60.0, 30.0), steps_of(61.0, 30.0), steps_of(60.0, 180.0)
        (2, 3, 1)
    """
    return max(1, math.ceil(horizon_s / interval_s - _TOLERANCE))


async def _loads(loaded: Loaded, question: Question, *, clock: Clock) -> AsyncIterator[Load]:
    """Yield each load at each interval, read when its turn comes."""
    for load in _recorded(question) if question.traces else await _observed(loaded, question, clock):
        _require_enough(load, question)
        yield load


def _recorded(question: Question) -> Iterator[Load]:
    for path in question.traces:
        for interval_s in question.intervals_s:
            intervals = read_trace(path, interval_s=interval_s)
            if question.last_s is not None:
                intervals = intervals[-steps_of(question.last_s, interval_s) :]
            yield Load(name=path.name, interval_s=interval_s, intervals=intervals)


async def _observed(loaded: Loaded, question: Question, clock: Clock) -> list[Load]:
    source = source_of(loaded, clock=clock)
    try:
        return [
            Load(
                name=str(loaded.settings.prometheus.url),
                interval_s=interval_s,
                intervals=_known(await source.history(question.last_s or 0.0, interval_s), question),
            )
            for interval_s in question.intervals_s
        ]
    finally:
        await source.close()


def _known(past: Sequence[Traffic], question: Question) -> tuple[LoadInterval, ...]:
    intervals = tuple(interval_of(traffic) for traffic in past)
    if all(one.arrivals_rps is None for one in intervals):
        why = next((one.arrivals_rps.why for one in past if isinstance(one.arrivals_rps, Unknown)), "")
        raise ObservationError(
            f"no arrivals are known of the last {question.last_s:g} s{': ' if why else ''}{why}; "
            "check the address, --model and --namespace, or ask for more with --last"
        )
    return intervals


def _require_enough(load: Load, question: Question) -> None:
    values = load.series(question.kind).values
    known = sum(value is not None for value in values)
    if known < _LEAST_INTERVALS:
        raise ConfigError(
            f"{known} intervals of {load.interval_s:g} s with known {question.kind.value} are too few "
            f"to judge by, expected {_LEAST_INTERVALS} or more",
            key=load.name,
            hint="give a longer past or a shorter --interval",
        )
