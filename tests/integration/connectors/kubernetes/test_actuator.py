"""The Kubernetes actuator on a real API server; the tests play the controllers and the kubelet."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from config.clock import SystemClock
from config.errors import ActuationError, Conflict, ObservationError, Refused
from config.policy import Role
from connectors.base import Fleet, Replicas
from connectors.kubernetes.actuator import ActuatorOptions, KubernetesActuator
from connectors.kubernetes.api import WatchEvent
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.reference import parse_reference
from connectors.testing import ActuatorConformance, ActuatorHarness
from tests.cluster.control_plane import ControlPlane, unpacked
from tests.cluster.crds import DGD, DGDSA
from tests.cluster.grants import token_by_role
from tests.cluster.kubelet import Kubelet, Real

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_CLOCK = SystemClock()


class HastyClient(KubeClient):
    """Has the server close each watch after two seconds."""

    async def watch(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchEvent, None]:
        async for event in super().watch(path, {**(query or {}), "timeoutSeconds": "2"}):
            yield event


class Scene:
    """A namespace with two pools, and the actuator that scales them."""

    def __init__(self, plane: ControlPlane, targets: dict[Role, str]) -> None:
        self.plane = plane
        self.namespace = plane.admin.namespace("actuator")
        self.kubelet = Kubelet(cluster=Real(plane.admin), namespace=self.namespace)
        self.said: list[str] = []
        self.actuator = self.actuator_of(targets)

    def actuator_of(
        self, targets: dict[Role, str], *, token: str = "", client: type[KubeClient] = KubeClient
    ) -> KubernetesActuator:
        kubeconfig = self.plane.kubeconfig(token or self.plane.token, namespace=self.namespace)
        options = ApiOptions(kubeconfig=kubeconfig, retries=0, requests_per_second=1000.0)
        return KubernetesActuator(
            client(options, _CLOCK),
            [
                parse_reference(text, role=role, namespace=self.namespace, key="")
                for role, text in targets.items()
            ],
            clock=_CLOCK,
            options=ActuatorOptions(say=self.said.append),
        )

    async def fleet_when(self, is_so: Callable[[Fleet], bool]) -> Fleet:
        """Read until it is so."""
        async with asyncio.timeout(20.0):
            while True:
                try:
                    fleet = await self.actuator.read()
                except ObservationError:
                    await _CLOCK.sleep(0.05)
                    continue
                if is_so(fleet):
                    return fleet
                await _CLOCK.sleep(0.02)


DEPLOYMENTS = {Role.PREFILL: "deployment/prefill", Role.DECODE: "deployment/decode"}
GRAPH = {Role.PREFILL: "dynamographdeployment/llm", Role.DECODE: "dgd/llm"}


@asynccontextmanager
async def deployments(plane: ControlPlane) -> AsyncIterator[Scene]:
    scene = Scene(plane, DEPLOYMENTS)
    scene.kubelet.deployment("prefill", replicas=1, gpus=2)
    scene.kubelet.deployment("decode", replicas=2, gpus=2)
    yield scene
    await scene.actuator.close()


@asynccontextmanager
async def graph(plane: ControlPlane) -> AsyncIterator[Scene]:
    for definition in (DGD, DGDSA):
        plane.admin.crd(definition)
    scene = Scene(plane, GRAPH)
    scene.kubelet.graph("llm", prefill=1, decode=2, gpus=4)
    yield scene
    await scene.actuator.close()


@contextmanager
def own_plane(shared: Path) -> Iterator[ControlPlane]:
    """Return a control plane of the test's own, which it may kill."""
    plane = ControlPlane(unpacked(shared))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@asynccontextmanager
async def nothing() -> AsyncIterator[ActuatorHarness]:
    """Stand for a harness where only the names of the checks are wanted."""
    raise AssertionError
    yield


_CHECKS = tuple(check.__name__ for check in ActuatorConformance(nothing).checks())


@pytest.mark.parametrize("name", _CHECKS)
async def test_deployments_do_what_every_actuator_must_do(control_plane: ControlPlane, name: str) -> None:
    @asynccontextmanager
    async def harness() -> AsyncIterator[ActuatorHarness]:
        async with deployments(control_plane) as scene:
            yield _harness(scene, scene.kubelet.settle_deployments)

    await _check(ActuatorConformance(harness), name)


@pytest.mark.parametrize("name", _CHECKS)
async def test_a_graph_deployment_does_what_every_actuator_must_do(
    control_plane: ControlPlane, name: str
) -> None:
    @asynccontextmanager
    async def harness() -> AsyncIterator[ActuatorHarness]:
        async with graph(control_plane) as scene:
            yield _harness(scene, lambda: scene.kubelet.settle_graph("llm"))

    await _check(ActuatorConformance(harness), name)


def _harness(scene: Scene, bring: Callable[[], object]) -> ActuatorHarness:
    async def settle() -> None:
        bring()
        fleet = await scene.actuator.read()
        async with asyncio.timeout(10.0):
            while any(pool.ready != pool.desired or pool.terminating for pool in fleet.pools.values()):
                await _CLOCK.sleep(0.02)
                fleet = await scene.actuator.read()

    return ActuatorHarness(actuator=scene.actuator, replicas=Replicas.of(prefill=1, decode=2), settle=settle)


async def _check(suite: ActuatorConformance, name: str) -> None:
    (check,) = (one for one in suite.checks() if one.__name__ == name)
    await check()


async def test_nothing_but_replicas_is_changed_and_the_audit_log_names_the_writer(
    control_plane: ControlPlane,
) -> None:
    async with graph(control_plane) as scene:
        path = scene.kubelet.path("nvidia.com/v1beta1", "dynamographdeployments", "llm")
        before = control_plane.admin.get(path)["spec"]

        await scene.actuator.scale(Replicas.of(prefill=3, decode=1))

        after = control_plane.admin.get(path)
        counts = [one.pop("replicas") for one in after["spec"]["components"]]
        for one in before["components"]:
            one.pop("replicas")
        assert counts == [1, 3, 1]
        assert after["spec"] == before
        managers = {one["manager"] for one in after["metadata"]["managedFields"]}
        assert "setpoint" in managers


async def test_a_second_writer_wins_and_is_named(control_plane: ControlPlane) -> None:
    async with deployments(control_plane) as scene:
        await scene.actuator.read()
        path = scene.kubelet.path("apps/v1", "deployments", "decode")
        control_plane.admin.merge(f"{path}?fieldManager=kubectl", {"spec": {"replicas": 7}})

        with pytest.raises(Conflict, match="changed from 2 to 7 by kubectl"):
            await scene.actuator.scale(Replicas.of(decode=4))

        assert control_plane.admin.get(path)["spec"]["replicas"] == 7


async def test_a_daemon_that_may_only_read_says_which_right_is_missing(control_plane: ControlPlane) -> None:
    async with deployments(control_plane) as scene:
        rules = [
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
            {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get"]},
        ]
        token = token_by_role(control_plane.admin, scene.namespace, "s", rules)
        poor = scene.actuator_of(DEPLOYMENTS, token=token)

        fleet = await poor.read()
        with pytest.raises(Refused, match="patch deployments/scale named decode"):
            await poor.scale(Replicas.of(decode=4))
        await poor.close()

        assert fleet.pools["decode"].ready == 2  # as the controller counts
        assert any("pods" in line for line in scene.said)
        assert any("deployments/decode may not be followed" in line for line in scene.said)


async def test_an_api_server_that_was_killed_is_no_fleet_and_one_that_is_back_is_the_same(
    shared_dir: Path,
) -> None:
    with own_plane(shared_dir) as plane:
        async with deployments(plane) as scene:
            await scene.actuator.read()

            plane.kill_api()
            await _CLOCK.sleep(0.1)
            with pytest.raises(ObservationError):
                await scene.actuator.read()
            with pytest.raises(ActuationError):
                await scene.actuator.scale(Replicas.of(decode=4))
            plane.start_api()
            fleet = await scene.fleet_when(lambda _: True)
            await scene.actuator.scale(Replicas.of(decode=4))

            assert fleet.pools["decode"].desired == 2
            assert (await scene.actuator.read()).pools["decode"].desired == 4


async def test_a_target_that_is_deleted_and_made_again_is_found_again(control_plane: ControlPlane) -> None:
    async with deployments(control_plane) as scene:
        await scene.actuator.read()
        path = scene.kubelet.path("apps/v1", "deployments", "decode")
        control_plane.admin.ask("DELETE", path)
        await _CLOCK.sleep(0.2)
        with pytest.raises(ObservationError, match="there is no deployment decode"):
            await scene.actuator.read()

        scene.kubelet.deployment("decode", replicas=3)
        fleet = await scene.fleet_when(lambda _: True)

        assert fleet.pools["decode"].desired == 3


async def test_watches_that_are_closed_every_two_seconds_are_no_storm_and_nothing_is_missed(
    control_plane: ControlPlane,
) -> None:
    async with deployments(control_plane) as scene:
        hasty = scene.actuator_of(DEPLOYMENTS, client=HastyClient)
        path = scene.kubelet.path("apps/v1", "deployments", "decode")
        for number in range(20):
            desired = 2 + number % 3
            control_plane.admin.merge(f"{path}/scale?fieldManager=kubectl", {"spec": {"replicas": desired}})
            async with asyncio.timeout(5.0):  # a machine that is busy is late, and misses nothing either
                while (await hasty.read()).pools["decode"].desired != desired:
                    await _CLOCK.sleep(0.05)
            await _CLOCK.sleep(0.5)
        await hasty.close()

        watches = [
            entry
            for entry in control_plane.audit(verbs=("watch",))
            if entry["objectRef"].get("namespace") == scene.namespace and entry["stage"] == "ResponseStarted"
        ]
        assert 8 <= len(watches) <= 4 * 6  # four of them, each begun five times in ten seconds at most
