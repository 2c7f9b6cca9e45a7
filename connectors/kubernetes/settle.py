"""Does a target follow what was asked of it?

A controller that has not seen the last change of an object (its generation) counts the past. That, and pods
that wait for a node, is so for a moment after every write; when it stays so, what was asked for does not
come, and somebody should know why.
"""

import re
from collections.abc import Callable

from connectors.kubernetes.target import TargetView

_PATIENCE_S = 60.0
_NUMBERS = re.compile(r"\d+")


class Settling:
    """Tells once what keeps a target from following.

    Args:
        name: The target, for people.
        say: Takes what a user should know.
    """

    def __init__(self, name: str, *, say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self._kind = self._told = ""
        self._since_s = 0.0

    def read(self, view: TargetView, *, now_s: float) -> None:
        """Take note of what the target says of itself now."""
        words = self._words(view)
        # Numbers in the words move while the trouble is the same.
        kind = _NUMBERS.sub("#", words)
        if kind != self._kind:
            self._kind, self._since_s = kind, now_s
        if not words:
            self._told = ""
        elif kind != self._told and now_s - self._since_s >= _PATIENCE_S:
            self._told = kind
            self._say(words)

    def _words(self, view: TargetView) -> str:
        if view.trouble:
            return f"{self._name}: {view.trouble}"
        if not view.is_observed:
            return (
                f"the controller of {self._name} has not taken note of the last change; is it running?"
                f" Replicas that are asked for do not come"
            )
        return ""
