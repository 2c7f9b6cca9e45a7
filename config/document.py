"""The reference page of all settings, drawn from the models.

`python -m config.document > docs/settings.md` writes it.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import cast

from config.catalog import Entry, entries, sections
from config.show import json_schema, written_defaults
from config.units import DURATION_PATTERN, PERCENTILE_PATTERN, SIZE_PATTERN

_HEAD = """\
# Settings

Written by a program: `python -m config.document > docs/settings.md`.

A setting comes, the strongest first, from a flag, from a variable that begins with `SETPOINT_`, from one of
Dynamo's variables, from the file, from a manifest of Dynamo's, or from its default. `setpoint config` shows
each with its value and its origin, `setpoint config sample` writes a commented file and
`setpoint config schema` its JSON schema.

- The file is YAML or TOML; `setpoint run --config FILE`, or the variable `SETPOINT_CONFIG`, names it. A dot
  in a name is a level in the file.
- The variable of a setting is its name in capitals with two underscores for each dot: `targets.ttft` is
  `SETPOINT_TARGETS__TTFT`. Any setting can be a flag too, as in `--set targets.ttft=300ms`; the usual ones
  have a flag of their own (`setpoint run --help`).
- Dynamo's `PROMETHEUS_ENDPOINT`, `PLANNER_PROMETHEUS_PORT`, `DYN_NAMESPACE` and `DYN_PARENT_DGD_K8S_NAME` are
  taken with Dynamo's meaning.
- `--dgdr FILE`, or the variable `SETPOINT_DGDR`, names a manifest of Dynamo's, or a request in the cluster
  (`NAMESPACE/NAME`), whose planner keys are taken with Dynamo's units and defaults: [dynamo.md](dynamo.md).
- A duration needs its unit: `300ms`, `30s`, `5m`, `1h`, `1h30m`. A size is written as `64MiB`, or in bytes.
- A secret is masked wherever settings are shown.
- An unknown name, a missing unit or a contradiction ends the start with one line for each, which says what to
  do.
- SIGHUP reads the settings again. `source`, `actuator` and the sections `prometheus`, `scrape`, `kubernetes`,
  `etcd`, `webhook`, `plugin`, `dynamo`, `http`, `log` and `journal` take effect at the next start only, and
  the log says so.
"""
_PATTERNS = {
    DURATION_PATTERN: "duration",
    SIZE_PATTERN: "size",
    PERCENTILE_PATTERN: "percentile",
    "^https?://": "URL",
}
_Node = Mapping[str, object]


def settings_markdown() -> str:
    """Return the page: one table for the top level and one for each section."""
    kinds, defaults = dict(_kinds(json_schema(), "")), written_defaults()
    parts = [_HEAD]
    for section, words in {"": "", **sections()}.items():
        own = [entry for entry in entries().values() if entry.key.rpartition(".")[0] == section]
        if own:
            parts.append(f"\n## {section or 'Top level'}\n\n{words}{_GAP if words else ''}{_TABLE}")
            parts.extend(_row(entry, kinds[entry.key], defaults[entry.key]) for entry in own)
    return "".join(parts)


_GAP = "\n\n"
_TABLE = "| setting | value | default | meaning |\n| --- | --- | --- | --- |\n"


def _row(entry: Entry, kind: str, default: str) -> str:
    value = "**required**" if entry.is_needed else f"`{default}`"
    return f"| `{entry.key}` | {kind} | {value} | {_cell(entry.description)} |\n"


def _cell(text: str) -> str:
    return text.replace("<", "\\<").replace("|", "\\|")


def _kinds(node: _Node, prefix: str) -> Iterator[tuple[str, str]]:
    """Walk the schema down to the settings and say what values each takes."""
    definitions = cast("_Node", json_schema()["$defs"])
    for name, field in cast("_Node", node["properties"]).items():
        found = _resolved(cast("_Node", field), definitions)
        if "properties" in found:
            yield from _kinds(found, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _kind(found)


def _resolved(node: _Node, definitions: _Node) -> _Node:
    reference = str(node.get("$ref", "")).rpartition("/")[2]
    return cast("_Node", definitions[reference]) if reference else node


def _kind(node: _Node) -> str:
    if "anyOf" in node:
        choices = [
            _kind(one) for one in cast("list[_Node]", node["anyOf"]) if one.get("pattern") != SIZE_PATTERN
        ]
        is_size = len(choices) < len(cast("list[_Node]", node["anyOf"]))
        return "size" if is_size else " or ".join(choices)
    if "enum" in node:
        return ", ".join(f"`{choice}`" for choice in cast("list[str]", node["enum"]))
    return _PATTERNS.get(str(node.get("pattern"))) or _plain_kind(node)


def _plain_kind(node: _Node) -> str:
    kind = str(node["type"])
    if kind == "string":
        return "secret" if node.get("format") == "password" else "text"
    if kind == "array":
        return f"list of {_kind(cast('_Node', node['items']))}s"
    if kind == "object":
        return f"names with a {_kind(cast('_Node', node['additionalProperties']))} each"
    words = {"boolean": "`true` or `false`", "null": "`null`", "integer": "whole number", "number": "number"}
    return words[kind] + _bounds(node)


def _bounds(node: _Node) -> str:
    least, above, most = (node.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    lower = f"above {above}" if above is not None else f"from {least}" if least is not None else ""
    upper = f"to {most}" if most is not None else ""
    return "".join(f" {bound}" for bound in (lower, upper) if bound)


if __name__ == "__main__":
    sys.stdout.write(settings_markdown())
