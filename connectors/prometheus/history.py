"""Past traffic from Prometheus, for predictors that start with what was.

Only load is read: arrivals, completions, mean lengths, requests in flight. A window in which a frontend was
down, whose beginning was not scraped, or that holds less than three quarters of the usual scrapes, is unknown
and not zero.

Windows end at multiples of the step in Unix time. So do the ticks of a daemon that starts with a history:
what it reads of the past is what it would have observed then, and what another instance observed.
"""

import asyncio
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from config.clock import Clock
from config.errors import Malformed, ObservationError, Unreachable
from connectors.base import Traffic, Unknown
from connectors.prometheus.answers import QueryResult
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.facts import blind_traffic, traffic_of
from connectors.prometheus.promql import NOW
from connectors.prometheus.queries import Queries, Question
from connectors.prometheus.vectors import Steps, facts_of

# Prometheus refuses more than 11,000 steps in one answer; to read so many would hold the event loop.
_MAX_STEPS = 1_000
# Two of four scrapes leave up to two fifths of what came uncounted.
_LEAST_SHARE = 0.75
_UNUSED_PERCENTILE_RATIO = 0.5
# Windows are made of answers in pieces, so that the event loop is not held.
_WINDOWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A run of steps that one range query covers; times are the server's, `ages` are before its now."""

    start_wall_s: float
    step_s: float
    steps: int
    window_s: float
    now_wall_s: float

    @property
    def end_wall_s(self) -> float:
        return self.start_wall_s + (self.steps - 1) * self.step_s

    def age_s(self, index: int) -> float:
        return self.now_wall_s - self.start_wall_s - index * self.step_s


class HistoryReader:
    """Reads past windows of one deployment.

    Args:
        client: How Prometheus is reached.
        queries: The expressions of the deployment.
        clock: The shell's clock, which the times of the result are on.
        timeout_s: Longest time that a read may take.
    """

    def __init__(self, client: PrometheusClient, queries: Queries, *, clock: Clock, timeout_s: float) -> None:
        self._client = client
        self._queries = queries
        self._clock = clock
        self._timeout_s = timeout_s

    async def read(
        self, duration_s: float, *, step_s: float, window_s: float, scrape_interval_s: float
    ) -> tuple[Traffic, ...]:
        """Return a window at each step of the past, oldest first.

        Args:
            duration_s: How far back the end of the first window may lie.
            step_s: Time between the ends of two windows.
            window_s: Length of each.
            scrape_interval_s: Time between scrapes.

        Raises:
            ObservationError: If it cannot be read.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                questions = self._queries.of_history(window_s, scrape_interval_s=scrape_interval_s)
                return await self._read(questions, duration_s, step_s=step_s, window_s=window_s)
        except TimeoutError as error:
            raise Unreachable(f"the history was not read within {self._timeout_s:g} s") from error

    async def _read(
        self, questions: Mapping[Question, str], duration_s: float, *, step_s: float, window_s: float
    ) -> tuple[Traffic, ...]:
        now = await self._client.query(NOW)
        now_wall_s = now.series[0].points[0].value if now.series else 0.0
        # Multiples of the step on our own clock, which paces the ticks; the server's may be ahead or behind.
        end_wall_s = now_wall_s - self._clock.wall_s() % step_s
        steps = int(duration_s // step_s)
        found: list[Traffic] = []
        for first in range(0, steps, _MAX_STEPS):
            piece = _Piece(
                start_wall_s=end_wall_s - (steps - 1 - first) * step_s,
                step_s=step_s,
                steps=min(_MAX_STEPS, steps - first),
                window_s=window_s,
                now_wall_s=now_wall_s,
            )
            found.extend(await self._windows(piece, await self._ask_all(questions, piece)))
        return tuple(found)

    async def _ask_all(self, questions: Mapping[Question, str], piece: _Piece) -> dict[Question, Steps]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    question: group.create_task(self._ask(promql, piece))
                    for question, promql in questions.items()
                }
        except* ObservationError as errors:
            raise _first(errors) from errors
        return {question: task.result() for question, task in tasks.items()}

    async def _ask(self, promql: str, piece: _Piece) -> Steps:
        result = await self._client.query_range(
            promql, start_wall_s=piece.start_wall_s, end_wall_s=piece.end_wall_s, step_s=piece.step_s
        )
        if result.warnings:
            raise Malformed(f"partial answer: {'; '.join(result.warnings)}")
        return Steps(result, start_wall_s=piece.start_wall_s, step_s=piece.step_s)

    async def _windows(self, piece: _Piece, answers: Mapping[Question, Steps]) -> list[Traffic]:
        scraped = answers[Question.SCRAPE_COUNT]
        counts = [count for index in range(piece.steps) if (count := scraped.number_at(index)) > 0.0]
        least = _LEAST_SHARE * statistics.median(counts) if counts else 0.0
        now_s = self._clock.now_s()
        found: list[Traffic] = []
        for index in range(piece.steps):
            if index % _WINDOWS_AT_ONCE == 0:
                await self._clock.sleep(0.0)
            found.append(
                _window(
                    {question: steps.at(index) for question, steps in answers.items()},
                    why=_doubt(answers, index, least),
                    at_s=now_s - piece.age_s(index),
                    window_s=piece.window_s,
                )
            )
        return found


def _doubt(answers: Mapping[Question, Steps], index: int, least_scrapes: float) -> Unknown | None:
    count = answers[Question.SCRAPE_COUNT].number_at(index)
    if count <= 0.0:
        return Unknown(why="nothing was scraped")
    if count < least_scrapes:
        return Unknown(
            why=f"scraping was interrupted: {count:.0f} scrapes, expected {least_scrapes / _LEAST_SHARE:.0f}"
        )
    if answers[Question.START_COUNT].number_at(index) <= 0.0:
        return Unknown(why="the beginning of the window was not scraped, so what came then is not counted")
    down = answers[Question.DOWN].number_at(index)
    return Unknown(why=f"frontends that were down: {down:.0f}") if down > 0.0 else None


def _window(
    answers: Mapping[Question, QueryResult], *, why: Unknown | None, at_s: float, window_s: float
) -> Traffic:
    if why is not None:
        return blind_traffic(why, at_s=at_s, window_s=window_s)
    facts = facts_of(answers, partial=None, at_s=at_s, window_s=window_s)
    return traffic_of(facts, percentile_ratio=_UNUSED_PERCENTILE_RATIO)


def _first(errors: BaseExceptionGroup) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
