"""Where settings come from: each source read into flat layers of key, value and origin.

The layers are laid over each other by key, the stronger over the weaker; mappings such as headers are
replaced whole. This is the only module of Setpoint that reads the environment.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from config.catalog import entries, nearest, sections, suggestion
from config.dynamo.variables import VARIABLES
from config.fields import shown
from config.files import read_document
from config.layers import Given, Layer
from config.problems import Origin, OriginKind, Problem
from config.settings import ENV_PREFIX, Settings
from config.units import quoted

CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"
DGDR_VARIABLE = f"{ENV_PREFIX}DGDR"
_PATHS = frozenset({CONFIG_VARIABLE, DGDR_VARIABLE})
_NULL = "null"
# Kubernetes puts these into every pod beside a Service that is named setpoint or setpoint-something.
_SERVICE_LINK = re.compile(r"SETPOINT_([A-Z0-9]+_)*(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_.+)?)")


def process_environment() -> Mapping[str, str]:
    """Return the variables of this process that concern Setpoint."""
    return relevant(os.environ)


def variable(name: str) -> str:
    """Return a variable of this process that is not Setpoint's own, such as KUBECONFIG; empty if not set."""
    return os.environ.get(name, "").strip()


def relevant(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables that concern Setpoint; empty ones count as not set."""
    return {
        name: text
        for name, text in environment.items()
        if text.strip() and (name.startswith(ENV_PREFIX) or name in VARIABLES)
    }


def flag_layer(flags: Mapping[str, object]) -> Layer:
    """Read the flags of the command line, by dotted key; None is a flag that was not given."""
    values: dict[str, Given] = {}
    problems: list[Problem] = []
    for key, value in flags.items():
        if value is None:
            continue
        origin = Origin(kind=OriginKind.FLAG, name=f"flag --{key}")
        for leaf, one in _flag_leaves(key, value):
            if isinstance(one, Problem):
                problems.append(replace(one, origin=origin))
            else:
                values[leaf] = Given(value=None if one == _NULL else one, origin=origin)
    return Layer(values=values, problems=tuple(problems))


def env_layer(environment: Mapping[str, str]) -> Layer:
    """Read the variables that begin with SETPOINT_."""
    values: dict[str, Given] = {}
    problems: list[Problem] = []
    for name, text in environment.items():
        if name.startswith(ENV_PREFIX) and name not in _PATHS:
            layer = _variable_layer(name, text)
            _merge(values, layer.values)
            problems.extend(layer.problems)
    return Layer(values=values, problems=tuple(problems))


def file_layer(path: Path) -> Layer:
    """Read a file.

    Raises:
        ConfigError: If the file cannot be read at all.
    """
    document = read_document(path)

    def origin(key: str) -> Origin:
        while key and key not in document.lines:
            key = key.rpartition(".")[0]
        line = f":{document.lines[key]}" if key else ""
        return Origin(kind=OriginKind.FILE, name=f"{path}{line}")

    values: dict[str, Given] = {}
    problems: list[Problem] = []
    for key, value in _leaves(document.tree, ""):
        if isinstance(value, Problem):
            problems.append(replace(value, origin=origin(value.key)))
        else:
            values[key] = Given(value=value, origin=origin(key))
    return Layer(values=values, problems=tuple(problems))


def _variable_layer(name: str, text: str) -> Layer:
    origin = Origin(kind=OriginKind.ENV, name=name)
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): text}
    try:
        tree = cast("dict[str, object]", source())
    except SettingsError:
        section = name.removeprefix(ENV_PREFIX).lower()
        hint = f"write JSON, or one variable for each setting, for example {_first_variable(section)}"
        return Layer(values={}, problems=(Problem(key=name, problem="the text is not JSON", hint=hint),))
    if not tree:
        return _nothing_found(name)
    values: dict[str, Given] = {}
    problems: list[Problem] = []
    for key, value in _leaves(tree, ""):
        if isinstance(value, Problem):
            hint = _as_variables(value.hint) or value.hint
            others = (value.key, *value.others)
            problems.append(Problem(key=name, problem=value.problem, hint=hint, others=others))
        else:
            values[key] = Given(value=None if value == _NULL else value, origin=origin)
    return Layer(values=values, problems=tuple(problems))


def _as_variables(hint: str) -> str:
    """Turn the keys that a hint suggests into variables; empty if it lists what is allowed."""
    if not hint.startswith("did you mean "):
        return ""
    keys = hint.removeprefix("did you mean ").removesuffix("?").split(" or ")
    return f"did you mean {' or '.join(_variable(key) for key in keys)}?"


def _variable(key: str) -> str:
    return f"{ENV_PREFIX}{key.upper().replace('.', '__')}"


def _first_variable(section: str) -> str:
    key = next((key for key in entries() if key.startswith(f"{section}.")), "budget_gpus")
    return _variable(key)


def _nothing_found(name: str) -> Layer:
    if _SERVICE_LINK.fullmatch(name):
        return Layer(values={})
    key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
    flat = key.replace(".", "_")
    meant = next((known for known in entries() if known.replace(".", "_") == flat), None)
    found = f"did you mean {meant}?" if meant else suggestion(key)
    hint = _as_variables(found) or found
    others = (meant,) if meant else nearest(key)
    problem = Problem(key=name, problem="there is no such setting", hint=hint, others=others)
    return Layer(values={}, problems=(problem,))


def _flag_leaves(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Take a dotted key for what it is; a section may come as a mapping, from code that embeds Setpoint."""
    if key in entries():
        yield key, value
    elif key in sections() and isinstance(value, Mapping):
        yield from _leaves(cast("Mapping[str, object]", value), f"{key}.")
    elif key in sections():
        yield key, Problem(key=key, problem=f"{shown(value)} is not a section", hint=suggestion(f"{key}."))
    else:
        yield key, _unknown(key)


def _leaves(tree: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """Walk a tree down to the settings; what does not fit the models comes as a `Problem`."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if "." in str(name):
            yield key, Problem(key=quoted(key), problem="a name has no dots", hint=_nested_hint(key))
        elif key in entries():
            yield key, value
        elif key not in sections():
            yield key, _unknown(key)
        elif isinstance(value, Mapping):
            yield from _leaves(cast("Mapping[str, object]", value), f"{key}.")
        elif value is not None:
            yield (
                key,
                Problem(key=key, problem=f"{shown(value)} is not a section", hint=suggestion(f"{key}.")),
            )


def _nested_hint(key: str) -> str:
    section, _, rest = key.partition(".")
    return f"write {rest} inside the section {section}" if key in entries() else suggestion(key)


def _unknown(key: str) -> Problem:
    return Problem(
        key=quoted(key), problem="there is no such setting", hint=suggestion(key), others=nearest(key)
    )


def _merge(values: dict[str, Given], more: Mapping[str, Given]) -> None:
    """Add the values of a further variable; entries of one mapping may come from several."""
    for key, given in more.items():
        before = values[key].value if key in values else None
        if isinstance(before, dict) and isinstance(given.value, dict):
            values[key] = Given(value=before | given.value, origin=given.origin)
        else:
            values[key] = given
