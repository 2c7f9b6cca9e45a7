"""Who leads next, and what that changes: nothing. Real daemons, and the audit log as the witness."""

import pytest

from planner.serving.records import Stepped
from tests.e2e.company import LEASE_S, Company
from tests.e2e.scene import HIGH, INTERVAL_S
from tests.e2e.servers import until
from tests.e2e.stage import playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_OK = 200


async def test_a_leader_that_is_cut_off_steps_down_before_the_next_one_leads(crew: Company) -> None:
    stage = crew.stage
    async with playing(stage.kubelet.settle_deployments):
        await crew.start("one", look_interval="200ms")
        await crew.leads("one")
        await crew.start("two")
        crew.gates["one"].cut()
        await crew.leads("two")
        stage.scene.frontend.carry(HIGH)
        await crew.of["two"].settled(HIGH, stage.deployments)
        crew.gates["one"].restore()  # what it sent and nobody answered arrives now
        await crew.of["one"].scene.setpoint.ticks(3)

    assert "" < crew.stood_by_at("one") < crew.taken_at("two")
    assert {(entry.who, entry.code) for entry in crew.writes()} == {("two", _OK)}


async def test_nothing_is_scaled_because_the_leader_changes(crew: Company) -> None:
    for name in ("one", "two", "three"):
        await crew.start(name)
    await crew.leads("one")

    for gate in crew.gates.values():  # the API server is away for all, for longer than the Lease lasts
        gate.cut()
    await until(lambda: count_of_leaders(crew, 0), "nobody leads")
    for gate in crew.gates.values():
        gate.restore()
    await until(lambda: count_of_leaders(crew, 1), "one leads again")
    (first,) = await crew.leaders()
    await crew.of[first].scene.setpoint.ticks(2)

    await crew.of[first].scene.setpoint.kill()
    killed_s = await until(lambda: count_of_leaders(crew, 1), "another one leads")
    (heir,) = await crew.leaders()
    await crew.of[heir].scene.setpoint.ticks(2)

    assert await crew.of[heir].scene.setpoint.terminate() == 0
    ended_s = await until(lambda: count_of_leaders(crew, 1), "the last one leads")
    (last,) = await crew.leaders()
    await crew.of[last].scene.setpoint.ticks(2)

    assert crew.writes() == []
    assert killed_s < 2.0 * (LEASE_S + INTERVAL_S)
    assert ended_s < LEASE_S  # it was released, and need not run out


async def count_of_leaders(crew: Company, count: int) -> bool:
    return len(await crew.leaders()) == count


async def test_a_standby_sees_foresees_and_decides_what_the_leader_does(crew: Company) -> None:
    stage = crew.stage
    async with playing(stage.kubelet.settle_deployments):
        await crew.start("one", forecast__predictor="kalman")
        await crew.leads("one")
        stage.scene.frontend.carry(HIGH)
        await crew.of["one"].settled(HIGH, stage.deployments)
        await crew.start("two", forecast__predictor="kalman")  # the past is in Prometheus
        await crew.of["two"].scene.setpoint.ticks(4)

    leader, standby = (crew.of[name].scene.setpoint.steps()[-1] for name in ("one", "two"))
    assert standby.decision.replicas == leader.decision.replicas
    assert view(standby) == pytest.approx(view(leader), rel=0.1)
    assert {entry.who for entry in crew.writes()} == {"one"}


def view(step: Stepped) -> tuple[float, float]:
    """Return what load is foreseen, and what is expected of the engines."""
    assert step.forecast is not None
    assert step.forecast.arrivals_rps is not None
    assert step.decision.expected_ttft_s is not None
    return step.forecast.arrivals_rps.mean, step.decision.expected_ttft_s
