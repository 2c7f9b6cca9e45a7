"""Does somebody else scale the same target?

Two who scale one target undo each other's work. Who else does is looked for at the start, where it ends the
start, and again now and then: an autoscaler that comes later is not fought, the pool is left alone while it
is there.
"""

from collections.abc import Awaitable, Callable

from config.clock import Clock
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.target import Target, TargetView

_AGAIN_S = 300.0
_RETRY_S = 30.0

# Returns who else scales a target, in words; raises an ApiError where that is not certain.
FindRivals = Callable[[Target], Awaitable[tuple[str, ...]]]


class Rivalry:
    """Who else scales the targets of a deployment.

    Args:
        find: Asks the API server; None does not look at all.
        clock: Where time comes from.
        say: Takes what a user should know.
    """

    def __init__(self, find: FindRivals | None, *, clock: Clock, say: Callable[[str], None]) -> None:
        self._find, self._clock, self._say = find, clock, say
        self._found: dict[tuple[str, str], tuple[str, ...]] = {}
        self._again_s: dict[tuple[str, str], float] = {}

    async def hold(self, target: Target, view: TargetView) -> PoolHold | None:
        """Return why a pool is left alone; None if nobody else scales it, or the user allows it.

        Raises:
            ApiError: If that was never answered.
        """
        rivals = await self.of(target, view)
        if not rivals:
            return None
        who = " and ".join(rivals)
        hint = "remove what does, or set kubernetes.allow_rivals"
        return PoolHold(kind=HoldKind.RIVAL, why=f"somebody else scales it, too: {who}; {hint}")

    async def of(self, target: Target, view: TargetView) -> tuple[str, ...]:
        """Return who else scales a target, in words; nobody where the user allows it.

        Raises:
            ApiError: If that was never answered.
        """
        if self._find is None:
            return ()
        return tuple(dict.fromkeys((*view.rivals, *await self._rivals(target, self._find))))

    async def _rivals(self, target: Target, find: FindRivals) -> tuple[str, ...]:
        key, now_s = (target.parent.path, target.part), self._clock.now_s()
        if now_s >= self._again_s.get(key, now_s):
            try:
                found = await find(target)
            except ApiError:
                if key not in self._found:
                    raise  # that nobody could be asked does not mean that there is nobody
                # What was found last still counts; whether the API server is there others tell.
                self._again_s[key] = now_s + _RETRY_S
            else:
                self._again_s[key] = now_s + _AGAIN_S
                self._tell(target, found, before=self._found.get(key, ()))
                self._found[key] = found
        return self._found.get(key, ())

    def _tell(self, target: Target, found: tuple[str, ...], *, before: tuple[str, ...]) -> None:
        if before and not found:
            self._say(f"nobody else scales {target.parent} any more")
