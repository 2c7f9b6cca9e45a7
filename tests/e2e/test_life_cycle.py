"""Setpoint comes to a fleet that is there, and goes: the audit log tells what it wrote meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.base import Unknown
from planner.core.decision import StepKind
from planner.serving.records import Actuated
from tests.cluster.deployed import MANIFESTS
from tests.cluster.overlay import write
from tests.e2e.company import Company
from tests.e2e.frontend import Load
from tests.e2e.scene import HIGH, INTERVAL_S, LOW
from tests.e2e.servers import until
from tests.e2e.stage import DEPLOYMENTS, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
OWN = {
    "create leases",
    "update leases",
    "create configmaps",
    "patch configmaps",
    "create events",
    "patch events",
}


def overlay(folder: Path) -> None:
    """Write what deploys the daemon for Deployments, as a user does."""
    (folder / "manifests").symlink_to(MANIFESTS)
    document = {
        "resources": ["manifests/daemon"],
        "components": ["manifests/targets/deployment"],
        "configMapGenerator": [{"name": "setpoint-settings", "literals": ["setpoint.yaml="]}],
        "generatorOptions": {"disableNameSuffixHash": True},
    }
    write(folder, document)


def left(stage: Stage, folder: Path) -> set[str]:
    """Return what there is of Setpoint's in the namespace."""
    kinds = "all,configmaps,leases,serviceaccounts,roles,rolebindings,secrets"
    names = stage.kubectl("get", kinds, "-o", "name", folder=folder).split()
    return {name for name in names if name.rpartition("/")[2].startswith("setpoint")}


async def test_a_fleet_that_fits_is_adopted_taken_over_and_left_behind_as_it_is(
    crew: Company, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage, folder = crew.stage, tmp_path_factory.mktemp("overlay")
    overlay(folder)
    stage.kubectl("apply", "--validate=false", "-k", ".", folder=folder)
    await crew.start("one")
    await crew.leads("one")
    await crew.start("two")
    await crew.of["one"].scene.setpoint.ticks(3)
    assert await crew.of["one"].scene.setpoint.terminate() == 0
    await crew.leads("two")
    await crew.of["two"].scene.setpoint.ticks(2)

    assert await crew.of["two"].scene.setpoint.terminate() == 0
    stage.kubectl("delete", "-k", ".", folder=folder)

    asked = {f"{entry.verb} {entry.what.partition('/')[0]}" for entry in crew.audit()}
    lease = stage.plane.admin.get(
        f"/apis/coordination.k8s.io/v1/namespaces/{stage.namespace}/leases/setpoint-decode"
    )
    assert asked <= OWN
    assert stage.deployments() == (1, 2)
    assert lease["spec"]["holderIdentity"] == ""
    assert left(stage, folder) == {
        "configmap/setpoint-decode",
        "lease.coordination.k8s.io/setpoint-decode",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A fleet that is there, what the settings allow of it, and what it becomes by which limit."""

    counts: tuple[int, int]
    settings: Mapping[str, object]
    load: Load
    becomes: tuple[int, int]
    limit: str


BEYOND = Found(counts=(3, 4), settings={"budget_gpus": 5}, load=HIGH, becomes=(2, 3), limit="budget")
BELOW = Found(
    counts=(1, 1), settings={"pools__decode__min_replicas": 4}, load=LOW, becomes=(1, 4), limit="minimum"
)


@pytest.mark.parametrize("found", [BEYOND, BELOW], ids=lambda found: found.limit)
async def test_a_fleet_that_is_found_beyond_a_limit_is_brought_back_in_one_step_after_a_good_interval(
    stage: Stage, found: Found
) -> None:
    for name, count in zip(("prefill", "decode"), found.counts, strict=True):
        stage.kubelet.deployment(name, replicas=count)
    async with playing(stage.kubelet.settle_deployments):
        await stage.start(found.load, **DEPLOYMENTS, **found.settings)
        await until(lambda: is_so(stage, found.becomes), f"{found}; {stage.scene.setpoint.log[-2000:]}")
        await stage.scene.setpoint.ticks(3)

    records = stage.scene.setpoint.records()
    (acted,) = (record for record in records if isinstance(record, Actuated))
    steps = stage.scene.setpoint.steps()
    first = next(step for step in steps if step.decision.is_change)
    earlier = steps[: steps.index(first)]
    told = [event["message"] for event in stage.events() if event["reason"] == "Scaled"]
    assert stage.deployments() == found.becomes
    assert first.now_s <= acted.now_s < first.now_s + INTERVAL_S
    assert first.kind is StepKind.TICK
    assert first.observation.traffic.window_s == INTERVAL_S
    assert not isinstance(first.observation.traffic.arrivals_rps, Unknown)
    assert all(step.decision.is_hold or step.kind is StepKind.LOOK for step in earlier)
    assert len(told) == sum(a != b for a, b in zip(found.counts, found.becomes, strict=True))
    assert all("found at start" in message and found.limit in message for message in told)


async def is_so(stage: Stage, counts: tuple[int, int]) -> bool:
    return stage.deployments() == counts
