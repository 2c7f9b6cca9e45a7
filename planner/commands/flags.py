"""Which flags stand for which settings?

One table says it. A flag that is not in the table is reached with `--set key=value`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from config.dynamo.fetched import Manifest


class Format(StrEnum):
    """For whom a result is written."""

    TABLE = "table"
    JSON = "json"


class ConfigFormat(StrEnum):
    """For whom the settings are written; yaml is a file that can be used again."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class ConfigAction(StrEnum):
    """What is done with the settings."""

    SHOW = "show"
    CHECK = "check"
    SAMPLE = "sample"
    SCHEMA = "schema"
    IMPORT = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag that stands for a setting.

    Attributes:
        name: As the user writes it; a switch has two names with a slash between.
        key: The dotted setting.
        metavar: What its value looks like; empty for a switch.
        meaning: What it does, for the help.
    """

    name: str
    key: str
    metavar: str
    meaning: str

    @property
    def argument(self) -> str:
        """Its name as an argument of a Python function."""
        return self.name.partition("/")[0].removeprefix("--").replace("-", "_")


FLAGS = (
    Flag(name="--ttft", key="targets.ttft", metavar="300ms", meaning="Target: time to first token."),
    Flag(name="--itl", key="targets.itl", metavar="30ms", meaning="Target: time between tokens."),
    Flag(
        name="--percentile",
        key="targets.percentile",
        metavar="p95",
        meaning="Which observed latency is shown and compared: mean, or such as p95.",
    ),
    Flag(name="--budget", key="budget_gpus", metavar="N", meaning="Hard limit of GPUs for all pools."),
    Flag(
        name="--profile",
        key="profile",
        metavar="PATH",
        meaning="Folder with the engine's measured curves, or 'embedded'.",
    ),
    Flag(name="--interval", key="interval", metavar="30s", meaning="Time between two planned decisions."),
    Flag(
        name="--prometheus",
        key="prometheus.url",
        metavar="URL",
        meaning="Address of Prometheus.",
    ),
    Flag(
        name="--scrape",
        key="scrape.urls",
        metavar="URL",
        meaning="Read this metrics page directly, without Prometheus; may be repeated.",
    ),
    Flag(
        name="--model", key="prometheus.model", metavar="NAME", meaning="Count requests for this model only."
    ),
    Flag(name="--namespace", key="dynamo.namespace", metavar="NAME", meaning="Dynamo's namespace."),
    Flag(
        name="--predictor", key="forecast.predictor", metavar="NAME", meaning="Load predictor, e.g. kalman."
    ),
    Flag(
        name="--actuator",
        key="actuator",
        metavar="NAME",
        meaning="Where decisions go: memory, etcd, webhook, kubernetes or plugin.",
    ),
    Flag(
        name="--prefill-target",
        key="kubernetes.prefill",
        metavar="KIND/NAME",
        meaning="What the prefill pool is on Kubernetes.",
    ),
    Flag(
        name="--decode-target",
        key="kubernetes.decode",
        metavar="KIND/NAME",
        meaning="What the decode pool is on Kubernetes.",
    ),
    Flag(
        name="--actuate/--advise",
        key="actuate",
        metavar="",
        meaning="Carry decisions out, or only advise (the default).",
    ),
    Flag(
        name="--http-port", key="http.port", metavar="PORT", meaning="Port for metrics, health and the API."
    ),
    Flag(name="--log-format", key="log.format", metavar="NAME", meaning="console, json or dynamo."),
    Flag(name="--log-level", key="log.level", metavar="NAME", meaning="debug, info, warning or error."),
    Flag(name="--journal", key="journal.path", metavar="FILE", meaning="Append every decision to this file."),
)
_PLAN_NAMES = ("--ttft", "--itl", "--budget", "--profile")
PLAN_FLAGS = (
    *(flag for flag in FLAGS if flag.name in _PLAN_NAMES),
    Flag(name="--solver", key="sizing.solver", metavar="NAME", meaning="How pools are sized: throughput."),
    Flag(
        name="--prefill-gpus",
        key="pools.prefill.gpus_per_engine",
        metavar="N",
        meaning="GPUs of one prefill engine; default 1.",
    ),
    Flag(
        name="--decode-gpus",
        key="pools.decode.gpus_per_engine",
        metavar="N",
        meaning="GPUs of one decode engine; default 1.",
    ),
    Flag(
        name="--min-prefill",
        key="pools.prefill.min_replicas",
        metavar="N",
        meaning="Never fewer prefill engines; default 1.",
    ),
    Flag(
        name="--min-decode",
        key="pools.decode.min_replicas",
        metavar="N",
        meaning="Never fewer decode engines; default 1.",
    ),
)
_FORECAST_NAMES = ("--prometheus", "--model", "--namespace")
FORECAST_FLAGS = tuple(flag for flag in FLAGS if flag.name in _FORECAST_NAMES)
ALL_FLAGS = tuple({flag.name: flag for flag in (*FLAGS, *PLAN_FLAGS)}.values())
_REPEATED = frozenset({"--scrape"})
_SWITCHES = frozenset({"--actuate/--advise"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The settings that a command line gives.

    Attributes:
        file: The file that `--config` names.
        dgdr: The manifest of Dynamo's that `--dgdr` names, a file or a request in the cluster; once it was
            read of there, what was read; or the arguments of Dynamo's planner.
        values: What the flags of the table say, by flag name; those not given are absent. Not shown, like
            `pairs`, since they may hold secrets.
        pairs: What `--set` says, as written.
    """

    file: Path | None = None
    dgdr: "Manifest | None" = None
    values: Mapping[str, object] = field(repr=False)
    pairs: tuple[str, ...] = field(default=(), repr=False)


def takes_settings(flags: tuple[Flag, ...]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command these flags, `--config`, `--dgdr` and `--set`; it takes them as a `Given` first."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = [*inspect.signature(command).parameters.values()][1:]
        parameters = [*own, _file_parameter(), _dgdr_parameter(), *map(_parameter, flags), _pairs_parameter()]

        def wrapper(**values: object) -> int:
            rest = {parameter.name: values[parameter.name] for parameter in own}
            return command(_given(flags, values), **rest)

        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        wrapper.__dict__["__signature__"] = inspect.Signature(parameters)
        return wrapper

    return decorate


def _given(flags: tuple[Flag, ...], values: Mapping[str, object]) -> Given:
    named = {flag.name: values[flag.argument] for flag in flags}
    return Given(
        file=cast("Path | None", values["config"]),
        dgdr=cast("Path | None", values["dgdr"]),
        values={name: value for name, value in named.items() if value is not None and value != []},
        pairs=tuple(cast("list[str]", values["set_"] or [])),
    )


def _keyword(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _parameter(flag: Flag) -> inspect.Parameter:
    if flag.name in _SWITCHES:
        return _keyword(flag.argument, Annotated[bool | None, typer.Option(flag.name, help=flag.meaning)])
    option = typer.Option(flag.name, help=flag.meaning, metavar=flag.metavar)
    if flag.name in _REPEATED:
        return _keyword(flag.argument, Annotated[list[str] | None, option])
    return _keyword(flag.argument, Annotated[str | None, option])


def _file_parameter() -> inspect.Parameter:
    option = typer.Option("--config", "-c", metavar="FILE", help="File of settings, YAML or TOML.")
    return _keyword("config", Annotated[Path | None, option])


def _dgdr_parameter() -> inspect.Parameter:
    meaning = (
        "Dynamo's manifest, or [NAMESPACE/]NAME of a request in the cluster: its planner's settings hold"
        " where nothing else sets them."
    )
    option = typer.Option("--dgdr", metavar="FILE|NAME", help=meaning)
    return _keyword("dgdr", Annotated[Path | None, option])


def _pairs_parameter() -> inspect.Parameter:
    option = typer.Option(
        "--set", metavar="KEY=VALUE", help="Any other setting, by its dotted name; may be repeated."
    )
    return _keyword("set_", Annotated[list[str] | None, option])
