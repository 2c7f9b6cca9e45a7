"""Show the settings to people and programs: the effective ones, a sample file, a JSON schema."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import cast

import yaml
from pydantic import SecretStr

from config.catalog import Entry, entries, sections
from config.load import Loaded
from config.settings import Settings
from config.units import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

MASK = "********"
_WIDTH = 96
_HEAD = """\
# Settings of Setpoint. Commented lines show the defaults; remove the # to change one.
# Durations take ms, s, m or h. Each setting has a variable too: targets.ttft is SETPOINT_TARGETS__TTFT.
# Flags win over variables, variables over this file. Start with: setpoint run --config THIS_FILE
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One effective setting.

    Attributes:
        key: Its dotted name.
        value: Its value as a user would write it; secrets are masked.
        origin: Where it is from, in words.
    """

    key: str
    value: str
    origin: str


def effective(loaded: Loaded) -> tuple[Row, ...]:
    """Return every setting with its value and its origin, in the order of the sample."""
    values = _dumped(loaded.settings)
    return tuple(
        Row(key=key, value=written(values[key]), origin=str(loaded.origins[key])) for key in entries()
    )


def sample_yaml() -> str:
    """Return a sample file: required settings with examples, all others commented with their defaults."""
    return _HEAD + "".join(_sample_lines(_defaults()))


def written_defaults() -> Mapping[str, str]:
    """Return the default of every setting as it stands in the file; of a required one, an example."""
    return {key: written(value) for key, value in _defaults().items()}


def json_schema() -> dict[str, object]:
    """Return the JSON schema of the file, for editors and for programs that write it."""
    schema = cast("dict[str, object]", _with_units(Settings.model_json_schema(mode="validation")))
    needed = {entry.key.partition(".")[0] for entry in entries().values() if entry.is_needed}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Settings of Setpoint"}
    return {**schema, **head, "required": sorted(needed)}


def _defaults() -> Mapping[str, object]:
    example = {"budget_gpus": 8, "targets": {"ttft": "300ms", "itl": "25ms"}}
    return _dumped(Settings.model_validate(example))


def _with_units(node: object) -> object:
    """Write the defaults of durations and sizes as the file has them."""
    if isinstance(node, list):
        return [_with_units(one) for one in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    copy = {name: _with_units(one) for name, one in cast("dict[str, object]", node).items()}
    default = copy.get("default")
    if isinstance(default, float) and copy.get("pattern") == DURATION_PATTERN:
        copy["default"] = format_duration(default)
    elif isinstance(default, int) and {"type": "string", "pattern": SIZE_PATTERN} in cast(
        "list[object]", copy.get("anyOf", [])
    ):
        copy["default"] = format_size(default)
    return copy


def _sample_lines(defaults: Mapping[str, object]) -> Iterator[str]:
    opened: set[str] = set()
    for key, entry in entries().items():
        parents = key.split(".")[:-1]
        for depth in range(len(parents)):
            section = ".".join(parents[: depth + 1])
            if section not in opened:
                opened.add(section)
                yield from _section_lines(section, depth)
        yield from _entry_lines(entry, defaults[key], depth=len(parents))


def _section_lines(section: str, depth: int) -> Iterator[str]:
    yield "\n"
    yield from _comment(sections()[section], depth)
    yield f"{'  ' * depth}{section.rpartition('.')[2]}:\n"


def _entry_lines(entry: Entry, default: object, *, depth: int) -> Iterator[str]:
    if not depth:
        yield "\n"
    name = entry.key.rpartition(".")[2]
    yield from _comment(f"{entry.description}{' Required.' if entry.is_needed else ''}", depth)
    if entry.is_needed:
        yield f"{'  ' * depth}{name}: {written(entry.example)}\n"
    else:
        yield f"{'  ' * depth}# {name}: {written(default)}\n"


def _comment(text: str, depth: int) -> Iterator[str]:
    lead = f"{'  ' * depth}# "
    for line in textwrap.wrap(text, width=_WIDTH - len(lead), break_on_hyphens=False):
        yield f"{lead}{line}\n"


def _dumped(settings: Settings) -> Mapping[str, object]:
    """Return the values by dotted key, durations and sizes as text."""
    tree = cast("dict[str, object]", settings.model_dump())
    return {key: _at(tree, key) for key in entries()}


def _at(tree: object, key: str) -> object:
    for part in key.split("."):
        tree = cast("dict[str, object]", tree)[part]
    return tree


def written(value: object) -> str:
    """Return a value as it stands in the file; secrets are masked.

    Example:
        >>> written("30s"), written("true"), written(4), written(None)
        ('30s', '"true"', '4', 'null')
    """
    plain = _plain(value)
    if plain == MASK:
        return MASK
    if isinstance(plain, str) and _is_plain_yaml(plain):
        return plain
    return json.dumps(plain, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in cast("tuple[object, ...]", value)]
    return value


def _is_plain_yaml(text: str) -> bool:
    """Return whether a text may stand in YAML without quotes, and stays a text."""
    try:
        return bool(yaml.safe_load(f"key: {text}") == {"key": text}) and "\n" not in text
    except (yaml.YAMLError, ValueError):
        return False
