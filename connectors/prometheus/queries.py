"""Which questions a dialect puts to Prometheus, one expression per signal."""

from collections.abc import Mapping
from enum import StrEnum

from connectors.prometheus import promql
from connectors.prometheus.dialect import Dialect, Gauges, Scope
from connectors.prometheus.targets import unseen_start_s

# A target that is down still counts as one of ours for so long after it last exported anything.
_REMEMBER_TARGETS_S = 3600.0
# Scrapes before the window show whether a target is new, or whether scraping was interrupted.
BEFORE_WINDOW_S = 300.0


class Question(StrEnum):
    """One thing to know about a window."""

    TARGETS = "targets"
    DOWN = "down"
    SCRAPES = "scrapes"
    SCRAPE_COUNT = "scrape_count"
    START_COUNT = "start_count"
    STARTED = "started"
    REFUSED = "refused"
    COMPLETED = "completed"
    IN_FLIGHT = "in_flight"
    IN_FLIGHT_BEFORE = "in_flight_before"
    QUEUED = "queued"
    ISL = "isl"
    OSL = "osl"
    TTFT = "ttft"
    ITL = "itl"
    DURATION = "duration"
    KV_USAGE = "kv_usage"
    MODELS = "models"
    NAMESPACES = "namespaces"


class Queries:
    """The expressions of one deployment."""

    def __init__(self, dialect: Dialect, scope: Scope) -> None:
        self._dialect = dialect
        self._scope = scope
        self._targets = scope.of_targets(dialect)
        self._series = scope.of_series(dialect)
        self._histograms = {
            Question.ISL: dialect.isl,
            Question.OSL: dialect.osl,
            Question.TTFT: dialect.ttft,
            Question.ITL: dialect.itl,
            Question.DURATION: dialect.duration,
        }
        self._presence = promql.select_any(dialect.presence, self._targets)

    @property
    def targets(self) -> str:
        """The selector of the targets, for words."""
        return self._presence

    @property
    def namespaces(self) -> str:
        """Which namespaces the frontends have, ours or not."""
        presence = promql.select_any(self._dialect.presence, self._scope.matchers)
        return promql.counted_by(self._dialect.namespace_label, presence)

    def scrapes(self, window_s: float) -> str:
        """Return what shows how often and how lately the targets are scraped."""
        return promql.scrapes(self._presence, lookback_s=window_s + BEFORE_WINDOW_S)

    def of_window(self, window_s: float) -> Mapping[Question, str]:
        """Return everything to ask about the window that ends now."""
        return {
            Question.SCRAPES: self.scrapes(window_s),
            **self._load(window_s),
            **{
                question: self._histogram(question, window_s)
                for question in (Question.ISL, Question.OSL, Question.TTFT, Question.ITL)
            },
            Question.DURATION: self._histogram(Question.DURATION, window_s, buckets=False),
            **self._optional(),
            **self.of_names(),
        }

    def of_names(self) -> Mapping[Question, str]:
        """Return what shows whether the deployment is there under the names that were given."""
        up = promql.targets_up(self._targets, presence=self._presence, lookback_s=_REMEMBER_TARGETS_S)
        return {Question.TARGETS: up, **self._models()}

    def of_history(self, window_s: float, *, scrape_interval_s: float) -> Mapping[Question, str]:
        """Return what to ask about each of many past windows."""
        head_s = unseen_start_s(window_s=window_s, interval_s=scrape_interval_s)
        return {
            Question.DOWN: promql.targets_down(
                self._targets, presence=self._presence, lookback_s=_REMEMBER_TARGETS_S
            ),
            Question.SCRAPE_COUNT: promql.scrape_count(self._presence, window_s=window_s),
            Question.START_COUNT: promql.start_count(self._presence, window_s=window_s, head_s=head_s),
            **self._load(window_s),
            Question.ISL: self._histogram(Question.ISL, window_s, buckets=False),
            Question.OSL: self._histogram(Question.OSL, window_s, buckets=False),
        }

    def _load(self, window_s: float) -> dict[Question, str]:
        dialect = self._dialect
        found = {
            Question.COMPLETED: self._counted(dialect.completed, self._completed_demand(), window_s),
            Question.IN_FLIGHT: self._gauge(dialect.in_flight),
            Question.IN_FLIGHT_BEFORE: self._gauge(dialect.in_flight, before_s=window_s),
        }
        if dialect.started:
            found[Question.STARTED] = self._counted(dialect.started, dialect.demand, window_s)
        if dialect.started and dialect.refused is not None:
            refused = (*dialect.demand, dialect.refused)
            found[Question.REFUSED] = self._counted(dialect.completed, refused, window_s)
        return found

    def _optional(self) -> dict[Question, str]:
        found: dict[Question, str] = {}
        if self._dialect.queued:
            found[Question.QUEUED] = self._gauge(self._dialect.queued)
        if self._dialect.kv_usage:
            series = (
                promql.select(gauge.name, self._scope.of_engines(self._dialect, gauge))
                for gauge in self._dialect.kv_usage
            )
            found[Question.KV_USAGE] = promql.either(promql.mean(one) for one in series)
        return found

    def _models(self) -> dict[Question, str]:
        dialect = self._dialect
        if not self._scope.model:
            return {}
        has_model = promql.Matcher(dialect.model_label, promql.Compare.NOT_EQUAL, "")
        series = promql.select_any(dialect.naming, (*self._targets, has_model), prefix=dialect.model_prefix)
        return {Question.MODELS: promql.counted_by(dialect.model_label, series)}

    def _completed_demand(self) -> promql.Matchers:
        refused = self._dialect.refused
        return (*self._dialect.demand, refused.negated()) if refused else self._dialect.demand

    def _counted(self, name: str, matchers: promql.Matchers, window_s: float) -> str:
        series = promql.select(name, (*self._series, *matchers))
        return promql.by_target(promql.growth(series, window_s=window_s, presence=self._presence))

    def _gauge(self, gauge: Gauges, *, before_s: float = 0.0) -> str:
        return promql.either(
            promql.added(promql.by_target(self._at(name, before_s)) for name in names) for names in gauge
        )

    def _at(self, name: str, before_s: float) -> str:
        series = promql.select(name, self._series)
        return promql.offset(series, window_s=before_s) if before_s else series

    def _histogram(self, question: Question, window_s: float, *, buckets: bool = True) -> str:
        return promql.histogram_growth(
            self._histograms[question],
            self._series,
            window_s=window_s,
            presence=self._presence,
            buckets=buckets,
        )
