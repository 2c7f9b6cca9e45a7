"""What deploy/ holds builds, is valid for old and new clusters, and is taken by a real API server."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from planner.profiling.load import load_profile
from tests.cluster.control_plane import ControlPlane
from tests.cluster.crds import DGD, crd

Json = dict[str, Any]
MANIFESTS = Path(__file__).parents[3] / "deploy" / "manifests"
KUBECTL = str(Path(sys.executable).parent / "kubectl")
PODMONITOR = crd("monitoring.coreos.com", "PodMonitor", versions=("v1",), scale=False)
OTHERS = frozenset({"DynamoGraphDeployment", "PodMonitor"})
WHOLE = sorted(
    path.parent for path in MANIFESTS.rglob("kustomization.yaml") if "kind: Kustomization" in path.read_text()
)


def built(folder: Path) -> list[Json]:
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pod_specs(documents: list[Json]) -> Iterator[Json]:
    """Yield the specifications of Setpoint's own pods."""
    for document in documents:
        if document["metadata"]["name"] == "setpoint" and document["kind"] == "Deployment":
            yield document["spec"]["template"]["spec"]
        if document["kind"] == "DynamoGraphDeployment":
            planner = document["spec"]["services"]["Planner"]["extraPodSpec"]
            yield {**planner, "containers": [{"name": "main", **planner["mainContainer"]}]}


def name_of(folder: Path) -> str:
    return str(folder.relative_to(MANIFESTS))


@pytest.mark.parametrize("version", ["1.27.0", "1.33.0", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("folder", WHOLE, ids=name_of)
def test_every_object_is_valid_to_the_letter(folder: Path, version: str) -> None:
    documents = [document for document in built(folder) if document["kind"] not in OTHERS]

    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)

    assert documents


@pytest.mark.parametrize("folder", WHOLE, ids=name_of)
def test_a_real_api_server_takes_every_object(folder: Path, control_plane: ControlPlane) -> None:
    admin = control_plane.admin
    for definition in (DGD, PODMONITOR):
        admin.crd(definition)
    namespace = admin.namespace("deploy")
    manifest = yaml.safe_dump_all(built(folder))

    done = subprocess.run(
        [
            KUBECTL,
            f"--kubeconfig={control_plane.kubeconfig(control_plane.token, namespace=namespace)}",
            *("apply", "--validate=false", "-f", "-"),
        ],
        input=manifest,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(built(folder))
    assert all(line.endswith(" created") for line in done.stdout.splitlines()), done.stdout


def test_all_targets_fit_together(tmp_path: Path) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    components = sorted(
        f"../{path.relative_to(MANIFESTS.parent)}" for path in (MANIFESTS / "targets").iterdir()
    )
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["../manifests/daemon"], "components": components}), encoding="utf-8"
    )

    documents = built(tmp_path / "all")

    roles = [document["metadata"]["name"] for document in documents if document["kind"] == "Role"]
    assert len(roles) == len(set(roles)) == len(components) + 1


@pytest.mark.parametrize("folder", WHOLE, ids=name_of)
def test_probes_wait_for_the_start_and_for_a_busy_node(folder: Path) -> None:
    for spec in pod_specs(built(folder)):
        (container,) = spec["containers"]

        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 60
        assert {container[probe]["timeoutSeconds"] for probe in ("livenessProbe", "readinessProbe")} == {5}


@pytest.mark.parametrize("folder", WHOLE, ids=name_of)
def test_setpoint_runs_as_nobody_on_a_root_that_it_cannot_write(folder: Path) -> None:
    for spec in pod_specs(built(folder)):
        (container,) = spec["containers"]
        context = container["securityContext"]

        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] != 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {str(Path("/", "tmp"))}


@pytest.mark.parametrize("folder", WHOLE, ids=name_of)
def test_settings_in_the_manifests_are_ones_that_setpoint_takes(folder: Path, tmp_path: Path) -> None:
    for document in built(folder):
        if document["kind"] != "ConfigMap" or "setpoint.yaml" not in document.get("data", {}):
            continue
        text = document["data"]["setpoint.yaml"].replace("/etc/setpoint-profile", "embedded")
        (tmp_path / "setpoint.yaml").write_text(text, encoding="utf-8")
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "setpoint"),
                *("config", "show", "--config", str(tmp_path / "setpoint.yaml")),
            ],
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", WHOLE, ids=name_of)
def test_a_profile_in_the_manifests_is_one_that_setpoint_can_size_on(folder: Path, tmp_path: Path) -> None:
    for document in built(folder):
        if document["kind"] != "ConfigMap" or document["metadata"]["name"] != "planner-profile-data":
            continue
        for name, text in document["data"].items():
            (tmp_path / name).write_text(text, encoding="utf-8")

        profile = load_profile(tmp_path)
        assert profile.prefill is not None
        assert profile.decode is not None


@pytest.mark.parametrize("folder", WHOLE, ids=name_of)
def test_a_daemon_that_is_applied_as_it_is_only_advises(folder: Path) -> None:
    for document in built(folder):
        if document["kind"] == "ConfigMap" and "setpoint.yaml" in document.get("data", {}):
            assert yaml.safe_load(document["data"]["setpoint.yaml"])["actuate"] is False


def test_the_roles_are_those_that_the_code_asks_for() -> None:
    done = subprocess.run(
        [sys.executable, "-P", MANIFESTS.parent / "roles.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_nothing_grants_more_than_it_names() -> None:
    for path in MANIFESTS.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            assert document is None or document.get("kind") not in {"ClusterRole", "ClusterRoleBinding"}
            for rule in (document or {}).get("rules") or ():
                assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]], path
                assert "secrets" not in rule["resources"], path
