"""Waiting for something that others do, with words for those who wait too."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar

from config.clock import Clock
from connectors.kubernetes.api import ApiError

T = TypeVar("T")
_PACE_S = 1.0
_REPEAT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Generic[T]):
    """What one look showed.

    Attributes:
        words: How far it is.
        result: What was waited for; None if it is not there yet.
    """

    words: str
    result: T | None = None


class Teller(Protocol):
    """Who tells the people that wait."""

    def line(self, text: str) -> None:
        """Tell what changed, or what has been so for another minute."""
        ...

    def still(self, text: str) -> None:
        """Tell what is so at the moment, in a place that is written over, or not at all."""
        ...


async def wait_for(
    look: Callable[[], Awaitable[Seen[T]]],
    *,
    about: str,
    clock: Clock,
    teller: Teller,
    limit_s: float | None = None,
) -> T:
    """Look again and again until there is a result.

    A line is told for each change, and one for each minute without. An API server that does not answer is
    asked again; that is told in the same way.

    Args:
        look: Looks once.
        about: What is waited for.
        clock: Where the time comes from.
        teller: Who is told.
        limit_s: Longest wait; None is without limit.

    Raises:
        ApiError: If an answer will not be better later.
        TimeoutError: If there is no result in time; its text says how far it is.
    """
    words, since_s, told_s = "", clock.now_s(), clock.now_s()
    began_s = since_s
    while True:
        seen = await _looked(look)
        now_s = clock.now_s()
        if seen.words != words:
            words, since_s, told_s = seen.words, now_s, now_s
            teller.line(f"{about}: {words}")
        elif now_s - told_s >= _REPEAT_S:
            told_s = now_s
            teller.line(f"{about}: {words}, for {_duration(now_s - since_s)}")
        if seen.result is not None:
            return seen.result
        if limit_s is not None and now_s - began_s >= limit_s:
            raise TimeoutError(f"{about}: {words} after {_duration(now_s - began_s)}")
        teller.still(f"{about}: {words}, for {_duration(now_s - since_s)}")
        await clock.sleep(_PACE_S)


def is_passing(error: ApiError) -> bool:
    """Return whether the same question may get an answer later."""
    is_busy = error.status in {0, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
    return is_busy or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


async def _looked(look: Callable[[], Awaitable[Seen[T]]]) -> Seen[T]:
    try:
        return await look()
    except ApiError as error:
        if not is_passing(error):
            raise
        return Seen(words=f"{error}; it is asked again")


def _duration(passed_s: float) -> str:
    minutes, seconds = divmod(round(passed_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
