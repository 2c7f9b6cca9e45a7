"""Telling on the cluster what happens: Events on the targets, and the last decision in a ConfigMap.

The loop must not wait for it nor fail by it. What is to be told is queued; a task of its own sends it. The
same Event is counted up instead of told again. A queue that is full loses its oldest; an API server that does
not answer is tried again; a right that is missing is said once, and nothing is queued for it for a while.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from config.clock import Clock, within
from config.errors import SetpointError
from connectors.kubernetes.api import Api, ApiError
from connectors.kubernetes.event import Happening
from connectors.kubernetes.rights import WITHOUT, Feature
from connectors.kubernetes.target import ObjectKey
from connectors.kubernetes.telling import Keeper, Teller

_QUEUE = 100
_RETRY_S = 10.0
_CLOSE_S = 2.0
# What was forbidden may be allowed by now.
_AGAIN_S = 300.0
# No answer, too many requests, and a server in trouble: the same request may succeed later.
_LATER = frozenset({0, 408, 429, *range(500, 600)})


def _say_nothing(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeraldOptions:
    """How things are told.

    Attributes:
        namespace: Where the ConfigMap is.
        instance: This process, as Events name it.
        has_events: False keeps the ConfigMap only.
        keep_every_s: A ConfigMap is written at most so often.
        say: Takes what a user should know: what could not be told, and why.
    """

    namespace: str
    instance: str
    has_events: bool = True
    keep_every_s: float = 30.0
    say: Callable[[str], None] = _say_nothing


class Herald:
    """Who tells.

    Args:
        api: The API server; not closed here.
        clock: Where time comes from.
        options: How things are told.

    Attributes:
        dropped: Events that were never sent.
    """

    def __init__(self, api: Api, clock: Clock, options: HeraldOptions) -> None:
        self._clock, self._say = clock, options.say
        self._teller = Teller(api, clock, instance=options.instance)
        self._keeper = Keeper(api, clock, namespace=options.namespace, every_s=options.keep_every_s)
        self._queue: deque[tuple[Happening, float]] = deque()
        self._off = {} if options.has_events else {Feature.EVENTS: math.inf}
        self._problem = ""
        self._has_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def announce(self, about: ObjectKey, *, is_warning: bool, reason: str, message: str) -> None:
        """Tell something on an object, soon; never blocks, never raises."""
        if self._is_off(Feature.EVENTS):
            return
        happening = Happening(about=about, is_warning=is_warning, reason=reason, message=message)
        self._queue.append((happening, self._clock.wall_s()))
        if len(self._queue) > _QUEUE:
            self._drop()
        self._has_work.set()

    def keep(self, name: str, data: Mapping[str, str]) -> None:
        """Have a ConfigMap say this, soon; never blocks, never raises."""
        if not self._is_off(Feature.CONFIG_MAP):
            self._keeper.want(name, data)
            self._has_work.set()

    async def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name="herald")

    async def close(self) -> None:
        """Send what is left, if that is quick, and end."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        with suppress(SetpointError, TimeoutError):
            await within(self._clock, self._send(is_last=True), _CLOSE_S)

    async def _run(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            (error,) = await asyncio.gather(self._send(), return_exceptions=True)
            self._heard(error)
            if error is not None:
                await self._clock.sleep(_RETRY_S)
                self._has_work.set()
            elif self._keeper.due_in_s is not None:
                await self._until_due(self._keeper.due_in_s)

    async def _until_due(self, due_in_s: float) -> None:
        """Wait until a ConfigMap may be written again, or there is an Event to tell."""
        with suppress(TimeoutError):
            await within(self._clock, self._has_work.wait(), due_in_s)
        self._has_work.set()

    def _heard(self, error: BaseException | None) -> None:
        """Say what goes wrong once, until it goes well again."""
        problem = "" if error is None else str(error) or type(error).__name__
        if problem and not self._problem:
            self._say(f"what happens could not be told on the cluster, it is tried again: {problem}")
        self._problem = problem
        if error is not None and not _may_pass(error) and self._queue:
            # The others are not to wait for ever behind one that the API server does not take.
            self._drop()

    def _drop(self) -> None:
        self._queue.popleft()
        self.dropped += 1

    async def _send(self, *, is_last: bool = False) -> None:
        while self._queue:
            first = self._queue[0]
            await self._allowed(Feature.EVENTS, partial(self._teller.tell, *first))
            # It is gone if the queue overflowed meanwhile, or nothing is to be told any more.
            if self._queue and self._queue[0] is first:
                self._queue.popleft()
        if self._keeper.due_in_s is not None:
            await self._allowed(Feature.CONFIG_MAP, partial(self._keeper.write, is_last=is_last))

    async def _allowed(self, feature: Feature, work: Callable[[], Awaitable[None]]) -> None:
        """Do something unless our rights do not allow it, which ends the feature for a while."""
        try:
            await work()
        except ApiError as error:
            if not error.is_forbidden:
                raise
            if feature not in self._off:
                self._say(f"{WITHOUT[feature]}: {error}")
            self._off[feature] = self._clock.now_s() + _AGAIN_S
            self._forget(feature)
        else:
            self._off.pop(feature, None)

    def _is_off(self, feature: Feature) -> bool:
        return self._clock.now_s() < self._off.get(feature, -math.inf)

    def _forget(self, feature: Feature) -> None:
        if feature is Feature.EVENTS:
            self.dropped += len(self._queue)
            self._queue.clear()
        else:
            self._keeper.forget()


def _may_pass(error: BaseException) -> bool:
    """Tell whether the same request may succeed later."""
    return isinstance(error, ApiError) and error.status in _LATER
