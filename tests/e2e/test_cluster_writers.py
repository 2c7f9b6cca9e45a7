"""Somebody else writes the same targets, takes them away, or has no room for their engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import pytest

from planner.core.decision import Decision, ReasonCode
from tests.cluster.crds import DGD, DGDSA
from tests.cluster.kubelet import unschedulable
from tests.e2e.faults import check_promises, decisions, saw, told
from tests.e2e.scene import HIGH, LOW, MEDIUM, planned
from tests.e2e.servers import CLOCK, until
from tests.e2e.stage import DEPLOYMENTS, GRAPH, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_NO_ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@asynccontextmanager
async def writing(write: Callable[[int], None], *, every_s: float) -> AsyncIterator[None]:
    """Write all the time, as a controller gone wild does."""

    async def go_on() -> None:
        for number in count():
            await asyncio.to_thread(write, number)
            await CLOCK.sleep(every_s)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def codes(stage: Stage) -> list[int]:
    """Return what the API server answered to the daemon's changes of replicas."""
    return [entry["responseStatus"]["code"] for entry in stage.writes()]


def small(stage: Stage) -> str:
    """Make a small fleet; return the path of its decode pool."""
    stage.kubelet.deployment("prefill", replicas=1)
    return stage.kubelet.deployment("decode", replicas=2)


async def test_somebody_who_writes_labels_and_status_all_the_time_does_not_stop_scaling(stage: Stage) -> None:
    decode = small(stage)

    def touch(number: int) -> None:
        stage.plane.admin.merge(decode, {"metadata": {"labels": {"touched": str(number)}}})
        stage.plane.admin.status(decode, {"observedGeneration": number})

    async with writing(touch, every_s=0.02), playing(stage.kubelet.settle_deployments):
        await stage.start(LOW, **DEPLOYMENTS)
        await stage.scene.setpoint.ticks(2)
        stage.scene.frontend.carry(HIGH)
        await stage.settled(HIGH, stage.deployments)
        stage.scene.frontend.carry(LOW)
        await stage.settled(LOW, stage.deployments)

    assert len(codes(stage)) > 1
    assert set(codes(stage)) <= {200, 409}
    assert "changed from" not in stage.scene.setpoint.log
    assert not told(stage, ReasonCode.RIVAL)
    check_promises(stage)


async def test_somebody_who_sets_the_replicas_back_all_the_time_is_not_fought(stage: Stage) -> None:
    decode = small(stage)

    def set_back(_: int) -> None:
        if stage.deployments()[1] != 2:
            stage.plane.admin.merge(f"{decode}?fieldManager=nightly-script", {"spec": {"replicas": 2}})

    async with writing(set_back, every_s=0.5), playing(stage.kubelet.settle_deployments):
        await stage.start(HIGH, **DEPLOYMENTS)
        why = await saw(stage, ReasonCode.RIVAL)
        written = len(stage.writes())
        await stage.scene.setpoint.ticks(3)

    assert len(stage.writes()) == written
    assert "nightly-script changed the replicas 3 times" in why
    assert "replicas of decode changed from 4 to 2 by nightly-script" in stage.scene.setpoint.log
    assert stage.deployments()[0] == planned(stage.scene.policy(), HIGH)[0]
    assert any("nightly-script" in event["message"] for event in stage.events())
    check_promises(stage)


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
