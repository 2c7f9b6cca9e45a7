"""Rights that are taken away while the daemon runs, and given back; tokens that are not valid any more."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.core.decision import ReasonCode
from planner.serving.records import Outcome
from tests.cluster.deployed import token_of
from tests.cluster.gate import Gate
from tests.e2e.faults import came_to, check_promises, saw
from tests.e2e.pod import ACCOUNT, Pod, lay_out
from tests.e2e.scene import HIGH, LOW
from tests.e2e.servers import SCRIPT, until
from tests.e2e.stage import DEPLOYMENTS, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
Json = dict[str, Any]


@pytest.fixture
async def gate(stage: Stage) -> AsyncIterator[Gate]:
    async with Gate(plane=stage.plane).standing() as found:
        yield found


@pytest.fixture
def granted(stage: Stage) -> str:
    """A small fleet, and a token that has what deploy/ grants and nothing else."""
    stage.kubelet.deployment("prefill", replicas=1)
    stage.kubelet.deployment("decode", replicas=2)
    return token_of(stage.plane.admin, stage.namespace, "deployment")


def through(gate: Gate, stage: Stage, token: str) -> str:
    """Return a kubeconfig of the token that leads through the gate."""
    return str(gate.kubeconfig(token, namespace=stage.namespace, folder=stage.scene.setpoint.folder))


def rbac(stage: Stage, plural: str, name: str = "") -> str:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{stage.namespace}/{plural}"
    return f"{path}/{name}" if name else path


def give(stage: Stage, item: Json) -> None:
    """Make an object again that was deleted."""
    item["metadata"] = {"name": item["metadata"]["name"]}
    stage.plane.admin.ask("POST", rbac(stage, "rolebindings"), item)


async def logged(stage: Stage, words: str, *, within_s: float = 20.0) -> None:
    async def is_so() -> bool:
        return words in stage.scene.setpoint.log

    await until(is_so, f"{words!r} in {stage.scene.setpoint.log[-3000:]}", within_s=within_s)


async def test_a_target_that_may_not_be_read_any_more_is_held_until_the_right_is_given_back(
    stage: Stage, granted: str, gate: Gate
) -> None:
    await stage.start(HIGH, kubernetes__kubeconfig=through(gate, stage, granted), **DEPLOYMENTS)
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(HIGH, stage.deployments)
    assert "without the right" not in stage.scene.setpoint.log
    binding = stage.plane.admin.get(rbac(stage, "rolebindings", "setpoint-deployment"))

    stage.plane.admin.ask("DELETE", rbac(stage, "rolebindings", "setpoint-deployment"))
    stage.scene.frontend.carry(LOW)
    refused = await came_to(stage, Outcome.REFUSED)
    gate.cut_watches()
    blind = await saw(stage, ReasonCode.BLIND_FLEET)
    await stage.scene.setpoint.ticks(2)
    kept = stage.deployments()
    give(stage, binding)
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(LOW, stage.deployments)

    assert "needed is patch deployments/scale" in refused.detail
    assert 'cannot get resource "deployments" in API group "apps"' in blind
    assert kept == (3, 4)
    check_promises(stage)


async def test_rights_beyond_the_targets_that_are_taken_away_cost_what_they_were_for(
    stage: Stage, granted: str, gate: Gate
) -> None:
    await stage.start(LOW, kubernetes__kubeconfig=through(gate, stage, granted), **DEPLOYMENTS)
    await stage.scene.setpoint.ticks(2)
    role = stage.plane.admin.get(rbac(stage, "roles", "setpoint"))
    leases = [rule for rule in role["rules"] if "leases" in rule["resources"]]

    stage.plane.admin.merge(rbac(stage, "roles", "setpoint"), {"rules": []})
    gate.cut_watches()
    alone = await saw(stage, ReasonCode.STANDBY)
    stage.scene.frontend.carry(HIGH)
    await logged(stage, 'cannot list resource "pods"')
    await stage.scene.setpoint.ticks(2)
    kept = stage.deployments()
    stage.plane.admin.merge(rbac(stage, "roles", "setpoint"), {"rules": leases})
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(HIGH, stage.deployments)
    await logged(stage, 'cannot create resource "events"')

    assert 'cannot update resource "leases"' in alone
    assert kept == (1, 2)
    check_promises(stage)


def revoke(stage: Stage) -> str:
    """Make the service account anew, which voids all of its tokens; return a new one."""
    path = f"/api/v1/namespaces/{stage.namespace}/serviceaccounts"
    stage.plane.admin.ask("DELETE", f"{path}/setpoint")
    stage.plane.admin.ask("POST", path, {"metadata": {"name": "setpoint"}})
    return stage.plane.admin.token_for(stage.namespace, "setpoint")


async def rotated(stage: Stage, gate: Gate, put: Callable[[str], None]) -> None:
    """Void the token, wait until that is noticed, hand a new one over, and see it used."""
    newer = revoke(stage)
    # An API server believes a token that it has just seen for ten seconds.
    gate.cut_watches()
    await until(lambda: is_refused(gate), "a token that is refused")
    gate.cut_watches()
    blind = await saw(stage, ReasonCode.BLIND_FLEET, words="401")
    stage.scene.frontend.carry(HIGH)
    await stage.scene.setpoint.ticks(2)
    kept = stage.deployments()
    put(newer)
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(HIGH, stage.deployments)

    assert "the credentials are not accepted" in blind
    assert kept == (1, 2)
    check_promises(stage)


async def is_refused(gate: Gate) -> bool:
    return any(one.status == 401 for one in gate.seen)


async def test_a_kubeconfig_that_is_written_anew_replaces_a_token_that_is_void(
    stage: Stage, granted: str, gate: Gate
) -> None:
    kubeconfig = Path(through(gate, stage, granted))
    await stage.start(LOW, kubernetes__kubeconfig=str(kubeconfig), **DEPLOYMENTS)
    await stage.scene.setpoint.ticks(2)

    def put(token: str) -> None:
        kubeconfig.write_text(
            kubeconfig.read_text(encoding="utf-8").replace(granted, token), encoding="utf-8"
        )

    await rotated(stage, gate, put)

    assert granted not in stage.scene.setpoint.log


async def test_a_pod_whose_token_is_void_takes_the_next_one_that_the_kubelet_writes(
    stage: Stage, granted: str, gate: Gate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    account, certificate = tmp_path_factory.mktemp("account"), stage.plane.ca_file.read_text(encoding="utf-8")
    given = {"ca.crt": certificate, "namespace": stage.namespace}
    lay_out(account, {**given, "token": granted})
    pod = Pod(tmp_path_factory.mktemp("pod"), SCRIPT, {ACCOUNT: account})
    own = replace(stage, scene=replace(stage.scene, setpoint=pod))
    try:
        own.scene.frontend.carry(LOW)
        await own.scene.prometheus.start(own.scene.frontend.target)
        file = own.scene.write_settings(**{**own.settings(**DEPLOYMENTS), "kubernetes__kubeconfig": None})
        await pod.start(
            "--config",
            str(file),
            environment={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(gate.port)},
        )
        await pod.ticks(2)

        def put(token: str) -> None:
            (account / "..data" / "token").write_text(token, encoding="utf-8")

        await rotated(own, gate, put)

        assert "the service account of the pod" in pod.log
    finally:
        await pod.kill()
