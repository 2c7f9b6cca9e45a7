"""What `kubectl apply -k` of an overlay of deploy/ gives the daemon's service account."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from tests.cluster.control_plane import ControlPlane, Json

MANIFESTS = Path(__file__).parents[2] / "deploy" / "manifests"
KUBECTL = str(Path(sys.executable).parent / "kubectl")


def token_by_overlay(plane: ControlPlane, namespace: str, targets: Iterable[str], *, folder: Path) -> str:
    """Apply the daemon's manifests and the Roles of what it scales; return its service account's token."""
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [_from(folder, "daemon")],
        "components": [_from(folder, f"targets/{target}") for target in sorted(set(targets))],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for item in yaml.safe_load_all(done.stdout):
        plane.admin.ask("POST", _collection(item), item)
    return plane.admin.token_for(namespace, "setpoint")


def _collection(item: Json) -> str:
    version, plural = item["apiVersion"], f"{item['kind'].lower()}s"
    root = "apis" if "/" in version else "api"
    return f"/{root}/{version}/namespaces/{item['metadata']['namespace']}/{plural}"


def _from(folder: Path, name: str) -> str:
    """Return where a folder is: kustomize takes no other than relative ones."""
    return os.path.relpath(MANIFESTS / name, folder)
