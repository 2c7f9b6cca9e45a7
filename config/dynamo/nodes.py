"""YAML as the user wrote it: nodes that know their line, read without judging what is not ours.

A manifest has sections that are nobody's business here; only the nodes on the way to the planner's keys are
looked at, and only scalars are made into values.
"""

from dataclasses import dataclass
from typing import cast

import yaml

from config.errors import ConfigError
from config.files import UNUSABLE, yaml_in_words
from config.templates import is_template, unrendered

_KEPT_TAG = "tag:yaml.org,2002:"
_MERGE_TAG = f"{_KEPT_TAG}merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A text that holds YAML.

    Attributes:
        name: What the file is called.
        text: What it holds.
        first_line: The line of the file in which it begins; above 1 for a text inside a ConfigMap.
    """

    name: str
    text: str
    first_line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a mapping.

    Attributes:
        name: Its key as text.
        node: Its value.
        line: The line of the file on which the key stands.
    """

    name: str
    node: yaml.Node
    line: int


def documents(source: Source) -> tuple[yaml.Node, ...]:
    """Return the documents of a text.

    Raises:
        ConfigError: If it is not YAML.
    """
    with yaml_in_words(source.name, text=source.text, first_line=source.first_line):
        return tuple(yaml.compose_all(source.text, yaml.SafeLoader))


def entries(node: yaml.Node | None, source: Source) -> tuple[Entry, ...]:
    """Return the entries of a mapping, with those of merged mappings; of anything else none.

    Raises:
        ConfigError: If it is a template that was not rendered.
    """
    require_rendered(node, source)
    if not isinstance(node, yaml.MappingNode):
        return ()
    own = [pair for pair in node.value if pair[0].tag != _MERGE_TAG]
    merged = _merged(node, source, len(own)) if len(own) < len(node.value) else []
    names = {text_of(key) for key, _ in own}
    return tuple(
        Entry(name=text_of(key), node=value, line=line_of(key, source))
        for key, value in (*(pair for pair in merged if text_of(pair[0]) not in names), *own)
    )


def _merged(node: yaml.MappingNode, source: Source, own: int) -> list[tuple[yaml.Node, yaml.Node]]:
    copy = yaml.MappingNode(node.tag, list(node.value))
    with yaml_in_words(source.name, first_line=source.first_line):
        yaml.SafeLoader("").flatten_mapping(copy)
    return list(copy.value[: len(copy.value) - own])


def at(node: yaml.Node | None, source: Source, *path: str) -> yaml.Node | None:
    """Return the node that a path of keys leads to, or None."""
    for name in path:
        node = next((entry.node for entry in reversed(entries(node, source)) if entry.name == name), None)
    return node


def items(node: yaml.Node | None) -> tuple[yaml.Node, ...]:
    """Return the entries of a list; of anything else none."""
    return tuple(node.value) if isinstance(node, yaml.SequenceNode) else ()


def line_of(node: yaml.Node, source: Source) -> int:
    """Return the line of the file on which a node begins."""
    return int(node.start_mark.line) + source.first_line


def require_rendered(node: yaml.Node | None, source: Source) -> None:
    """Refuse a template.

    Raises:
        ConfigError: If it was not rendered.
    """
    if node is not None and is_template(node):
        raise unrendered(f"{source.name}:{line_of(node, source)}")


def value_of(node: yaml.Node | None, source: Source) -> object:
    """Return the value of a scalar; an empty mapping or list stands for any other.

    Raises:
        ConfigError: If it looks like a number or a date and is none, or is a template that was not rendered.
    """
    if node is None:
        return None
    require_rendered(node, source)
    if not isinstance(node, yaml.ScalarNode):
        return {} if isinstance(node, yaml.MappingNode) else []
    if not node.tag.startswith(_KEPT_TAG):
        return node.value
    try:
        return cast("object", yaml.SafeLoader("").construct_object(node))
    except UNUSABLE:
        raise ConfigError(
            "the value looks like a date or a number and is none",
            key=f"{source.name}:{line_of(node, source)}",
            hint="correct it, or put it in quotes if it is meant as a text",
        ) from None


def text_of(node: yaml.Node | None) -> str:
    """Return the text of a scalar as it stands; of anything else an empty one."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def inside(node: yaml.Node, source: Source) -> Source:
    """Return the text that a scalar holds as a source of its own, in which lines are those of the file."""
    is_block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
    first_line = line_of(node, source) + (1 if is_block else 0)
    # JSON may be indented with tabs, which YAML does not take.
    return Source(name=source.name, text=text_of(node).expandtabs(2), first_line=first_line)
