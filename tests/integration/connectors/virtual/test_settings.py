"""What the settings say of credentials reaches real servers that insist on them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from config.clock import VirtualClock
from config.errors import Unreachable
from config.load import Loaded, load
from connectors.base import Replicas, Unknown
from planner.commands.connect import actuator_of, source_of
from tests.integration.connectors.virtual.receiver import Receiver

if TYPE_CHECKING:
    from tests.integration.connectors.virtual.conftest import Certificates, EtcdServer

LEAST: Mapping[str, object] = {"budget_gpus": 8, "targets.ttft": "300ms", "targets.itl": "25ms"}
WORD = "s3cret"
PAGE = """\
dynamo_frontend_requests_total{model="m"} 5
dynamo_frontend_inflight_requests{model="m"} 3
dynamo_frontend_queued_requests{model="m"} 0
"""


def loaded(**settings: object) -> Loaded:
    flags = {key.replace("__", "."): value for key, value in settings.items()}
    return load(flags={**LEAST, **flags}, environment={})


async def test_etcd_gets_the_client_certificate_that_it_wants(
    tls_etcd: "EtcdServer", certificates: "Certificates"
) -> None:
    bare = {"actuator": "etcd", "etcd__endpoints": [tls_etcd.url], "etcd__ca_file": certificates.ca}
    whole = {
        **bare,
        "etcd__client_cert_file": certificates.cert,
        "etcd__client_key_file": certificates.key,
    }

    actuator = actuator_of(loaded(**whole).settings, (), clock=VirtualClock())
    assert {name: pool.desired for name, pool in (await actuator.read()).pools.items()} == {
        "prefill": 1,
        "decode": 1,
    }
    await actuator.close()

    actuator = actuator_of(loaded(**bare).settings, (), clock=VirtualClock())
    with pytest.raises(Unreachable):
        await actuator.read()
    await actuator.close()


async def test_metrics_pages_get_the_token_and_the_headers(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(WORD, encoding="utf-8")

    async def answer(request: web.Request) -> web.Response:
        asked = (request.headers.get("Authorization"), request.headers.get("X-Tenant"))
        is_let_in = asked == (f"Bearer {WORD}", "a")
        return web.Response(text=PAGE) if is_let_in else web.Response(status=401)

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bare = {"source": "scrape", "scrape__urls": [f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"]}
    whole = {**bare, "scrape__token_file": str(token), "scrape__headers": json.dumps({"X-Tenant": "a"})}

    found = []
    for settings in (whole, bare):
        source = source_of(loaded(**settings), clock=VirtualClock())
        found.append((await source.observe(30.0)).in_flight)
        await source.close()
    await runner.cleanup()

    assert found[0].kind == "value"
    assert isinstance(found[1], Unknown)
    assert "401" in found[1].why


async def test_a_webhook_is_told_the_target_and_gets_every_header() -> None:
    receiver = Receiver(prefill=1, decode=1)
    await receiver.start()
    settings = {
        "actuator": "webhook",
        "webhook__url": receiver.url,
        "webhook__read_url": receiver.url + "/now",
        "webhook__secret": WORD,
        "webhook__headers": json.dumps({"X-Tenant": "a"}),
        "dynamo__namespace": "llm",
    }

    actuator = actuator_of(loaded(**settings).settings, (), clock=VirtualClock())
    await actuator.scale(Replicas.of(decode=2))
    fleet = await actuator.read()
    await actuator.close()
    await receiver.stop()

    post, get = receiver.requests
    assert (post.document["target"], get.path) == ("llm", "/fleet/now")
    assert all(one.is_signed_with(WORD) and one.headers["X-Tenant"] == "a" for one in (post, get))
    assert fleet.pools["decode"].desired == 2
