"""Every kind of target on the real API server: the suite, and with no more rights than it asks for."""

import importlib
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.clock import SystemClock
from connectors.base import PoolReplicas, Replicas
from connectors.kubernetes.actuator import KubernetesActuator
from connectors.kubernetes.api import Api
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.target import Reference, Target
from connectors.testing.recording import Recording
from connectors.testing.target import TargetConformance, TargetHarness, fetched, sent
from tests.cluster import crds
from tests.cluster.arranging import defined, put
from tests.cluster.control_plane import Administrator, ControlPlane
from tests.cluster.examples import EXAMPLES, Example
from tests.cluster.grants import token_with

IDS = [example.name for example in EXAMPLES]
GUIDE = Path(__file__).resolve().parents[3] / "docs" / "writing-a-target.md"
BLOCK = re.compile(r"^```python\n# (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def build(reference: Reference, api: Api) -> Target:
    return await resolve(api, reference)


def arrange(admin: Administrator, example: Example) -> str:
    """Make a namespace that has the example, and return its name."""
    kinds = defined(admin, example.crds)
    namespace = admin.namespace()
    for path, item in example.paths(namespace).items():
        put(admin, path, item, kinds)
    return namespace


@asynccontextmanager
async def client(plane: ControlPlane, token: str, namespace: str) -> AsyncIterator[KubeClient]:
    options = ApiOptions(
        kubeconfig=Path(plane.kubeconfig(token, namespace=namespace)), requests_per_second=1000.0
    )
    api = KubeClient(options, SystemClock())
    try:
        yield api
    finally:
        await api.close()


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
async def test_every_target_keeps_the_promises_of_the_suite(
    control_plane: ControlPlane, example: Example
) -> None:
    @asynccontextmanager
    async def factory() -> AsyncIterator[TargetHarness]:
        namespace = arrange(control_plane.admin, example)
        async with client(control_plane, control_plane.token, namespace) as api:
            yield TargetHarness(
                api=api,
                build=build,
                reference=example.reference(namespace),
                desired=example.desired,
                least=example.least,
            )

    assert len(await TargetConformance(factory).run_all()) == 12


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
async def test_every_target_is_scaled_with_only_the_rights_that_it_asks_for(
    control_plane: ControlPlane, example: Example
) -> None:
    admin = control_plane.admin
    namespace = arrange(admin, example)
    async with client(control_plane, control_plane.token, namespace) as api:
        rules = (await build(example.reference(namespace), api)).rules()
    token = token_with(admin, namespace, "daemon", rules)

    async with client(control_plane, token, namespace) as api:
        target = await build(example.reference(namespace), api)
        recording = Recording(api)
        seen = []
        for count in (example.desired + 2, example.desired - 1):
            objects = await fetched(recording, target)
            await sent(recording, target.write(objects, count))
            seen.append(target.view(await fetched(recording, target)).desired)

    assert seen == [example.desired + 2, example.desired - 1]
    assert [verb for verb, _ in recording.asked if verb == "patch"] == ["patch", "patch"]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=IDS)
async def test_the_actuator_scales_every_target_with_one_request_for_each_decision(
    control_plane: ControlPlane, example: Example
) -> None:
    admin = control_plane.admin
    namespace = arrange(admin, example)
    async with client(control_plane, control_plane.token, namespace) as api:
        rules = (await build(example.reference(namespace), api)).rules()
    token = token_with(admin, namespace, "daemon", rules)

    seen = []
    async with client(control_plane, token, namespace) as api:
        actuator = KubernetesActuator(api, [example.reference(namespace)], clock=SystemClock())
        for count in (example.desired + 2, example.desired - 1):
            await actuator.read()
            await actuator.scale(Replicas((PoolReplicas(pool=example.role, role=example.role, count=count),)))
            seen.append((await actuator.read()).pools[example.role].desired)
        gpus = (await actuator.read()).pools[example.role].gpus_per_engine
        await actuator.close()

    assert seen == [example.desired + 2, example.desired - 1]
    assert gpus is not None
    assert len(patches(control_plane, namespace)) == 2


@pytest.mark.slow
async def test_the_target_of_the_guide_keeps_its_promises_on_a_real_cluster(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    control_plane.admin.crd(crds.crd("acme.example", "Fleet", versions=("v1",), scale=False))
    namespace = control_plane.admin.namespace()

    async with client(control_plane, control_plane.token, namespace) as api:
        suite = importlib.import_module("test_acme_target").fleets(api, namespace)
        kept = await suite.run_all()

    assert len(kept) == 12


def patches(plane: ControlPlane, namespace: str) -> list[str]:
    """Return what the daemon's account wrote, as the audit log has it."""
    return [
        entry["requestURI"]
        for entry in plane.audit(verbs=("patch",), user=f"system:serviceaccount:{namespace}:daemon")
    ]
