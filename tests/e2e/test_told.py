"""What people see of Setpoint on the cluster: `kubectl describe`, the ConfigMap, and `setpoint status`."""

import asyncio
from pathlib import Path

import pytest

from connectors.kubernetes.api import Json
from tests.e2e.company import Company
from tests.e2e.scene import HIGH
from tests.e2e.servers import SCRIPT, until
from tests.e2e.stage import Stage, playing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
_PAUSED = "paused by the annotation setpoint.dev/paused: load test by Ada"
_DECODE = "/apis/apps/v1/namespaces/{}/deployments/decode"


async def test_changes_holds_and_leaders_are_told_once_and_the_last_decision_is_kept(
    crew: Company, tmp_path: Path
) -> None:
    stage = crew.stage
    async with playing(stage.kubelet.settle_deployments):
        one = await crew.start("one", interval="1s")
        await crew.leads("one")
        await crew.start("two", interval="1s")
        stage.scene.frontend.carry(HIGH)
        await crew.of["one"].settled(HIGH, stage.deployments)
        pause(stage, "load test by Ada")
        for _ in range(4):
            await one.ticks(5)
        held = told(stage, "Holding", _PAUSED)
        pause(stage, None)
        await until(lambda: has_told(stage, "HoldEnded", _PAUSED), "the end of the hold")
        await crew.of["two"].scene.setpoint.ticks(2)
        leader, standby = [await status(crew, name) for name in ("one", "two")]
        assert await one.terminate() == 0
        await until(lambda: has_told(stage, "LeaderElected", count=2), "the next leader")
        forbid(stage, "two")  # as when all of Setpoint is deleted at once
        ended = await crew.of["two"].scene.setpoint.terminate()

    seen = stage.kubectl("describe", "deployment", "decode", folder=tmp_path)
    kept = stage.plane.admin.get(f"/api/v1/namespaces/{stage.namespace}/configmaps/setpoint-decode")
    assert [(event["count"], event["type"]) for event in held] == [(1, "Normal")]
    assert all(word in seen for word in ("Scaled", "Holding", "HoldEnded", "LeaderElected"))
    assert set(kept["data"]) == {"decision", "reasons", "decision.json"}
    assert max(map(len, f"{leader}\n{standby}".splitlines())) <= 80
    assert ended == 0
    assert "standby:" in standby
    assert "scaling for decode" in leader


def forbid(stage: Stage, account: str) -> None:
    """Take the rights of an account away."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{stage.namespace}/rolebindings"
    for name in (account, f"{account}-deployment"):
        stage.plane.admin.ask("DELETE", f"{path}/{name}")


def pause(stage: Stage, why: str | None) -> None:
    annotations = {"metadata": {"annotations": {"setpoint.dev/paused": why}}}
    stage.plane.admin.merge(_DECODE.format(stage.namespace), annotations)


def told(stage: Stage, reason: str, words: str = "") -> list[Json]:
    return [
        event
        for event in stage.events()
        if (event["reason"], event["involvedObject"]["name"]) == (reason, "decode")
        and words in event["message"]
    ]


async def has_told(stage: Stage, reason: str, words: str = "", *, count: int = 1) -> bool:
    return len(told(stage, reason, words)) >= count


async def status(crew: Company, name: str) -> str:
    """Return what a person sees of a daemon."""
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *("status", "--url", crew.of[name].scene.setpoint.url),
        stdout=asyncio.subprocess.PIPE,
        env={"COLUMNS": "80", "NO_COLOR": "1"},
    )
    out, _ = await process.communicate()
    return out.decode()
