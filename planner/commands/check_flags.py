"""What can be asked of `setpoint check`, beside the settings."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

import typer

from planner.commands.flags import Format, Given
from planner.doctor.findings import Stage

_PARAMETERS: tuple[tuple[str, object, object], ...] = (
    (
        "stage",
        Annotated[
            Stage | None,
            typer.Option(
                "--stage",
                help="cluster: before anything is installed. platform: operators and Prometheus. "
                "deployment: what serves, and the settings. All of them if not given.",
                show_default=False,
            ),
        ],
        None,
    ),
    (
        "probe",
        Annotated[
            bool,
            typer.Option("--probe", help="Send one real completion, and see its marks arrive in Prometheus."),
        ],
        False,
    ),
    (
        "frontend",
        Annotated[
            str | None, typer.Option("--frontend", metavar="URL", help="Where --probe sends its completion.")
        ],
        None,
    ),
    (
        "account",
        Annotated[
            str | None,
            typer.Option(
                "--service-account",
                metavar="NAMESPACE:NAME",
                help="Whose rights are judged.  [default: setpoint in the namespace of the targets]",
            ),
        ],
        None,
    ),
    (
        "as_self",
        Annotated[bool, typer.Option("--as-self", help="Judge our own rights instead.")],
        False,
    ),
    (
        "output",
        Annotated[Format, typer.Option("--output", "-o", help="table for people, json for programs.")],
        Format.TABLE,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked.

    Attributes:
        stage: Which stage; None is all of them.
        probe: Whether a real request is sent.
        frontend: Where to.
        account: Whose rights are judged, as the user wrote it; None is the usual account.
        as_self: Whether our own rights are judged.
        output: For whom the answer is.
    """

    stage: Stage | None = None
    probe: bool = False
    frontend: str | None = None
    account: str | None = None
    as_self: bool = False
    output: Format = Format.TABLE


def takes_asked(command: Callable[[Given, Asked], int]) -> Callable[..., int]:
    """Give a command these flags; it takes them as an `Asked`, after the settings."""
    given = inspect.Parameter("given", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Given)
    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in _PARAMETERS
    ]

    def wrapper(settings: Given, **values: object) -> int:
        return command(settings, _asked(**values))

    wrapper.__dict__["__signature__"] = inspect.Signature([given, *own])
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper


def _asked(**values: object) -> Asked:
    return Asked(
        stage=cast("Stage | None", values["stage"]),
        probe=bool(values["probe"]),
        frontend=cast("str | None", values["frontend"]),
        account=cast("str | None", values["account"]),
        as_self=bool(values["as_self"]),
        output=cast("Format", values["output"]),
    )
