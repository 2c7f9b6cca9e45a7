"""Is this a template that was not rendered, such as one of a Helm chart?

YAML takes `{{ … }}` without quotes for a mapping whose key is a mapping, which nobody means, or for no YAML.
"""

import re

import yaml

from config.errors import ConfigError

MARK = "{{"
UNRENDERED = "a template that was not rendered"
RENDER = "render it first, for example with `helm template`, and give what that prints"
# Where YAML expects a value or a key; what stands in quotes or in a comment is a text.
_WHERE_YAML_IS = re.compile(r"^(?:[ \t]*|[^#\"'\n]*(?:[-:,][ \t]+|\[[ \t]*))\{\{", re.MULTILINE)


def unrendered(place: str) -> ConfigError:
    """Return the error that says so, of a file and line."""
    return ConfigError(f"this is {UNRENDERED}", key=place, hint=RENDER)


def template_line(text: str) -> int | None:
    r"""Return the first line, from 0, on which a text that is not YAML has a template; None if none has.

    Example:
        >>> template_line("a: 1\n{{- if .Values.b }}\nb: 2\n"), template_line('a: "{{ b }}"')
        (1, None)
    """
    found = _WHERE_YAML_IS.search(text)
    return None if found is None else text.count("\n", 0, found.end())


def is_template(node: object) -> bool:
    """Return whether a node was written as `{{ … }}` without quotes."""
    return isinstance(node, yaml.MappingNode) and any(
        isinstance(key, yaml.MappingNode) for key, _ in node.value
    )
