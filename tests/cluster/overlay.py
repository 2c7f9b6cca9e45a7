"""What `kubectl apply -k` of an overlay of deploy/ gives the daemon's service account."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from tests.cluster.control_plane import ControlPlane, Json
from tests.cluster.deployed import MANIFESTS

_KUBECTL = str(Path(sys.executable).parent / "kubectl")
_KIND = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def token_by_overlay(plane: ControlPlane, namespace: str, targets: Iterable[str], *, folder: Path) -> str:
    """Apply the daemon's manifests and the Roles of what it scales; return its service account's token."""
    document = {
        "namespace": namespace,
        "resources": [manifests(folder, "daemon")],
        "components": [manifests(folder, f"targets/{target}") for target in sorted(set(targets))],
    }
    for item in built(folder, document):
        plane.admin.ask("POST", _collection(item), item)
    return plane.admin.token_for(namespace, "setpoint")


def built(folder: Path, document: Json) -> list[Json]:
    """Write an overlay; return the objects that it comes to."""
    write(folder, document)
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


def write(folder: Path, document: Json) -> None:
    """Write an overlay."""
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(_KIND | document), encoding="utf-8")


def manifests(folder: Path, name: str) -> str:
    """Return where manifests are from a folder: kustomize takes no other than relative paths."""
    return os.path.relpath(MANIFESTS / name, folder)


def kubectl(*arguments: str, text: str = "", folder: Path | None = None) -> str:
    """Run it in a folder, and let it read a text; return what it says."""
    done = subprocess.run(
        [_KUBECTL, *arguments], input=text, capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _collection(item: Json) -> str:
    version, plural = item["apiVersion"], f"{item['kind'].lower()}s"
    root = "apis" if "/" in version else "api"
    return f"/{root}/{version}/namespaces/{item['metadata']['namespace']}/{plural}"
