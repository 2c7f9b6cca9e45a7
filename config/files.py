"""The file of settings: YAML or TOML, read whole, with the line of each key."""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import yaml

from config.errors import ConfigError
from config.templates import is_template, template_line, unrendered
from config.units import quoted

_MAX_BYTES = 2**20
_YAML_SUFFIXES = {".yaml", ".yml", ".json", ""}
_TOML_SUFFIX = ".toml"
_TABLE = re.compile(r"\s*\[+\s*([^\]#]+?)\s*\]+\s*(#.*)?$")
_ASSIGNMENT = re.compile(r"\s*([\w.\"'-]+)\s*=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file says.

    Attributes:
        tree: Its mappings, nested.
        lines: The line of each dotted key, from 1.
    """

    tree: Mapping[str, object]
    lines: Mapping[str, int]


def read_document(path: Path) -> Document:
    """Read a file of settings.

    Raises:
        ConfigError: If the file cannot be read, or is not one mapping in YAML or TOML.
    """
    suffix = path.suffix.lower()
    if suffix not in {*_YAML_SUFFIXES, _TOML_SUFFIX}:
        raise ConfigError(
            f"the ending '{quoted(suffix)}' is not known",
            key=str(path),
            hint="name the file .yaml, .yml or .toml",
        )
    text = read_text(path, hint="check the path given by --config or SETPOINT_CONFIG")
    if not text.strip():
        raise ConfigError(
            "the file is empty",
            key=str(path),
            hint="start from the sample that `setpoint config sample` prints",
        )
    return _parse_toml(path, text) if suffix == _TOML_SUFFIX else _parse_yaml(path, text)


def read_text(path: Path, *, hint: str) -> str:
    """Read a file of text, of at most 1 MiB.

    Args:
        path: The file.
        hint: What to do if it is not there.

    Raises:
        ConfigError: If it cannot be read, or is not UTF-8.
    """
    fail = partial(ConfigError, key=str(path))
    try:
        if path.is_dir():
            raise fail("this is a directory", hint="name the file in it")
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise fail("there is no such file", hint=hint) from None
    except PermissionError:
        raise fail("the file may not be read", hint="give this user the permission to read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise fail(f"the file cannot be read: {reason or 'bad path'}", hint="check the path") from None
    return _decoded(data, fail)


def read_standard_input(name: str) -> str:
    """Read what is piped in as a file is read: as UTF-8, whatever the locale is.

    Args:
        name: What it is called in errors.

    Raises:
        ConfigError: If it is not UTF-8, or larger than a file may be.
    """
    return _decoded(sys.stdin.buffer.read(_MAX_BYTES + 1), partial(ConfigError, key=name))


def _decoded(data: bytes, fail: Callable[..., ConfigError]) -> str:
    if len(data) > _MAX_BYTES:
        raise fail("the file is larger than 1 MiB", hint="check that it is the file that was meant")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fail(f"byte {error.start + 1} is not UTF-8", hint="save the file as UTF-8") from None


def _parse_toml(path: Path, text: str) -> Document:
    try:
        tree = cast("dict[str, object]", tomllib.loads(text.replace("\r\n", "\n")))
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        # Such messages hold a place and no content, other than a key; keep the first line.
        reason = (
            str(error).partition("\n")[0]
            if isinstance(error, tomllib.TOMLDecodeError)
            else "a value is broken"
        )
        raise ConfigError(
            f"this is not TOML: {quoted(reason)}", key=str(path), hint="correct the line"
        ) from None
    return Document(tree=tree, lines=dict(_toml_lines(text)))


def _toml_lines(text: str) -> Iterator[tuple[str, int]]:
    """Find the lines of keys; good enough to point at, since the parser tells none."""
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = _bare(match[1]) + "."
            yield table[:-1], number
        elif match := _ASSIGNMENT.match(line):
            yield table + _bare(match[1]), number


def _bare(key: str) -> str:
    return re.sub(r"[\"'\s]", "", key)


def _parse_yaml(path: Path, text: str) -> Document:
    with yaml_in_words(str(path), text=text):
        return _yaml_document(path, text)


@contextmanager
def yaml_in_words(name: str, *, text: str = "", first_line: int = 1) -> Iterator[None]:
    """Turn what the YAML parser says into our words, without the text of the file.

    Args:
        name: What the file is called.
        text: What is parsed.
        first_line: The line of the file in which the parsed text begins.
    """
    try:
        yield
    except yaml.MarkedYAMLError as error:
        if (line := template_line(text)) is not None:
            raise unrendered(f"{name}:{line + first_line}") from None
        # The text of the error quotes the file, which may hold a secret; its problem and place do not.
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + first_line}" if mark else name
        raise _in_words(error, place) from None
    except yaml.YAMLError:
        raise ConfigError(
            "the file holds a forbidden character", key=name, hint="save it as plain text"
        ) from None
    except UNUSABLE:
        raise ConfigError(
            "this is not YAML: it is nested too deeply or broken", key=name, hint="simplify the file"
        ) from None


def _in_words(error: yaml.MarkedYAMLError, place: str) -> ConfigError:
    problem = quoted(str(error.problem or error.context or "syntax"))
    if "tag" in problem:
        problem = "a value has a tag, and tags are not allowed"
    return ConfigError(f"this is not YAML: {problem}", key=place, hint="correct the line")


def _yaml_document(path: Path, text: str) -> Document:
    loader = yaml.SafeLoader(text)
    node = loader.get_node() if loader.check_node() else None
    _refuse_manifest(path, node)
    if loader.check_node():
        place = f"{path}:{loader.current_event.start_mark.line + 1}"
        raise ConfigError("a second document begins here", key=place, hint="keep one, and remove this line")
    if not isinstance(node, yaml.MappingNode):
        problem = "the file holds no settings" if node is None else "the file is not a mapping"
        raise ConfigError(problem, key=str(path), hint="write lines such as `budget_gpus: 8`")
    lines = _yaml_lines(path, node)
    try:
        tree = loader.construct_document(node)
    except UNUSABLE:
        raise _broken_value(path, node) from None
    return Document(tree=cast("dict[str, object]", tree), lines=lines)


def _refuse_manifest(path: Path, node: yaml.Node | None) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    pairs = [pair for pair in node.value if all(isinstance(one, yaml.ScalarNode) for one in pair)]
    found = {str(key.value): str(value.value) for key, value in pairs}
    if not {"apiVersion", "kind"} <= found.keys():
        return
    kind = found["kind"]
    is_of_dynamo = kind.startswith("Dynamo") or kind in _HOLDERS
    raise ConfigError(
        f"this is a Kubernetes manifest (kind {quoted(kind)}), not a settings file",
        key=f"{path}:{node.start_mark.line + 1}",
        hint="give it with --dgdr"
        if is_of_dynamo
        else "name a file such as the sample that `setpoint config sample` prints",
    )


def _broken_value(path: Path, node: yaml.Node) -> ConfigError:
    """Point at the first value that cannot be made, without its text, which may be a secret."""
    for scalar in _scalars(node, set()):
        try:
            yaml.SafeLoader("").construct_object(scalar)
        except UNUSABLE:
            return ConfigError(
                "the value looks like a date or a number and is none",
                key=f"{path}:{scalar.start_mark.line + 1}",
                hint="correct it, or put it in quotes if it is meant as a text",
            )
    return ConfigError("this is not YAML: a value is broken", key=str(path), hint="correct the value")


def _scalars(node: object, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    if id(node) in seen:  # aliases may name a node again, even one that holds them
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN_TAGS:
        yield node
    elif isinstance(node, yaml.CollectionNode):
        for child in node.value:
            for one in child if isinstance(child, tuple) else (child,):
                yield from _scalars(one, seen)


def _yaml_lines(path: Path, node: yaml.Node) -> dict[str, int]:
    """Return the line of each dotted key; under an alias a mapping has its keys again."""
    found: dict[str, int] = {}
    for key, line in _keys(path, node, "", 0):
        found[key] = line
        if len(found) > _MOST_KEYS:
            raise ConfigError(
                f"the file has more than {_MOST_KEYS} keys, those included that aliases repeat",
                key=str(path),
                hint="keep the settings only",
            )
    return found


def _keys(path: Path, node: object, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.MappingNode) or depth > _MAX_DEPTH:
        return
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if is_template(node):
            raise unrendered(f"{path}:{line}")
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _KEY_TAGS:
            raise ConfigError(
                "the key is not a text", key=f"{path}:{line}", hint="write the name of a setting"
            )
        key = f"{prefix}{key_node.value}"
        if key in seen:
            raise ConfigError(
                f"{quoted(key)} is set twice, first on line {seen[key]}",
                key=f"{path}:{line}",
                hint="remove one of them",
            )
        seen[key] = line
        yield key, line
        yield from _keys(path, value_node, f"{key}.", depth + 1)


_MAX_DEPTH = 20
_MOST_KEYS = 10_000
# Kinds of Kubernetes that can hold settings of Dynamo's planner, apart from Dynamo's own.
_HOLDERS = {"ConfigMap", "List"}
# Values that are not only texts.
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp", "bool", "binary")}
# What it raises over values that it takes for dates or numbers.
UNUSABLE = (ValueError, TypeError, AttributeError, OverflowError, RecursionError, LookupError)
_KEY_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
