"""Somebody else writes the same targets while the daemon scales them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from planner.core.decision import ReasonCode
from tests.e2e.faults import check_promises, codes, saw, small, told
from tests.e2e.scene import HIGH, LOW, planned
from tests.e2e.servers import CLOCK
from tests.e2e.stage import DEPLOYMENTS, Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


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
