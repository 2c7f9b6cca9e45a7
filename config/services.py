"""How Prometheus is named as a service of Kubernetes, and what cannot be said together with that.

The API server passes requests on to the service with its own connection: our credentials for Prometheus and
what we would check of its certificate have no place in it, and an `Authorization` header is the API server's.
Other headers, such as X-Scope-OrgID, pass.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from config.errors import ConfigError
from config.sections import PrometheusSettings
from config.units import quoted

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SERVICE = re.compile(
    rf"(?P<tls>https:)?(?P<namespace>{_LABEL})/(?P<name>{_LABEL}):(?P<port>{_LABEL})(?P<prefix>(/[\w.~-]+)*)/?"
)
_HINT = "write for example monitoring/prometheus-operated:9090, with https: before it for TLS"


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
    match = _SERVICE.fullmatch(text.strip())
    if match is None:
        problem = f"'{quoted(text)}' is not a service with its namespace and port"
        raise ConfigError(problem, key="prometheus.service", hint=_HINT)
    return Service(
        namespace=match["namespace"],
        name=match["name"],
        port=match["port"],
        is_tls=match["tls"] is not None,
        prefix=match["prefix"],
    )


def not_carried(asked: PrometheusSettings) -> Iterator[str]:
    """Yield the settings of Prometheus that mean nothing where the API server passes requests on."""
    values = {
        "token": asked.token,
        "token_file": asked.token_file,
        "username": asked.username,
        "client_cert_file": asked.client_cert_file,
        "ca_file": asked.ca_file,
    }
    yield from (f"prometheus.{name}" for name, value in values.items() if value is not None)
    if any(name.lower() == "authorization" for name in asked.headers):
        yield "prometheus.headers"
