"""Targets and kinds that are taken away and come back, and engines that no node has room for."""

from datetime import UTC, datetime

import pytest

from planner.core.decision import Decision, ReasonCode
from tests.cluster.crds import DGD, DGDSA
from tests.cluster.kubelet import unschedulable
from tests.e2e.faults import check_promises, codes, decisions, saw, small
from tests.e2e.scene import HIGH, LOW, MEDIUM, planned
from tests.e2e.servers import CLOCK, until
from tests.e2e.stage import DEPLOYMENTS, GRAPH, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_NO_ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def test_a_target_that_is_deleted_and_made_again_is_adopted_as_it_is(stage: Stage) -> None:
    decode = small(stage)
    async with playing(stage.kubelet.settle_deployments):
        await stage.start(HIGH, **DEPLOYMENTS)
        await stage.settled(HIGH, stage.deployments)

    stage.plane.admin.ask("DELETE", decode)
    gone = await saw(stage, ReasonCode.BLIND_FLEET)
    stage.scene.frontend.carry(LOW)
    await stage.scene.setpoint.ticks(2)
    kept = stage.plane.admin.get(stage.kubelet.path("apps/v1", "deployments", "prefill"))["spec"]["replicas"]
    before = len(stage.writes())
    stage.kubelet.deployment("decode", replicas=2)
    async with playing(stage.kubelet.settle_deployments):
        await stage.settled(LOW, stage.deployments)

    assert "deployment decode" in gone
    assert kept == 3
    assert [entry["objectRef"]["name"] for entry in stage.writes()[before:]] == ["prefill"]
    assert "generation" not in stage.scene.setpoint.log
    check_promises(stage)


async def test_a_kind_that_is_removed_and_installed_again_is_held_and_then_scaled(stage: Stage) -> None:
    admin = stage.plane.admin
    for definition in (DGD, DGDSA):
        admin.crd(definition)
    stage.kubelet.graph("llm", prefill=1, decode=2)
    await stage.start(LOW, **GRAPH)
    await stage.scene.setpoint.ticks(2)

    admin.ask("DELETE", f"{_CRDS}/{DGD['metadata']['name']}")
    gone = await saw(stage, ReasonCode.BLIND_FLEET)
    stage.scene.frontend.carry(HIGH)
    await stage.scene.setpoint.ticks(3)

    async def is_gone() -> bool:
        return admin.send("GET", f"{_CRDS}/{DGD['metadata']['name']}").status_code == 404

    await until(is_gone, "the kind is gone")
    admin.crd(DGD)
    stage.kubelet.graph("llm", prefill=1, decode=2)
    async with playing(lambda: stage.kubelet.settle_graph("llm")):
        await stage.settled(HIGH, stage.graph)

    assert "dynamographdeployment" in gone
    assert codes(stage).count(200) == 2
    check_promises(stage)


async def test_engines_that_no_node_has_room_for_are_waited_for_counted_and_told(stage: Stage) -> None:
    small(stage)
    policy = stage.scene.policy()
    some, more = planned(policy, MEDIUM), planned(policy, HIGH)

    def as_far_as_there_is_room() -> None:
        """Give prefill what it wants; of decode two engines have found a node, and no more do."""
        stage.kubelet.settle_deployment("prefill")
        for _ in range(stage.deployments()[1] - len(stage.kubelet.pods({"app": "decode"}))):
            since = datetime.fromtimestamp(CLOCK.wall_s(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            stage.kubelet.pod({"app": "decode"}, status=unschedulable(since=since, message=_NO_ROOM))

    grace = {"kubernetes__unschedulable_grace": "5s"}
    async with playing(as_far_as_there_is_room):
        await stage.start(MEDIUM, budget_gpus=sum(more), **grace, **DEPLOYMENTS)
        await stage.settled(MEDIUM, stage.deployments)
        await stage.scene.setpoint.ticks(1)
        patient = codes_of(decisions(stage)[-1])
        failing = await saw(stage, ReasonCode.ENGINES_FAILING)
        stage.scene.frontend.carry(HIGH)
        no_more = await saw(stage, ReasonCode.UNSCHEDULABLE)
        await stage.scene.setpoint.ticks(3)
        stuck = decisions(stage)[-1]
        kept = stage.deployments()
    async with playing(stage.kubelet.settle_deployments):  # a node has come
        await stage.settled(HIGH, stage.deployments)
        await stage.scene.setpoint.ticks(2)
    healed = codes_of(decisions(stage)[-1])

    assert ReasonCode.ENGINES_FAILING not in patient
    assert kept == (more[0], some[1])
    assert stuck.committed_gpus == sum(kept)
    assert _NO_ROOM in failing
    assert "decode" in no_more
    assert any(_NO_ROOM in event["message"] for event in stage.events())
    assert not {ReasonCode.ENGINES_FAILING, ReasonCode.UNSCHEDULABLE} & healed
    check_promises(stage)


def codes_of(decision: Decision) -> set[ReasonCode]:
    return {reason.code for reason in decision.reasons}
