"""Traffic as Prometheus saw it.

All questions of a window go out at once under one deadline; each that gets no usable answer costs only the
readings that rest on it. The window is never shorter than four scrape intervals, since a rate over fewer is
mostly the scrapes' own rhythm; `Traffic.window_s` tells the length that was used.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from config.clock import Clock
from config.errors import ObservationError
from connectors.base import Traffic, Unknown
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.dialect import Dialect, Scope
from connectors.prometheus.facts import blind_traffic, traffic_of
from connectors.prometheus.history import HistoryReader
from connectors.prometheus.names import doubt_about_model, doubt_about_namespace, names_in
from connectors.prometheus.queries import Queries, Question
from connectors.prometheus.targets import judge_targets, scrape_interval_s
from connectors.prometheus.vectors import Outcome, by_target, facts_of

_LEAST_SCRAPES = 4.0
# Any number in one of these answers is of a model that exists.
_OF_MODEL = (Question.STARTED, Question.COMPLETED, Question.IN_FLIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How traffic is read.

    Attributes:
        percentile_ratio: Share of requests that the latency quantiles are taken at.
        observe_timeout_s: Longest time that one look at a window may take, all questions together.
        history_timeout_s: Longest time that reading the history may take.
        scrape_interval_s: Time between scrapes, if known. A longer one that the scrapes themselves show
            counts instead.
    """

    percentile_ratio: float = 0.95
    observe_timeout_s: float = 10.0
    history_timeout_s: float = 60.0
    scrape_interval_s: float | None = None


class PrometheusSource:
    """A source of traffic that asks Prometheus; closes its client.

    Args:
        client: How Prometheus is reached.
        dialect: What the serving stack exports.
        scope: Which of all series belong to the deployment.
        clock: The shell's clock.
        options: How traffic is read.
    """

    def __init__(
        self,
        client: PrometheusClient,
        *,
        dialect: Dialect,
        scope: Scope,
        clock: Clock,
        options: SourceOptions,
    ) -> None:
        self._client = client
        self._dialect = dialect
        self._scope = scope
        self._queries = Queries(dialect, scope)
        self._clock = clock
        self._options = options
        self._interval_s = options.scrape_interval_s

    async def observe(self, window_s: float) -> Traffic:
        """Read the last window; what cannot be read becomes an `Unknown`, never an exception."""
        at_s = self._clock.now_s()
        deadline_s = asyncio.get_running_loop().time() + self._options.observe_timeout_s
        if self._interval_s is None:
            self._learn_interval(await self._ask(self._queries.scrapes(window_s), deadline_s))
        window_s = max(window_s, _LEAST_SCRAPES * (self._interval_s or 0.0))
        answers = await self._ask_by_name(self._queries.of_window(window_s), deadline_s)
        return self._judge(answers, at_s=at_s, window_s=window_s)

    async def history(self, duration_s: float, step_s: float) -> tuple[Traffic, ...]:
        """Return past windows, oldest first; what is missing in them is `Unknown`.

        They end at multiples of the step in Unix time, and are as long as a look at such a window would be.

        Raises:
            ObservationError: If it cannot be read, or the deployment is not there under the names given.
        """
        deadline_s = asyncio.get_running_loop().time() + self._options.observe_timeout_s
        await self._refuse_misnamed(deadline_s)
        if self._interval_s is None:
            self._learn_interval(await self._ask(self._queries.scrapes(step_s), deadline_s))
        reader = HistoryReader(
            self._client, self._queries, clock=self._clock, timeout_s=self._options.history_timeout_s
        )
        interval_s = self._interval_s or step_s / _LEAST_SCRAPES
        window_s = max(step_s, _LEAST_SCRAPES * interval_s)
        return await reader.read(duration_s, step_s=step_s, window_s=window_s, scrape_interval_s=interval_s)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    def _learn_interval(self, scrapes: Outcome) -> None:
        found_s = None if isinstance(scrapes, Unknown) else scrape_interval_s(scrapes)
        if found_s is not None:
            # A setting that is too small would make windows too short to hold two scrapes.
            self._interval_s = max(found_s, self._options.scrape_interval_s or 0.0)

    def _judge(self, answers: Mapping[Question, Outcome], *, at_s: float, window_s: float) -> Traffic:
        up, scrapes = answers[Question.TARGETS], answers[Question.SCRAPES]
        if isinstance(up, Unknown):
            return blind_traffic(up, at_s=at_s, window_s=window_s)
        if isinstance(scrapes, Unknown):
            return blind_traffic(scrapes, at_s=at_s, window_s=window_s)
        self._learn_interval(scrapes)
        health = judge_targets(up=up, scrapes=scrapes, window_s=window_s, looked_for=self._queries.targets)
        if health.blind is not None:
            why = self._misnamed_namespace(answers) or health.blind
            return blind_traffic(why, at_s=at_s, window_s=window_s)
        if health.partial is None and (doubt := self._misnamed_model(answers)) is not None:
            return blind_traffic(doubt, at_s=at_s, window_s=window_s)
        facts = facts_of(answers, partial=health.partial, at_s=at_s, window_s=window_s)
        return traffic_of(facts, percentile_ratio=self._options.percentile_ratio)

    def _misnamed_namespace(self, answers: Mapping[Question, Outcome]) -> Unknown | None:
        if Question.NAMESPACES not in answers:
            return None
        names = names_in(answers[Question.NAMESPACES], self._dialect.namespace_label)
        if isinstance(names, Unknown):
            return None
        return doubt_about_namespace(names, scope=self._scope, dialect=self._dialect)

    def _misnamed_model(self, answers: Mapping[Question, Outcome]) -> Unknown | None:
        if Question.MODELS not in answers or any(_has_number(answers.get(one)) for one in _OF_MODEL):
            return None
        names = names_in(answers[Question.MODELS], self._dialect.model_label)
        if isinstance(names, Unknown):
            return names
        return doubt_about_model(names, scope=self._scope, dialect=self._dialect)

    async def _refuse_misnamed(self, deadline_s: float) -> None:
        answers = await self._ask_by_name(self._queries.of_names(), deadline_s)
        why = self._misnamed_namespace(answers) or self._misnamed_model(answers)
        if why is not None:
            raise ObservationError(why.why)

    async def _ask_by_name(
        self, questions: Mapping[Question, str], deadline_s: float
    ) -> dict[Question, Outcome]:
        answers = await self._ask_all(questions, deadline_s)
        up = answers[Question.TARGETS]
        if self._scope.namespace is not None and not isinstance(up, Unknown) and not up.series:
            answers[Question.NAMESPACES] = await self._ask(self._queries.namespaces, deadline_s)
        return answers

    async def _ask_all(self, questions: Mapping[Question, str], deadline_s: float) -> dict[Question, Outcome]:
        async with asyncio.TaskGroup() as group:
            tasks = {
                question: group.create_task(self._ask(promql, deadline_s))
                for question, promql in questions.items()
            }
        return {question: task.result() for question, task in tasks.items()}

    async def _ask(self, promql: str, deadline_s: float) -> Outcome:
        try:
            async with asyncio.timeout_at(deadline_s):
                result = await self._client.query(promql)
        except TimeoutError:
            limit_s = self._options.observe_timeout_s
            return Unknown(why=f"no answer from {self._client.url} within {limit_s:g} s")
        except ObservationError as error:
            return Unknown(why=str(error))
        if result.warnings:
            return Unknown(why=f"partial answer: {'; '.join(result.warnings)}")
        return result


def _has_number(outcome: Outcome | None) -> bool:
    return outcome is not None and not isinstance(found := by_target(outcome), Unknown) and bool(found)
