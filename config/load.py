"""Load the settings: read the sources, lay them over each other, check them, and say all that is wrong.

Precedence: flags over `SETPOINT_…` variables over Dynamo's variables over the file over Dynamo's manifest
over defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from config.catalog import entries
from config.checks import contradictions, warnings
from config.derive import aimed, derive_namespace
from config.dynamo.fetched import Manifest, called, manifest_layers
from config.dynamo.layer import dynamo_layer
from config.layers import Given, Layer, Translation, in_lines
from config.problems import DEFAULT, Origin, OriginKind, Problem, first_causes, from_validation, one_error
from config.settings import Settings
from config.sources import (
    CONFIG_VARIABLE,
    DGDR_VARIABLE,
    env_layer,
    file_layer,
    flag_layer,
    process_environment,
    relevant,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked to be loaded; kept so that a reload asks the same.

    Attributes:
        flags: Values by dotted key.
        environment: Variables, or None for those of the process at the time.
        file: The file that a flag named.
        dgdr: The manifest of Dynamo's that a flag named, or that stands for one.
        base: Values that hold where no source gives one, by dotted key.
        require: Whether settings without default must be set.
    """

    flags: Mapping[str, object]
    environment: Mapping[str, str] | None
    file: Path | None
    dgdr: Manifest | None
    base: Mapping[str, object]
    require: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, and where each is from.

    Attributes:
        settings: The settings.
        origins: Where each setting is from, by dotted key.
        warnings: What is allowed but risky, one line each.
        file: The file that was read, if any.
        dgdr: The manifest of Dynamo's that was read, if any, or what it is called.
        translations: What became of Dynamo's keys and variables.
        notes: What Dynamo's keys have no counterpart for or another meaning, one line each.
        request: What was asked; not shown, since it may hold secrets.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...]
    file: Path | None
    dgdr: Path | str | None
    translations: tuple[Translation, ...]
    notes: tuple[str, ...]
    request: Request = field(repr=False, compare=False)


def load(
    *,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
    dgdr: Manifest | None = None,
    base: Mapping[str, object] | None = None,
    require: bool = True,
) -> Loaded:
    """Load the settings.

    Args:
        flags: Values of the command line by dotted key, such as `targets.ttft`; None is a flag not given.
        environment: Variables; None takes those of this process.
        file: File that a flag names; None takes the one that SETPOINT_CONFIG names, if any.
        dgdr: Manifest of Dynamo's that a flag names, what was read of a cluster, or arguments of Dynamo's
            planner; None takes the file that SETPOINT_DGDR names, if any.
        base: Values by dotted key that take the place of defaults.
        require: If False, settings without default need not be set, and the documented examples stand in;
            a warning names them.

    Raises:
        ConfigError: If anything is wrong; it says all problems, one line each.

    Example:
        >>> flags = {"targets.ttft": "300ms", "targets.itl": "25ms", "budget_gpus": "8"}
        >>> loaded = load(flags=flags, environment={"SETPOINT_INTERVAL": "1m"})
        >>> loaded.settings.interval, str(loaded.origins["interval"])
        (60.0, 'variable SETPOINT_INTERVAL')
    """
    return _load(
        Request(
            flags=dict(flags or {}),
            environment=environment,
            file=file,
            dgdr=dgdr,
            base=dict(base or {}),
            require=require,
        )
    )


def reload(loaded: Loaded) -> Loaded:
    """Read the same files again, with the same flags and variables.

    Raises:
        ConfigError: If anything is wrong now; the settings in use stay valid.
    """
    return _load(loaded.request)


def load_sections(
    *sections: str,
    flags: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Load what must be known before Dynamo's manifest can be read; all else has defaults or examples.

    Args:
        sections: How the dotted keys begin that are loaded.
        flags: As for `load`.
        environment: As for `load`.
        file: As for `load`.

    Raises:
        ConfigError: If one of these settings is wrong, or a source cannot be read.
    """
    known = process_environment() if environment is None else relevant(environment)
    request = Request(flags=flags, environment=environment, file=file, dgdr=None, base={}, require=False)
    layers = _layers(request, known, file=file or _named(known, CONFIG_VARIABLE), dgdr=None)
    merged, problems = _merged(layers)
    given = {key: value for key, value in merged.items() if key.startswith(sections)}
    _fill(given)
    settings, more = _validated(given)
    if found := [*(problem for problem in problems if problem.key.startswith(sections)), *more]:
        raise one_error(found)
    return settings


def named_manifest(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return what SETPOINT_DGDR names, if anything."""
    known = process_environment() if environment is None else relevant(environment)
    return _named(known, DGDR_VARIABLE)


def require_valid(layer: Layer) -> None:
    """Check a layer by itself, before it is written to a file.

    Raises:
        ConfigError: If it has problems, or a setting does not take its value.
    """
    given = dict(layer.values)
    _fill(given)
    _, problems = _validated(given)
    if found := [*layer.problems, *first_causes(problems, layer.problems)]:
        raise one_error(found)


def _load(request: Request) -> Loaded:
    environment = process_environment() if request.environment is None else relevant(request.environment)
    file = request.file or _named(environment, CONFIG_VARIABLE)
    dgdr = _named(environment, DGDR_VARIABLE) if request.dgdr is None else request.dgdr
    layers = _layers(request, environment, file=file, dgdr=dgdr)
    given, problems = _merged(layers)
    taken = aimed(given, layers)
    derive_namespace(given)
    examples = [] if request.require else _fill(given)
    settings, more = _validated(given)
    problems += first_causes(more, problems)
    origins = {key: given[key].origin if key in given else DEFAULT for key in entries()}
    known_bad = {problem.key for problem in problems}
    problems += [p for p in contradictions(settings, origins) if not known_bad & {p.key, *p.others}]
    if problems:
        raise one_error(problems)
    stand_ins = [f"{key} is not set; the example {entries()[key].example} stands in" for key in examples]
    return Loaded(
        settings=settings,
        origins=origins,
        warnings=(*stand_ins, *warnings(settings)),
        file=file,
        dgdr=called(dgdr),
        translations=tuple(one for layer in layers for one in layer.translations),
        notes=_notes(layers, origins, settled=taken),
        request=request,
    )


def _named(environment: Mapping[str, str], variable: str) -> Path | None:
    return Path(environment[variable]) if variable in environment else None


def _layers(
    request: Request, environment: Mapping[str, str], *, file: Path | None, dgdr: Manifest | None
) -> tuple[Layer, ...]:
    """Read all sources, the weakest first."""
    base = {key: Given(value=value, origin=DEFAULT) for key, value in request.base.items()}
    return (
        Layer(values=base),
        *(manifest_layers(dgdr) if dgdr is not None else ()),
        *([file_layer(file)] if file is not None else ()),
        dynamo_layer(environment),
        env_layer(environment),
        flag_layer(request.flags),
    )


def _merged(layers: tuple[Layer, ...]) -> tuple[dict[str, Given], list[Problem]]:
    given: dict[str, Given] = {}
    problems: list[Problem] = []
    for layer in layers:
        given |= layer.values
        problems += layer.problems
    return given, problems


def _notes(
    layers: tuple[Layer, ...], origins: Mapping[str, Origin], *, settled: frozenset[str]
) -> tuple[str, ...]:
    """Return what is still worth telling: a note is not, once something stronger settles it."""
    weak = {OriginKind.DEFAULT, OriginKind.DGDR}
    return in_lines(
        note
        for layer in layers
        for note in layer.notes
        if not note.settled_by or (note.settled_by not in settled and origins[note.settled_by].kind in weak)
    )


def _fill(given: dict[str, Given]) -> list[str]:
    """Put the documented examples where a required setting is absent, and return their keys."""
    absent = [key for key, entry in entries().items() if entry.is_required and key not in given]
    origin = Origin(kind=OriginKind.DEFAULT, name="an example")
    given |= {key: Given(value=entries()[key].example, origin=origin) for key in absent}
    return absent


def _validated(given: Mapping[str, Given]) -> tuple[Settings, list[Problem]]:
    """Validate each value; where some are bad, go on without them so that all problems are found at once."""
    try:
        return _settings(given), []
    except ValidationError as error:
        found = from_validation(error)
    problems = [
        replace(problem, origin=given[problem.key].origin if problem.key in given else None)
        for problem in found
    ]
    bad = {problem.key for problem in problems}
    good = {key: value for key, value in given.items() if key not in bad}
    _fill(good)
    return _settings(good), problems


def _settings(given: Mapping[str, Given]) -> Settings:
    # Sections that hold required settings must be there for the setting inside to be named.
    tree: dict[str, object] = {"targets": {}}
    for key, one in given.items():
        node = tree
        *parents, name = key.split(".")
        for parent in parents:
            node = cast("dict[str, object]", node.setdefault(parent, {}))
        node[name] = one.value
    return Settings.model_validate(tree)
