"""A process of its own gives the same answer, and its troubles stay its own."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.clock import SystemClock
from config.policy import ForecastPolicy
from planner.forecasting.apart import Done, Failed, Job, walk_apart
from planner.forecasting.evaluation import Series, walk
from predictors.registry import make

VALUES = (2.0, None, 3.0, 5.0, 4.0, 6.0, 5.0, 7.0, 8.0, 6.0, 9.0, 0.0)
BROKEN = """
import os, pathlib, re, signal, sys, time
from predictors.base import SeriesForecast

class Broken:
    def __init__(self, name):
        self.name = name

    def observe(self, value):
        print("a model that talks")
        print("and complains", file=sys.stderr)
        if self.name == "crash":
            raise RuntimeError("the matrix is singular")
        if self.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "hang":
            pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
            signal.pause()
        if self.name == "native":
            pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
            re.match("(a+)+$", "a" * 60 + "b")

    def forecast(self, steps):
        return SeriesForecast(mean=1.0)

def build(policy):
    return Broken(policy.predictor)
"""
ENTRIES = "[setpoint.predictors]\n" + "".join(
    f"{name} = broken:build\n" for name in ("talk", "crash", "killed", "hang", "native")
)


@pytest.fixture
def broken(install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(ENTRIES, {"broken.py": BROKEN}, name="broken")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def job(predictor: str, *, values: tuple[float | None, ...] = VALUES) -> Job:
    policy = ForecastPolicy(
        predictor=predictor,
        log1p=True,
        min_points=2,
        window_points=7,
        kalman_q_level=0.3,
        kalman_q_trend=0.2,
        kalman_r=3.0,
        interval_s=45.0,
        startup_s=5.0,
        levels=(0.05, 0.9, 0.95),
    )
    return Job(policy=policy, series=Series(values=values, predictor_factor=45.0), horizons=(1, 3))


async def failure(predictor: str, *, limit_s: float = 50.0) -> str:
    done = await walk_apart(job(predictor), limit_s=limit_s)
    assert isinstance(done, Failed)
    return done.why


async def test_the_answer_is_that_of_a_walk_in_this_process() -> None:
    asked = job("kalman")

    done = await walk_apart(asked, limit_s=50.0)

    here = walk(make(asked.policy), asked.series, horizons=asked.horizons, now_s=lambda: 0.0)
    assert isinstance(done, Done)
    assert done.walked.points == here.points
    assert len(done.walked.step_times_s) == len(VALUES)
    assert all(time_s >= 0.0 for time_s in done.walked.step_times_s)
    assert 5e6 < done.peak_memory_bytes < 200e6


@pytest.mark.usefixtures("broken")
async def test_what_a_model_prints_gets_into_no_answer() -> None:
    done = await walk_apart(job("talk"), limit_s=50.0)

    assert isinstance(done, Done)


@pytest.mark.usefixtures("broken")
async def test_a_model_that_crashes_or_is_killed_says_so() -> None:
    assert await failure("crash") == "its process ended with 1: RuntimeError: the matrix is singular"
    assert await failure("killed") == "its process ended with signal 9 (SIGKILL)"
    assert "no predictor is called 'oracle'" in await failure("oracle")


@pytest.mark.slow
async def test_a_model_that_hangs_is_ended(broken: Path) -> None:
    assert await failure("hang", limit_s=3.0) == "took longer than 3s"

    with pytest.raises(ProcessLookupError):
        os.kill(int((broken / "pid").read_text()), signal.SIG_DFL)


PARENT = """
import asyncio
from config.policy import ForecastPolicy
from planner.forecasting.apart import Job, walk_apart
from planner.forecasting.evaluation import Series
policy = ForecastPolicy(predictor="native", interval_s=45.0)
series = Series(values=(2.0, 3.0), predictor_factor=45.0)
asyncio.run(walk_apart(Job(policy=policy, series=series, horizons=(1,)), limit_s=50.0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parents")
async def test_a_model_in_native_code_ends_with_the_process_that_asked(broken: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT)
    said, sleep = broken / "pid", SystemClock().sleep
    async with asyncio.timeout(20.0):
        while not said.exists() or not said.read_text():
            await sleep(0.01)
    descriptor = os.pidfd_open(int(said.read_text()))
    parent.kill()
    await parent.wait()

    has_ended = bool(select.select([descriptor], [], [], 10.0)[0])
    if not has_ended:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)
    assert has_ended


async def test_a_job_larger_than_a_pipe_is_answered() -> None:
    done = await walk_apart(job("constant", values=tuple(float(n % 90) for n in range(30_000))), limit_s=50.0)

    assert isinstance(done, Done)
    assert len(done.walked.points[1]) == 24_000
