"""Traffic read from the frontends' own metrics endpoints, where there is no Prometheus.

Each look scrapes all endpoints at once and compares with the scrape nearest to the start of the window, so
the first look knows gauges only. `Traffic.window_s` is the time between the two scrapes that were compared.
An address must lead to one process: behind a load balancer the counters of several would be mixed up.
Of the scope only the model applies, since namespaces and further labels are Prometheus' own.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from config.clock import Clock
from config.errors import ConfigError, ObservationError
from connectors.base import Traffic, Unknown
from connectors.prometheus.dialect import Dialect, Scope
from connectors.prometheus.exposition import parse_exposition
from connectors.prometheus.facts import blind_traffic, traffic_of
from connectors.prometheus.names import doubt_about_model
from connectors.prometheus.options import HttpOptions, checked_url
from connectors.prometheus.snapshots import Snapshots
from connectors.prometheus.spans import Span, facts_of_spans
from connectors.prometheus.transport import HttpFetcher, Request

_ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
# After an interruption a span so much longer than the window says too little about it.
_LONGEST_SPANS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeOptions:
    """How endpoints are scraped.

    Attributes:
        percentile_ratio: Share of requests that the latency quantiles are taken at.
        observe_timeout_s: Longest time that scraping all endpoints may take.
        http: Credentials, TLS and limits.
    """

    percentile_ratio: float = 0.95
    observe_timeout_s: float = 10.0
    http: HttpOptions = field(default_factory=HttpOptions)


class ScrapeSource:
    """A source of traffic that scrapes the frontends itself.

    Args:
        urls: Addresses of the endpoints; without a path, `/metrics` is meant.
        dialect: What the serving stack exports.
        scope: Whose model counts.
        clock: The shell's clock.
        options: How endpoints are scraped.
        transport: Replaces the network, for tests.

    Raises:
        ConfigError: If there is no address, or one cannot be used.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        dialect: Dialect,
        scope: Scope,
        clock: Clock,
        options: ScrapeOptions,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._endpoints = {_endpoint(url): Snapshots(dialect.gauges) for url in urls}
        if not self._endpoints:
            raise ConfigError("no address to scrape", key="scrape.urls", hint="name the frontends")
        self._models: dict[str, frozenset[str]] = {}
        self._dialect = dialect
        self._scope = scope
        self._model = scope.of_model(dialect)
        self._clock = clock
        self._options = options
        self._fetcher = HttpFetcher(options.http, urls=self._endpoints, clock=clock, transport=transport)

    async def observe(self, window_s: float) -> Traffic:
        """Scrape all endpoints; what cannot be read becomes an `Unknown`, never an exception."""
        at_s = self._clock.now_s()
        deadline_s = asyncio.get_running_loop().time() + self._options.observe_timeout_s
        async with asyncio.TaskGroup() as group:
            tasks = {url: group.create_task(self._scrape(url, at_s, deadline_s)) for url in self._endpoints}
        failures = {url: why for url, task in tasks.items() if (why := task.result()) is not None}
        return self._traffic(failures, at_s=at_s, window_s=window_s)

    async def history(self, duration_s: float, step_s: float) -> tuple[Traffic, ...]:
        """Return nothing: endpoints keep no history."""
        del duration_s, step_s
        return ()

    async def close(self) -> None:
        """Close the connections."""
        await self._fetcher.close()

    async def _scrape(self, url: str, at_s: float, deadline_s: float) -> str | None:
        """Remember a scrape; return why there is none."""
        try:
            async with asyncio.timeout_at(deadline_s):
                answer = await self._fetcher.fetch(Request(url=url, accept=_ACCEPT))
            page = parse_exposition(answer.content, self._dialect)
        except TimeoutError:
            self._endpoints[url].fail(at_s=at_s)
            return f"{url} did not answer within {self._options.observe_timeout_s:g} s"
        except ObservationError as error:
            self._endpoints[url].fail(at_s=at_s)
            return str(error) if url in str(error) else f"{url}: {error}"
        ours = (one for one in page.samples if all(matcher.accepts(one.labels) for matcher in self._model))
        self._endpoints[url].add(ours, at_s=at_s)
        self._models[url] = page.models
        return None

    def _traffic(self, failures: dict[str, str], *, at_s: float, window_s: float) -> Traffic:
        total = len(self._endpoints)
        partial = None
        if failures:
            verb = "is" if len(failures) == 1 else "are"
            first = next(iter(failures.values()))
            partial = Unknown(why=f"{len(failures)} of {total} frontends {verb} down: {first}")
        if partial is not None and len(failures) == total:
            return blind_traffic(partial, at_s=at_s, window_s=window_s)
        # A frontend that is down may be the one that knows the model.
        doubt = None if failures else self._doubt_about_model()
        if doubt is not None:
            return blind_traffic(doubt, at_s=at_s, window_s=window_s)
        spans = list(self._spans(failures, at_s, window_s))
        facts = facts_of_spans(spans, self._dialect, partial=partial, at_s=at_s, window_s=window_s)
        return traffic_of(facts, percentile_ratio=self._options.percentile_ratio)

    def _doubt_about_model(self) -> Unknown | None:
        names = frozenset[str]().union(*self._models.values())
        return doubt_about_model(names, scope=self._scope, dialect=self._dialect)

    def _spans(self, failures: dict[str, str], at_s: float, window_s: float) -> Iterator[Span]:
        for url, kept in self._endpoints.items():
            newest = kept.newest
            if newest is None or url in failures:
                continue
            base = kept.nearest(at_s - window_s)
            doubt = ""
            if base is None:
                doubt = "waiting for a second scrape: a rate needs two"
            elif kept.has_failed_since(base.at_s) and at_s - base.at_s > _LONGEST_SPANS * window_s:
                doubt = f"scraping was interrupted for {at_s - base.at_s:.0f} s"
            yield Span(target=url, base=None if doubt else base, newest=newest, doubt=doubt)


def _endpoint(url: str) -> str:
    checked = checked_url(url, key="scrape.urls")
    return checked if urlsplit(checked).path else f"{checked}/metrics"
