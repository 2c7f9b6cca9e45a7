"""A daemon that was killed and started again decides as one that never was: with its journal, and without.

Three daemons watch one deployment and only advise, so that each sees the same fleet at the same ticks.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from planner.core.decision import ReasonCode, StepKind
from planner.serving.records import Started, Stepped
from tests.e2e.frontend import Load
from tests.e2e.scene import LOW, Scene
from tests.e2e.servers import CLOCK, SCRIPT, Setpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

INTERVAL_S = 2.0
WINDOW_INTERVALS = 4
SCRAPE_INTERVAL = "100ms"
# Two daemons ask some milliseconds apart, and a scrape may lie between: where the load has just changed, that
# is a twentieth of the change. What each predictor makes of these loads is far from other counts.
LOADS = {
    "kalman": (Load(rate_rps=25.0), Load(rate_rps=26.0)),
    "constant": (Load(rate_rps=42.0), Load(rate_rps=26.0)),
}
SETTINGS: dict[str, object] = {
    "interval": f"{INTERVAL_S:g}s",
    "actuate": False,
    "prometheus__scrape_interval": SCRAPE_INTERVAL,
    "pools__prefill__scale_down_window": f"{WINDOW_INTERVALS * INTERVAL_S:g}s",
    "pools__decode__scale_down_window": f"{WINDOW_INTERVALS * INTERVAL_S:g}s",
}
Ticks = dict[int, Stepped]


@pytest.mark.parametrize("predictor", LOADS)
async def test_decisions_after_a_restart_are_those_of_a_daemon_that_was_never_killed(
    scene: Scene, tmp_path: Path, predictor: str
) -> None:
    high, middle = LOADS[predictor]
    # More than any load needs: what is decided is what was wanted at any time in the window.
    await scene.etcd.store(num_prefill_workers=5, num_decode_workers=6, decision_id=1)
    scene.frontend.carry(LOW)
    await scene.prometheus.start(scene.frontend.target, scrape_interval=SCRAPE_INTERVAL)
    await CLOCK.sleep(3 * INTERVAL_S)
    undisturbed, remembering, forgetful = (watching(scene, tmp_path / name) for name in "abc")
    restarted = (remembering, forgetful)
    everybody = (undisturbed, *restarted)
    try:
        await asyncio.gather(*(start(one, predictor) for one in everybody))
        for load, ticks in ((LOW, 2), (high, 3), (LOW, 1)):
            scene.frontend.carry(load)
            await undisturbed.setpoint.ticks(ticks)
        await asyncio.gather(*(one.setpoint.kill() for one in restarted))
        killed_at_s = CLOCK.wall_s()
        forgetful.setpoint.journal.unlink()
        scene.frontend.carry(middle)
        await undisturbed.setpoint.ticks(1)
        await asyncio.gather(*(start(one, predictor) for one in restarted))
        await asyncio.gather(*(one.setpoint.ticks(WINDOW_INTERVALS + 3) for one in everybody))
    finally:
        await asyncio.gather(*(one.setpoint.kill() for one in everybody))

    truth = ticks_of(undisturbed)
    with_journal, without = (common(ticks_of(one), truth, since_s=killed_at_s) for one in restarted)
    for pairs in (with_journal, without):
        assert len(pairs) >= WINDOW_INTERVALS + 2
        for after, always in pairs:
            assert after.forecast is not None
            assert always.forecast is not None
            assert after.forecast.points == always.forecast.points
            expected = pytest.approx(always.forecast.arrivals_rps.mean, rel=0.05)
            assert after.forecast.arrivals_rps.mean == expected
    assert [counts(after) for after, _ in with_journal] == [counts(always) for _, always in with_journal]
    # What was wanted before is lost without a journal: the fleet that is found is kept for a window.
    assert is_kept(without[0][0])
    later = without[WINDOW_INTERVALS + 1 :]
    assert [counts(after) for after, _ in later] == [counts(always) for _, always in later]
    assert_warmed(remembering, forgetful)


def watching(scene: Scene, folder: Path) -> Scene:
    """Return the deployment with another daemon."""
    folder.mkdir()
    return replace(scene, setpoint=Setpoint(folder, SCRIPT))


async def start(one: Scene, predictor: str) -> None:
    settings = SETTINGS | {"forecast__predictor": predictor}
    await one.setpoint.start("--config", str(one.write_settings(**settings)))


def ticks_of(one: Scene) -> Ticks:
    """Return the ticks on record, each by the interval of Unix time that it ended."""
    ticks = [step for step in one.setpoint.steps() if step.kind is StepKind.TICK]
    return {round((tick.at_wall_s - tick.duration_s) / INTERVAL_S): tick for tick in ticks}


def common(ticks: Ticks, truth: Ticks, *, since_s: float) -> list[tuple[Stepped, Stepped]]:
    """Return the ticks since a time with those of the other daemon."""
    return [(ticks[at], truth[at]) for at in sorted(ticks) if at * INTERVAL_S > since_s and at in truth]


def counts(tick: Stepped) -> dict[str, int]:
    return dict(tick.decision.replicas)


def is_kept(tick: Stepped) -> bool:
    return {pool.bound_by for pool in tick.decision.pools} == {ReasonCode.WINDOW_DOWN} and counts(tick) == {
        "prefill": 5,
        "decode": 6,
    }


def assert_warmed(remembering: Scene, forgetful: Scene) -> None:
    """What they started with is in the log, and what the core goes on from in the journal."""
    assert remembering.setpoint.log.count("warmed") == 2
    assert forgetful.setpoint.log.count("warmed") == 2
    assert "journal=0" not in remembering.setpoint.log.rpartition("warmed")[2].partition("\n")[0]
    assert "journal=0" in forgetful.setpoint.log.rpartition("warmed")[2].partition("\n")[0]
    resumed = [record for record in remembering.setpoint.records() if isinstance(record, Started)][-1]
    assert all(pool.wishes for pool in resumed.state.pools)
