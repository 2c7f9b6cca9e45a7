"""`dgd prepare` on a real API server: applied, refused, waited for, and what others wrote left alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.planner.preparing.conftest import Operator
from tests.integration.planner.preparing.requests import GRAPHS, REQUESTS, generated, request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
IMAGE = ("--image", "registry.example/setpoint:1")
LATE = Path(__file__).parents[3] / "unit" / "planner" / "preparing" / "cases" / "late.yaml"
POD_FIELDS = {"POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP"}


def main_of(graph: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = graph["spec"]["services"][name]["extraPodSpec"]["mainContainer"]
    return found


def done_request(operator: Operator) -> None:
    operator.create(REQUESTS, request())
    operator.profile()
    operator.say(REQUESTS, "qwen-sla", {"state": "Ready", "generatedDeployment": generated()})


def test_a_request_becomes_a_running_deployment_that_the_daemon_understands(operator: Operator) -> None:
    done_request(operator)
    ask = ("dgd", "prepare", "qwen-sla", *IMAGE, "--apply", "--wait", "--trust-remote-code")

    with operator.running(*ask) as command:
        command.until("deployment qwen: no status yet")
        progress = {"VllmDecodeWorker": {"replicas": 1, "readyReplicas": 0}}
        pending = {"type": "Ready", "status": "False", "reason": "pods_not_ready", "message": "1 of 4"}
        operator.say(GRAPHS, "qwen", {"state": "pending", "services": progress, "conditions": [pending]})
        waiting = command.until("pods_not_ready")
        ready = {"type": "Ready", "status": "True", "reason": "all_resources_are_ready"}
        operator.say(GRAPHS, "qwen", {"state": "successful", "services": None, "conditions": [ready]})
        out = command.end()

    assert "deployment qwen: pending (pods_not_ready: 1 of 4); VllmDecodeWorker 0/1 ready" in waiting
    assert out.splitlines() == ["dynamographdeployment/qwen created", "dynamographdeployment/qwen ready"]
    graph = operator.read(GRAPHS, "qwen")
    for name in ("Frontend", "Planner", "VllmPrefillWorker", "VllmDecodeWorker"):
        assert {one["name"] for one in main_of(graph, name)["env"]} >= POD_FIELDS
    assert main_of(graph, "Planner")["command"] == ["setpoint", "run", "--"]
    assert main_of(graph, "VllmDecodeWorker")["args"][-1] == "--trust-remote-code"
    shown = json.loads(operator.run("config", "show", "--dgdr", "qwen-sla", "-o", "json").stdout)
    assert shown["dynamo.graph_deployment"]["value"] == "qwen"


def test_applying_twice_changes_nothing_and_keeps_what_was_scaled_since(operator: Operator) -> None:
    done_request(operator)
    ask = ("dgd", "prepare", "qwen-sla", *IMAGE, "--apply")
    assert operator.run(*ask).returncode == 0
    scaled = {"spec": {"services": {"VllmDecodeWorker": {"replicas": 5}}}}
    operator.plane.admin.merge(f"{operator.path(GRAPHS, 'qwen')}?fieldManager=setpoint", scaled)

    again = operator.run(*ask)

    assert (again.returncode, again.stdout) == (0, "dynamographdeployment/qwen unchanged\n")
    assert (
        "VllmDecodeWorker: replicas stay 5, as they are in the cluster (the manifest has 1)" in again.stderr
    )
    graph = operator.read(GRAPHS, "qwen")
    assert graph["spec"]["services"]["VllmDecodeWorker"]["replicas"] == 5
    managers = {one["manager"] for one in graph["metadata"]["managedFields"]}
    assert managers == {"setpoint-prepare", "setpoint"}


def test_a_dry_run_changes_nothing(operator: Operator) -> None:
    done_request(operator)

    done = operator.run("dgd", "prepare", "qwen-sla", *IMAGE, "--dry-run=server")

    assert (done.returncode, done.stdout) == (0, "dynamographdeployment/qwen created (server dry run)\n")
    assert "+          - setpoint" in done.stderr
    answer = operator.plane.admin.send("GET", operator.path(GRAPHS, "qwen"))
    assert answer.status_code == 404


def test_fields_of_somebody_else_are_listed_and_left_until_it_is_insisted(operator: Operator) -> None:
    done_request(operator)
    operator.create(GRAPHS, generated())
    ask = ("dgd", "prepare", "qwen-sla", *IMAGE, "--apply")

    refused = operator.run(*ask)

    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert "conflict" in line
    assert "mainContainer.image" in line
    assert "--force-conflicts" in line
    assert main_of(operator.read(GRAPHS, "qwen"), "Planner")["command"] == ["python3", "-m", "planner_sla"]

    forced = operator.run(*ask, "--force-conflicts")

    assert (forced.returncode, forced.stdout) == (0, "dynamographdeployment/qwen configured\n")
    planner = main_of(operator.read(GRAPHS, "qwen"), "Planner")
    assert planner["command"] == ["setpoint", "run", "--"]
    assert "workingDir" not in planner
    assert operator.run(*ask).stdout == "dynamographdeployment/qwen unchanged\n"


def test_a_planner_that_the_operator_deployed_is_taken_out(operator: Operator) -> None:
    done_request(operator)
    operator.create(GRAPHS, generated())

    done = operator.run("dgd", "prepare", "qwen-sla", "--planner", "standalone", "--apply")

    assert (done.returncode, done.stdout) == (0, "dynamographdeployment/qwen configured\n"), done.stderr
    assert "Planner" not in operator.read(GRAPHS, "qwen")["spec"]["services"]
    assert f"--set dynamo.kubernetes_namespace={operator.namespace}" in done.stderr


def test_a_later_deployment_and_its_maps_are_applied_from_a_file(operator: Operator) -> None:
    path = operator.folder / "late.yaml"
    path.write_text(LATE.read_text().replace("namespace: llm", f"namespace: {operator.namespace}"))

    done = operator.run("dgd", "prepare", str(path), *IMAGE, "--apply")

    assert done.stdout.splitlines() == [
        "configmap/planner-config-7f3a created",
        "dynamographdeployment/qwen created",
    ], done.stderr
    graph = operator.read(GRAPHS, "qwen", version="v1beta1")
    names = [one["name"] for one in graph["spec"]["components"]]
    assert names == ["frontend", "planner", "prefill", "decode"]
    alone = operator.run("dgd", "prepare", str(path), "--planner", "standalone", "--apply")
    assert alone.returncode == 0, alone.stderr
    left = operator.read(GRAPHS, "qwen", version="v1beta1")["spec"]["components"]
    assert [one["name"] for one in left] == ["frontend", "prefill", "decode"]


def test_what_keeps_it_from_being_ready_is_told_when_the_time_is_over(operator: Operator) -> None:
    done_request(operator)
    pods = f"/api/v1/namespaces/{operator.namespace}/pods"
    pod = {
        "metadata": {"name": "qwen-decode-0", "labels": {"nvidia.com/dynamo-graph-deployment-name": "qwen"}},
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }
    operator.plane.admin.ask("POST", pods, pod)
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/4 nodes are available: 4 Insufficient nvidia.com/gpu.",
    }
    operator.plane.admin.status(f"{pods}/qwen-decode-0", {"conditions": [unscheduled]})

    done = operator.run("dgd", "prepare", "qwen-sla", *IMAGE, "--apply", "--wait", "--timeout", "100ms")

    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "deployment qwen: no status yet" in line
    assert "pod qwen-decode-0: Unschedulable: 0/4 nodes are available: 4 Insufficient nvidia.com/gpu." in line


def test_a_request_without_a_deployment_is_told(operator: Operator) -> None:
    operator.create(REQUESTS, request())
    operator.say(REQUESTS, "qwen-sla", {"state": "Profiling"})

    done = operator.run("dgd", "prepare", "qwen-sla", *IMAGE)

    assert done.returncode == 2
    assert "it is Profiling, and has no deployment yet; wait for it with --wait" in done.stderr


def test_the_manifest_of_a_request_can_be_applied_by_others(operator: Operator) -> None:
    done_request(operator)

    done = operator.run("dgd", "prepare", "qwen-sla", *IMAGE)

    manifest = yaml.safe_load(done.stdout)
    assert manifest["metadata"] == {"name": "qwen", "namespace": operator.namespace}
    operator.create(GRAPHS, manifest)
