"""Prometheus as a service of the cluster, reached through the API server; test_laptop gives it a network.

The API server refuses to pass requests on to loopback, so Prometheus has another address in that network
which nothing outside it can reach.
"""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from planner.core.words import sentence
from tests.cluster.kubelet import READY
from tests.e2e.laptop import holds, start
from tests.e2e.scene import HIGH, LOW, planned
from tests.e2e.servers import Prometheus, until
from tests.e2e.stage import Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(50)]
_ADDRESS = "198.51.100.7"


class Reachable(Prometheus):
    """Prometheus on the other address, too."""

    async def spawn(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        everywhere = (one.replace("address=127.0.0.1:", "address=:") for one in arguments)
        await super().spawn(*everywhere, environment=environment)


def service_of(stage: Stage) -> str:
    return f"{stage.namespace}/prometheus-operated:9090"


def serve(stage: Stage) -> str:
    """Make the Service and the pod that the Prometheus operator makes; return how the setting names it."""
    admin, core = stage.plane.admin, f"/api/v1/namespaces/{stage.namespace}"
    name = {"metadata": {"name": "prometheus-operated"}}
    port = stage.scene.prometheus.port
    ports = [{"name": "web", "port": 9090, "targetPort": port}]
    admin.ask("POST", f"{core}/services", {**name, "spec": {"ports": ports}})
    labels = {"app.kubernetes.io/name": "prometheus"}
    ready = {**READY, "podIP": _ADDRESS, "podIPs": [{"ip": _ADDRESS}]}
    pod = {"kind": "Pod", "namespace": stage.namespace, "name": stage.kubelet.pod(labels, status=ready)}
    subset = {"addresses": [{"ip": _ADDRESS, "targetRef": pod}], "ports": [{"name": "web", "port": port}]}
    admin.ask("POST", f"{core}/endpoints", {**name, "subsets": [subset]})
    return service_of(stage)


async def test_it_scales_and_holds_while_prometheus_is_gone(stage: Stage) -> None:
    prometheus = Reachable(stage.scene.prometheus.folder, stage.scene.prometheus.program)
    stage = replace(stage, scene=replace(stage.scene, prometheus=prometheus))
    stage.scene.frontend.carry(HIGH)
    try:
        async with playing(stage.kubelet.settle_deployments):
            await start(stage, "--set", f"prometheus.service={serve(stage)}")
            await stage.settled(HIGH, stage.deployments)

            await prometheus.kill()
            stage.scene.frontend.carry(LOW)
            await until(lambda: holds(stage), "it holds")
            await stage.scene.setpoint.ticks(3)
            held = stage.scene.setpoint.steps()[-1].decision
            during = stage.deployments()
            await prometheus.start()
            await stage.settled(LOW, stage.deployments)
    finally:
        await prometheus.kill()

    assert f'where="service {service_of(stage)}, through the API server"' in stage.scene.setpoint.log
    words = [sentence(reason) for reason in held.reasons]
    assert held.is_hold
    assert any("prometheus-operated" in one for one in words), words
    assert during == planned(stage.scene.policy(), HIGH)
    posted = {
        entry["objectRef"].get("subresource")
        for entry in stage.plane.audit(verbs=("create",))
        if entry["objectRef"]["resource"] == "services" and "setpoint" in entry["user"]["username"]
    }
    assert posted == {"proxy"}
