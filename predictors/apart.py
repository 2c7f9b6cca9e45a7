"""How is a load forecast by models that live in a process of their own, when that process is late or dies?

The worker learns every interval and answers with the forecast that is due and those of some further
intervals. While its newest answer is not there, the last one serves: its path tells what that model expects
of the very interval that is asked for, only from an older standpoint. Where no answer reaches that far, a
constant model serves, which is kept beside it and costs nothing. Either way `trouble` says so.

A worker that is started again is told the past that is kept here, so its forecasts are those of one that
never ended.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from config.clock import Clock, within
from config.errors import ForecastError
from config.policy import ForecastPolicy
from predictors.base import Forecast, LoadInterval
from predictors.foresight import InlineForesight
from predictors.keeper import Keeper
from predictors.load import kept_intervals
from predictors.registry import require
from predictors.wire import Lesson, News, Task, line_of, news_of

_COMMAND = (sys.executable, "-P", "-m", "predictors.worker")
_FURTHER = 20
_DEADLINES_TO_HANG = 4.0
_LEAST_HANG_S = 30.0
_OWN_LIMIT_S = 15.0
_STAND_IN = "constant"


class WorkerForesight:
    """Forecasts in one worker process, which starts at once in a running event loop, else when first used.

    What is told beyond the latest 300 intervals, or the predictor's window if that is longer, is forgotten:
    by the worker that is started again as by the first one.

    Args:
        policy: Which predictor, and how far ahead.
        clock: For deadlines, and the rests between restarts.
        deadline_s: Longest wait for the newest forecast.
        hang_s: A worker that gives no sign of life for so long is ended; real seconds. None is four
            deadlines, at least 30 s. Each worker after one that was ended so is given twice the time.

    Raises:
        ConfigError: If the predictor is not known or the times make no horizon.
    """

    def __init__(
        self, policy: ForecastPolicy, *, clock: Clock, deadline_s: float, hang_s: float | None = None
    ) -> None:
        require(policy.predictor)
        self._policy = policy
        self._clock = clock
        self._deadline_s = deadline_s
        self._stand_in = InlineForesight(replace(policy, predictor=_STAND_IN))
        self._past: deque[tuple[LoadInterval, bool]] = deque(maxlen=kept_intervals(policy))
        self._told = 0
        self._newest = News(learned=0)
        self._served: tuple[News, ...] = ()
        self._news = asyncio.Event()
        self._ended = ""  # and nobody was told yet
        self._down = ""  # and nothing runs now
        self._trouble: Exception | None = None
        self._keeper = Keeper(
            _COMMAND,
            clock=clock,
            hang_s=hang_s or max(_LEAST_HANG_S, _DEADLINES_TO_HANG * deadline_s),
            opening=self._opening,
            hear=self._hear,
            ended=self._hear_of_end,
        )
        with suppress(RuntimeError):  # no event loop is running yet
            self._keeper.start()

    @property
    def trouble(self) -> Exception | None:
        """Why the last forecast was not the model's newest, or why the worker ended since the one before."""
        return self._trouble

    @property
    def pid(self) -> int | None:
        """The worker process, while there is one."""
        return self._keeper.pid

    async def learn(self, passed: Sequence[LoadInterval]) -> None:
        """Pass the intervals on to the worker, without waiting for it."""
        await self._learn(passed, is_older=False)

    async def learn_older(self, past: Sequence[LoadInterval]) -> None:
        """Pass an older trace on to the worker, without waiting for it."""
        await self._learn(past, is_older=True)

    async def forecast(self, *, now_s: float) -> Forecast | None:
        """Wait at most the deadline for the newest forecast; then the best that there is serves."""
        self._trouble = None
        self._keeper.start()
        if not self._told:
            return None
        if not self._is_settled():
            with suppress(TimeoutError):
                await within(self._clock, self._until_settled(), self._deadline_s)
        forecast, late = self._at_hand()
        why, self._ended = self._why(), ""
        self._trouble = self._error(why, late) if why else None
        if late is None:
            return await self._stand_in.forecast(now_s=now_s)
        return replace(forecast, made_at_s=now_s) if forecast else None

    async def close(self) -> None:
        """End the worker; takes no longer than half a second."""
        await self._keeper.close()

    async def _learn(self, passed: Sequence[LoadInterval], *, is_older: bool) -> None:
        self._keeper.start()
        if not passed and not is_older:
            return
        kept = tuple(passed)[-(self._past.maxlen or 0) :]
        self._past.extend((interval, False) for interval in kept)
        if is_older and self._past:
            self._past[-1] = (self._past[-1][0], True)
        self._told += len(passed)
        self._keeper.tell(line_of(Lesson(learned=self._told, intervals=kept, is_older=is_older)))
        stand_in = self._stand_in
        await (stand_in.learn_older(kept) if is_older else stand_in.learn(kept))

    def _opening(self, folder: str, hang_s: float) -> Iterator[bytes]:
        limit_s = hang_s + _OWN_LIMIT_S
        yield line_of(Task(policy=self._policy, further=_FURTHER, limit_s=limit_s, folder=folder))
        learned = self._told - len(self._past)
        self._newest, self._down = News(learned=learned), ""
        batch: list[LoadInterval] = []
        for interval, is_older in self._past:
            batch.append(interval)
            if is_older:
                learned += len(batch)
                yield line_of(Lesson(learned=learned, intervals=tuple(batch), is_older=True))
                batch.clear()
        if batch:
            yield line_of(Lesson(learned=self._told, intervals=tuple(batch)))

    def _hear(self, line: bytes) -> bool:
        news = news_of(line)
        self._newest = (
            news if news.is_answer else replace(news, learned=max(news.learned, self._newest.learned))
        )
        if news.is_answer and not news.failure:
            # The path comes after the forecast that is due; until then an older path reaches further.
            self._served = (news, *(old for old in self._served if len(old.path) > len(news.path)))
        self._news.set()
        return self._is_answered() or not self._told

    def _hear_of_end(self, why: str) -> None:
        self._ended = self._down = why
        self._newest = News(learned=0)
        self._news.set()

    async def _until_settled(self) -> None:
        while not self._is_settled():
            self._news.clear()
            await self._news.wait()

    def _is_settled(self) -> bool:
        return self._is_answered() or bool(self._down)

    def _is_answered(self) -> bool:
        return self._newest.is_answer and self._newest.learned == self._told

    def _at_hand(self) -> tuple[Forecast | None, int | None]:
        """Return the latest forecast that reaches the horizon, and how many intervals ago it was made."""
        if self._is_answered() and not self._newest.failure:
            return next(iter(self._newest.path), None), 0
        for news in self._served:
            late = self._told - news.learned
            if late < len(news.path):
                return news.path[late], late
        return None, None

    def _why(self) -> str:
        """Return what is wrong with the model; empty if nothing is."""
        name, ended = self._policy.predictor, self._down or self._ended
        if ended:
            return f"the worker of {name} {ended}, and is started again"
        if not self._is_answered():
            return self._why_late()
        if self._newest.failure:
            return f"{name} gave no forecast: {self._newest.failure}"
        return self._newest.trouble

    def _why_late(self) -> str:
        name, learned = self._policy.predictor, self._newest.learned
        if self._served:
            return f"{name} gave no forecast within {self._deadline_s:g} s"
        return f"{name} is still starting, and has learned {learned} of {self._told} intervals"

    def _error(self, why: str, late: int | None) -> ForecastError:
        return ForecastError(
            f"{why}; {_serving(late)}", predictor=self._policy.predictor, late_intervals=late
        )


def _serving(late: int | None) -> str:
    if late is None:
        return f"until then the load is taken as {_STAND_IN}"
    if late == 0:
        return "its newest forecast serves"
    return f"its forecast of {late} interval{'s' if late > 1 else ''} ago serves"
