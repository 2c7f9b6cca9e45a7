"""How Prometheus is asked: instant and range queries, as forms by POST, over one pool of connections."""

from dataclasses import replace

import httpx

from config.clock import Clock
from config.errors import Malformed
from connectors.prometheus.answers import QueryResult, parse_result, shortened
from connectors.prometheus.options import HttpOptions, checked_url
from connectors.prometheus.transport import HttpFetcher, Request

_INSTANT = frozenset({"vector", "scalar", "matrix"})
_RANGE = frozenset({"matrix"})
_HIDDEN = "words that hold our credentials, not shown here"


class PrometheusClient:
    """A client of the query API of Prometheus and of what speaks like it.

    The caller bounds the whole with its own deadline; cancellation passes at once.

    Args:
        url: Address with path prefix, without `/api/v1`.
        options: Credentials, TLS and limits.
        clock: What the waits between attempts are measured by.
        transport: Replaces the network, for tests.

    Raises:
        ConfigError: If the address or the TLS files cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        options: HttpOptions,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = checked_url(url, key="prometheus.url")
        self._timeout = f"{options.query_timeout_s:g}"
        self._fetcher = HttpFetcher(options, urls=(self._url,), clock=clock, transport=transport)

    @property
    def url(self) -> str:
        """The address, which never holds credentials."""
        return self._url

    async def query(self, promql: str) -> QueryResult:
        """Evaluate an expression now, by the server's clock.

        Raises:
            Unreachable: If no answer came in time, or the server says that it cannot answer now.
            Malformed: If the answer is not one of the query API.
            ObservationError: If the server refuses the request.
        """
        form = {"query": promql, "timeout": self._timeout}
        return await self._ask("query", form, _INSTANT)

    async def query_range(
        self, promql: str, *, start_wall_s: float, end_wall_s: float, step_s: float
    ) -> QueryResult:
        """Evaluate an expression at each step of a range, by the server's clock.

        Raises:
            Unreachable: If no answer came in time, or the server says that it cannot answer now.
            Malformed: If the answer is not one of the query API.
            ObservationError: If the server refuses the request.
        """
        form = {
            "query": promql,
            "start": f"{start_wall_s:.3f}",
            "end": f"{end_wall_s:.3f}",
            "step": f"{step_s:.3f}",
            "timeout": self._timeout,
        }
        return await self._ask("query_range", form, _RANGE)

    async def close(self) -> None:
        """Close the connections."""
        await self._fetcher.close()

    async def _ask(self, endpoint: str, form: dict[str, str], expected: frozenset[str]) -> QueryResult:
        answer = await self._fetcher.fetch(Request(url=f"{self._url}/api/v1/{endpoint}", form=form))
        if not answer.content_type.startswith("application/json"):
            found = self._harmless(answer.content_type) or "no content type"
            raise Malformed(
                f"{self._url} answered with {found}, expected JSON; is this the address of a Prometheus?"
            )
        try:
            result = parse_result(answer.content, expected=expected)
        except Malformed as error:
            text = self._harmless(answer.content.decode("utf-8", errors="replace"))
            raise (error if text != _HIDDEN else Malformed(f"{self._url} answered with {text}")) from None
        return replace(result, warnings=tuple(self._harmless(text) for text in result.warnings))

    def _harmless(self, text: str) -> str:
        return _HIDDEN if self._fetcher.shows_secrets(text) else shortened(text)
