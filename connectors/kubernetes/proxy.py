"""HTTP to a service inside the cluster through the API server's proxy, so that a laptop needs no tunnel.

It is the transport of an httpx client whose addresses are the service's own. Who we are to the API server is
the client's business; headers for the service pass, except those that belong to one connection or are the API
server's. Where the API server answers in the service's place (no rights, no endpoints), that is an error of
the connection, in its words, not an answer of the service. Needed is the verb `create` on
`services/proxy`.
"""

from collections.abc import Mapping

import httpx

from config.services import parse_service
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.builtin import SERVICES
from connectors.kubernetes.calls import Passage
from connectors.kubernetes.client import KubeClient

_NOT_SENT = frozenset(
    {
        "authorization",
        "accept-encoding",
        "connection",
        "content-length",
        "cookie",
        "host",
        "proxy-authorization",
        "transfer-encoding",
        "user-agent",
    }
)
# The client has undone what these say.
_NOT_RETURNED = frozenset({"connection", "content-encoding", "content-length", "transfer-encoding"})


class ServiceTransport(httpx.AsyncBaseTransport):
    """Sends what an httpx client asks of a service through the API server.

    Args:
        client: The API server; it is closed with the transport.
        service: `namespace/name:port`, or `https:namespace/name:port` for TLS behind it.

    Raises:
        ConfigError: If it does not name a service.
    """

    def __init__(self, client: KubeClient, service: str) -> None:
        self._client = client
        self._service = parse_service(service)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on; its host does not count.

        Raises:
            httpx.ConnectError: If no answer of the service came.
        """
        content = await request.aread()
        passage = Passage(
            method=request.method,
            path=f"{self._root}{request.url.raw_path.partition(b'?')[0].decode('ascii')}",
            query=request.url.query.decode("ascii"),
            headers=_kept(request.headers),
            content=content or None,
        )
        try:
            passed = await self._client.forward(passage)
        except ApiError as error:
            problem = f"through the API server's proxy: {error}"
            raise httpx.ConnectError(problem, request=request) from error
        kept = [(name, value) for name, value in passed.headers if name.lower() not in _NOT_RETURNED]
        return httpx.Response(passed.status, headers=kept, content=passed.content, request=request)

    async def aclose(self) -> None:
        """Release the connections."""
        await self._client.close()

    @property
    def _root(self) -> str:
        scheme = "https:" if self._service.is_tls else ""
        name = f"{scheme}{self._service.name}:{self._service.port}"
        return f"{SERVICES.path(self._service.namespace)}/{name}/proxy"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_SENT}
