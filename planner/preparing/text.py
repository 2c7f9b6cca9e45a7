"""Manifests as text: read as kubectl would read them, written such that it reads the same again.

YAML knows dates and numbers to the base of 60, and manifests do not: `2026-01-31` and `12:30` are texts here.
Comments and the order of lines within quotes are lost, since there is no room for them in JSON.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import cast

import yaml

from config.dynamo.nodes import Source, line_of
from config.errors import ConfigError
from config.files import yaml_in_words
from config.templates import is_template, unrendered
from config.units import quoted

# A mapping of JSON that is ours to change.
Tree = dict[str, object]

_TAG = "tag:yaml.org,2002:"
_OWN_TAGS = {f"{_TAG}{kind}" for kind in ("int", "float", "timestamp")}
_INT = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z|[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z"
)
# What other readers of YAML take for a truth.
_LETTER = re.compile(r"[yYnN]\Z")
_COMMENT = re.compile(r"(?m)^\s*#|\s#\s")
_MOST_NODES = 100_000
_BASES = {"0b": 2, "0o": 8, "0x": 16}


def trees(source: Source) -> list[Tree]:
    """Return the objects of a text; the items of a `List` count as objects of their own.

    Raises:
        ConfigError: If it is not YAML or JSON, or holds something else than objects.
    """
    with yaml_in_words(source.name, text=source.text, first_line=source.first_line):
        nodes = [node for node in yaml.compose_all(source.text, _Loader) if not _is_empty(node)]
    found = [item for node in nodes for item in _items(_Builder(source).value_of(node))]
    if any(not isinstance(one, dict) for one in found):
        raise ConfigError("a document is not an object", key=source.name, hint="give manifests of Kubernetes")
    return cast("list[Tree]", found)


def written(objects: Iterable[Tree]) -> str:
    """Return objects as one YAML text.

    Example:
        >>> print(written([{"kind": "A", "at": "12:30"}, {"kind": "B", "on": "1e3"}]), end="")
        kind: A
        at: '12:30'
        ---
        kind: B
        'on': '1e3'
    """
    return yaml.dump_all(
        list(objects),
        Dumper=_Dumper,
        sort_keys=False,
        width=10_000,
        allow_unicode=True,
        default_flow_style=False,
    )


def has_comments(text: str) -> bool:
    """Return whether a text seems to have comments, which are lost."""
    return _COMMENT.search(text) is not None


def _is_empty(node: yaml.Node | None) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null")


def _items(value: object) -> list[object]:
    items = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else None
    return cast("list[object]", items) if isinstance(items, list) else [value]


class _Loader(yaml.SafeLoader):
    """Resolves scalars as readers of manifests do."""


class _Dumper(yaml.SafeDumper):
    """Puts into quotes whatever some reader would take for something else."""


def _resolve(cls: type[_Loader] | type[_Dumper], *, without: set[str]) -> None:
    table = {
        first: [pair for pair in pairs if pair[0] not in without]
        for first, pairs in cls.yaml_implicit_resolvers.items()
    }
    cls.yaml_implicit_resolvers = table
    cls.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
    cls.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))


_resolve(_Loader, without=_OWN_TAGS)
_resolve(_Dumper, without=set())
_Dumper.add_implicit_resolver(f"{_TAG}bool", _LETTER, list("yYnN"))


class _Builder:
    """Makes values of nodes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0
        self._makers: dict[str, Callable[[yaml.ScalarNode], object]] = {
            f"{_TAG}null": lambda _node: None,
            f"{_TAG}bool": lambda node: node.value.lower() in {"yes", "true", "on"},
            f"{_TAG}int": self._int,
            f"{_TAG}float": self._float,
            f"{_TAG}str": lambda node: str(node.value),
        }

    def value_of(self, node: yaml.Node) -> object:
        self._count += 1
        if self._count > _MOST_NODES:
            raise ConfigError(
                f"the file has more than {_MOST_NODES} values, those included that aliases repeat",
                key=self._source.name,
                hint="keep the manifests of one deployment only",
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value_of(one) for one in node.value]
        return self._scalar(cast("yaml.ScalarNode", node))

    def _mapping(self, node: yaml.MappingNode) -> Tree:
        if is_template(node):
            raise unrendered(self._place(node))
        found: Tree = {}
        for key, value in self._pairs(node):
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a key is not a text", "write the name of a field")
            if key.value in found:
                raise self._error(key, f"{quoted(key.value)} is set twice", "remove one of them")
            found[key.value] = self.value_of(value)
        return found

    def _pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        """Return the entries of a mapping with those that it merges, where it does not have them itself."""
        merged = [pair for pair in node.value if pair[0].tag == f"{_TAG}merge"]
        own = [pair for pair in node.value if pair[0].tag != f"{_TAG}merge"]
        names = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
        more: list[tuple[yaml.Node, yaml.Node]] = []
        for _, value in merged:
            for one in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                if not isinstance(one, yaml.MappingNode):
                    raise self._error(value, "<< merges something that is no mapping", "write the fields out")
                fresh = [pair for pair in self._pairs(one) if pair[0].value not in names]
                names |= {key.value for key, _ in fresh}
                more += fresh
        return [*more, *own]

    def _scalar(self, node: yaml.ScalarNode) -> object:
        maker = self._makers.get(node.tag)
        if maker is None:
            raise self._error(node, "a value has a tag, and tags are not allowed", "write it without")
        return maker(node)

    def _int(self, node: yaml.ScalarNode) -> object:
        text = str(node.value).replace("_", "").lower()
        digits, sign = text.lstrip("+-"), -1 if text.startswith("-") else 1
        try:
            if digits[:2] in _BASES:
                return sign * int(digits[2:], _BASES[digits[:2]])
            return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)
        except ValueError:
            raise self._error(node, "the value looks like a number and is none", "put it in quotes") from None

    def _float(self, node: yaml.ScalarNode) -> object:
        try:
            number = float(node.value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._error(node, "the number is not finite", "correct it, or put it in quotes")
        return number

    def _place(self, node: yaml.Node) -> str:
        return f"{self._source.name}:{line_of(node, self._source)}"

    def _error(self, node: yaml.Node, problem: str, hint: str) -> ConfigError:
        return ConfigError(problem, key=self._place(node), hint=hint)
