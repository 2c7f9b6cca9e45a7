"""What the API server's answers mean: documents, lines of a watch, refusals, and silence, in words.

Nothing of a server's words is passed on unbounded, on several lines or with something in it that looks like a
credential: they end up in logs, Events and the journal.
"""

import errno
import json
import os
import re
import ssl
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from connectors.kubernetes.api import ApiError, WatchEvent

# Reasons of our own, beside those of the API.
UNCONNECTED = "Unconnected"
CERTIFICATE = "Certificate"
TIMEOUT = "Timeout"
BROKEN = "Broken"
MALFORMED = "Malformed"

_WORDS_CHARS = 300
_CREDENTIAL = re.compile(
    r"(?i)\b(authorization|cookie|set-cookie|[\w-]*token|password|client-key-data)[\"']?\s*[:=]\s*"
    r"[\"']?((bearer|basic)\s+)?[^\s\"',}]+"
    r"|\b(bearer|basic)\s+(?=\S*\d)[\w.~+/=-]{6,}"
    r"|\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"
)
_HINTS = {
    HTTPStatus.UNAUTHORIZED: "the credentials are not accepted; log in again, or check the token",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the object is too large",
}
_CODE_EXPIRED = 10
_CODES_NAME = frozenset({62, 63, 64})


class Lines:
    """Lines out of the parts in which they arrive.

    Args:
        most_bytes: A longer line is none.

    Example:
        >>> lines = Lines(most_bytes=100)
        >>> list(lines.feed(b"a" + bytes([10]) + b"b")), list(lines.feed(b"c" + bytes([10])))
        ([b'a'], [b'bc'])
    """

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._parts: list[bytes] = []
        self._bytes = 0

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete now, without their ends; empty ones are left out.

        Raises:
            ApiError: If a line is longer than allowed.
        """
        *ended, rest = part.split(b"\n")
        for line in ended:
            whole = b"".join((*self._parts, line))
            self._parts, self._bytes = [], 0
            if whole.strip():
                yield whole
        self._parts.append(rest)
        self._bytes += len(rest)
        if self._bytes > self._most_bytes:
            raise ApiError(
                f"one line of a watch has more than {self._most_bytes} bytes; expected one object",
                status=HTTPStatus.OK,
                reason=MALFORMED,
            )


def document_of(content: bytes, *, where: str) -> dict[str, Any]:
    """Read the body of a success.

    Raises:
        ApiError: If it is not a JSON object.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    start = safe(content[:80].decode("utf-8", errors="replace"))
    problem = f"expected a JSON object as the answer to {where}, found {start!r}"
    raise ApiError(
        f"{problem}; is this the address of a Kubernetes API server?",
        status=HTTPStatus.OK,
        reason=MALFORMED,
    )


def event_of(line: bytes, *, where: str) -> WatchEvent:
    """Read one line of a watch.

    Raises:
        ApiError: If it says so, or is not such a line.
    """
    found = document_of(line, where=where)
    kind, item = found.get("type"), found.get("object")
    if not isinstance(kind, str) or not isinstance(item, dict):
        raise ApiError(
            f"expected a type and an object in each line of {where}, found {safe(str(found))}",
            status=HTTPStatus.OK,
            reason=MALFORMED,
        )
    if kind != "ERROR":
        return WatchEvent(kind=kind, item=item)
    code = item.get("code")
    raise ApiError(
        f"the API server ends {where}: {safe(str(item.get('message') or 'it does not say why'))}",
        status=code if isinstance(code, int) else HTTPStatus.INTERNAL_SERVER_ERROR,
        reason=str(item.get("reason") or ""),
    )


def refusal(
    status: int, content: bytes, *, where: str, retry_after_s: float | None, secrets: Iterable[str] = ()
) -> ApiError:
    """Turn an answer that is no success into an error with the server's own words."""
    message, reason = _words(content)
    for secret in secrets:
        message = message.replace(secret, "***")
    text = f"the API server answered {status} to {where}"
    if message := safe(message):
        text = f"{text}: {message}"
    if hint := _HINTS.get(HTTPStatus(status) if status in _KNOWN else HTTPStatus.OK):
        text = f"{text}; {hint}"
    return ApiError(text, status=status, reason=safe(reason), retry_after_s=retry_after_s)


def is_status(content: bytes) -> bool:
    """Tell whether a body is the API server's own `Status`, not that of something behind it."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("kind") == "Status"


def safe(text: str) -> str:
    """Return a server's words on one line, shortened, without what looks like a credential.

    Example:
        >>> safe("no such user" + chr(10) + "Authorization: Bearer abc.def")
        'no such user ***'
    """
    line = " ".join(_CREDENTIAL.sub("***", text).split())
    plain = "".join(letter if letter.isprintable() else "?" for letter in line)
    return plain if len(plain) <= _WORDS_CHARS else plain[:_WORDS_CHARS] + "…"


def silence(error: Exception, *, server: str, limit_s: float) -> ApiError:
    """Turn what the transport raised into an error that says what to do."""
    import aiohttp

    if isinstance(error, TimeoutError):
        return ApiError(f"{server} did not answer within {limit_s:g} s", status=0, reason=TIMEOUT)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ApiError(_untrusted(error.certificate_error, server), status=0, reason=CERTIFICATE)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError | aiohttp.InvalidURL):
        return ApiError(_unconnected(error, server), status=0, reason=UNCONNECTED)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return ApiError(f"{server} closed the connection before its answer ended", status=0, reason=BROKEN)
    cause = safe(str(error)) or type(error).__name__
    return ApiError(f"the connection to {server} broke: {cause}", status=0, reason=BROKEN)


_KNOWN = frozenset(HTTPStatus)


def _words(content: bytes) -> tuple[str, str]:
    text = content.decode("utf-8", errors="replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text[: 2 * _WORDS_CHARS], ""
    if not isinstance(found, dict):
        return text[: 2 * _WORDS_CHARS], ""
    return str(found.get("message") or ""), str(found.get("reason") or "")


def _untrusted(error: Exception, server: str) -> str:
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    said = safe(error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error))
    if code == _CODE_EXPIRED:
        return f"the certificate of {server} has expired; renew it, or check the clock of this machine"
    if code in _CODES_NAME:
        text = f"the certificate of {server} is for another name ({said})"
        return f"{text}; use a name that it has, or set tls-server-name in the kubeconfig"
    text = f"the certificate of {server} is not signed by an authority that we know ({said})"
    return f"{text}; set kubernetes.ca_file, or certificate-authority in the kubeconfig"


def _unconnected(error: Exception, server: str) -> str:
    import aiohttp

    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    number = cause.errno if cause else None
    said = safe(os.strerror(number) if number and number > 0 else str(cause or error))
    if isinstance(error, aiohttp.InvalidURL):
        return f"{safe(server)} is not an address"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"the proxy on the way to {server} answered {error.status}"
        return f"{text}; check kubernetes.proxy, HTTPS_PROXY and NO_PROXY"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        text = f"cannot connect to the proxy on the way to {server} ({said})"
        return f"{text}; check kubernetes.proxy, HTTPS_PROXY and NO_PROXY"
    return _connection_refused(error, server, said, number)


def _connection_refused(error: Exception, server: str, said: str, number: int | None) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name of {server} cannot be resolved ({said}); check it, and the VPN if there is one"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"{server} does not speak TLS with us ({said}); check the scheme and the port"
    if number == errno.ECONNREFUSED:
        return f"nothing listens at {server} ({said}); check that the API server, or the tunnel to it, is up"
    return f"cannot connect to {server} ({said}); check the address, the network and the firewall"
