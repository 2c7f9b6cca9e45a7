"""The few calls of etcd v3 that Setpoint needs, over etcd's own HTTP gateway.

Keys and values travel as base64, 64-bit numbers as JSON strings, and members that are zero are absent: an
absent key has no `kvs`, a transaction that was not taken has no `succeeded`. All endpoints belong to one
cluster, so a request goes to the next endpoint when one does not answer; etcd's own compare-and-swap makes
that safe for writes, too. Reads are linearizable (etcd's default).
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from config.addresses import is_bare
from config.errors import ConfigError, Malformed, Unreachable
from connectors.bounded import content_of
from connectors.virtual.etcd_answers import Answer, document, is_token_rejected, message

# Far more than four keys need; what sends more is not what was asked.
_MAX_BYTES = 4 * 1024 * 1024
_EXPECTED = "the few keys of one planner, so check that this is etcd and what is stored under the prefix"
_RETRY_ELSEWHERE = frozenset({408, 429, 500, 502, 503, 504})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdOptions:
    """Where etcd is and how to log in.

    Attributes:
        endpoints: Base URLs of the members of one cluster; the one that answered last is tried first.
        username: User to authenticate as; empty for none.
        password: Its password.
        ca_file: CA certificates in PEM to check the server's with; empty for the system's own.
        cert_file: Client certificate in PEM, key included or in `key_file`; empty for none.
        key_file: Key of the client certificate; empty if it is in `cert_file`.
        timeout_s: Limit of one request to one endpoint.
    """

    endpoints: tuple[str, ...] = ("http://127.0.0.1:2379",)
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what no request could be made from."""
        if not self.endpoints:
            raise ConfigError("no endpoint is given", key="etcd endpoints", hint="give at least one URL")
        for endpoint in self.endpoints:
            _check_endpoint(endpoint)
        if not self.timeout_s > 0.0:
            raise ConfigError(f"{self.timeout_s:g} s is not positive", key="etcd timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """One key as etcd stores it."""

    key: str
    value: str
    mod_revision: int


class EtcdClient:
    """Speak to an etcd cluster.

    All methods raise `Unreachable` if no endpoint answers in time, `Malformed` if the answer cannot be read
    or is longer than 4 MiB, and `Refused` if etcd does not let us in or does not take the request.
    """

    def __init__(self, options: EtcdOptions) -> None:
        self._options = options
        self._endpoints = [endpoint.rstrip("/") for endpoint in options.endpoints]
        # Proxies of the environment are for the way out, not for the cluster's own store.
        self._http = httpx.AsyncClient(
            verify=_tls(options), timeout=options.timeout_s, trust_env=False, follow_redirects=False
        )
        self._token = ""
        _warn_of_plain_http(options)

    async def close(self) -> None:
        """Release connections."""
        await self._http.aclose()

    async def read_prefix(self, prefix: str, *, revision: int = 0) -> tuple[KeyValue, ...]:
        """Return all keys that start with the prefix.

        Args:
            prefix: Not empty.
            revision: Read the past at this revision; 0 reads the present.

        Raises:
            CompactedError: If that past is no longer kept.
        """
        last = chr(ord(prefix[-1]) + 1)
        body = {"key": _encode(prefix), "range_end": _encode(prefix[:-1] + last), "revision": str(revision)}
        answer = await self._call("/v3/kv/range", body)
        return _key_values(answer)

    async def put_if_unchanged(self, values: Mapping[str, str], *, revisions: Mapping[str, int]) -> int:
        """Write all values at once, if every key still has its revision; 0 stands for an absent key.

        Returns:
            The revision of the write, or 0 if a key has another revision by now and nothing was written.
        """
        compare = [
            {"key": _encode(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
            for key, revision in revisions.items()
        ]
        puts = [
            {"request_put": {"key": _encode(key), "value": _encode(value)}} for key, value in values.items()
        ]
        answer = await self._call("/v3/kv/txn", {"compare": compare, "success": puts})
        if answer.get("succeeded") is not True:
            return 0
        header = answer.get("header")
        return _revision(header.get("revision") if isinstance(header, dict) else None)

    async def _call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._options.username and not self._token:
            await self._authenticate()
        answer = await self._post(path, body)
        if self._options.username and is_token_rejected(answer):
            await self._authenticate()
            answer = await self._post(path, body)
        return document(answer, self._secrets)

    async def _authenticate(self) -> None:
        self._token = ""
        login = {"name": self._options.username, "password": self._options.password}
        token = document(await self._post("/v3/auth/authenticate", login), self._secrets).get("token")
        if not isinstance(token, str) or not token:
            raise Malformed(
                "etcd accepted the login and sent no token; expected one from /v3/auth/authenticate"
            )
        self._token = token

    async def _post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Ask one endpoint after the other, and remember the one that answered."""
        problems = []
        for endpoint in tuple(self._endpoints):
            try:
                answer = await self._post_to(endpoint + path, body)
            except (httpx.HTTPError, OSError) as error:
                # OSError: the limit ran out, or the peer refused us by TLS after the handshake, which
                # httpx lets through as the ssl module's own error.
                problems.append(f"{endpoint}: {_words(error, self._options.timeout_s)}")
                continue
            if answer.status not in _RETRY_ELSEWHERE:
                self._prefer(endpoint)
                return answer
            problems.append(f"{endpoint}: HTTP {answer.status} ({message(answer, self._secrets)})")
        raise Unreachable(f"no etcd endpoint answered {path}: {'; '.join(problems)}")

    async def _post_to(self, url: str, body: Mapping[str, Any]) -> Answer:
        # Not compressed, so that few bytes cannot become many.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": self._token} if self._token else {})
        async with (
            asyncio.timeout(self._options.timeout_s),
            self._http.stream("POST", url, json=body, headers=headers) as response,
        ):
            content = await content_of(response, where=url, most_bytes=_MAX_BYTES, expected=_EXPECTED)
            return Answer(url=url, status=response.status_code, content=content)

    @property
    def _secrets(self) -> tuple[str, ...]:
        """What a server could echo, and its words, which are shown, must not hold."""
        return tuple(filter(None, (self._options.password, self._token)))

    def _prefer(self, endpoint: str) -> None:
        self._endpoints.remove(endpoint)
        self._endpoints.insert(0, endpoint)


def _warn_of_plain_http(options: EtcdOptions) -> None:
    bare = [endpoint for endpoint in options.endpoints if is_bare(endpoint)]
    if options.username and options.password and bare:
        _log.warning("the password for etcd crosses the network unencrypted; use https", endpoints=bare)


def _check_endpoint(endpoint: str) -> None:
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise ConfigError(f"{endpoint!r} is not a URL: {error}", key="etcd endpoints") from error
    if url.userinfo:
        # The text is not repeated: it holds a password.
        raise ConfigError("a URL holds a user name", key="etcd endpoints", hint="set username and password")
    if url.scheme not in {"http", "https"} or not url.host:
        hint = "expected http://host:port or https://host:port"
        raise ConfigError(f"{endpoint!r} is not the URL of a server", key="etcd endpoints", hint=hint)


def _tls(options: EtcdOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (options.ca_file, options.cert_file, options.key_file)))
        hint = "expected readable PEM files"
        raise ConfigError(f"cannot use {files}: {error}", key="etcd certificates", hint=hint) from error
    return context


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: object, *, where: str) -> str:
    try:
        return base64.b64decode(str(text), validate=True).decode()
    except ValueError as error:
        raise Malformed(f"{where} is not base64 of UTF-8 text: {str(text)[:80]!r}") from error


def _key_values(answer: Mapping[str, Any]) -> tuple[KeyValue, ...]:
    entries = answer.get("kvs", [])
    if not isinstance(entries, list):
        raise Malformed(f"expected a list of keys from etcd, found {str(entries)[:80]!r}")
    return tuple(_key_value(entry) for entry in entries)


def _key_value(entry: object) -> KeyValue:
    if not isinstance(entry, dict):
        raise Malformed(f"expected a key with its revision from etcd, found {str(entry)[:80]!r}")
    key = _decode(entry.get("key"), where="a key from etcd")
    # An empty value is a zero member, so it is absent.
    value = _decode(entry.get("value", ""), where=f"the value of {key}")
    return KeyValue(key=key, value=value, mod_revision=_revision(entry.get("mod_revision")))


def _revision(found: object) -> int:
    text = str(found)
    if not (text.isascii() and text.isdigit()):
        raise Malformed(f"expected a revision from etcd as decimal text, found {text[:80]!r}")
    return int(text)


def _words(error: httpx.HTTPError | OSError, timeout_s: float) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no answer within {timeout_s:g} s"
    return str(error) or type(error).__name__
