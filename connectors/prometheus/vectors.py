"""From the answers of single queries to counts; what is not a usable number is refused here."""

import math
from collections.abc import Mapping

from connectors.base import NOT_READ, Reading, Unknown, reading
from connectors.prometheus.answers import QueryResult, Series
from connectors.prometheus.facts import ByTarget, Facts
from connectors.prometheus.histogram import NO_EVENTS, Buckets, buckets_of
from connectors.prometheus.promql import COUNT_LE, SUM_LE
from connectors.prometheus.queries import Question
from connectors.prometheus.targets import target_of

Outcome = QueryResult | Unknown
_NOTHING = QueryResult(series=())


def facts_of(
    answers: Mapping[Question, Outcome], *, partial: Unknown | None, at_s: float, window_s: float
) -> Facts:
    """Return the counts of a window; of what was not asked, nothing is known.

    Only the counters that a dialect need not have are then nothing to count.
    """

    def counted(question: Question, default: Outcome = NOT_READ) -> ByTarget | Unknown:
        return by_target(answers.get(question, default))

    def measured(question: Question) -> Buckets | Unknown:
        return growth_of(answers.get(question, NOT_READ))

    return Facts(
        at_s=at_s,
        window_s=window_s,
        partial=partial,
        started=counted(Question.STARTED, _NOTHING),
        refused=counted(Question.REFUSED, _NOTHING),
        completed=counted(Question.COMPLETED),
        in_flight=counted(Question.IN_FLIGHT),
        in_flight_before=counted(Question.IN_FLIGHT_BEFORE),
        queued=counted(Question.QUEUED),
        isl=measured(Question.ISL),
        osl=measured(Question.OSL),
        ttft=measured(Question.TTFT),
        itl=measured(Question.ITL),
        duration=measured(Question.DURATION),
        kv_usage=single(answers.get(Question.KV_USAGE, NOT_READ), at_s=at_s),
    )


def by_target(outcome: Outcome) -> ByTarget | Unknown:
    """Return one number per target."""
    if isinstance(outcome, Unknown):
        return outcome
    found: dict[str, float] = {}
    for series in outcome.series:
        value = series.points[0].value
        if not _is_count(value):
            return _unusable(value)
        found["/".join(target_of(series))] = value
    return found


def growth_of(outcome: Outcome) -> Buckets | Unknown:
    """Return the growth of a histogram."""
    if isinstance(outcome, Unknown):
        return outcome
    by_le: dict[str, float] = {}
    for series in outcome.series:
        value = series.points[0].value
        if not _is_count(value):
            return _unusable(value)
        by_le[series.labels.get("le", "")] = value
    return buckets_by_le(by_le)


def buckets_by_le(by_le: Mapping[str, float]) -> Buckets | Unknown:
    """Return buckets by the texts of their bounds, among which are the sum and the count.

    Bounds that differ only in writing (`1`, `1.0`) come from different servers and are added up.
    """
    if not by_le:
        return NO_EVENTS
    by_bound: dict[float, float] = {}
    for text, value in by_le.items():
        if text in {SUM_LE, COUNT_LE}:
            continue
        bound = _bound(text)
        if bound is None:
            return Unknown(why=f"a bucket's bound is not a number: le={text!r}")
        by_bound[bound] = by_bound.get(bound, 0.0) + value
    if by_bound and math.inf not in by_bound:
        return Unknown(why='the buckets lack the one of le="+Inf"')
    count = by_le.get(COUNT_LE, by_bound.get(math.inf, 0.0))
    if SUM_LE not in by_le and count > 0.0:
        return Unknown(why="a histogram is exported without its sum")
    return buckets_of(by_bound, count=count, total=by_le.get(SUM_LE, 0.0))


def single(outcome: Outcome, *, at_s: float) -> Reading:
    """Return the one number of an answer."""
    if isinstance(outcome, Unknown):
        return outcome
    if not outcome.series:
        return Unknown(why="not exported by any engine that Prometheus scrapes")
    return reading(outcome.series[0].points[0].value, at_s=at_s)


class Steps:
    """The answer to a range query, by step.

    Args:
        result: The answer.
        start_wall_s: The first step.
        step_s: Time between steps.
    """

    def __init__(self, result: QueryResult, *, start_wall_s: float, step_s: float) -> None:
        self._by_step: dict[int, list[Series]] = {}
        for series in result.series:
            for point in series.points:
                index = round((point.at_wall_s - start_wall_s) / step_s)
                self._by_step.setdefault(index, []).append(Series(labels=series.labels, points=(point,)))

    def at(self, index: int) -> QueryResult:
        """Return what an instant query would have said at that step."""
        return QueryResult(series=tuple(self._by_step.get(index, ())))

    def number_at(self, index: int) -> float:
        """Return the one number of that step; zero where there is none."""
        found = self._by_step.get(index)
        return found[0].points[0].value if found else 0.0


def _bound(text: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def _is_count(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0


def _unusable(value: float) -> Unknown:
    refused = reading(value, at_s=0.0)
    return refused if isinstance(refused, Unknown) else Unknown(why=f"the value is {value:g}")
