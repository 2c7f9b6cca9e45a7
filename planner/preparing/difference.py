"""What preparing changed, as a unified diff of YAML."""

import difflib
from collections.abc import Sequence

from planner.preparing.text import Tree, written


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
    lines = difflib.unified_diff(
        written(before).splitlines(), written(after).splitlines(), name, f"{name} (prepared)", lineterm=""
    )
    return tuple(lines)
