"""`run --dgdr NAME` on a real API server, where the test plays the operator."""

import json
import signal
from typing import Any

import pytest

from tests.integration.planner.preparing.conftest import Operator
from tests.integration.planner.preparing.requests import GRAPHS, REQUESTS, generated, late_request, request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
NOWHERE = ("--actuator", "memory", "--http-port", "0", "--scrape", "http://127.0.0.1:9/metrics")


def effective(operator: Operator, *arguments: str) -> dict[str, Any]:
    done = operator.run("config", "show", "-o", "json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_daemon_waits_through_the_states_and_starts_with_what_came_of_them(operator: Operator) -> None:
    operator.create(REQUESTS, request())

    with operator.running("run", "--dgdr", f"{operator.namespace}/qwen-sla", *NOWHERE) as command:
        about = f"request {operator.namespace}/qwen-sla"
        command.until(f"{about}: Initializing")
        operator.say(REQUESTS, "qwen-sla", {"state": "Pending"})
        command.until(f"{about}: Pending")
        operator.say(REQUESTS, "qwen-sla", {"state": "Profiling"})
        command.until(f"{about}: Profiling")
        operator.profile()
        operator.create(GRAPHS, generated())
        operator.say(
            REQUESTS,
            "qwen-sla",
            {
                "state": "Deploying",
                "generatedDeployment": generated(),
                "deployment": {"name": "qwen", "namespace": operator.namespace, "created": True},
            },
        )
        command.until(f"{about}: Deploying")
        understood = command.until("understood")
        command.until("taken from Dynamo")
        command.process.send_signal(signal.SIGTERM)
        command.end()

    assert "budget_gpus=12" in understood
    assert f'settings="DGDR {operator.namespace}/qwen-sla (cluster)"' in understood
    assert any('where="DGDR' in line and "(cluster) plannerMaxGpuBudget" in line for line in command.said)
    assert command.process.returncode == 0


def test_what_the_request_made_is_in_the_settings(operator: Operator) -> None:
    operator.create(REQUESTS, request())
    operator.profile()
    operator.create(GRAPHS, generated())
    status = {"state": "Ready", "generatedDeployment": generated(), "deployment": {"name": "qwen"}}
    operator.say(REQUESTS, "qwen-sla", status)

    found = effective(operator, "--dgdr", "qwen-sla")

    assert found["targets.ttft"] == {
        "value": "300ms",
        "origin": f"DGDR {operator.namespace}/qwen-sla (cluster) ttft",
    }
    assert found["dynamo.graph_deployment"]["value"] == "qwen"
    assert found["dynamo.kubernetes_namespace"]["value"] == operator.namespace
    assert found["profile"]["origin"] == f"ConfigMap {operator.namespace}/planner-profile-data"
    assert found["pools.decode.gpus_per_engine"]["value"] == 2
    assert (
        effective(operator, "--dgdr", "qwen-sla", "--profile", "embedded")["profile"]["value"] == "embedded"
    )


def test_a_later_request_is_read_in_its_own_version(operator: Operator) -> None:
    operator.create(REQUESTS, late_request())
    late = {"phase": "Profiling", "profilingPhase": "SweepingDecode", "dgdName": ""}
    operator.say(REQUESTS, "qwen-sla", late, version="v1beta1")

    with operator.running("run", "--dgdr", "qwen-sla", *NOWHERE, "--profile", "embedded") as command:
        command.until(f"request {operator.namespace}/qwen-sla: Profiling (SweepingDecode)")
        deployed = {"phase": "Deployed", "profilingPhase": "", "dgdName": "qwen-dgd"}
        operator.say(REQUESTS, "qwen-sla", deployed, version="v1beta1")
        assert "budget_gpus=9" in command.until("understood")
        command.process.send_signal(signal.SIGINT)
        command.end()

    assert any('settings="targets.ttft 250ms"' in line for line in command.said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_waiting_at_once(operator: Operator, number: signal.Signals) -> None:
    operator.create(REQUESTS, request())

    with operator.running("run", "--dgdr", "qwen-sla", *NOWHERE) as command:
        command.until("Initializing")
        command.process.send_signal(number)
        command.end()

    assert command.process.returncode == 0
    assert not any("Traceback" in line or "understood" in line for line in command.said)


def test_a_failure_is_explained_with_conditions_and_the_pod_of_the_profiler(operator: Operator) -> None:
    operator.create(REQUESTS, request())
    pods = f"/api/v1/namespaces/{operator.namespace}/pods"
    pod = {
        "metadata": {"name": "profile-qwen-sla-x", "labels": {"job-name": "profile-qwen-sla"}},
        "spec": {"containers": [{"name": "profiler", "image": "i"}]},
    }
    operator.plane.admin.ask("POST", pods, pod)
    ended = {"exitCode": 1, "reason": "Error", "message": "no such model: Qwen/Qwen3-8B"}
    containers = [
        {
            "name": "profiler",
            "image": "i",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": ended},
        }
    ]
    operator.plane.admin.status(f"{pods}/profile-qwen-sla-x", {"containerStatuses": containers})
    condition = {
        "type": "Profiling",
        "status": "False",
        "reason": "ProfilingFailed",
        "message": "the job failed",
    }
    operator.say(REQUESTS, "qwen-sla", {"state": "Failed", "conditions": [condition]})

    done = operator.run("run", "--dgdr", "qwen-sla", *NOWHERE)

    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "it is Failed: Profiling: ProfilingFailed: the job failed" in line
    assert "pod profile-qwen-sla-x: profiler ended with code 1: no such model: Qwen/Qwen3-8B" in line
    assert "kubectl describe dgdr qwen-sla" in line


def test_a_deleted_deployment_ends_it(operator: Operator) -> None:
    operator.create(REQUESTS, request())
    operator.say(REQUESTS, "qwen-sla", {"state": "DeploymentDeleted"})

    done = operator.run("run", "--dgdr", "qwen-sla", *NOWHERE)

    assert done.returncode == 2
    assert "it is DeploymentDeleted: its conditions do not say why" in done.stderr


def test_a_request_that_is_deleted_meanwhile_ends_it(operator: Operator) -> None:
    operator.create(REQUESTS, request())

    with operator.running("run", "--dgdr", "qwen-sla", *NOWHERE) as command:
        command.until("Initializing")
        operator.plane.admin.ask("DELETE", operator.path(REQUESTS, "qwen-sla"))
        command.end()

    assert command.process.returncode == 2
    assert "it was deleted while it was waited for" in command.said[-1]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("qwen-sal", "there is no such request in namespace {}; did you mean qwen-sla?"),
        ("llama", "there is no such request in namespace {}; there are qwen-sla"),
        ("elsewhere-x/qwen-sla", "there are none; write NAMESPACE/NAME if it is elsewhere, or name a file"),
    ],
)
def test_a_wrong_name_gets_those_that_there_are(operator: Operator, name: str, part: str) -> None:
    operator.create(REQUESTS, request())

    done = operator.run("run", "--dgdr", name, *NOWHERE)

    assert done.returncode == 2
    assert part.format(operator.namespace) in done.stderr
    assert "Traceback" not in done.stderr
