"""A leader that is frozen while its write is on its way: real daemons, and the audit log as the witness."""

import pytest

from tests.cluster.gate import Held
from tests.e2e.company import Company
from tests.e2e.scene import HIGH, LOW, planned
from tests.e2e.stage import playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_OK, _CONFLICT = 200, 409


async def frozen_with_a_write_on_its_way(crew: Company) -> Held:
    """Let `one` lead and decide to grow; freeze it while its write is on its way to the API server."""
    await crew.start("one")
    await crew.leads("one")
    await crew.start("two")
    on_its_way = crew.gates["one"].hold("PATCH", "/scale")
    crew.stage.scene.frontend.carry(HIGH)
    await on_its_way.arrived.wait()
    crew.freeze("one")
    return on_its_way


async def test_a_write_that_a_deposed_leader_sent_in_time_is_refused_once_the_next_one_wrote(
    crew: Company,
) -> None:
    stage = crew.stage
    async with playing(stage.kubelet.settle_deployments):
        on_its_way = await frozen_with_a_write_on_its_way(crew)
        await crew.leads("two")
        await crew.of["two"].settled(HIGH, stage.deployments)

        code = await on_its_way.release()
        crew.resume("one")
        await crew.of["one"].scene.setpoint.ticks(3)

    taken_at = crew.taken_at("two")
    late = [entry for entry in crew.writes() if entry.who == "one" and entry.at > taken_at]
    assert code == _CONFLICT
    assert [entry.code for entry in late] == [_CONFLICT]
    assert {entry.code for entry in crew.writes() if entry.who == "two"} == {_OK}
    assert stage.deployments() == planned(stage.scene.policy(), HIGH)


async def test_a_write_that_a_deposed_leader_sent_in_time_is_harmless_while_nobody_wrote(
    crew: Company,
) -> None:
    stage = crew.stage
    async with playing(stage.kubelet.settle_deployments):
        on_its_way = await frozen_with_a_write_on_its_way(crew)
        stage.scene.frontend.carry(LOW)  # the next leader finds that nothing is to be done
        await crew.leads("two")
        await crew.of["two"].scene.setpoint.ticks(2)
        before = crew.writes()

        code = await on_its_way.release()
        crew.resume("one")
        await crew.of["one"].scene.setpoint.ticks(2)
        await crew.of["two"].settled(LOW, stage.deployments)

    taken_at = crew.taken_at("two")
    late = [entry for entry in crew.writes() if entry.who == "one" and entry.at > taken_at]
    assert before == []
    assert code == _OK
    assert [entry.code for entry in late] == [_OK]
    assert stage.deployments() == planned(stage.scene.policy(), LOW)
