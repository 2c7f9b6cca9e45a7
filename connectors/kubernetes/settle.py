"""Does a target follow what was asked of it?

A controller that has not seen the last change of an object (its generation) counts the past. That is so for
a moment after every write; when it stays so, the controller is not there, and what is asked for does not
come.
"""

from collections.abc import Callable

from connectors.kubernetes.target import TargetView

_PATIENCE_S = 60.0


class Settling:
    """Tells once what keeps a target from following.

    Args:
        name: The target, for people.
        say: Takes what a user should know.
    """

    def __init__(self, name: str, *, say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self._stale_since_s: float | None = None
        self._told = ""

    def read(self, view: TargetView, *, now_s: float) -> None:
        """Take note of what the target says of itself now."""
        self._stale_since_s = None if view.is_observed else self._since(now_s)
        words = self._words(view, now_s)
        if words != self._told:
            self._told = words
            if words:
                self._say(words)

    def _since(self, now_s: float) -> float:
        return now_s if self._stale_since_s is None else self._stale_since_s

    def _words(self, view: TargetView, now_s: float) -> str:
        if self._stale_since_s is not None and now_s - self._stale_since_s >= _PATIENCE_S:
            return (
                f"the controller of {self._name} has not taken note of the last change; is it running?"
                f" Replicas that were asked for do not come"
            )
        return f"{self._name}: {view.trouble}" if view.trouble else ""
