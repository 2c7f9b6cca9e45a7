"""Deployments of Dynamo's that cannot be prepared, and requests that are not there."""

from pathlib import Path

import pytest

from tests.integration.errors.row import Row, refused

BROKEN = Path(__file__).parents[2] / "unit/planner/preparing/cases/broken"
_COMMAND = ("dgd", "prepare", "--image", "registry.example/setpoint:1", "--trust-remote-code")
_OWN = (
    ("no image for the sidecar", ("dgd", "prepare", "planner_argument_misspelt.yaml")),
    ("a file that is not there", (*_COMMAND, "absent.yaml")),
    ("a wait without an end to it: `--timeout 5m`", (*_COMMAND, "another_kind.yaml", "--timeout", "5m")),
    (
        "two answers at once: `--apply --dry-run server`",
        (*_COMMAND, "x.yaml", "--apply", "--dry-run", "server"),
    ),
    ("a request, and no cluster to read it from", (*_COMMAND, "llm/qwen-sla")),
    ("the same for the daemon: `run --dgdr llm/qwen-sla`", ("run", "--dgdr", "llm/qwen-sla")),
    ("words that are no arguments: `run now`", ("run", "now")),
    (
        "arguments beside a manifest: `run --dgdr x -- --ttft 300`",
        ("run", "--dgdr", "x", "--", "--ttft", "300"),
    ),
)


def deployments(patch: pytest.MonkeyPatch) -> list[Row]:
    """Prepare each file from its own folder, so that errors name it without one."""
    patch.chdir(BROKEN)
    patch.setenv("KUBECONFIG", "kubeconfig.yaml")
    files = [
        refused(file.stem.replace("_", " "), (*_COMMAND, file.name)) for file in sorted(BROKEN.glob("*.yaml"))
    ]
    return [*files, *(refused(what, words) for what, words in _OWN)]
