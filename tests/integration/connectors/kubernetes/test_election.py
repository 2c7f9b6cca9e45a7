"""Two daemons and one Lease on a real API server, with tokens that have only the rights they need."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.clock import SystemClock
from config.errors import ConfigError
from config.kubernetes import Election
from config.policy import Role
from connectors.kubernetes.api import Resource
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.lease import Leadership, LeaseOptions
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.rights import Feature, rules_for
from connectors.kubernetes.target import ObjectKey, Rule
from connectors.kubernetes.targets.workload import Workload
from tests.cluster.control_plane import ControlPlane, Json
from tests.cluster.grants import token_with
from tests.cluster.line import CrookedClock
from tests.cluster.objects import deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
_CLOCK = SystemClock()
_ROOT = Path(__file__).resolve().parents[4]
LEASE = "setpoint-llm"
DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
DURATION_S = 3.0


def rules(namespace: str) -> tuple[Rule, ...]:
    parent = ObjectKey(resource=DEPLOYMENTS, namespace=namespace, name="decode")
    features = (Feature.PODS, Feature.WATCH)
    return (
        *Workload(role=Role.DECODE, parent=parent).rules(),
        *rules_for(Feature.ELECTION, LEASE),
        *(rule for feature in features for rule in rules_for(feature)),
    )


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    return control_plane.admin.namespace("election")


def kubeconfig(plane: ControlPlane, namespace: str, account: str) -> Path:
    token = token_with(plane.admin, namespace, account, rules(namespace))
    return plane.kubeconfig(token, namespace=namespace)


class Process:
    """A candidate in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self, state: str) -> None:
        async with asyncio.timeout(20.0):
            while await self.next_words() != state:
                pass

    async def next_words(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the candidate ended"
        return line.decode().strip()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def candidate(config: Path, namespace: str, identity: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.cluster.candidate"),
        *(str(config), namespace, identity, str(DURATION_S)),
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        await process.wait()


def entries(plane: ControlPlane, namespace: str, resource: str) -> Iterator[Json]:
    for entry in plane.audit(verbs=("create", "update", "patch")):
        about = entry.get("objectRef", {})
        if about.get("namespace") == namespace and about.get("resource") == resource:
            yield entry


def holder(entry: Json) -> str:
    return str(entry.get("requestObject", {}).get("spec", {}).get("holderIdentity", ""))


async def test_a_leader_that_was_frozen_past_its_lease_lands_no_write_when_it_goes_on(
    control_plane: ControlPlane, namespace: str
) -> None:
    admin = control_plane.admin
    admin.ask("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment("decode"))
    configs = {name: kubeconfig(control_plane, namespace, name) for name in ("one", "two")}

    async with candidate(configs["one"], namespace, "one") as first:
        await first.says("leads")
        async with candidate(configs["two"], namespace, "two") as second:
            await second.says("standby")
            first.freeze()
            frozen_s = _CLOCK.now_s()
            await second.says("leads")
            taken_s = _CLOCK.now_s() - frozen_s
            await _CLOCK.sleep(0.5)
            first.resume()
            woke = await first.next_words()
            await _CLOCK.sleep(1.0)

    lease = list(entries(control_plane, namespace, "leases"))
    taken_at = next(
        entry["stageTimestamp"]
        for entry in lease
        if holder(entry) == "two" and entry["responseStatus"]["code"] < 300
    )
    late = [
        entry
        for entry in entries(control_plane, namespace, "deployments")
        if entry["user"]["username"].endswith(":one") and entry["requestReceivedTimestamp"] > taken_at
    ]
    by_second = [
        entry
        for entry in entries(control_plane, namespace, "deployments")
        if entry["user"]["username"].endswith(":two") and entry["responseStatus"]["code"] == 200
    ]
    assert woke == "woke, standby"
    assert taken_s <= DURATION_S * 1.5
    assert len(late) <= 1
    assert all(entry["responseStatus"]["code"] == 409 for entry in late), json.dumps(late)
    assert by_second
    assert all(entry["requestReceivedTimestamp"] > taken_at for entry in by_second)


async def test_the_next_leads_at_once_when_the_leader_ends(
    control_plane: ControlPlane, namespace: str
) -> None:
    clients = [
        KubeClient(ApiOptions(kubeconfig=kubeconfig(control_plane, namespace, name)), _CLOCK)
        for name in ("one", "two")
    ]
    first, second = (
        Leadership(client, LeaseOptions(namespace=namespace, name=LEASE, identity=f"d{number}"), _CLOCK)
        for number, client in enumerate(clients)
    )
    await first.start()
    await second.start()
    before = (first.standby(), second.standby())

    await first.close()
    async with asyncio.timeout(5.0):
        while second.standby():
            await _CLOCK.sleep(0.05)

    found = control_plane.admin.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}")
    assert before[0] == ""
    assert before[1].startswith("d0 leads since")
    assert found["spec"]["holderIdentity"] == "d1"
    assert found["spec"]["leaseTransitions"] == 1
    assert found["spec"]["leaseDurationSeconds"] == 10
    await second.close()
    for client in clients:
        await client.close()


async def test_times_of_day_that_are_years_apart_change_nothing(
    control_plane: ControlPlane, namespace: str
) -> None:
    """The leader's clock shows another decade, and a dead one wrote that it renews in a third one."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    dead = {
        "holderIdentity": "dead",
        "leaseDurationSeconds": 2,
        "acquireTime": "2098-12-31T00:00:00.000000Z",
        "renewTime": "2099-01-01T00:00:00.000000Z",
    }
    control_plane.admin.ask("POST", path, {"metadata": {"name": LEASE}, "spec": dead})
    config = kubeconfig(control_plane, namespace, "skewed")
    clients = [KubeClient(ApiOptions(kubeconfig=config), _CLOCK) for _ in range(2)]
    first, second = (
        Leadership(
            client,
            LeaseOptions(namespace=namespace, name=LEASE, identity=f"d{years}", duration_s=DURATION_S),
            CrookedClock(_CLOCK, wall_offset_s=years * 365.0 * 86400.0),
        )
        for client, years in zip(clients, (10, -10), strict=True)
    )

    for client in clients:
        await client.open()

    await first.start()
    at_first = first.standby()
    async with asyncio.timeout(10.0):
        while first.standby():
            await _CLOCK.sleep(0.02)
    await second.start()
    seen = []
    for _ in range(40):
        await _CLOCK.sleep(0.1)
        seen.append((bool(first.standby()), bool(second.standby())))

    assert at_first.startswith("dead leads since 2098")
    assert set(seen) == {(False, True)}
    await second.close()
    await first.close()
    for client in clients:
        await client.close()


@pytest.mark.parametrize("election", [Election.AUTO, Election.ON])
async def test_without_the_right_to_leases_auto_goes_on_alone_and_on_does_not_start(
    control_plane: ControlPlane, namespace: str, election: Election
) -> None:
    token = token_with(control_plane.admin, namespace, "poor", rules_for(Feature.PODS))
    config = control_plane.kubeconfig(token, namespace=namespace)
    client = KubeClient(ApiOptions(kubeconfig=config), _CLOCK)
    options = LeaseOptions(namespace=namespace, name=LEASE, identity="poor", election=election)
    leadership = Leadership(client, options, _CLOCK)

    if election is Election.ON:
        with pytest.raises(ConfigError, match=r"leases"):
            await leadership.start()
    else:
        await leadership.start()

    assert bool(leadership.standby()) is (election is Election.ON)
    assert bool(leadership.unguarded) is (election is Election.AUTO)
    await leadership.close()
    await client.close()
