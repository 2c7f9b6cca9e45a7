"""How a request reaches a webhook's receiver: signed, bounded in size and time, retried where that helps.

Retried are requests that got no answer, 408, 429 and 5xx, with a doubling wait of which up to a half is left
to chance, so that many daemons do not come back at once. A receiver that says how long to wait
(`Retry-After`) is left alone for so long, at most a minute; where that is more than a few seconds, requests
until then are not sent and say so. Redirects are not followed: the signature was meant for one address.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from ssl import SSLContext

import httpx

from config.clock import Clock
from config.errors import (
    ActuationError,
    ConfigError,
    Conflict,
    Malformed,
    ObservationError,
    Refused,
    Unreachable,
)
from connectors.bounded import content_of
from connectors.virtual.webhook_options import WebhookOptions
from connectors.virtual.webhook_protocol import SIGNATURE_HEADER, signature_of

_FIRST_WAIT_S = 0.25
_MOST_WAIT_S = 5.0
_MOST_RETRY_AFTER_S = 60.0
_MAX_BYTES = 1024 * 1024
_ERROR_CHARS = 200
_RETRIED = frozenset({408, 429})
_CONFLICT = 409
_WHAT_TO_CHECK = {
    401: "check webhook.secret or webhook.secret_file, and the clocks of both machines",
    403: "check webhook.secret or webhook.secret_file, and webhook.headers",
    404: "check webhook.url and webhook.read_url",
    405: "it must answer GET with the fleet and POST with a decision; see docs/webhook.md",
}


class _Retryable(Exception):
    """Another attempt may help."""


class WebhookClient:
    """Signed requests to one receiver.

    Args:
        options: Where it is and how it knows us.
        clock: What waits are measured by, and where a signature's time comes from.
        chance: Returns the share, 0 to 1, of a wait's second half that is waited; random if None.
    """

    def __init__(
        self, options: WebhookOptions, clock: Clock, *, chance: Callable[[], float] | None = None
    ) -> None:
        self._options = options
        self._clock = clock
        self._chance = chance or secrets.SystemRandom().random
        # The key that the last request was signed with.
        self._sent = ""
        # Until when the receiver asked to be left alone, by method.
        self._quiet_until_s: dict[str, float] = {}
        # Proxies and .netrc of the environment are for the way out, not for the cluster's own services.
        self._http = httpx.AsyncClient(
            verify=_verify(options),
            timeout=options.timeout_s,
            trust_env=False,
            follow_redirects=False,
            headers=dict(options.headers),
        )

    async def get(self) -> bytes:
        """Return the receiver's words of the fleet.

        Raises:
            Unreachable: If no usable answer came, after all attempts.
            Malformed: If the answer is too long, a redirect or badly encoded.
            Refused: If the receiver answers with another 4xx.
        """
        return await self._ask("GET", self.read_url, b"", {})

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Hand over a decision.

        Raises:
            Conflict: If the receiver answers 409.
            Refused: If the receiver answers with another 4xx.
            Unreachable: If no usable answer came, after all attempts.
            Malformed: If the answer is too long, a redirect or badly encoded.
        """
        await self._ask("POST", self._options.url, body, {"Content-Type": "application/json", **headers})

    @property
    def read_url(self) -> str:
        """Where the fleet is read."""
        return self._options.read_url or self._options.url

    async def close(self) -> None:
        """Release the connections."""
        await self._http.aclose()

    async def _ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        attempt = 0
        while True:
            await self._leave_alone(method, url)
            try:
                return await self._send(method, url, body, headers)
            except _Retryable as error:
                if attempt >= self._options.retries:
                    raise Unreachable(_with_attempts(str(error), attempt + 1)) from error
            await self._clock.sleep(self._wait_s(attempt))
            attempt += 1

    def _wait_s(self, attempt: int) -> float:
        return min(_MOST_WAIT_S, _FIRST_WAIT_S * 2.0**attempt) * (0.5 + 0.5 * self._chance())

    async def _leave_alone(self, method: str, url: str) -> None:
        left_s = self._quiet_until_s.get(method, 0.0) - self._clock.now_s()
        if left_s > _MOST_WAIT_S:
            raise Unreachable(f"{where_of(url)} asked to be left alone for {left_s:.0f} s more (Retry-After)")
        if left_s > 0.0:
            await self._clock.sleep(left_s)

    async def _send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        self._sent = secret = self._secret()
        signed = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        if secret:
            signed[SIGNATURE_HEADER] = signature_of(body, secret=secret, at_unix_s=int(self._clock.wall_s()))
        request = self._http.build_request(method, url, content=body or None, headers=signed)
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._exchange(request, secret)
        except (TimeoutError, httpx.TimeoutException) as error:
            limit = f"{self._options.timeout_s:g} s"
            raise _Retryable(f"{where_of(url)} did not answer within {limit}") from error
        except httpx.LocalProtocolError as error:
            # Its text would show the header that it refuses.
            raise Refused(f"the request to {where_of(url)} cannot be sent; check webhook.headers") from error
        except (httpx.TransportError, OSError) as error:
            # OSError: a peer that refuses us after the TLS handshake shows as the ssl module's own error.
            cause = self._masked(str(error) or type(error).__name__, secret)
            raise _Retryable(f"cannot reach {where_of(url)}: {cause}") from error

    async def _exchange(self, request: httpx.Request, secret: str) -> bytes:
        response = await self._http.send(request, stream=True)
        try:
            content = await content_of(
                response,
                where=where_of(str(request.url)),
                most_bytes=_MAX_BYTES,
                expected="a fleet or a short text",
            )
        finally:
            await response.aclose()
        if response.is_success:
            return content
        raise self._problem(response, content, secret)

    def _problem(
        self, response: httpx.Response, content: bytes, secret: str
    ) -> ActuationError | ObservationError | _Retryable:
        status, where = response.status_code, where_of(str(response.request.url))
        if response.is_redirect:
            target = self._masked(where_of(response.headers.get("location", "")), secret)
            return Malformed(f"{where} redirects to {target} (HTTP {status}); set the address to that")
        text = f"{where} answered HTTP {status}"
        # What it was sent is good for some minutes yet.
        signature = response.request.headers.get(SIGNATURE_HEADER, "").rpartition("=")[2]
        if words := self._masked(_words(content), secret, signature):
            text = f"{text}: {_shortened(words)}"
        if hint := _WHAT_TO_CHECK.get(status):
            text = f"{text}; {hint}"
        if status in _RETRIED or response.is_server_error:
            self._note_quiet(response)
            return _Retryable(text)
        return Conflict(text) if status == _CONFLICT else Refused(text)

    def _note_quiet(self, response: httpx.Response) -> None:
        wait_s = min(_MOST_RETRY_AFTER_S, self._asked_wait_s(response.headers.get("retry-after", "")))
        if wait_s > 0.0:
            self._quiet_until_s[response.request.method] = self._clock.now_s() + wait_s

    def _asked_wait_s(self, text: str) -> float:
        """Return what `Retry-After` asks for: seconds or a date; 0 where it is absent or neither."""
        if text.isascii() and text.isdecimal():
            return float(text)
        try:
            return parsedate_to_datetime(text).timestamp() - self._clock.wall_s()
        except (ValueError, OverflowError):
            return 0.0

    def _secret(self) -> str:
        path = self._options.secret_file
        if path is None:
            return self._options.secret
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise Unreachable(f"cannot read webhook.secret_file {path}: {reason}") from error
        if not secret:
            raise Unreachable(f"webhook.secret_file {path} is empty; expected the key of the signature")
        return secret

    def shows_secrets(self, text: str) -> bool:
        """Tell whether the receiver's words hold a secret that it was sent, as it is or escaped in JSON."""
        return any(form in text for word in self._secrets(self._sent) for form in _written(word))

    def _masked(self, text: str, *further: str) -> str:
        for word in self._secrets(*further):
            text = text.replace(word, "***")
        return text

    def _secrets(self, *further: str) -> tuple[str, ...]:
        return (*(word for word in further if word), *self._options.http().secrets())


def where_of(url: str) -> str:
    """Return an address for the words of an error: without its query, which may hold a key.

    Example:
        >>> where_of("https://fleet.example/scale?key=abc")
        'https://fleet.example/scale'
    """
    try:
        return str(httpx.URL(url).copy_with(query=None, fragment=None, userinfo=b""))
    except httpx.InvalidURL:
        return "what is no address"


def _written(word: str) -> tuple[str, ...]:
    """Return how a text may stand in a JSON document, and as it is."""
    return (word, *(json.dumps(word, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)))


def _words(content: bytes) -> str:
    """Return what a person would read first of an error's body."""
    text = content.decode("utf-8", errors="replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and isinstance(document.get("error"), str):
        text = document["error"]
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _shortened(text: str) -> str:
    return text if len(text) <= _ERROR_CHARS else text[:_ERROR_CHARS] + "…"


def _with_attempts(text: str, attempts: int) -> str:
    return text if attempts == 1 else f"{text} ({attempts} attempts)"


def _verify(options: WebhookOptions) -> bool | SSLContext:
    if not any(url.startswith("https:") for url in (options.url, options.read_url)):
        return False
    try:
        return options.http().tls_context()
    except ConfigError as error:
        raise ConfigError(error.problem, key=f"webhook.{error.key}", hint=error.hint) from error
