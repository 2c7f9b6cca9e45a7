"""How Prometheus is named as a service of Kubernetes, and what cannot be said together with that.

The API server passes requests on to the service with its own connection: our credentials for Prometheus and
what we would check of its certificate have no place in it, and an `Authorization` header is the API server's.
Other headers, such as X-Scope-OrgID, pass.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from config.errors import ConfigError
from config.problems import Problem
from config.sections import PrometheusSettings

_KEY = "prometheus.service"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SERVICE = re.compile(
    rf"((?P<scheme>https?):)?(?P<namespace>{_LABEL})/(?P<name>{_LABEL}):(?P<port>{_LABEL})(?P<prefix>(/[\w.~-]+)*)/?"
)
_HINT = "write namespace/name:port, or https:namespace/name:port for TLS behind it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that the API server passes requests on to.

    Attributes:
        namespace: Where it is.
        name: Its name.
        port: Number or name of its port.
        is_tls: True if it speaks TLS there.
        prefix: Path that its own API is below; empty or with a leading slash.
    """

    namespace: str
    name: str
    port: str
    is_tls: bool = False
    prefix: str = ""

    @property
    def url(self) -> str:
        """Return the address that it has inside the cluster; a port's name is no part of one."""
        scheme = "https" if self.is_tls else "http"
        port = f":{self.port}" if self.port.isdigit() else ""
        return f"{scheme}://{self.name}.{self.namespace}.svc{port}{self.prefix}"


def parse_service(text: str) -> Service:
    """Read how a user names a service.

    Raises:
        ConfigError: If it does not say namespace, name and port.

    Example:
        >>> parse_service("monitoring/prometheus-operated:9090").url
        'http://prometheus-operated.monitoring.svc:9090'
        >>> parse_service("https:monitoring/mimir:web/prometheus").url
        'https://mimir.monitoring.svc/prometheus'
    """
    match = _SERVICE.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} does not name a service and its port", key=_KEY, hint=_HINT)
    return Service(
        namespace=match["namespace"],
        name=match["name"],
        port=match["port"],
        is_tls=match["scheme"] == "https",
        prefix=match["prefix"],
    )


def service_problems(asked: PrometheusSettings) -> Iterator[Problem]:
    """Yield what cannot be said of a Prometheus that is reached through the API server."""
    if asked.service is None:
        return
    try:
        parse_service(asked.service)
    except ConfigError as error:
        yield Problem(key=_KEY, problem=error.problem, hint=error.hint)
    if set_too := tuple(_not_carried(asked)):
        yield Problem(
            key=_KEY,
            problem=f"the API server's proxy does not carry {' and '.join(set_too)} to the service",
            hint="leave that out, or set prometheus.url to an address that is reached directly",
            others=set_too,
        )


def _not_carried(asked: PrometheusSettings) -> Iterator[str]:
    values = {
        "token": asked.token,
        "token_file": asked.token_file,
        "username": asked.username,
        "password": asked.password,
        "client_cert_file": asked.client_cert_file,
        "client_key_file": asked.client_key_file,
        "ca_file": asked.ca_file,
    }
    yield from (f"prometheus.{name}" for name, value in values.items() if value is not None)
    if any(name.lower() == "authorization" for name in asked.headers):
        yield "prometheus.headers"
