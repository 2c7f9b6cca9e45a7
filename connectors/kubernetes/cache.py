"""What do the objects of the targets look like now?

One mirror for each object and each list of pods, whoever asks. A subresource cannot be watched: it is read
again when its object has changed. What may not be read is asked for again ever more slowly: a Role that is
put right is noticed soon, and one that stays as it is costs next to nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from config.clock import Clock
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.listing import Listing
from connectors.kubernetes.mirror import Mirror, MirrorOptions
from connectors.kubernetes.pacing import growing_s
from connectors.kubernetes.paths import version_of
from connectors.kubernetes.target import ObjectKey

# What was forbidden may be allowed by now.
_FIRST_AGAIN_S = 5.0
_MOST_AGAIN_S = 60.0
# What was not read for so long is what something was before: a Ray cluster that was replaced, its pods.
_UNREAD_S = 600.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """What the API server says to a read that our rights do not reach, and until when that is believed."""

    error: ApiError
    until_s: float
    times: int


class Cache:
    """The objects of the API server that matter here.

    Args:
        api: Who is asked.
        clock: Where time comes from.
        options: How mirrors are kept.
    """

    def __init__(self, api: Api, *, clock: Clock, options: MirrorOptions | None = None) -> None:
        self._api, self._clock = api, clock
        self._options = options or MirrorOptions()
        self._mirrors: dict[Listing, Mirror] = {}
        self._read_at_s: dict[Listing, float] = {}
        self._parts: dict[ObjectKey, Json] = {}
        self._forbidden: dict[object, _Refusal] = {}

    async def objects(self, keys: Iterable[ObjectKey], *, needed: ObjectKey) -> dict[ObjectKey, Json]:
        """Return those of the objects that exist.

        Args:
            keys: The objects.
            needed: The one that has to be readable; another one that may not be read is left out, and said.

        Raises:
            ApiError: If there is no answer, or the needed one may not be read.
        """
        wanted = tuple(keys)
        found = await asyncio.gather(*(self._maybe(key, is_needed=key == needed) for key in wanted))
        return {key: item for key, item in zip(wanted, found, strict=True) if item is not None}

    async def listed(self, listing: Listing) -> tuple[Json, ...]:
        """Return the objects of a list.

        Raises:
            ApiError: If there is no answer, or it may not be listed.
        """
        found = await self._unless_forbidden(listing, self._mirror(listing).read)
        await self._let_go()
        return tuple(found.values())

    async def refresh(self, key: ObjectKey) -> None:
        """Ask for an object now, because what is known of it was wrong or is in doubt.

        Raises:
            ApiError: If there is no answer.
        """
        self._parts.pop(key, None)
        await self._mirror(Listing.of_object(key.whole)).refresh()

    async def wrote(self, key: ObjectKey, answer: Json) -> None:
        """Take the answer to a write, so that what is read next has it."""
        if not key.subresource:
            self._mirror(Listing.of_object(key)).overlay(answer)
            return
        whole = key.whole
        if whole not in self._forbidden:
            # The answer is not the object; until it was read again what is known of it is older.
            with suppress(ApiError):
                await self._mirror(Listing.of_object(whole)).refresh()
        self._parts[key] = answer

    async def close(self) -> None:
        """Follow nothing any more."""
        mirrors, self._mirrors = self._mirrors, {}
        self._read_at_s.clear()
        await asyncio.gather(*(mirror.close() for mirror in mirrors.values()))

    async def _maybe(self, key: ObjectKey, *, is_needed: bool) -> Json | None:
        try:
            return await self._one(key)
        except ApiError as error:
            if is_needed or not error.is_forbidden:
                raise
            return None

    async def _one(self, key: ObjectKey) -> Json | None:
        if key.subresource:
            return await self._part(key)
        listing = Listing.of_object(key)
        found = await self._unless_forbidden(key, self._mirror(listing).read)
        return found.get(key.name)

    async def _part(self, key: ObjectKey) -> Json | None:
        """Return a subresource, read again only if its object changed."""
        held, version = self._parts.get(key), ""
        try:
            whole = await self._one(key.whole)
        except ApiError as error:
            if not error.is_forbidden:
                raise
        else:
            if whole is None:
                return None
            version = version_of(whole)
        if held is not None and version and version == version_of(held):
            return held
        return await self._unless_forbidden(key, lambda: self._get(key))

    async def _get(self, key: ObjectKey) -> Json | None:
        try:
            item = await self._api.get(key.path)
        except ApiError as error:
            if not error.is_missing:
                raise
            return None
        self._parts[key] = item
        return item

    async def _unless_forbidden(self, what: object, ask: Callable[[], Awaitable[_T]]) -> _T:
        refusal = self._forbidden.get(what)
        if refusal is not None and self._clock.now_s() < refusal.until_s:
            raise refusal.error
        try:
            found = await ask()
        except ApiError as error:
            if error.is_forbidden:
                self._forbid(what, error)
            raise
        if self._forbidden.pop(what, None) is not None:
            self._options.say(f"{what} may be read again")
        return found

    def _forbid(self, what: object, error: ApiError) -> None:
        before = self._forbidden.get(what)
        if before is None:
            self._options.say(f"{what} may not be read: {error}")
        times = before.times + 1 if before else 0
        wait_s = growing_s(times, first_s=_FIRST_AGAIN_S, most_s=_MOST_AGAIN_S)
        self._forbidden[what] = _Refusal(error=error, until_s=self._clock.now_s() + wait_s, times=times)

    def _mirror(self, listing: Listing) -> Mirror:
        if listing not in self._mirrors:
            self._mirrors[listing] = Mirror(self._api, listing, clock=self._clock, options=self._options)
        self._read_at_s[listing] = self._clock.now_s()
        return self._mirrors[listing]

    async def _let_go(self) -> None:
        """Follow no longer what nobody reads any more."""
        now_s = self._clock.now_s()
        for listing in [one for one, at_s in self._read_at_s.items() if now_s - at_s > _UNREAD_S]:
            if self._read_at_s.pop(listing, None) is not None:
                await self._mirrors.pop(listing).close()
