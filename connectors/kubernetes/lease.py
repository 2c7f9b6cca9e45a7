"""Which of several daemons may write?

Each wants to hold one Lease. Clocks of different machines are never compared, as in client-go:

- A candidate takes the Lease over when, by its own monotonic clock, it saw no change of it for the duration
  that the Lease itself names. It may have seen the last change late, never early.
- A leader counts itself leader until the *start* of its last renewal that succeeded, plus the duration, less
  a margin of a fifth of it. The renewal was stored after its start, and whoever saw it saw it later still. So
  two never lead at once as long as their clocks run equally fast within that fifth, whatever the delays of
  messages, the pauses of processes and the lost answers.
- Writes carry the resource version that was read. Of several who try, the API server lets one through.

This does not fence: a write that was sent in time may arrive late. Therefore the actuator asks `standby`
right before each write and sends the version that it decided on. A pause of the whole machine may stop the
monotonic clock; the wall clock is asked as well, and the earlier end counts.

A Lease that somebody deletes counts as changed: who knew it waits for a whole duration from there on, unless
its holder makes it again. Who never saw it creates it at once: a process that starts in the very moment of
such a deletion may lead beside the former leader until that one's next renewal, which is refused.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from config.clock import Clock, within
from config.errors import ConfigError, SetpointError
from config.kubernetes import Election
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.builtin import LEASES
from connectors.kubernetes.lease_options import LeaseNews, LeaseOptions, Listener, identity_of
from connectors.kubernetes.lease_record import (
    LeaseRecord,
    claimed,
    record_of,
    released,
    to_the_second,
)
from connectors.kubernetes.rights import Feature, missing_yaml, rules_for

__all__ = ["Leadership", "LeaseNews", "LeaseOptions", "Listener", "identity_of"]

T = TypeVar("T")

_MARGIN_RATIO = 0.2
_PERIOD_RATIO = 0.2
_RETRY_RATIO = 0.1
_ANSWER_RATIO = 0.25
_JITTER_RATIO = 0.1
# Whoever ends does not wait for a server that hangs: the Lease then runs out by itself.
_RELEASE_S = 2.0


def _say_nothing(news: LeaseNews, words: str) -> None:
    del news, words


class Leadership:
    """This process as a candidate, and as the leader while it is.

    Args:
        api: Who speaks to the API server.
        options: How leadership is agreed on.
        clock: Time; its monotonic clock judges leases.
        listener: Hears what changed, in words; must not block or raise.
        chance: Replaces the randomness of the waits, for tests: a share from 0 to 1.
    """

    def __init__(
        self,
        api: Api,
        options: LeaseOptions,
        clock: Clock,
        *,
        listener: Listener = _say_nothing,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._api = api
        self._options = options
        self._clock = clock
        self._tell = listener
        self._chance = chance or secrets.SystemRandom().random
        self._lease: Json = {}
        self._record = LeaseRecord()
        self._seen_at_s = clock.now_s()
        self._leads_until_s = self._leads_until_wall_s = float("-inf")
        self._was_told = ""
        self._problem = ""
        self._is_answered = False
        self._is_closed = False
        self._denied = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def unguarded(self) -> str:
        """Why this process goes on without an election; empty if there is one."""
        return "" if self._options.election is Election.ON else self._denied

    @property
    def holder(self) -> str:
        """Identity of the leader, as the Lease was last seen; empty if there is none."""
        return self._record.holder

    @property
    def remaining_s(self) -> float:
        """For how long this process leads if it is not renewed; 0 if it does not lead."""
        if self.unguarded:
            return float("inf")
        if not self._is_ours:
            return 0.0
        left_s = self._leads_until_s - self._clock.now_s()
        # A machine that was suspended may have a monotonic clock that stood still meanwhile.
        left_wall_s = self._leads_until_wall_s - self._clock.wall_s()
        return max(0.0, min(left_s, left_wall_s))

    def standby(self) -> str:
        """Return why this process may not write now; empty if it may. Ask right before each write."""
        if not self._is_closed and self.remaining_s > 0.0:
            return ""
        why = f": {self._problem}" if self._problem else ""
        if self._is_closed:
            return f"{self._where} was released, this process ends"
        if self._is_ours:
            return f"{self._where} is ours and was not renewed in time{why}"
        if not self._record.holder:
            return f"nobody leads yet by {self._where}{why}"
        since = to_the_second(self._record.acquired)
        return f"{self._record.holder} leads since {since} by {self._where}{why}"

    async def start(self) -> None:
        """Try once to become the leader, and go on in the background.

        Raises:
            ConfigError: If an election is insisted on, and our rights do not allow one.
        """
        await self._try()
        if self._denied and self._options.election is Election.ON:
            raise ConfigError(
                self._denied,
                key="kubernetes.election",
                hint="it is on, which needs\n"
                + missing_yaml(rules_for(Feature.ELECTION, self._options.name)).rstrip(),
            )
        self._task = asyncio.create_task(self._run(), name=f"leadership by {self._where}")

    async def close(self) -> None:
        """Stop; a Lease that is ours is released, so that the next leader need not wait."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._is_ours and self._lease:
            with suppress(SetpointError, TimeoutError):
                await within(self._clock, self._release(), _RELEASE_S)

    @property
    def _where(self) -> str:
        return f"the Lease {self._options.namespace}/{self._options.name}"

    @property
    def _is_ours(self) -> bool:
        return self._record.holder == self._options.identity

    @property
    def _expires_in_s(self) -> float:
        duration_s = self._record.duration_s or self._options.duration_s
        return self._seen_at_s + duration_s - self._clock.now_s()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._pause_s())
            await self._try()

    def _pause_s(self) -> float:
        ratio = _RETRY_RATIO if self._problem else _PERIOD_RATIO
        jitter = 1.0 + _JITTER_RATIO * (2.0 * self._chance() - 1.0)
        pause_s = self._options.duration_s * ratio * jitter
        if self._is_ours or self._expires_in_s <= 0.0:
            return pause_s
        # Wakes when it may be taken over, not up to a period later.
        return min(pause_s, self._expires_in_s)

    async def _try(self) -> None:
        """Look, claim or renew once; whatever comes of it is remembered and told, never raised."""
        (error,) = await asyncio.gather(self._step(), return_exceptions=True)
        if error is None:
            self._problem = ""
            self._is_answered, self._denied = True, ""
        else:
            self._stumbled(error)
        self._tell_state()

    def _stumbled(self, error: BaseException) -> None:
        is_foreseen = isinstance(error, SetpointError | TimeoutError)
        self._problem = str(error) if is_foreseen else f"{type(error).__name__}: {error}"
        if not isinstance(error, ApiError) or not error.is_forbidden or self._is_answered:
            # Rights that are lost later do not set anybody free: those who keep theirs may lead by now.
            return
        self._denied = f"no leader can be agreed on by {self._where}: {error}"

    def _tell_state(self) -> None:
        news, words = self._state()
        # A problem is told once, and what it changes is told by itself.
        told = f"{news} {self._problem and 'trouble'} {self._record.holder}"
        if told != self._was_told:
            self._was_told = told
            self._tell(news, words)

    def _state(self) -> tuple[LeaseNews, str]:
        standby = self.standby()
        if self.unguarded:
            return LeaseNews.UNGUARDED, self.unguarded
        if not standby and self._problem:
            return LeaseNews.TROUBLE, f"{self._where} was not renewed: {self._problem}"
        if not standby:
            return LeaseNews.LEADS, f"{self._options.identity} leads by {self._where}"
        return (LeaseNews.LOST if self._is_ours else LeaseNews.FOLLOWS), standby

    async def _bounded(self, work: Awaitable[T]) -> T:
        """Wait for one answer: three of them fit into the time that a leader has left after a renewal."""
        return await within(self._clock, work, self._options.duration_s * _ANSWER_RATIO)

    async def _step(self) -> None:
        if not self._is_ours:
            await self._look()
        if not self._is_free():
            return
        try:
            await self._claim()
        except ApiError as error:
            if not (error.is_conflict or error.is_missing):
                raise
            # Somebody was faster, our last write landed without an answer, or the Lease was deleted.
            await self._look()
            if self._is_free():
                await self._claim()

    def _is_free(self) -> bool:
        return self._is_ours or not self._record.holder or self._expires_in_s <= 0.0

    async def _look(self) -> None:
        try:
            self._saw(await self._bounded(self._api.get(self._path)))
        except ApiError as error:
            if not error.is_missing:
                raise
            if self._lease:
                # Deleted. Its holder may not know yet, and may have renewed it after we looked last.
                self._lease, self._seen_at_s = {}, self._clock.now_s()

    async def _claim(self) -> None:
        began_s, began_wall_s = self._clock.now_s(), self._clock.wall_s()
        options = self._options
        lease = claimed(
            self._lease,
            name=options.name,
            identity=options.identity,
            duration_s=options.duration_s,
            wall_s=began_wall_s,
        )
        self._saw(await self._bounded(self._send(lease)))
        valid_s = options.duration_s * (1.0 - _MARGIN_RATIO)
        self._leads_until_s = began_s + valid_s
        self._leads_until_wall_s = began_wall_s + valid_s

    async def _send(self, lease: Json) -> Json:
        if self._lease:
            return await self._api.put(self._path, lease)
        return await self._api.post(LEASES.path(self._options.namespace), lease)

    async def _release(self) -> None:
        try:
            await self._api.put(self._path, self._given_up())
        except ApiError as error:
            if not error.is_conflict:
                raise
            # A renewal that was cut off may have landed.
            await self._look()
            if self._is_ours and self._lease:
                await self._api.put(self._path, self._given_up())

    def _given_up(self) -> Json:
        return released(self._lease, name=self._options.name, wall_s=self._clock.wall_s())

    def _saw(self, lease: Json) -> None:
        record = record_of(lease)
        if record != self._record:
            self._seen_at_s = self._clock.now_s()
        self._lease, self._record = lease, record

    @property
    def _path(self) -> str:
        return LEASES.path(self._options.namespace, self._options.name)
