"""What a user can say about reaching a webhook's receiver."""

from dataclasses import dataclass, field
from pathlib import Path

import httpx

from config.errors import ConfigError
from connectors.prometheus.options import HttpOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """Where the receiver is and how it knows us.

    Attributes:
        url: Where decisions are posted to.
        read_url: Where the fleet is read; the same address if empty.
        secret: Key of the signature; empty for none.
        secret_file: File with that key, read again for each request.
        headers: Further request headers; treated as secret. Those of the protocol cannot be replaced.
        ca_file: Certificates that sign the server's; the system's if None.
        verify_tls: False accepts any certificate.
        timeout_s: Longest wait for one answer.
        retries: Further attempts after no answer, 408, 429 or 5xx.
    """

    url: str
    read_url: str = ""
    secret: str = field(default="", repr=False)
    secret_file: Path | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: Path | None = None
    verify_tls: bool = True
    timeout_s: float = 5.0
    retries: int = 3

    def __post_init__(self) -> None:
        """Refuse what no request could be made from."""
        _check_url(self.url, key="webhook.url")
        _check_url(self.read_url or self.url, key="webhook.read_url")
        if self.secret and self.secret_file is not None:
            hint = "keep the one that is meant"
            raise ConfigError("secret and secret_file are both set", key="webhook.secret", hint=hint)

    def http(self) -> HttpOptions:
        """Return what goes for any HTTP server: checked headers and TLS."""
        return HttpOptions(headers=self.headers, ca_file=self.ca_file, verify_tls=self.verify_tls)


def _check_url(text: str, *, key: str) -> None:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigError("not an address", key=key, hint="expected http://host:port/path") from error
    if url.userinfo:
        # The text is not repeated: it holds a password.
        raise ConfigError("the address contains credentials", key=key, hint="set webhook.headers")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError(f"not an address: {text!r}", key=key, hint="expected http://host:port/path")
