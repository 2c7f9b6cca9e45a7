"""How often the API server is asked: a bucket of tokens, and waits between attempts.

The bucket holds what a few seconds allow, so that a burst passes at once and a storm does not. Who waits has
its place in the order of asking. Waits between attempts are left to chance as a whole (full jitter): many
daemons that lost the same server do not come back together.

A server that says when it may be asked again (`Retry-After`) means everybody, not the one request that it
turned away: until then nothing is sent for the same path, and whoever would hears at once what was said.
"""

import math
from email.utils import parsedate_to_datetime

from config.clock import Clock
from connectors.kubernetes.api import ApiError

_BURST_S = 3.0
_FIRST_WAIT_S = 0.25
_MOST_WAIT_S = 8.0
# More doublings change nothing: a power of more than a thousand is no number any more.
_MOST_DOUBLINGS = 30
# A server, or what stands before it, is not left alone for longer than a person would understand.
_MOST_REST_S = 60.0


class TokenBucket:
    """So many requests per second, averaged over a few seconds.

    Args:
        rate_rps: Requests per second; positive.
        clock: What waits are measured by.
    """

    def __init__(self, rate_rps: float, clock: Clock) -> None:
        self._rate_rps = rate_rps
        self._most = max(1.0, rate_rps * _BURST_S)
        self._tokens = self._most
        self._at_s = clock.now_s()
        self._clock = clock

    async def take(self) -> None:
        """Return when the next request may be sent."""
        now_s = self._clock.now_s()
        self._tokens = min(self._most, self._tokens + (now_s - self._at_s) * self._rate_rps) - 1.0
        self._at_s = now_s
        if self._tokens < 0.0:
            await self._wait(-self._tokens / self._rate_rps)

    async def _wait(self, duration_s: float) -> None:
        sent = False
        try:
            await self._clock.sleep(duration_s)
            sent = True
        finally:
            # A request that was given up is not sent: those behind it need not wait for it.
            self._tokens += 0.0 if sent else 1.0


class Courtesy:
    """Which paths the server asked to be left alone.

    Args:
        clock: What waits are measured by.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rests: dict[str, tuple[float, ApiError]] = {}

    def heard(self, path: str, error: ApiError) -> None:
        """Take note of an answer; only one that names a time changes anything."""
        if error.retry_after_s:
            now_s = self._clock.now_s()
            self._rests = {one: rest for one, rest in self._rests.items() if rest[0] > now_s}
            self._rests[path] = (now_s + min(error.retry_after_s, _MOST_REST_S), error)

    def check(self, path: str) -> None:
        """Return if a path may be asked for.

        Raises:
            ApiError: What the server said, if the time that it named has not come.
        """
        until_s, error = self._rests.get(path, (0.0, None))
        left_s = until_s - self._clock.now_s()
        if error is not None and left_s > 0.0:
            text = f"{error}; it is not asked again before the {error.retry_after_s:g} s that it asks for"
            raise ApiError(text, status=error.status, reason=error.reason, retry_after_s=left_s)


def wait_s(attempt: int, *, chance_ratio: float, asked_s: float | None) -> float | None:
    """Return how long to wait before a further attempt; None if the server asks for more than is sensible.

    Args:
        attempt: Attempts that were made, less one.
        chance_ratio: A random share, 0 to 1.
        asked_s: What the server asked for; the chance comes on top.

    Example:
        >>> wait_s(0, chance_ratio=1.0, asked_s=None), wait_s(2, chance_ratio=0.5, asked_s=None)
        (0.25, 0.5)
        >>> wait_s(0, chance_ratio=0.0, asked_s=2.0), wait_s(0, chance_ratio=0.0, asked_s=60.0)
        (2.0, None)
    """
    own_s = chance_ratio * growing_s(attempt, first_s=_FIRST_WAIT_S, most_s=_MOST_WAIT_S)
    if asked_s is None:
        return own_s
    return asked_s + own_s if asked_s <= _MOST_WAIT_S else None


def growing_s(times: int, *, first_s: float, most_s: float) -> float:
    """Return a time that doubles with each time that something went wrong before, up to a limit.

    Example:
        >>> [growing_s(times, first_s=2.0, most_s=30.0) for times in (0, 1, 3, 4, 5_000)]
        [2.0, 4.0, 16.0, 30.0, 30.0]
    """
    return min(most_s, first_s * 2.0 ** min(times, _MOST_DOUBLINGS))


def retry_after_s(text: str | None, *, now_wall_s: float) -> float | None:
    """Read a `Retry-After` header, in seconds or as a date; None if it is not there or says nothing.

    Example:
        >>> retry_after_s("3", now_wall_s=0.0)
        3.0
        >>> retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", now_wall_s=50.0)
        10.0
        >>> retry_after_s("soon", now_wall_s=0.0) is None
        True
    """
    try:
        seconds = float(text or "nan")
    except ValueError:
        seconds = _until(text or "", now_wall_s)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(text: str, now_wall_s: float) -> float:
    try:
        return parsedate_to_datetime(text).timestamp() - now_wall_s
    except (ValueError, OverflowError):
        return math.nan
