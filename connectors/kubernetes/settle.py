"""Does a target follow what was asked of it?

A controller that has not seen the last change of an object (its generation) counts the past. That, and pods
that wait for a node, is so for a moment after every write; when it stays so, what was asked for does not
come, and somebody should know why.
"""

import math
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
        self._odd_since_s: float | None = None

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

    def is_odd_for_long(self, odd: str, *, now_s: float) -> bool:
        """Tell whether a target's own count has been at odds with its pods for so long that it is believed.

        Pods are newer than counts, or a moment older; for longer only their labels are others than thought.

        Args:
            odd: What is at odds, in words; empty if nothing is. Said once when it is believed.
            now_s: When that is.
        """
        if not odd:
            self._odd_since_s = None
            return False
        if self._odd_since_s is None:
            self._odd_since_s = now_s
        is_long = now_s - self._odd_since_s >= _PATIENCE_S
        if is_long and math.isfinite(self._odd_since_s):
            self._say(f"{odd}; that count is taken, which tells neither failing nor ending engines")
            self._odd_since_s = -math.inf
        return is_long

    def _words(self, view: TargetView) -> str:
        if view.trouble:
            return f"{self._name}: {view.trouble}"
        if not view.is_observed:
            return (
                f"the controller of {self._name} has not taken note of the last change; is it running?"
                f" Replicas that are asked for do not come"
            )
        return ""
