"""From a laptop: a kubeconfig, flags, and a Prometheus behind a tunnel that is cut and comes back."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from planner.core.words import sentence
from tests.e2e.laptop import holds, start
from tests.e2e.scene import HIGH, LOW, planned
from tests.e2e.servers import until
from tests.e2e.stage import Stage, playing
from tests.e2e.tunnel import Tunnel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
async def tunnel(stage: Stage) -> AsyncIterator[Tunnel]:
    tunnel = Tunnel(stage.scene.prometheus.port)
    await tunnel.start()
    yield tunnel
    await tunnel.cut()


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


def test_prometheus_is_reached_through_the_api_server_without_a_tunnel(
    tmp_path: Path, program: Callable[[str, str], str]
) -> None:
    """Run it in a network of its own, with an address that the API server does not refuse as loopback."""
    own = () if os.geteuid() == 0 else ("--map-root-user",)
    unshare = (program("unshare", "util-linux"), "--net", *own)
    ip = program("ip", "iproute2")
    enter = f'{ip} link set lo up; {ip} address add 198.51.100.7/32 dev lo; exec "$@"'
    inner = Path(__file__).with_name("through_the_api_server.py")
    pytest_ = (sys.executable, "-P", "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider")

    done = subprocess.run(
        [*unshare, "sh", "-c", enter, "sh", *pytest_, f"--basetemp={tmp_path / 'inner'}", str(inner)],
        cwd=inner.parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=55.0,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "1 passed" in done.stdout
