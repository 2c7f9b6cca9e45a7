"""Prometheus is asked through the API server's proxy, by the client that asks it directly elsewhere.

The API server refuses endpoints on loopback, where the servers of tests are; so what passes is shown on a
server that plays its proxy path, and what does not pass on the real one.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from config.clock import SystemClock
from config.errors import ObservationError, Unreachable
from config.load import load
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.proxy import ServiceTransport
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.options import HttpOptions
from planner.commands.connect import prometheus_of
from tests.cluster.control_plane import ControlPlane
from tests.cluster.scripted import Reply, ScriptedServer, scripted, tls_of

PROXIED = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query"
LEAST = {"budget_gpus": 8, "targets.ttft": "300ms", "targets.itl": "25ms"}
ANSWER = {
    "status": "success",
    "data": {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1.5, "42"]}]},
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    context, _ = tls_of(tmp_path)
    async with scripted(context) as found:
        found.otherwise = lambda _: Reply(body=ANSWER)
        yield found


def _prometheus(server: ScriptedServer, folder: Path, **settings: object) -> PrometheusClient:
    kubeconfig = server.kubeconfig(folder, cluster={"certificate-authority": str(folder / "server.crt")})
    flags = {
        "prometheus.service": "monitoring/prometheus:9090",
        "kubernetes.kubeconfig": str(kubeconfig),
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    return prometheus_of(load(flags={**LEAST, **flags}, environment={}).settings, clock=SystemClock())


async def test_a_query_passes_with_its_form_and_its_tenant(server: ScriptedServer, tmp_path: Path) -> None:
    client = _prometheus(server, tmp_path, prometheus__headers={"X-Scope-OrgID": "team-a"})

    result = await client.query('sum(rate(x{a="b"}[1m])) + 1')
    await client.close()

    received = server.received[0]
    assert result.series[0].points[0].value == 42.0
    assert (received.method, received.target) == ("POST", PROXIED)
    assert parse_qs(received.body.decode())["query"] == ['sum(rate(x{a="b"}[1m])) + 1']
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert received.headers["x-scope-orgid"] == "team-a"


async def test_the_api_server_knows_us_by_its_own_credentials(server: ScriptedServer, tmp_path: Path) -> None:
    client = _prometheus(server, tmp_path)

    await client.query("up")
    await client.close()

    headers = server.received[0].headers
    assert headers["authorization"] == "Bearer t0ken-of-ours"
    assert headers["host"] == server.url.removeprefix("https://")
    assert headers["user-agent"] == "setpoint"


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("https:monitoring/prometheus:web", "monitoring/services/https:prometheus:web/proxy/api/v1/query"),
        ("metrics/mimir:8080/prometheus", "metrics/services/mimir:8080/proxy/prometheus/api/v1/query"),
    ],
)
async def test_a_service_may_speak_tls_or_have_a_prefix(
    server: ScriptedServer, tmp_path: Path, service: str, *, path: str
) -> None:
    client = _prometheus(server, tmp_path, prometheus__service=service)

    await client.query("up")
    await client.close()

    assert server.received[0].target == f"/api/v1/namespaces/{path}"


async def test_what_prometheus_itself_refuses_is_its_own_word(server: ScriptedServer, tmp_path: Path) -> None:
    server.replies.append(
        Reply(status=400, body={"status": "error", "errorType": "bad_data", "error": "parse error"})
    )
    client = _prometheus(server, tmp_path)

    with pytest.raises(ObservationError, match="HTTP 400: bad_data: parse error"):
        await client.query("(")
    await client.close()


async def _refusal(plane: ControlPlane, *, token: str, namespace: str) -> str:
    api = KubeClient(ApiOptions(kubeconfig=plane.kubeconfig(token)), SystemClock())
    client = PrometheusClient(
        "http://prometheus:9090",
        options=HttpOptions(retries=0),
        clock=SystemClock(),
        transport=ServiceTransport(api, f"{namespace}/prometheus:9090"),
    )
    with pytest.raises(Unreachable) as caught:
        await client.query("up")
    await client.close()
    return str(caught.value)


async def test_what_the_api_server_refuses_is_told_in_its_words(control_plane: ControlPlane) -> None:
    admin = control_plane.admin
    namespace = admin.namespace("proxy")
    names = {"metadata": {"name": "prometheus"}}
    missing = await _refusal(control_plane, token=control_plane.token, namespace=namespace)
    admin.ask(
        "POST", f"/api/v1/namespaces/{namespace}/services", {**names, "spec": {"ports": [{"port": 9090}]}}
    )
    admin.ask("POST", f"/api/v1/namespaces/{namespace}/endpoints", {**names, "subsets": []})
    admin.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "poor"}})
    empty = await _refusal(control_plane, token=control_plane.token, namespace=namespace)
    forbidden = await _refusal(control_plane, token=admin.token_for(namespace, "poor"), namespace=namespace)

    assert 'services "prometheus" not found' in missing
    assert 'no endpoints available for service "prometheus"' in empty
    assert 'cannot create resource "services/proxy"' in forbidden
    assert all("through the API server's proxy" in text for text in (missing, empty, forbidden))
