"""A daemon between a real Prometheus, a real etcd and frontends of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from connectors.virtual.environment import EtcdEnvironment, VirtualDecision
from connectors.virtual.etcd_client import EtcdOptions
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubelet import Kubelet, Real
from tests.e2e.company import Company, company
from tests.e2e.scene import LOW, Scene, served
from tests.e2e.servers import CLOCK, NAMESPACE, Etcd
from tests.e2e.stage import Stage


@pytest.fixture
async def etcd(tmp_path: Path, program: Callable[[str, str], str]) -> AsyncIterator[Etcd]:
    """An etcd with an environment behind it that carries out every decision at once."""
    server = Etcd(tmp_path, program("etcd", "etcd-server"))
    environment = EtcdEnvironment(
        EtcdOptions(endpoints=(server.url,), timeout_s=1.0), dynamo_namespace=NAMESPACE
    )

    async def carry_out(decision: VirtualDecision) -> None:
        server.obey(decision.counts)

    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.kill)
        stack.push_async_callback(environment.close)
        await server.start()
        worker = asyncio.create_task(environment.run(carry_out, CLOCK, poll_s=0.1))
        stack.push_async_callback(_end, worker)
        yield server


@pytest.fixture
async def scene(
    shared_dir: Path, tmp_path: Path, etcd: Etcd, program: Callable[[str, str], str]
) -> AsyncIterator[Scene]:
    """All of them; Prometheus and the daemon are started by the test."""
    async with served(shared_dir, tmp_path, program, etcd=etcd) as found:
        yield found


@pytest.fixture
async def stage(
    shared_dir: Path, tmp_path: Path, control_plane: ControlPlane, program: Callable[[str, str], str]
) -> AsyncIterator[Stage]:
    """A namespace of its own on the API server; Prometheus and the daemon are started by the test."""
    namespace = control_plane.admin.namespace("run")
    kubelet = Kubelet(cluster=Real(control_plane.admin), namespace=namespace)
    async with served(shared_dir, tmp_path, program) as scene:
        yield Stage(scene=scene, plane=control_plane, namespace=namespace, kubelet=kubelet)


@pytest.fixture
async def crew(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    """A fleet that fits a low load; daemons are started by the test."""
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    async with company(stage, tmp_path_factory.mktemp("crew")) as found:
        await found.open(LOW)
        yield found


async def _end(worker: "asyncio.Task[None]") -> None:
    worker.cancel()
    await asyncio.wait({worker})
