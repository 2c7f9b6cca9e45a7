"""What `setpoint run` does while Prometheus, the frontends or etcd are away, and when they come back."""

from typing import Any

import pytest

from planner.core.decision import ReasonCode, StepKind
from tests.e2e.scene import HIGH, MEDIUM, Scene
from tests.e2e.servers import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


# Whatever is misread scales down at once: there is no window that hides it, and each tick reads the last four
# seconds, so that several ticks see a part of the outage.
TOUCHY = {
    "pools__prefill__scale_down_window": "0s",
    "pools__decode__scale_down_window": "0s",
    "prometheus__scrape_interval": "1s",
}


async def test_without_prometheus_it_holds_and_says_why(scene: Scene) -> None:
    await scene.start(HIGH, **TOUCHY)
    decision_id = await scene.etcd.decision_id()

    await scene.prometheus.kill()
    await held(scene, ReasonCode.BLIND_ARRIVALS)

    for decision in await holds(scene):
        assert decision["headline"].startswith("hold: prefill 3 (blind arrivals), decode 4 (blind arrivals)")
        assert scene.prometheus.url in " ".join(decision["words"])
    assert await scene.setpoint.metric("setpoint_part_healthy", part="source") == 0.0
    assert await scene.setpoint.is_fine("/healthz")
    assert await scene.setpoint.is_fine("/readyz")
    await scene.prometheus.start()
    await seen_again(scene)
    assert await scene.etcd.decision_id() == decision_id
    scene.frontend.carry(MEDIUM)
    await scene.settled(MEDIUM)


async def test_a_frontend_that_starts_again_from_zero_is_no_drop_of_load(scene: Scene) -> None:
    await scene.start(HIGH, **TOUCHY)
    decision_id = await scene.etcd.decision_id()

    await scene.frontend.stop()
    await held(scene, ReasonCode.BLIND_ARRIVALS)
    assert "1 of 1 frontends is down" in " ".join((await holds(scene))[-1]["words"])
    scene.frontend.forget()
    scene.frontend.carry(HIGH)
    await scene.frontend.start()
    await seen_again(scene)

    assert await scene.etcd.decision_id() == decision_id
    await scene.settled(HIGH)
    assert await scene.etcd.decision_id() == decision_id


async def test_a_load_that_grew_while_etcd_was_away_is_served_once_it_is_back(scene: Scene) -> None:
    await scene.start(MEDIUM)
    decision_id = await scene.etcd.decision_id()

    await scene.etcd.kill()
    scene.frontend.carry(HIGH)
    await held(scene, ReasonCode.BLIND_FLEET)
    assert "no etcd endpoint answered" in " ".join((await holds(scene))[-1]["words"])
    await scene.etcd.start()

    await scene.settled(HIGH)
    assert await scene.etcd.decision_id() > decision_id


async def held(scene: Scene, reason: ReasonCode, *, ticks: int = 3) -> None:
    """Wait until so many ticks held for a reason."""
    before = await scene.setpoint.metric("setpoint_holds_total", reason=reason)

    async def enough() -> bool:
        return await scene.setpoint.metric("setpoint_holds_total", reason=reason) >= before + ticks

    await until(enough, f"{ticks} holds for {reason}")
    blind = [step for step in scene.setpoint.steps() if step.kind is StepKind.TICK][-ticks:]
    for step in blind:
        assert step.decision.is_hold
        assert not step.decision.is_change
        assert reason in {why.code for why in step.decision.reasons}


async def seen_again(scene: Scene) -> None:
    """Wait for a tick that judges, and two more."""

    async def sees() -> bool:
        return await scene.setpoint.metric("setpoint_hold") == 0.0

    await until(sees, "a tick that judges")
    await scene.setpoint.ticks(2)


async def holds(scene: Scene) -> list[dict[str, Any]]:
    """Return the last holds of the API."""
    answer = await scene.setpoint.read("/api/v1/decisions?kind=tick&limit=3")
    found: list[dict[str, Any]] = answer["decisions"]
    assert all(decision["decision"]["is_hold"] for decision in found)
    return found
