"""How is one pool's number of replicas written, so that nobody else's word is overwritten?

Right before each write the leadership, the pause annotation and what the decision was made on are looked at
again, on the newest that is known; the leadership once more before each time that a request without an answer
is sent again. The write carries a resource version: if somebody was faster the API
server says so (409), and what is there then is compared with what was decided on. If only the status moved
the write is tried again; else the decision is void and the next one is made on what is there.
"""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol

from config.errors import ActuationError, Conflict, ObservationError, Refused, Standby
from connectors.kubernetes.api import FIELD_MANAGER, Api, ApiError
from connectors.kubernetes.paths import version_of
from connectors.kubernetes.pool import Around, Look, Pool
from connectors.kubernetes.target import ObjectKey, Write
from connectors.kubernetes.verdicts import unwritten

_ATTEMPTS = 3
# A failed `test` of a JSON patch is answered like a refusal.
_MOVED = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


class Leader(Protocol):
    """Who tells whether this process may write."""

    def standby(self) -> str:
        """Return why it may not write now; empty if it may."""
        ...


class Writing:
    """Writes replicas.

    Args:
        api: Who is asked.
        around: What the pools share.
        leader: Whether this process may write.
        missing_rule: Returns, in words, the right that a write to an object needs.
    """

    def __init__(
        self, api: Api, around: Around, *, leader: Leader | None, missing_rule: Callable[[Look, Write], str]
    ) -> None:
        self._api, self._around, self._leader = api, around, leader
        self._missing_rule = missing_rule
        self._doubts: set[ObjectKey] = set()

    async def write(self, pool: Pool, count: int) -> None:
        """Ask for so many replicas of a pool; nothing is sent where that is what is asked for already.

        Raises:
            Standby: If another process leads.
            Conflict: If the pool is not what was decided on any more.
            Refused: If the API server, or the target, says no.
            ActuationError: If it was not done for another reason.
            ObservationError: If the target cannot be read.
            ApiError: If it could not be read before it was written.
        """
        for _ in range(_ATTEMPTS):
            look = await self._newest(pool)
            if look.view.desired == count:
                self._landed(pool, look, count)
                return
            self._check(pool, look)
            write = look.target.write(look.objects, count)
            self._compare(pool, look, write.key)
            if await self._send(pool, look, write, count):
                return
        raise Conflict(f"{pool.name} was not written: its target changed {_ATTEMPTS} times meanwhile")

    async def _newest(self, pool: Pool) -> Look:
        """Look at the target; what a write without an answer may have changed is asked for first."""
        for key in tuple(self._doubts):
            await self._refresh(key)
            self._doubts.discard(key)
        return await pool.look()

    def _check(self, pool: Pool, look: Look) -> None:
        self._check_leads()
        if why := pool.is_held_anew(look.view):
            raise Conflict(f"{pool.name} was left as it is: {why}")

    def _check_leads(self) -> None:
        if self._leader is not None and (why := self._leader.standby()):
            raise Standby(why)

    def _compare(self, pool: Pool, look: Look, key: ObjectKey) -> None:
        """Raise if what is wanted of the target is not what it was when it was decided."""
        decided = pool.decided_on
        difference = self._around.basis.difference(key, look.objects)
        if decided is not None and look.view.desired != decided:
            difference = f"replicas changed from {decided} to {look.view.desired}"
        if difference:
            author = pool.changes.author(look.objects.get(key.whole, {}))
            by = f" by {author}" if author else ""
            raise Conflict(f"{pool.name} was left as it is: {difference}{by} since it was decided")

    async def _send(self, pool: Pool, look: Look, write: Write, count: int) -> bool:
        """Send a write; return False if it has to be looked at again what is there."""
        pool.changes.asked(count)
        try:
            answer = await self._api.patch(
                write.key.path,
                write.body,
                write.kind,
                {"fieldManager": FIELD_MANAGER},
                before=self._check_leads,
            )
        except Standby:
            self._doubts.add(write.key)  # a first attempt may have landed before another one was not allowed
            raise
        except ApiError as error:
            if error.is_missing and write.on_missing is not None:
                self._check(pool, look)
                return await self._send(pool, look, write.on_missing, count)
            return await self._failed(pool, look, write, error)
        await self._around.cache.wrote(write.key, answer)
        if not look.shows(write.key):
            pool.wrote_unseen(look, count)
        await self._wrote(pool, count)
        return True

    async def _failed(self, pool: Pool, look: Look, write: Write, error: ApiError) -> bool:
        """Return False where the write may be tried on what is there now, else raise what it means."""
        what = f"{pool.name} ({write.key})"
        if error.is_conflict or (error.status in _MOVED and await self._has_moved(look, write.key)):
            await self._refresh(write.key)
            return False
        if error.is_missing:
            raise ActuationError(f"{what} was not written, it does not exist: {error}") from error
        failure = unwritten(error, what=what, rule=self._missing_rule(look, write))
        if not isinstance(failure, Refused):
            self._doubts.add(write.key)  # it may have landed without an answer
        raise failure from error

    async def _has_moved(self, look: Look, key: ObjectKey) -> bool:
        """Ask for an object again; tell whether it is another version than the one that was written."""
        await self._refresh(key)
        whole = key.whole
        objects = await self._around.cache.objects((whole,), needed=key)
        before, now = look.objects.get(whole) or look.objects.get(key), objects.get(whole)
        return before is not None and now is not None and version_of(before) != version_of(now)

    async def _refresh(self, key: ObjectKey) -> None:
        try:
            await self._around.cache.refresh(key)
        except ApiError as error:
            if not error.is_forbidden:
                raise

    def _landed(self, pool: Pool, look: Look, count: int) -> None:
        """Take note of what is so already; it may be a write of ours whose answer was lost."""
        if pool.changes.is_asked(count):
            self._around.basis.take(look.objects)
            pool.wrote(count)

    async def _wrote(self, pool: Pool, count: int) -> None:
        pool.wrote(count)
        with suppress(ApiError, ObservationError):  # it is written; the next read will tell what there is
            self._around.basis.take((await pool.look()).objects)
