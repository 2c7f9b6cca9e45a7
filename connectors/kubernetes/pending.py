"""What was written where it may not be read back.

Dynamo's `planner-serviceaccount` may write the scale of an adapter and not read it. The graph deployment
shows the new count only once the operator has copied it there; until then the old count that it shows is no
news, and nobody else's change.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from connectors.kubernetes.target import TargetView

# A controller that copies at all does it at once; so long it may be busy, or restarting.
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    count: int
    passing: frozenset[int]
    shown: int
    at_s: float


class Pending:
    """The newest count that was written and is not shown yet.

    Args:
        pool: The pool's name.
        say: Takes what a user should know.
    """

    def __init__(self, pool: str, *, say: Callable[[str], None]) -> None:
        self._pool, self._say = pool, say
        self._written: _Written | None = None

    def wrote(self, count: int, *, shown: int, now_s: float) -> None:
        """Take note of a write that nothing that may be read shows.

        Args:
            count: What was written.
            shown: What was shown before.
            now_s: When that was.
        """
        before = self._written
        earlier = before.passing | {before.count} if before is not None else frozenset[int]()
        self._written = _Written(count=count, passing=earlier | {shown}, shown=shown, at_s=now_s)

    def seen(self, view: TargetView) -> TargetView:
        """Return what a target says; while it shows a count of before, with the one that was written."""
        written = self._written
        if written is None:
            return view
        if view.desired == written.count or view.desired not in written.passing:
            self._written = None
            return view
        return replace(view, desired=written.count, is_observed=False)

    def given_up(self, now_s: float) -> int | None:
        """Wait no longer than a minute: return the count that is shown instead, once; None while it waits.

        Whoever decides then sees that count, and asks again.
        """
        written = self._written
        if written is None or now_s - written.at_s < _PATIENCE_S:
            return None
        self._written = None
        self._say(
            f"{self._pool}: {written.count} replicas were asked for, and {_PATIENCE_S:g} s later"
            f" {written.shown} are still shown; what was written may not be read, so it is written again:"
            f" does the operator run, or does somebody else write too?"
        )
        return written.shown
