"""The worker: a process that holds the models of one deployment and fits them, away from the event loop.

It is told lines on standard input and answers on standard output (`predictors.wire`). The main thread only
reads, so that the end of the input ends the process at once, whatever a fit is doing; another thread learns.
The process takes care not to outlive or outweigh the daemon: it has the lower priority and a limit of memory,
an alarm ends it where native code never comes back, and the kernel ends it with the daemon, whose temporary
folder for it is then removed by the janitor.
"""

import importlib
import math
import os
import resource
import signal
import sys
import tempfile
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Self

from config.clock import SystemClock
from config.errors import SetpointError
from config.process import end_with_parent, keep_small
from predictors.base import LoadInterval
from predictors.janitor import clean_up_after
from predictors.load import LoadForecaster
from predictors.registry import HEAVY
from predictors.wire import Lesson, News, Task, lesson_of, line_of, task_of

_NICE = 10
_MOST_MEMORY_BYTES = 4 * 2**30
_PROGRESS_S = 0.2


class Pupil:
    """Learns lessons and tells what it makes of them.

    Args:
        task: What it is for.
        answers: Where news are written.

    Raises:
        ConfigError: If the predictor is not known or the times make no horizon.
    """

    def __init__(self, task: Task, answers: IO[bytes]) -> None:
        self._task = task
        self._answers = answers
        self._forecaster = LoadForecaster(task.policy)
        self._now_s = SystemClock().now_s
        self._told_s = self._now_s()

    def greet(self) -> None:
        """Import what fits will need, and tell that lessons may come."""
        library = HEAVY.get(self._task.policy.predictor)
        if library:
            importlib.import_module(library)
        self._say(News(learned=0))

    def learn(self, lesson: Lesson) -> None:
        """Learn, and answer with the forecast that is due, then with those further ahead."""
        failure, before = "", lesson.learned - len(lesson.intervals)
        for done, interval in enumerate(lesson.intervals, start=1):
            failure = self._take(interval) or failure
            self._tell_progress(before + done)
        if lesson.is_older:
            self._forecaster.end_warm_up()
        if self._answer(lesson.learned, failure, further=0) and self._task.further:
            self._answer(lesson.learned, failure, further=self._task.further)
        signal.alarm(0)

    def _take(self, interval: LoadInterval) -> str:
        signal.alarm(math.ceil(self._task.limit_s))
        with _Caught() as caught:
            self._forecaster.learn(interval)
        return caught.words

    def _answer(self, learned: int, failure: str, *, further: int) -> bool:
        with _Caught() as caught:
            forecasts = [self._forecaster.forecast(0.0, late_intervals=late) for late in range(further + 1)]
            self._say(
                News(
                    learned=learned,
                    is_answer=True,
                    path=() if failure else tuple(forecast for forecast in forecasts if forecast),
                    failure=failure,
                    trouble=self._forecaster.trouble,
                )
            )
        if caught.words and not further:
            self._say(News(learned=learned, is_answer=True, failure=failure or caught.words))
        return not failure and not caught.words

    def _tell_progress(self, learned: int) -> None:
        if self._now_s() - self._told_s >= _PROGRESS_S:
            self._say(News(learned=learned))

    def _say(self, news: News) -> None:
        self._told_s = self._now_s()
        self._answers.write(line_of(news))
        self._answers.flush()


class _Caught:
    """Takes what a model raises: that is beyond anybody's list, and must not end the worker."""

    def __init__(self) -> None:
        self.words = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        traceback.print_exception(error)
        self.words = _words(error)
        return True


def _words(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"more than the {_MOST_MEMORY_BYTES // 2**30} GiB of memory that a worker may have are needed"
    if isinstance(error, SetpointError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def main() -> None:
    """Be a worker until standard input ends."""
    keep_small()
    _behave()
    # What models print must not get between the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        _serve(sys.stdin.buffer, answers)


def _serve(lines: IO[bytes], answers: IO[bytes]) -> None:
    task = task_of(lines.readline())
    tempfile.tempdir = task.folder or None
    # In this order: whose daemon is gone is killed here.
    clean_up_after(task.folder)
    end_with_parent()
    try:
        pupil = Pupil(task, answers)
    except SetpointError as error:
        sys.exit(str(error))
    desk = ThreadPoolExecutor(max_workers=1)
    desk.submit(pupil.greet).add_done_callback(_end_if_broken)
    for line in lines:
        desk.submit(pupil.learn, lesson_of(line)).add_done_callback(_end_if_broken)
    _leave()


def _end_if_broken(done: "Future[None]") -> None:
    error = done.exception()
    if error is not None:
        traceback.print_exception(error)
        os._exit(1)


def _behave() -> None:
    # The daemon ends this process by closing its input; a terminal or a service manager that signals the
    # whole group must not get ahead of it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = _MOST_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _MOST_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _leave() -> None:
    """End at once, together with what a model started; a fit in progress is of no use to anybody."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
