"""Which target does a reference mean now?

What is asked only once is asked when it is first needed, and again when the target or its kind is gone, or
when what it says has made no sense for a while (a service that runs on several nodes by now has another
child): ever more slowly, so that a target that never comes back costs next to nothing.
"""

from collections.abc import Awaitable, Callable

from config.clock import Clock
from config.errors import ConfigError, Malformed, ObservationError
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.pacing import growing_s
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import Reference, Target

_FIRST_WAIT_S = 2.0
_MOST_WAIT_S = 30.0

Resolve = Callable[[Reference], Awaitable[Target]]


class Resolving:
    """A reference, and the target that it means.

    Args:
        reference: What the user named.
        resolve: Finds the target.
        clock: Where time comes from.
    """

    def __init__(self, reference: Reference, resolve: Resolve, *, clock: Clock) -> None:
        self.reference = reference
        self._resolve, self._clock = resolve, clock
        self._found: Target | None = None
        self._problem = ""
        self._again_s = 0.0
        self._tries = 0
        self._doubts = 0
        self._doubted_until_s: float | None = None

    @property
    def found(self) -> Target | None:
        """The target, if it was found."""
        return self._found

    async def target(self) -> Target:
        """Return the target.

        Raises:
            ObservationError: If there is none, or what was named cannot mean any.
            ApiError: If the API server does not answer.
        """
        if self._found is not None:
            return self._found
        if self._problem and self._clock.now_s() < self._again_s:
            raise ObservationError(self._problem)
        try:
            self._found = await self._resolve(self.reference)
        except (ConfigError, Malformed) as error:
            self._fail(str(error))
        except ApiError as error:
            if not error.is_missing:
                raise
            self._fail(f"there is no {named(self.reference)} in {self.reference.namespace} yet: {error}")
        if self._found is None:
            raise ObservationError(self._problem)
        self._problem, self._tries = "", 0
        return self._found

    def vanished(self) -> None:
        """Take note that the target is gone; it is looked for anew."""
        if self._found is not None:
            found, self._found = self._found.parent, None
            self._fail(f"there is no {found} in namespace {found.namespace} any more; it is waited for")

    def understood(self) -> None:
        """Take note that the target makes sense."""
        self._doubts, self._doubted_until_s = 0, None

    def doubted(self) -> None:
        """Take note that the target makes no sense; where that lasts it is looked for anew."""
        now_s = self._clock.now_s()
        if self._doubted_until_s is None:
            self._doubted_until_s = now_s + _wait_s(self._doubts)
        elif now_s >= self._doubted_until_s:
            self._found = None
            self._doubts += 1
            self._doubted_until_s = now_s + _wait_s(self._doubts)

    def _fail(self, problem: str) -> None:
        self._problem, self._again_s = problem, self._clock.now_s() + _wait_s(self._tries)
        self._tries += 1


def _wait_s(tries: int) -> float:
    return growing_s(tries, first_s=_FIRST_WAIT_S, most_s=_MOST_WAIT_S)
