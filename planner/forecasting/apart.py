"""Walking a series in a process of its own: what it takes is its own, and when it hangs it is ended.

Models of several libraries then do not add up in one process, each one's memory can be told, and a model that
crashes costs its own answer only. The child takes one job as JSON on standard input and answers in lines of
JSON: how far it is, and at last what it found.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import IO, Never, cast

from config.clock import SystemClock
from config.errors import SetpointError
from config.policy import ForecastPolicy
from config.process import end_with_parent, keep_small
from config.units import format_duration
from planner.forecasting.evaluation import Point, Series, Walked, walk
from predictors.child import Child
from predictors.janitor import clean_up_after
from predictors.registry import make

_COMMAND = (sys.executable, "-P", "-m", "planner.forecasting.apart")
_LONGEST_LINE = 2**28
_NEWS_S = 0.2
_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One walk to be done.

    Attributes:
        policy: Which predictor, and how it is set.
        series: The load.
        horizons: Steps ahead to score.
    """

    policy: ForecastPolicy
    series: Series
    horizons: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A walk that reached its end.

    Attributes:
        walked: The forecasts and their times.
        peak_memory_bytes: Most memory that the process held, Python and libraries included.
    """

    walked: Walked
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A walk that reached no end; `why` says so in words for people."""

    why: str


async def walk_apart(
    job: Job, *, limit_s: float, passed: Callable[[int], None] = lambda _count: None
) -> Done | Failed:
    """Walk a series in a process of its own, which has ended when this returns.

    Args:
        job: What to do.
        limit_s: The process is ended after so long.
        passed: Told now and then how many intervals were walked.

    Raises:
        OSError: If no process can be started.
    """
    child = await Child.start(_COMMAND, longest_line=_LONGEST_LINE)
    answer: Done | Failed | None = None
    try:
        async with asyncio.timeout(limit_s):
            answer = await _ask(child, job, passed)
            if answer is None:  # it goes by itself, and says why
                await child.process.wait()
    except TimeoutError:
        answer = Failed(why=f"took longer than {format_duration(limit_s)}")
    finally:
        ended = await child.bury()
    return answer or Failed(why=f"its process {ended}")


async def _ask(child: Child, job: Job, passed: Callable[[int], None]) -> Done | Failed | None:
    child.asked.write(json.dumps(asdict(job)).encode())
    with suppress(ConnectionError):  # it says why it went, in its last words
        await child.asked.drain()
    child.asked.close()
    while line := await child.answers.readline():
        news = json.loads(line)
        if "passed" in news:
            passed(news["passed"])
        else:
            return _answer(news)
    return None


def _answer(news: Mapping[str, object]) -> Done | Failed:
    if "failed" in news:
        return Failed(why=str(news["failed"]))
    points = cast("Mapping[str, list[list[float]]]", news["points"])
    return Done(
        walked=Walked(
            points={int(steps): tuple(map(_point, rows)) for steps, rows in points.items()},
            step_times_s=tuple(cast("list[float]", news["step_times_s"])),
        ),
        peak_memory_bytes=cast("int", news["peak_memory_bytes"]),
    )


def _point(row: list[float]) -> Point:
    index, actual, last, mean, low, sized, high, calibrated = row
    return Point(
        index=int(index),
        actual=actual,
        last=last,
        mean=mean,
        low=low,
        sized=sized,
        high=high,
        calibrated=bool(calibrated),
    )


def main() -> None:
    """Do the job of standard input, and answer on standard output."""
    keep_small()
    clean_up_after()
    end_with_parent()
    # What models print must not get between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        _work(_job(json.load(sys.stdin)), answers)


def _work(job: Job, answers: IO[str]) -> None:
    def say(**news: object) -> None:
        answers.write(json.dumps(news) + "\n")
        answers.flush()

    now_s = SystemClock().now_s
    said_s = now_s()

    def passed(count: int) -> None:
        nonlocal said_s
        if now_s() - said_s >= _NEWS_S:
            said_s = now_s()
            say(passed=count)

    try:
        walked = walk(make(job.policy), job.series, horizons=job.horizons, now_s=now_s, passed=passed)
    except SetpointError as error:
        say(failed=str(error))
        return
    say(
        points={steps: [astuple(point) for point in points] for steps, points in walked.points.items()},
        step_times_s=walked.step_times_s,
        peak_memory_bytes=_peak_memory_bytes(),
    )


def _job(plain: Mapping[str, Mapping[str, object]]) -> Job:
    policy, series = _fields(plain["policy"]), _fields(plain["series"])
    return Job(policy=ForecastPolicy(**policy), series=Series(**series), horizons=_fields(plain)["horizons"])


def _fields(plain: Mapping[str, object]) -> "dict[str, Never]":
    """Return the fields of a value as they were before they became JSON, in which tuples are lists."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    # They are what `asdict` made of the right types, in the same version of this program.
    return cast("dict[str, Never]", fields)


def _peak_memory_bytes() -> int:
    # The kernel's other figure, ru_maxrss, begins with what the parent held when it forked.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


if __name__ == "__main__":
    main()
