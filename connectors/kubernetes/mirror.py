"""What does the API server have now, without asking it each time?

A mirror holds the objects of one list: it lists them once and then follows a watch, whose bookmarks carry the
resource version on. A watch that the server closes is taken up where it ended; one that fails, or whose
version the server has forgotten (410), starts over with a list. Watches that end at once are taken up ever
more slowly, and meanwhile a reader asks for itself: what is read is either followed or just asked for, never
merely remembered.

Where watching is forbidden a reader lists, and where listing is forbidden, too, it gets the one object; both
are said once and tried again after a while.
"""

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from config.clock import Clock, within
from config.errors import ObservationError
from connectors.kubernetes.api import Api, ApiError, Json, WatchEvent
from connectors.kubernetes.listing import Listing, list_all
from connectors.kubernetes.pacing import growing_s
from connectors.kubernetes.paths import is_newer, name_of, version_of

# The server sends a bookmark each minute; a watch that is silent for longer may have lost its other end.
_QUIET_S = 75.0
# A watch that ends sooner was not worth its request.
_CALM_S = 5.0
_FIRST_WAIT_S = 0.5
_MOST_WAIT_S = 30.0
# What was forbidden may be allowed by now: it is tried again ever more slowly.
_FIRST_AGAIN_S = 5.0
_AGAIN_S = 600.0


class Mode(StrEnum):
    """How a mirror knows what there is."""

    WATCH = "watch"
    LIST = "list"
    GET = "get"


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorOptions:
    """How mirrors are kept.

    Attributes:
        resync_s: Everything is listed afresh after so long.
        say: Takes what a user should know, once.
        chance: Returns the share, 0 to 1, of a wait's second half that is waited.
    """

    resync_s: float = 600.0
    say: Callable[[str], None] = lambda _: None
    chance: Callable[[], float] = secrets.SystemRandom().random


class Mirror:
    """The objects of one list.

    Args:
        api: Who is asked.
        listing: What is mirrored.
        clock: Where time comes from.
        options: How it is kept.
    """

    def __init__(
        self, api: Api, listing: Listing, *, clock: Clock, options: MirrorOptions | None = None
    ) -> None:
        self._api, self._listing, self._clock = api, listing, clock
        self._options = options or MirrorOptions()
        self._items: dict[str, Json] = {}
        self._version = ""
        self._mode = Mode.WATCH
        self._is_following = self._is_unknown = False
        self._seen_s = self._listed_s = -math.inf
        self._again_s = math.inf
        self._answers = self._shorts = self._refusals = 0
        self._said: set[Mode] = set()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def mode(self) -> Mode:
        """How it knows what there is."""
        return self._mode

    async def read(self) -> Mapping[str, Json]:
        """Return what there is, by name: as the watch tells it, else by asking now.

        A kind that the server does not have has no objects.

        Raises:
            ApiError: If it had to ask and got no answer.
        """
        self._try_again()
        answers = self._answers
        if not self._is_fresh():
            async with self._lock:
                # Whoever waited for the same answer takes it.
                if self._answers == answers:
                    await self._ask()
        self._ensure_followed()
        return dict(self._items)

    async def refresh(self) -> None:
        """Ask for what there is now.

        Raises:
            ApiError: If there is no answer.
        """
        async with self._lock:
            await self._ask()

    def overlay(self, item: Json) -> None:
        """Take the answer to a write of ours, which is newer than what was seen before it."""
        name = name_of(item)
        if not is_newer(version_of(item), self._version):
            return  # what is here has seen it already, and perhaps more
        if name not in self._items or is_newer(version_of(item), version_of(self._items[name])):
            self._items[name] = self._listing.kept(item)

    async def close(self) -> None:
        """Follow no more; the mirror is not used afterwards."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # Asking.

    def _is_fresh(self) -> bool:
        age_s = self._clock.now_s() - self._seen_s
        if self._is_unknown:  # its definition is looked for in the background
            return age_s <= _MOST_WAIT_S
        return self._is_following and age_s <= _QUIET_S

    async def _ask(self) -> None:
        try:
            await (self._get() if self._mode is Mode.GET else self._list())
            self._is_unknown = False
        except ApiError as error:
            if not error.is_missing:
                raise
            self._is_unknown = self._mode is Mode.WATCH
            self._items, self._version = {}, ""
        self._answers += 1
        self._seen()

    async def _list(self) -> None:
        held, version = dict(self._items), self._version
        try:
            listed = await list_all(self._api, self._listing)
        except ApiError as error:
            if not (error.is_forbidden and self._listing.name):
                raise
            self._degrade(Mode.GET, error)
            await self._get()
            return
        self._listed_s = self._clock.now_s()
        if self._is_following and is_newer(self._version, listed.version):
            if self._version != version:
                return  # the watch was faster
            # A server that was set back (a backup of its store) tells this watch nothing any more.
            self._is_following = False
        self._replace(listed.objects, held, version=listed.version)

    async def _get(self) -> None:
        held = dict(self._items)
        item = self._listing.kept(await self._api.get(str(self._listing)))
        self._replace({self._listing.name: item}, held, version=version_of(item))

    def _replace(self, found: Mapping[str, Json], held: Mapping[str, Json], *, version: str) -> None:
        """Take what was found, and keep what came after it was asked for and is newer."""
        newer = {
            name: item
            for name, item in self._items.items()
            if item is not held.get(name) and name in found and is_newer(version_of(item), version)
        }
        self._items, self._version = {**found, **newer}, version

    def _seen(self) -> None:
        self._seen_s = self._clock.now_s()

    # Following.

    def _ensure_followed(self) -> None:
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            if not task.cancelled():
                task.result()  # a defect of ours is raised where somebody looks
        if self._task is None and self._mode is Mode.WATCH:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        while self._mode is Mode.WATCH:
            began_s, least_s = self._clock.now_s(), 0.0
            try:
                await self._follow()
            except ApiError as error:
                least_s = self._took(error)
            except ObservationError:
                self._version = ""  # the reader asks for itself and hears of it
            finally:
                self._is_following = False
            self._shorts = 0 if self._clock.now_s() - began_s >= _CALM_S else self._shorts + 1
            if self._mode is Mode.WATCH:
                await self._clock.sleep(max(least_s, self._wait_s()))

    async def _follow(self) -> None:
        """Follow until the watch ends, is silent for too long, or it is time to list everything afresh."""
        if not self._version:
            async with self._lock:
                await self._ask()
        if not self._version or self._mode is not Mode.WATCH:
            return
        resync_s = self._listed_s + self._options.resync_s
        events = self._api.watch(self._listing.path, self._watch_query())
        self._is_following = True
        while True:
            left_s = resync_s - self._clock.now_s()
            try:
                event = await within(self._clock, _next(events), min(_QUIET_S, left_s))
            except TimeoutError:
                self._version = ""
                return
            self._refusals = 0
            if event is None:
                self._seen()  # the server ended it as it should
                return
            if not self._is_following:  # a list showed that its history is not the server's any more
                self._version = ""
                return
            self._take(event)

    def _watch_query(self) -> dict[str, str]:
        return {**self._listing.query, "resourceVersion": self._version, "allowWatchBookmarks": "true"}

    def _take(self, event: WatchEvent) -> None:
        self._seen()
        name, version = name_of(event.item), version_of(event.item)
        if self._version and not is_newer(version, self._version):
            return  # a list that came meanwhile has it, and perhaps what came of it
        held = self._items.get(name)
        if event.kind == "DELETED":
            self._items.pop(name, None)
        elif event.kind != "BOOKMARK" and (held is None or not is_newer(version_of(held), version)):
            self._items[name] = self._listing.kept(event.item)
        self._version = version or self._version

    def _took(self, error: ApiError) -> float:
        """Take note of what ended a watch; return the least time to wait before the next."""
        if error.is_forbidden:
            self._degrade(Mode.LIST, error)
        self._version = ""  # whatever was missed is in the next list
        return min(error.retry_after_s or 0.0, _QUIET_S)

    def _wait_s(self) -> float:
        """Return a time that grows while watches end at once, with chance in it."""
        longest_s = growing_s(self._shorts, first_s=_FIRST_WAIT_S, most_s=_MOST_WAIT_S)
        return longest_s * (0.5 + 0.5 * self._options.chance())

    # Doing without.

    def _degrade(self, mode: Mode, error: ApiError) -> None:
        self._mode = mode
        wait_s = growing_s(self._refusals, first_s=_FIRST_AGAIN_S, most_s=_AGAIN_S)
        self._refusals += 1
        self._again_s = self._clock.now_s() + wait_s
        if mode not in self._said:
            self._said.add(mode)
            how = "read by itself each time" if mode is Mode.GET else "listed each time"
            self._options.say(f"{self._listing} may not be followed and is {how}: {error}")

    def _try_again(self) -> None:
        if self._mode is not Mode.WATCH and self._clock.now_s() >= self._again_s:
            self._mode, self._again_s, self._version = Mode.WATCH, math.inf, ""


async def _next(events: AsyncIterator[WatchEvent]) -> WatchEvent | None:
    return await anext(events, None)
