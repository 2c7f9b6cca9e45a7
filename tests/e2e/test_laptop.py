"""From a laptop: a kubeconfig, flags, and a Prometheus behind a tunnel that is cut and comes back."""

from collections.abc import AsyncIterator

import pytest

from planner.core.words import sentence
from planner.serving.records import Stepped
from tests.cluster.deployed import token_of
from tests.e2e.scene import HIGH, INTERVAL_S, LOW, planned
from tests.e2e.servers import SCRAPE_INTERVAL, until
from tests.e2e.stage import Stage, playing
from tests.e2e.tunnel import Tunnel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
async def tunnel(stage: Stage) -> AsyncIterator[Tunnel]:
    tunnel = Tunnel(stage.scene.prometheus.port)
    await tunnel.start()
    yield tunnel
    await tunnel.cut()


async def start(stage: Stage, *prometheus: str) -> None:
    """Start it as a person does in a shell, whose kubeconfig has the rights of deploy/ and no others."""
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    token = token_of(stage.plane.admin, stage.namespace, "deployment")
    setpoint = stage.scene.setpoint
    kubeconfig = stage.plane.kubeconfig(token, namespace=stage.namespace, folder=setpoint.folder)
    quick = {
        "look_interval": "0s",
        "startup": "0s",
        "pools.prefill.scale_down_window": "2s",
        "pools.decode.scale_down_window": "2s",
        "correction.enabled": "false",
        "prometheus.scrape_interval": SCRAPE_INTERVAL,
        "kubernetes.lease_duration": "3s",
    }
    await stage.scene.prometheus.start(stage.scene.frontend.target)
    await setpoint.start(
        *("--actuator", "kubernetes", "--actuate"),
        *("--prefill-target", "deployment/prefill", "--decode-target", "deployment/decode"),
        *prometheus,
        *("--profile", str(stage.scene.profile), "--ttft", "300ms", "--itl", "10ms", "--budget", "40"),
        *("--interval", f"{INTERVAL_S:g}s", "--http-port", str(setpoint.port)),
        *("--journal", str(setpoint.journal)),
        *(word for key, value in quick.items() for word in ("--set", f"{key}={value}")),
        environment={"KUBECONFIG": str(kubeconfig), "HOME": str(setpoint.folder)},
    )


def last(stage: Stage) -> Stepped:
    return stage.scene.setpoint.steps()[-1]


@pytest.mark.parametrize("fault", ["cut", "silence"])
async def test_a_tunnel_that_is_gone_holds_the_fleet_until_it_is_back(
    stage: Stage, tunnel: Tunnel, fault: str
) -> None:
    stage.scene.frontend.carry(HIGH)
    async with playing(stage.kubelet.settle_deployments):
        await start(stage, "--prometheus", tunnel.url)
        await stage.settled(HIGH, stage.deployments)
        pid, written = stage.scene.setpoint.pid, len(stage.writes())

        await getattr(tunnel, fault)()
        stage.scene.frontend.carry(LOW)
        await until(lambda: holds(stage), "it holds")
        await stage.scene.setpoint.ticks(4)
        held = [step.decision for step in stage.scene.setpoint.steps()[-4:]]
        during = stage.deployments(), len(stage.writes())
        await tunnel.start()
        await stage.settled(LOW, stage.deployments)

    assert all(decision.is_hold for decision in held)
    assert during == (planned(stage.scene.policy(), HIGH), written)
    words = [sentence(reason) for reason in held[-1].reasons]
    assert any("holding: the offered load is not known" in one and tunnel.url in one for one in words), words
    assert stage.scene.setpoint.pid == pid
    assert await stage.scene.setpoint.terminate() == 0, stage.scene.setpoint.log
    assert stage.scene.setpoint.log.count("works again") >= 1
    assert "Traceback" not in stage.scene.setpoint.log


async def holds(stage: Stage) -> bool:
    return last(stage).decision.is_hold
