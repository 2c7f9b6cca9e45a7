"""How one HTTP answer is obtained: authenticated, bounded in size and time, retried where that can help.

Retried are connection errors, 5xx and 429, with a doubling wait; a time-out is not, because it already used
up the time that the caller gave. Whatever httpx raises, or lets through of the socket, stops here.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from config.clock import Clock
from config.errors import Malformed, ObservationError, Unreachable
from connectors.prometheus.answers import shortened
from connectors.prometheus.options import HttpOptions, is_header_text

_MAX_BACKOFF_S = 5.0
_TOO_MANY = 429
_UNAUTHORIZED = 401
_WHAT_TO_CHECK = {
    401: "check token, token_file or username and password",
    403: "these credentials may not read: check token, token_file or username, and headers",
    404: "check the address and its path prefix",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked: a form for POST, none for GET."""

    url: str
    form: Mapping[str, str] | None = None
    accept: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A body that came with status 200."""

    content_type: str
    content: bytes


class HttpFetcher:
    """One connection pool to the metrics servers.

    Args:
        options: Credentials, TLS and limits.
        urls: Where requests will go; certificates are loaded only if one of them needs TLS.
        clock: What the waits between attempts are measured by.
        transport: Replaces the network, for tests.
    """

    def __init__(
        self,
        options: HttpOptions,
        *,
        urls: Iterable[str],
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        uses_tls = any(url.startswith("https:") for url in urls)
        self._options = options
        self._clock = clock
        self._token = _TokenFile(options.token_file) if options.token_file else None
        self._http = httpx.AsyncClient(
            verify=options.tls_context() if uses_tls else False,
            auth=(options.username, options.password) if options.username else None,
            headers=dict(options.headers),
            timeout=options.query_timeout_s,
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=20),
            trust_env=options.use_environment_proxies,
            transport=transport,
        )

    async def fetch(self, request: Request) -> Answer:
        """Return the answer to a request, trying again where that can help.

        Raises:
            Unreachable: If no answer came in time, or the server says that it cannot answer now.
            Malformed: If the answer is too long, a redirect or badly encoded.
            ObservationError: If the server refuses the request.
        """
        attempt = 0
        while True:
            try:
                return await self._attempt(request)
            except _Retryable as error:
                if attempt >= self._options.retries:
                    raise Unreachable(str(error)) from error
            wait_s = min(_MAX_BACKOFF_S, self._options.backoff_s * 2.0**attempt)
            attempt += 1
            await self._clock.sleep(wait_s)

    def shows_secrets(self, text: str) -> bool:
        """Tell whether a server's words hold a secret that it was sent."""
        return self._scrub(text, self._token.last if self._token else "") != text

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _attempt(self, request: Request) -> Answer:
        before = self._bearer()
        try:
            return await self._send(request, before)
        except _Unauthorized as error:
            # A rotated token is accepted from one second to the next, so the file is worth another look.
            after = self._token.read() if self._token else before
            if after == before:
                raise ObservationError(str(error)) from error
        try:
            return await self._send(request, after)
        except _Unauthorized as error:
            raise ObservationError(str(error)) from error

    def _bearer(self) -> str:
        return self._token.current() if self._token else self._options.token

    async def _send(self, request: Request, bearer: str) -> Answer:
        where = _where(request.url)
        limit_s = self._options.query_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._exchange(request, bearer)
        except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{where} did not answer within {limit_s:g} s") from error
        except httpx.LocalProtocolError as error:
            # Its text would show the header that it refuses.
            raise ObservationError(f"the request to {where} cannot be sent; check headers") from error
        except httpx.DecodingError as error:
            raise Malformed(f"{where} sent a body that is not encoded as it says") from error
        except (httpx.TransportError, OSError) as error:
            # OSError: a peer that refuses us after the TLS handshake shows as the ssl module's own error.
            raise _Retryable(self._scrub(f"cannot reach {where}: {_cause(error)}", bearer)) from error

    async def _exchange(self, request: Request, bearer: str) -> Answer:
        headers = {"Accept": request.accept}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        method = "GET" if request.form is None else "POST"
        async with self._http.stream(method, request.url, data=request.form, headers=headers) as response:
            content = await self._body(response, _where(request.url))
        self._check(response, content, bearer)
        return Answer(content_type=response.headers.get("content-type", ""), content=content)

    async def _body(self, response: httpx.Response, where: str) -> bytes:
        limit = self._options.max_response_bytes
        parts: list[bytes] = []
        total = 0
        async for part in response.aiter_bytes():
            total += len(part)
            if total > limit:
                raise Malformed(
                    f"{where} sent more than {limit} bytes; narrow the selectors or raise the limit"
                )
            parts.append(part)
        return b"".join(parts)

    def _check(self, response: httpx.Response, content: bytes, bearer: str) -> None:
        if response.is_success:
            return
        status = response.status_code
        where = _where(str(response.request.url))
        if response.is_redirect:
            target = self._scrub(_where(response.headers.get("location", "")), bearer)
            raise Malformed(f"{where} redirects to {target} (HTTP {status}); set the address to that")
        text = f"{where} answered HTTP {status}"
        if message := self._scrub(_message(content), bearer):
            text = f"{text}: {shortened(message)}"
        if hint := _WHAT_TO_CHECK.get(status):
            text = f"{text}; {hint}"
        if status == _UNAUTHORIZED:
            raise _Unauthorized(text)
        if status == _TOO_MANY or response.is_server_error:
            raise _Retryable(text)
        raise ObservationError(text)

    def _scrub(self, text: str, *further: str) -> str:
        for secret in (*self._options.secrets(), *further):
            text = text.replace(secret, "***") if secret else text
        return text


class _Retryable(Exception):
    """Another attempt may help."""


class _Unauthorized(Exception):
    """The server does not know the credentials."""


class _TokenFile:
    """A bearer token in a file that somebody else replaces from time to time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._token = ""

    @property
    def last(self) -> str:
        """The token that was read last."""
        return self._token

    def current(self) -> str:
        """Return the token, read again if the file changed."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise self._unreadable(error) from error
        version = (status.st_mtime_ns, status.st_size)
        if version != self._version:
            self.read()
            self._version = version
        return self._token

    def read(self) -> str:
        """Return the token as the file has it now."""
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error
        if not is_header_text(token):
            raise Unreachable(f"token_file {self._path} holds more than one line of plain text")
        self._token = token
        return token

    def _unreadable(self, error: Exception) -> Unreachable:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        return Unreachable(f"cannot read token_file {self._path}: {reason}")


def _cause(error: httpx.TransportError | OSError) -> str:
    return str(error) or type(error).__name__


def _where(url: str) -> str:
    # The query is left out: it can be long, and some set-ups put keys into it.
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path


def _message(content: bytes) -> str:
    """Return what a person would read first of an error's body."""
    text = content.decode("utf-8", errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict) and "error" in document:
        text = f"{document.get('errorType', 'error')}: {document['error']}"
    return " ".join(text.split())
