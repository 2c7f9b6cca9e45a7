"""What can be asked of `setpoint dgd`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer


class DgdAction(StrEnum):
    """What is done with a deployment of Dynamo's."""

    PREPARE = "prepare"


class PlannerPlace(StrEnum):
    """What becomes of Dynamo's planner."""

    SIDECAR = "sidecar"
    STANDALONE = "standalone"
    KEEP = "keep"


class DryRun(StrEnum):
    """Who says what would be."""

    SERVER = "server"


class ManifestFormat(StrEnum):
    """How a manifest is written."""

    YAML = "yaml"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked; the names of its fields are those of the parameters."""

    action: DgdAction
    what: str
    image: str | None = None
    planner: PlannerPlace = PlannerPlace.SIDECAR
    advise: bool = False
    trust_remote_code: bool = False
    diff: bool = False
    output: ManifestFormat = ManifestFormat.YAML
    dry_run: DryRun | None = None
    apply: bool = False
    force_conflicts: bool = False
    wait: bool = False
    timeout: str | None = None
    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    config: Path | None = None


def _text(name: str, metavar: str, meaning: str, *short: str) -> object:
    return Annotated[str | None, typer.Option(name, *short, metavar=metavar, help=meaning)]


def _switch(name: str, meaning: str) -> object:
    return Annotated[bool, typer.Option(name, help=meaning)]


_ACTION = typer.Argument(help="prepare: make a deployment ready for Setpoint.")
_WHAT = typer.Argument(
    metavar="FILE|REQUEST",
    help="A manifest, - for standard input, or [NAMESPACE/]NAME of a request in the cluster.",
)
_PLACE = typer.Option(
    "--planner", help="sidecar: Setpoint takes the planner's place. standalone: it is removed."
)
_OUTPUT = typer.Option("--output", "-o", help="How the manifest is written.")
_DRY = typer.Option("--dry-run", help="Let the API server say what would be.", show_default=False)
_FILE = typer.Option(
    "--config", "-c", metavar="FILE", help="File of settings; its section kubernetes counts."
)
_ANNOTATIONS: dict[str, object] = {
    "action": Annotated[DgdAction, _ACTION],
    "what": Annotated[str, _WHAT],
    "image": _text("--image", "IMAGE", "Setpoint's image, for the sidecar."),
    "planner": Annotated[PlannerPlace, _PLACE],
    "advise": _switch("--advise", "Let the sidecar advise only, whatever the planner did."),
    "trust_remote_code": _switch("--trust-remote-code", "Add this argument to the workers."),
    "diff": _switch("--diff", "Print what changes in place of the manifest."),
    "output": Annotated[ManifestFormat, _OUTPUT],
    "dry_run": Annotated[DryRun | None, _DRY],
    "apply": _switch("--apply", "Apply it, with the ConfigMaps of the same file."),
    "force_conflicts": _switch("--force-conflicts", "Take over fields that somebody else has set."),
    "wait": _switch(
        "--wait", "Wait for the request to be done, and with --apply for the deployment to be ready."
    ),
    "timeout": _text("--timeout", "30m", "Longest wait for the deployment; default none."),
    "namespace": _text("--namespace", "NAME", "Namespace, where none is written.", "-n"),
    "kubeconfig": _text("--kubeconfig", "FILE", "Kubeconfig; else as for the daemon."),
    "context": _text("--context", "NAME", "Context of the kubeconfig."),
    "config": Annotated[Path | None, _FILE],
}


def takes_asked(command: Callable[[Asked], int]) -> Callable[..., int]:
    """Give a command these parameters; it takes them as an `Asked`."""
    defaults = {one.name: one.default for one in fields(Asked)}
    needed = {"action", "what"}
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if name in needed else defaults[name],
            annotation=annotation,
        )
        for name, annotation in _ANNOTATIONS.items()
    ]

    def wrapper(**values: object) -> int:
        return command(Asked(**cast("dict[str, Any]", values)))

    wrapper.__dict__["__signature__"] = inspect.Signature(parameters)
    wrapper.__annotations__ = dict(_ANNOTATIONS)
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper
