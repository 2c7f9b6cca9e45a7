"""What can be asked of `setpoint check`, beside the settings."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, cast

import typer

from planner.commands.flags import Format, Given
from planner.doctor.findings import Stage

_ANNOTATIONS: dict[str, object] = {
    "stage": Annotated[
        Stage | None,
        typer.Option(
            "--stage",
            help="cluster: before anything is installed. platform: operators and Prometheus. "
            "deployment: what serves, and the settings. All of them if not given.",
            show_default=False,
        ),
    ],
    "probe": Annotated[
        bool,
        typer.Option("--probe", help="Send one real completion, and see its marks arrive in Prometheus."),
    ],
    "frontend": Annotated[
        str | None, typer.Option("--frontend", metavar="URL", help="Where --probe sends its completion.")
    ],
    "account": Annotated[
        str | None,
        typer.Option(
            "--service-account",
            metavar="NAMESPACE:NAME",
            help="Whose rights are judged.  [default: setpoint in the namespace of the targets]",
        ),
    ],
    "as_self": Annotated[bool, typer.Option("--as-self", help="Judge our own rights instead.")],
    "output": Annotated[Format, typer.Option("--output", "-o", help="table for people, json for programs.")],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked; the names of its fields are those of the parameters.

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
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=_ANNOTATIONS[one.name],
        )
        for one in fields(Asked)
    ]

    def wrapper(settings: Given, **values: object) -> int:
        return command(settings, Asked(**cast("dict[str, Any]", values)))

    wrapper.__dict__["__signature__"] = inspect.Signature([given, *own])
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper
