"""What a user can say about reaching a metrics server: credentials, TLS, limits.

Secrets are left out of every representation, and `HttpOptions.secrets` names them so that a server that
echoes a request cannot put them into our error texts.
"""

import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from config.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How to reach an HTTP server.

    Attributes:
        token: Bearer token.
        token_file: File that holds the bearer token; read again when it changes and after each 401.
        username: User of basic authentication.
        password: Password of basic authentication.
        headers: Further request headers, such as a tenant's; treated as secret.
        ca_file: Certificates that sign the server's; the system's if None.
        client_cert_file: Our certificate, for mutual TLS.
        client_key_file: Its key, if not in the same file.
        verify_tls: False accepts any certificate.
        query_timeout_s: Longest wait for one answer.
        retries: Further attempts after a connection error, a 5xx or a 429.
        backoff_s: Wait before the first further attempt; doubles with each.
        max_response_bytes: Longer answers are refused while they arrive.
        use_environment_proxies: Take proxies from the process environment.
    """

    token: str = field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    verify_tls: bool = True
    query_timeout_s: float = 10.0
    retries: int = 2
    backoff_s: float = 0.1
    max_response_bytes: int = 32 * 1024 * 1024
    use_environment_proxies: bool = False

    def __post_init__(self) -> None:
        ways = [bool(self.token), self.token_file is not None, bool(self.username)]
        if sum(ways) > 1:
            raise ConfigError(
                "more than one of token, token_file and username is set", hint="keep the one that is meant"
            )
        if self.password and not self.username:
            raise ConfigError("a password is set without a username", key="username")
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ConfigError("a client key is set without its certificate", key="client_cert_file")
        for key, text in (
            ("token", self.token),
            *((f"headers.{name}", value) for name, value in self.headers),
        ):
            if not is_header_text(text):
                raise ConfigError("contains characters that no HTTP header can carry", key=key)

    def secrets(self) -> tuple[str, ...]:
        """Return every text that must not appear in a log or an error."""
        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        values = [value for _, value in self.headers]
        # A server that repeats credentials leaves their scheme out: `Bearer abc` comes back as `abc`.
        bare = [value.rpartition(" ")[2] for value in values if " " in value]
        texts = (self.token, self.password, basic if self.username else "", *values, *bare)
        return tuple(text for text in texts if text)

    def tls_context(self) -> ssl.SSLContext:
        """Return what TLS is to check and to present.

        Raises:
            ConfigError: If a certificate or key cannot be read.
        """
        context = _trusting(self.ca_file)
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert_file is not None:
            _present(context, self.client_cert_file, self.client_key_file)
        return context


def is_header_text(text: str) -> bool:
    """Return True if an HTTP header can carry the text as it is.

    Example:
        >>> is_header_text("abc"), is_header_text("a" + chr(10) + "b")
        (True, False)
    """
    return text.isascii() and (text.isprintable() or not text)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        problem = f"cannot read certificates from {ca_file}: {error.strerror or error}"
        raise ConfigError(problem, key="ca_file", hint="name a PEM file") from error


def _present(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    try:
        context.load_cert_chain(str(cert_file), str(key_file) if key_file else None)
    except OSError as error:
        problem = f"cannot use the client certificate {cert_file}: {error.strerror or error}"
        raise ConfigError(problem, key="client_cert_file", hint="name a PEM file and its key") from error


def checked_url(url: str, *, key: str) -> str:
    """Return the address without a trailing slash, or say what is wrong with it.

    Raises:
        ConfigError: If it is not an http(s) address, or carries credentials, which would end up in logs.

    Example:
        >>> checked_url("http://prometheus:9090/", key="prometheus.url")
        'http://prometheus:9090'
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError("the address contains credentials", key=key, hint="set username and password")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"not an address: {url!r}", key=key, hint="expected http://host:port or https://…")
    return url.rstrip("/")
