"""The command line: thin, each command over a function of `planner.commands`.

Only the standard library and typer are imported here, so that help comes at once; a command imports what it
needs when it runs.
"""

import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from config.errors import ConfigError, SetpointError
from config.process import keep_small, open_standard_streams
from planner.commands import check_flags, dgd_flags, forecast_flags
from planner.commands.examples import epilog
from planner.commands.flags import (
    FLAGS,
    FORECAST_FLAGS,
    PLAN_FLAGS,
    ConfigAction,
    ConfigFormat,
    Format,
    Given,
    takes_settings,
)
from planner.commands.values import duration as duration_of
from planner.commands.values import number, whole

if TYPE_CHECKING:
    from planner.commands.config import Answer
    from planner.commands.dgd import Answer as Prepared

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_WIDTH = {"max_content_width": 100, "help_option_names": ["--help", "-h"]}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=_WIDTH,
    help="Setpoint keeps the fewest GPUs that meet your latency targets.",
    epilog=epilog(""),
)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    open_standard_streams()
    keep_small()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    0 is success, 1 a failure, 2 a mistake in flags or settings, 130 an interrupt. What is wrong goes to
    standard error, one line for each problem.
    """
    try:
        code = app(args=list(arguments), prog_name="setpoint", standalone_mode=False)
        sys.stdout.flush()
    except (SetpointError, typer.TyperException, typer.Abort, KeyboardInterrupt, OSError) as error:
        return _failed(error, arguments)
    return code if isinstance(code, int) else OK


def _failed(error: BaseException, arguments: Sequence[str]) -> int:
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return FAILED
    if isinstance(error, typer.TyperException):
        return _complain(_usage(error.format_message(), arguments), code=MISUSED)
    if isinstance(error, OSError):
        return _complain(f"{error.strerror or error}: {error.filename or 'the system'}", code=FAILED)
    return _complain(str(error), code=MISUSED if isinstance(error, ConfigError) else FAILED)


def _complain(text: str, *, code: int) -> int:
    for line in text.splitlines():
        typer.echo(f"error: {line}", err=True)
    return code


_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)")
_NEAR = re.compile(r"(\S+) \(Possible options: (.+)\)$")


def _usage(message: str, arguments: Sequence[str]) -> str:
    """Put a complaint about the command line into one line that says what to do."""
    text = _EXTRA.sub(r"not expected here: \1", _NEAR.sub(_nearest, message))
    text = text.replace("Value error, ", "").rstrip(".").replace(". Did you mean", "; did you mean")
    known = {command.name for command in app.registered_commands}
    command = next((argument for argument in arguments if argument in known), "")
    return f"{text[:1].lower()}{text[1:]} (see setpoint {command}{' ' if command else ''}--help)"


def _nearest(match: re.Match[str]) -> str:
    best = get_close_matches(match[1], match[2].split(", "), n=1, cutoff=0.0)
    return f"{match[1]}; did you mean {best[0]}?"


_Url = Annotated[str, typer.Option("--url", metavar="URL", help="Address of the running daemon.")]
_LOCAL = "http://127.0.0.1:9085"
_Output = Annotated[Format, typer.Option("--output", "-o", help="table for people, json for programs.")]


def _lazily(module: str, name: str) -> Callable[..., object]:
    """Return a function of a command's module, imported only now."""
    return cast("Callable[..., object]", getattr(import_module(f"planner.commands.{module}"), name))


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(f"warning: {line}", err=True)


def _print(text: object) -> int:
    typer.echo(text)
    return OK


def _code(result: object) -> int:
    return result if isinstance(result, int) else OK


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"setpoint {_lazily('version', 'version')()}")
        raise typer.Exit(OK)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(OK)


@app.command(
    "run",
    help="Run the autoscaler daemon. It only advises until --actuate is given.",
    epilog=epilog("run"),
)
@takes_settings(FLAGS)
def _run(
    given: Given,
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- ARGUMENTS]", help="Arguments of Dynamo's planner, as they are.", show_default=False
        ),
    ] = None,
) -> int:
    loaded = _lazily("loading", "load_to_run")(given, words or ())
    return OK if loaded is None else _code(_lazily("run", "run_daemon")(loaded))


@app.command(
    "demo",
    help="Watch Setpoint scale a simulated fleet; needs nothing else.",
    epilog=epilog("demo"),
)
@takes_settings(())
def _demo(
    given: Given,
    *,
    speed: Annotated[str, typer.Option(metavar="FACTOR", help="Simulated seconds per real second.")] = "30",
    duration: Annotated[
        str | None, typer.Option(metavar="2m", help="End after so much real time; else with Ctrl-C.")
    ] = None,
    port: Annotated[
        str | None, typer.Option(metavar="PORT", help="Port of the daemon's API; else a free one.")
    ] = None,
    seed: Annotated[str, typer.Option(metavar="N", help="Chooses the simulated arrivals.")] = "1",
    plain: Annotated[bool, typer.Option("--plain", help="Print lines instead of a live view.")] = False,
) -> int:
    request = _lazily("demo", "DemoRequest")(
        speed_ratio=number("--speed", speed, least=0.1, most=1000.0, example="a factor, for example 30"),
        duration_s=None if duration is None else duration_of("--duration", duration),
        port=None if port is None else whole("--port", port, least=0, most=65535),
        seed=whole("--seed", seed, least=0, most=2**31),
        is_plain=plain,
        given=given,
    )
    return _code(_lazily("demo", "run_demo")(request))


@app.command(
    "plan",
    help="Size one operating point: engines, GPUs and expected latency.",
    epilog=epilog("plan"),
)
@takes_settings(PLAN_FLAGS)
def _plan(
    given: Given,
    *,
    rate: Annotated[str, typer.Option(metavar="RPS", help="Requests per second.")],
    isl: Annotated[str, typer.Option(metavar="TOKENS", help="Mean prompt length.")],
    osl: Annotated[str, typer.Option(metavar="TOKENS", help="Mean output length.")],
    output: _Output = Format.TABLE,
) -> int:
    point = _lazily("plan_view", "Point")(rate=rate, isl=isl, osl=osl)
    return _print(_lazily("plan_view", "show_plan")(given, point, output))


@app.command(
    "forecast",
    help="Compare the load predictors on a trace or on Prometheus history, and choose one.",
    epilog=epilog("forecast"),
)
@takes_settings(FORECAST_FLAGS)
def _forecast(  # noqa: PLR0913 - one for each flag
    given: Given,
    *,
    traces: forecast_flags.Traces = None,
    last: forecast_flags.Last = None,
    interval: forecast_flags.Interval = None,
    horizon: forecast_flags.Horizon = None,
    predictor: forecast_flags.Predictor = None,
    series: forecast_flags.Series = forecast_flags.SeriesKind.ARRIVALS,
    limit: forecast_flags.Limit = "10m",
    output: _Output = Format.TABLE,
) -> int:
    asked = _lazily("forecast_asked", "Asked")(
        traces=traces,
        last=last,
        intervals=interval,
        horizons=horizon,
        predictors=predictor,
        kind=series,
        limit=limit,
    )
    shown = _lazily("forecast_view", "show_forecast")(given, asked, output)
    text, code = cast("tuple[str, int]", shown)
    _print(text)
    return code


@app.command(
    "config",
    help="Show, check, sample or import the settings. Each is shown with where it is from.",
    epilog=epilog("config"),
)
@takes_settings(FLAGS)
def _config(
    given: Given,
    *,
    action: Annotated[
        ConfigAction,
        typer.Argument(
            help="show: the settings in force. check: whether run would take them. "
            "sample: a commented file. schema: the JSON schema of the file. "
            "import: Dynamo's settings as a file of Setpoint's."
        ),
    ] = ConfigAction.SHOW,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE | -- ARGUMENTS]",
            help="For import: a manifest of Dynamo's, - for standard input, or the planner's arguments.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        ConfigFormat, typer.Option("--output", "-o", help="table for people, yaml or json for programs.")
    ] = ConfigFormat.TABLE,
) -> int:
    answer = cast("Answer", _lazily("config", "answer")(action, given, output, words or ()))
    _warn(answer.warnings)
    _print(answer.text)
    return answer.code


@app.command(
    "check",
    help="Examine cluster, platform and deployment: what is wrong, and what to do about it.",
    epilog=epilog("check"),
)
@takes_settings(FLAGS)
@check_flags.takes_asked
def _check(given: Given, asked: check_flags.Asked) -> int:
    text, code = cast("tuple[str, int]", _lazily("check", "show_check")(given, asked))
    _print(text)
    return code


@app.command(
    "dgd",
    help="Make a deployment of Dynamo's ready for Setpoint: show what changes, and apply it.",
    epilog=epilog("dgd"),
)
@dgd_flags.takes_asked
def _dgd(asked: dgd_flags.Asked) -> int:
    answered = cast("Prepared", _lazily("dgd", "answer")(asked))
    for line in answered.told:
        typer.echo(line, err=True)
    return _print(answered.text)


@app.command(
    "status",
    help="Show what a running daemon sees, expects and decides.",
    epilog=epilog("status"),
)
def _status(*, url: _Url = _LOCAL, output: _Output = Format.TABLE) -> int:
    return _print(_lazily("status", "show_status")(url, output))


@app.command(
    "explain",
    help="Explain decisions in words. Says what was seen, expected and decided, and why.",
    epilog=epilog("explain"),
)
def _explain(
    *,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help=f"Ask this daemon.  [default: {_LOCAL}]")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read this journal instead of asking a daemon.")
    ] = None,
    last: Annotated[str | None, typer.Option(metavar="N", help="So many of the newest decisions.")] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The decision in force then: 2026-01-31T14:05:00Z, or 10m for ten minutes ago.",
        ),
    ] = None,
    output: _Output = Format.TABLE,
) -> int:
    if url is not None and journal is not None:
        raise ConfigError(
            "--url is given too", key="--journal", hint="decisions are read from one place; keep one"
        )
    choice = _lazily("explain", "choice_of")(last=last, at=at)
    shown = _lazily("explain", "show_explained")(journal or url or _LOCAL, choice, output)
    text, warnings = cast("tuple[str, tuple[str, ...]]", shown)
    _warn(warnings)
    return _print(text)
