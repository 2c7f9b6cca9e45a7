"""From a request (v1alpha1) to engines that follow the load, each with no more rights than it needs.

A person prepares the generated deployment; the daemon takes settings, profile and target from the request.
What each of them changed on the objects is compared with what it is said to change.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.policy import Policy
from tests.cluster.control_plane import ControlPlane
from tests.cluster.deployed import token_of
from tests.e2e.frontend import Load
from tests.e2e.scene import HIGH, LOW, planned
from tests.e2e.servers import SCRIPT, Setpoint, until
from tests.e2e.sidecar import OTHERS, PROFILE, QUICK, Sidecar, curves_of, staged
from tests.integration.planner.preparing.requests import REQUESTS, generated, request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
Json = dict[str, Any]
PLANNER = {"plannerMaxGpuBudget": 40, "plannerAdjustmentInterval": 2, "plannerLoadPredictor": "constant"}
POD_FIELDS = {"POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP"}
# What makes the daemon quick enough for a test; the interval is the request's.
ENVIRONMENT = {name: value for name, value in QUICK.items() if name != "SETPOINT_INTERVAL"}


@pytest.fixture
async def operated(
    shared_dir: Path, tmp_path: Path, control_plane: ControlPlane, program: Callable[[str, str], str]
) -> AsyncIterator[Sidecar]:
    async with staged(control_plane, shared_dir, tmp_path, program) as found:
        yield found


class Shell:
    """A person's shell."""

    def __init__(self, of: Sidecar) -> None:
        self._of = of
        self.said = ""

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator["Shell"]:
        """Run a command of Setpoint's; leave when it has ended well."""
        plane, folder = self._of.plane, self._of.folder
        kubeconfig = plane.kubeconfig(plane.token, namespace=self._of.namespace, folder=folder)
        log = folder / "shell.log"
        with log.open("wb") as stream:
            process = await asyncio.create_subprocess_exec(
                SCRIPT, *arguments, stdout=stream, stderr=stream, env={"KUBECONFIG": str(kubeconfig)}
            )
        self._log = log
        try:
            yield self
            async with asyncio.timeout(20.0):
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self.said = log.read_text(encoding="utf-8")
        assert code == 0, self.said

    async def says(self, words: str) -> None:
        async def is_said() -> bool:
            return words in self._log.read_text(encoding="utf-8")

        await until(is_said, words)


def asked() -> Json:
    item = request()
    config = item["spec"]["profilingConfig"]["config"]
    config["sla"].update(ttft=300.0, itl=10.0)
    config["planner"] = PLANNER
    return item


def made() -> Json:
    """Return what the profiler makes of it: with a planner of Dynamo's."""
    item = generated("llm")
    main = item["spec"]["services"]["Planner"]["extraPodSpec"]["mainContainer"]
    main["args"] = [
        *("--environment=kubernetes", "--backend=vllm", "--adjustment-interval=2", "--max-gpu-budget=40"),
        *("--ttft=300.0", "--itl=10.0", "--load-predictor=constant"),
        *("--prefill-engine-num-gpu=1", "--decode-engine-num-gpu=2", f"--profile-results-dir={PROFILE}"),
    ]
    main["volumeMounts"][0]["mountPath"] = PROFILE
    return item


async def prepared(of: Sidecar, *how: str) -> tuple[str, Json]:
    """Play the operator through the request's states while a person waits; return what was said and made."""
    of.plane.admin.ask("POST", of.path(REQUESTS), asked())
    shell, answer = Shell(of), made()
    words = ("dgd", "prepare", "qwen-sla", *how, "--apply", "--wait")
    core = f"/api/v1/namespaces/{of.namespace}/configmaps"

    def say(**status: object) -> None:
        of.plane.admin.status(of.path(REQUESTS, "qwen-sla"), status)

    async with shell.running(*words):
        for state in ("Pending", "Profiling"):
            say(state=state)
            await shell.says(state)
        data = curves_of(of.scene.profile)
        of.plane.admin.ask("POST", core, {"metadata": {"name": "planner-profile-data"}, "data": data})
        say(state="Ready", generatedDeployment=answer)
        await shell.says("deployment llm: no status yet")
        of.settle()
    return shell.said, answer


def policy(of: Sidecar) -> Policy:
    return of.scene.policy(interval="2s", pools__decode__gpus_per_engine=2)


async def follows(of: Sidecar, load: Load) -> None:
    wanted = planned(policy(of), load)

    async def is_so() -> bool:
        return of.counts() == wanted

    of.scene.frontend.carry(load)
    await until(is_so, f"{wanted} on the cluster, not {of.counts()}; {of.pod.log[-2000:]}")


async def scraped(of: Sidecar) -> None:
    of.scene.frontend.carry(LOW)
    of.others.carry(OTHERS)
    of.scrape()
    await of.scene.prometheus.start()


def without_replicas(graph: Json) -> Json:
    spec: Json = copy.deepcopy(graph["spec"])
    for service in spec["services"].values():
        service.pop("replicas")
    return {"spec": spec, "labels": graph["metadata"].get("labels"), "uid": graph["metadata"]["uid"]}


def added(before: Json, after: Json) -> dict[str, set[str]]:
    """Return the variables that each service got; nothing else may differ."""
    found: dict[str, set[str]] = {}
    for name, service in after["spec"]["services"].items():
        own = copy.deepcopy(service)
        env = own["extraPodSpec"]["mainContainer"].pop("env")
        assert own == before["spec"]["services"][name], name
        found[name] = {one["name"] for one in env}
    return found


def managers(graph: Json) -> set[str]:
    """Return who wrote what is wanted, and not only how it is."""
    return {one["manager"] for one in graph["metadata"]["managedFields"] if "f:spec" in one["fieldsV1"]}


async def test_a_daemon_elsewhere_scales_what_a_request_made_with_the_least_rights(operated: Sidecar) -> None:
    said, answer = await prepared(operated, "--planner", "standalone")
    before = operated.graph()
    token = token_of(operated.plane.admin, operated.namespace, "dynamographdeployment", "dgdr")
    kubeconfig = operated.plane.kubeconfig(token, namespace=operated.namespace, folder=operated.folder)
    daemon = Setpoint(operated.folder, SCRIPT)
    try:
        async with operated.operated():
            await scraped(operated)
            await daemon.start(
                *("--dgdr", "qwen-sla", "--actuate", "--prometheus", operated.scene.prometheus.url),
                *("--http-port", str(daemon.port), "--journal", str(daemon.journal)),
                environment={**ENVIRONMENT, "KUBECONFIG": str(kubeconfig)},
            )
            await follows(operated, LOW)
            await follows(operated, HIGH)
            await follows(operated, LOW)
        assert await daemon.terminate() == 0, daemon.log
    finally:
        await daemon.kill()

    after = operated.graph()
    assert "deployment llm: no status yet" in said
    assert added(answer, before) == {
        "Frontend": POD_FIELDS,
        "VllmPrefillWorker": POD_FIELDS,
        "VllmDecodeWorker": POD_FIELDS,
    }
    assert without_replicas(after) == without_replicas(before)
    assert managers(after) == {"setpoint-prepare", "setpoint"}
    assert "without the right" not in daemon.log
    assert operated.plane.admin.get(operated.path(REQUESTS, "qwen-sla"))["spec"] == asked()["spec"]


async def test_setpoint_in_the_planners_place_scales_with_its_rights_and_its_arguments(
    operated: Sidecar,
) -> None:
    operated.account()

    said, answer = await prepared(operated, "--image", "registry.example/setpoint:1")
    before = operated.graph()
    async with operated.operated():
        await scraped(operated)
        operated.mount()
        planner = before["spec"]["services"]["Planner"]["extraPodSpec"]["mainContainer"]
        program, *arguments = [str(word) for word in (*planner["command"], *planner["args"])]
        assert program == "setpoint"
        await operated.pod.spawn(*arguments, environment={**ENVIRONMENT, **operated.environment()})
        await operated.pod.starts()
        await follows(operated, LOW)
        await follows(operated, HIGH)
        await follows(operated, LOW)

    after = operated.graph()
    assert await operated.pod.terminate() == 0, operated.pod.log
    assert arguments == ["run", "--", *made_arguments(answer)]
    assert without_replicas(after) == without_replicas(before)
    assert "command is setpoint run --" in said
    assert managers(after) == {"setpoint-prepare", "setpoint"}


def made_arguments(answer: Json) -> list[str]:
    found: list[str] = answer["spec"]["services"]["Planner"]["extraPodSpec"]["mainContainer"]["args"]
    return found
