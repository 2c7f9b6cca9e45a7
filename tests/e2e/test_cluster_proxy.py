"""What stands between the daemon and the API server closes watches early, or asks to be left alone."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from aiohttp import web

from planner.core.decision import ReasonCode
from tests.cluster.gate import Gate, Passing
from tests.e2e.faults import check_promises, saw
from tests.e2e.scene import HIGH, LOW
from tests.e2e.servers import CLOCK
from tests.e2e.stage import DEPLOYMENTS, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_RETRY_AFTER_S = 3
# What was sent before the answer to the first could be known.
_AT_ONCE_S = 0.3
# Two Deployments and two lists of pods, the Lease, Events.
_PATHS = 6
_BUSY: dict[str, object] = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "message": "Too many requests, please try again later.",
    "reason": "TooManyRequests",
    "details": {"retryAfterSeconds": _RETRY_AFTER_S},
    "code": 429,
}


@pytest.fixture
async def gate(stage: Stage) -> AsyncIterator[Gate]:
    async with Gate(plane=stage.plane).standing() as found:
        yield found


async def begin(stage: Stage, gate: Gate) -> None:
    """Start a small fleet behind the gate."""
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    folder = stage.scene.setpoint.folder
    kubeconfig = gate.kubeconfig(stage.plane.token, namespace=stage.namespace, folder=folder)
    # Who waits for longer than a tick of this test lasts could not tell what for.
    await stage.start(LOW, kubernetes__kubeconfig=str(kubeconfig), kubernetes__retries=0, **DEPLOYMENTS)
    await stage.scene.setpoint.ticks(2)


async def busy(_: web.Request) -> web.Response:
    return web.json_response(_BUSY, status=429, headers={"Retry-After": str(_RETRY_AFTER_S)})


async def test_who_asks_to_be_left_alone_is_asked_less_and_not_before_the_time_it_names(
    stage: Stage, gate: Gate
) -> None:
    await begin(stage, gate)

    began_s = CLOCK.now_s()
    gate.before = busy
    gate.cut_watches()
    stage.scene.frontend.carry(HIGH)
    blind = await saw(stage, ReasonCode.BLIND_FLEET, words="429")
    await stage.scene.setpoint.ticks(6)
    refused, lasted_s = gate.since(began_s), CLOCK.now_s() - began_s
    kept = stage.deployments()
    gate.opened()
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(HIGH, stage.deployments)

    assert len(refused) <= _PATHS * (lasted_s / _RETRY_AFTER_S + 1.0)
    assert kept == (1, 2)
    assert "Too many requests" in blind
    for path, gaps in gaps_of(refused).items():
        assert min(gaps, default=_RETRY_AFTER_S) >= _RETRY_AFTER_S - 0.2, (path, gaps)
    check_promises(stage)


def gaps_of(passed: list[Passing]) -> dict[str, list[float]]:
    """Return the times between two requests for the same path; what is sent at once counts as one."""
    times: dict[str, list[float]] = {}
    for one in passed:
        found = times.setdefault(one.path, [])
        if not found or one.at_s - found[-1] > _AT_ONCE_S:
            found.append(one.at_s)
    return {path: [later - sooner for sooner, later in pairwise(found)] for path, found in times.items()}


async def test_watches_that_are_closed_every_two_seconds_lead_to_no_storm_of_lists(
    stage: Stage, gate: Gate
) -> None:
    gate.watch_s = 2.0
    await begin(stage, gate)

    began_s = CLOCK.now_s()
    await stage.scene.setpoint.ticks(8)
    asked, lasted_s = gate.since(began_s), CLOCK.now_s() - began_s
    stage.scene.frontend.carry(HIGH)
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(HIGH, stage.deployments)

    lists = [one for one in asked if one.method == "GET" and not one.is_watch]
    assert len(lists) <= 4 * lasted_s / 2.0
    check_promises(stage)
