"""What a metric dialect says: which families of a serving stack carry which signal.

A dialect is data. The names are written once and serve both readers: `source` turns them into PromQL,
`scrape` looks them up in the text that the frontends export. A third party makes a `Dialect` and registers
a function that returns it under the entry-point group `setpoint.dialects`.
"""

from dataclasses import dataclass

from connectors.prometheus.promql import Compare, Matcher, Matchers, escape_regex, same_text_any_case

Gauges = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineGauge:
    """A gauge that each engine exports.

    Attributes:
        name: The family.
        matchers: Which of its series count.
        model_label: The label that carries the model; empty if it has none.
    """

    name: str
    matchers: Matchers = ()
    model_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The families of one serving stack, as they appear on the wire.

    Gauges are alternatives in order of preference; an alternative is one family or several to be added up.

    Attributes:
        name: What the user writes.
        presence: Gauges that a target always exports, before its first request; they identify a target.
        presence_prefix: Every exposition of such a target has a family that begins so.
        started: Counter of requests at their arrival; empty if there is none.
        completed: Counter of requests at their end.
        demand: Which series of the two counters are requests that the engines serve.
        refused: Which series of `completed` never were demand (a wrong request, an unknown model).
        in_flight: Gauge of requests in the system.
        queued: Gauge of requests that wait for their first token.
        isl: Histogram of prompt lengths.
        osl: Histogram of output lengths.
        ttft: Histogram of times to first token, in seconds.
        itl: Histogram of times between tokens, in seconds.
        duration: Histogram of request durations, in seconds.
        kv_usage: Gauges from 0 to 1 of the engines' KV cache, in order of preference.
        model_label: The label that carries the model.
        model_prefix: Families that begin so carry that label too, before the first request; empty if none do.
        namespace_label: The label that tells deployments apart.
    """

    name: str
    presence: tuple[str, ...]
    presence_prefix: str
    started: str = ""
    completed: str
    demand: Matchers = ()
    refused: Matcher | None = None
    in_flight: Gauges
    queued: Gauges = ()
    isl: str
    osl: str
    ttft: str
    itl: str
    duration: str
    kv_usage: tuple[EngineGauge, ...] = ()
    model_label: str = "model"
    model_prefix: str = ""
    namespace_label: str = "namespace"

    @property
    def histograms(self) -> tuple[str, ...]:
        """All histograms."""
        return (self.isl, self.osl, self.ttft, self.itl, self.duration)

    @property
    def gauges(self) -> frozenset[str]:
        """All gauges of the targets themselves."""
        return frozenset(name for gauge in (*self.in_flight, *self.queued) for name in gauge)

    @property
    def naming(self) -> tuple[str, ...]:
        """The few families that name each model that was asked for."""
        gauges = (name for gauge in self.in_flight for name in gauge)
        return tuple(dict.fromkeys(name for name in (self.started, self.completed, *gauges) if name))

    @property
    def samples(self) -> frozenset[str]:
        """All names on the wire that a reader of expositions keeps."""
        parts = (f"{name}_{part}" for name in self.histograms for part in ("bucket", "sum", "count"))
        counters = (name for name in (self.started, self.completed) if name)
        return self.gauges.union(parts, counters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which of all series belong to the deployment.

    Attributes:
        model: The model, in whatever case; None is all models.
        namespace: Exact value of the dialect's namespace label, which must then be present; None is all.
        matchers: Further conditions on the frontends' series and on their `up`.
        engine_matchers: Further conditions on the engines' series.
    """

    model: str | None = None
    namespace: str | None = None
    matchers: Matchers = ()
    engine_matchers: Matchers = ()

    def of_targets(self, dialect: Dialect) -> Matchers:
        """Return the conditions on `up` and on what has no model label."""
        if self.namespace is None:
            return self.matchers
        return (Matcher(dialect.namespace_label, Compare.EQUAL, self.namespace), *self.matchers)

    def of_model(self, dialect: Dialect) -> Matchers:
        """Return the condition on the model."""
        return (same_text_any_case(dialect.model_label, self.model),) if self.model else ()

    def of_series(self, dialect: Dialect) -> Matchers:
        """Return the conditions on the frontends' series."""
        return (*self.of_model(dialect), *self.of_targets(dialect))

    def of_engines(self, dialect: Dialect, gauge: EngineGauge) -> Matchers:
        """Return the conditions on the engines' series.

        Engines write their namespace with underscores where the deployment's name has dashes, and their
        inner servers write none; such series count where the model tells them apart.
        """
        found = list(gauge.matchers)
        names: dict[str, None] = {}
        if self.namespace is not None:
            names = dict.fromkeys((self.namespace, self.namespace.replace("-", "_")))
        if self.model and gauge.model_label:
            found.append(same_text_any_case(gauge.model_label, self.model))
            names = {**names, "": None} if names else {}
        if names:
            pattern = "|".join(escape_regex(name) for name in names)
            found.append(Matcher(dialect.namespace_label, Compare.REGEX, pattern))
        return (*found, *self.engine_matchers)
