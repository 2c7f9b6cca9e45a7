"""`setpoint run` between frontends that it scrapes and the receiver of docs/webhook.md, run as it stands."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from connectors.base import Replicas
from connectors.testing import ActuatorConformance, ActuatorHarness
from connectors.virtual.webhook import WebhookActuator
from connectors.virtual.webhook_options import WebhookOptions
from connectors.virtual.webhook_protocol import SIGNATURE_HEADER, signature_of
from tests.e2e.frontend import Frontend
from tests.e2e.scene import HIGH, LOW, Scene, planned
from tests.e2e.servers import CLOCK, SCRIPT, Etcd, Process, Prometheus, Setpoint, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PAGE = Path(__file__).parents[2] / "docs" / "webhook.md"
KEY = "the key of this test"


def example() -> str:
    """Return the receiver that the page shows."""
    found = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


class Receiver(Process):
    """The page's receiver in a process of its own."""

    async def start(self) -> None:
        file = self.folder / f"receiver-{self.port}.py"
        file.write_text(example(), encoding="utf-8")
        await self.spawn("-P", str(file), environment={"SECRET": KEY, "PORT": str(self.port)})
        await until(self.is_up, "the receiver answers")

    async def is_up(self) -> bool:
        try:
            return (await self.get("/")).status_code == httpx.codes.UNAUTHORIZED
        except httpx.TransportError:
            assert not self.has_ended, self.log
            return False

    async def counts(self) -> tuple[int, int]:
        """Return the engines that it runs: prefill, decode."""
        actuator = WebhookActuator(WebhookOptions(url=self.url, secret=KEY), CLOCK, target="any")
        fleet = await actuator.read()
        await actuator.close()
        return fleet.pools["prefill"].ready, fleet.pools["decode"].ready


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    found = Receiver(tmp_path, sys.executable)
    await found.start()
    yield found
    await found.kill()


def test_the_receiver_of_the_page_has_at_most_twenty_lines() -> None:
    assert len(example().splitlines()) <= 20


async def test_the_receiver_of_the_page_conforms(tmp_path: Path) -> None:
    @asynccontextmanager
    async def harness() -> AsyncIterator[ActuatorHarness]:
        receiver = Receiver(tmp_path, sys.executable)
        await receiver.start()
        options = WebhookOptions(url=receiver.url, secret=KEY, retries=0)
        actuator = WebhookActuator(options, CLOCK, target="llm")
        replicas = Replicas.of(prefill=1, decode=1)
        yield ActuatorHarness(actuator=actuator, replicas=replicas, break_backend=receiver.kill)
        await actuator.close()
        await receiver.kill()

    assert len(await ActuatorConformance(harness).run_all()) == 11


@pytest.mark.parametrize(
    ("age_s", "key"), [(0, "another key"), (3600, KEY), (-3600, KEY)], ids=["forged", "replayed", "early"]
)
async def test_the_receiver_of_the_page_takes_no_orders_from_others(
    receiver: Receiver, age_s: int, key: str
) -> None:
    body = b'{"pools": {"decode": {"role": "decode", "replicas": 9}}}'
    signature = signature_of(body, secret=key, at_unix_s=int(CLOCK.wall_s()) - age_s)
    for headers in ({SIGNATURE_HEADER: signature}, {}):
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(receiver.url, content=body, headers=headers)

        assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert await receiver.counts() == (1, 1)


async def test_the_daemon_scales_what_is_behind_a_webhook_to_the_planned_counts(
    shared_dir: Path, tmp_path: Path, receiver: Receiver
) -> None:
    secret = tmp_path / "key"
    secret.write_text(KEY, encoding="utf-8")
    frontend = Frontend()
    await frontend.start()
    scene = Scene(
        shared=shared_dir,
        frontend=frontend,
        prometheus=Prometheus(tmp_path, "not started"),
        etcd=Etcd(tmp_path, "not started"),
        setpoint=Setpoint(tmp_path, SCRIPT),
    )
    settings = {
        "source": "scrape",
        "scrape__urls": [f"http://{frontend.target}/metrics"],
        "actuator": "webhook",
        "webhook__url": receiver.url,
        "webhook__secret_file": str(secret),
    }

    for load in (LOW, HIGH):
        frontend.carry(load)
        if load is LOW:
            await scene.setpoint.start("--config", str(scene.write_settings(**settings)))
        wanted = planned(scene.policy(**settings), load)

        async def is_so(wanted: tuple[int, int] = wanted) -> bool:
            return await receiver.counts() == wanted == await scene.setpoint.counts()

        await until(is_so, f"{wanted} at the receiver and in the API")
        await scene.setpoint.ticks(2)
        assert await is_so()
    exit_code = await scene.setpoint.terminate()
    await frontend.stop()

    assert exit_code == 0, scene.setpoint.log
    assert KEY not in scene.setpoint.log + scene.setpoint.journal.read_text(encoding="utf-8")
