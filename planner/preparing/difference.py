"""What preparing changed, as a unified diff of YAML.

A diff goes to logs that more people read than the manifest: what a Secret or a variable like HF_TOKEN holds
is hidden in it. Preparing changes none of these, so that no change is hidden with them.
"""

import difflib
import re
from collections.abc import Sequence
from typing import cast

from planner.preparing.text import Tree, written

_HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|KEY)\Z", re.IGNORECASE)


def difference(before: Sequence[Tree], after: Sequence[Tree], *, name: str) -> tuple[str, ...]:
    """Return the lines of a unified diff; none if nothing changed.

    Example:
        >>> print(*difference([{"a": 1}], [{"a": 2}], name="x.yaml"), sep=chr(10))
        --- x.yaml
        +++ x.yaml (prepared)
        @@ -1 +1 @@
        -a: 1
        +a: 2
    """
    lines = difflib.unified_diff(_lines(before), _lines(after), name, f"{name} (prepared)", lineterm="")
    return tuple(lines)


def _lines(objects: Sequence[Tree]) -> list[str]:
    return written(cast("Tree", _shown(one)) for one in objects).splitlines()


def _shown(value: object) -> object:
    """Return a value with what is secret in it hidden."""
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if not isinstance(value, dict):
        return value
    hidden = _hidden_in(value)
    return {key: _covered(one) if key in hidden else _shown(one) for key, one in value.items()}


def _hidden_in(tree: Tree) -> frozenset[str]:
    if tree.get("kind") == "Secret":
        return frozenset({"data", "stringData"})
    return frozenset({"value"} if _SECRET_NAME.search(str(tree.get("name") or "")) else ())


def _covered(value: object) -> object:
    if isinstance(value, dict):
        return dict.fromkeys(value, _HIDDEN)
    return value if value is None else _HIDDEN
