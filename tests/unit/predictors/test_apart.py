"""The worker is a real process here; only the daemon's clock is virtual."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from config.clock import SystemClock, VirtualClock
from config.errors import ConfigError, ForecastError
from config.policy import ForecastPolicy
from predictors.apart import WorkerForesight
from predictors.base import UNSEEN, Forecast, LoadInterval
from predictors.foresight import Foresight, InlineForesight
from predictors.wire import Lesson, Task, line_of, news_of

# A predictor that does as a load tells it.
PUPPET = """
import os, re, signal, subprocess, tempfile, threading, time
from pathlib import Path
from predictors.base import SeriesForecast

HERE = Path(__file__).parent
with (HERE / "starts").open("a") as starts:
    starts.write(f"{os.getpid()}\\n")
(HERE / "left").write_text(tempfile.mkdtemp())

def wait():
    (HERE / "waiting").touch()
    while not (HERE / "gate").exists():
        time.sleep(0.002)

def hang_native():
    (HERE / "waiting").touch()
    re.match("(a+)+$", "a" * 60 + "b")

def start():
    (HERE / "started").write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    wait()

def fail():
    raise ValueError("cannot learn this")

ACTS = {
    111.0: wait,
    222.0: fail,
    333.0: lambda: os.kill(os.getpid(), signal.SIGKILL),
    444.0: lambda: threading.Event().wait(),
    445.0: hang_native,
    666.0: lambda: bytearray(6 * 2**30),
    777.0: lambda: os._exit(3),
    999.0: start,
}

class Puppet:
    last = 0.0

    def observe(self, value):
        print("a library that talks")
        if value is not None:
            ACTS.get(value, lambda: None)()
            self.last = value

    def forecast(self, steps):
        if self.last == 888.0:
            raise LookupError("lost")
        return SeriesForecast(mean=self.last + steps)

    @property
    def trouble(self):
        return "an older fit serves" if self.last == 555.0 else ""

def build(policy):
    return Puppet()
"""
WAIT, FAIL, DIE, HANG, HANG_NATIVE, SULK, EAT, EXIT, LOSE = 111, 222, 333, 444, 445, 555, 666, 777, 888
START = 999
DEADLINE_S = 10.0
POLICY = ForecastPolicy(predictor="puppet", interval_s=1.0, startup_s=2.0)
KALMAN = ForecastPolicy(predictor="kalman", interval_s=1.0, startup_s=2.0)

Start = Callable[..., WorkerForesight]


@pytest.fixture
def folder(install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the puppet for this process and its children; return where it leaves its traces."""
    install("[setpoint.predictors]\npuppet = puppet:build\n", {"puppet.py": PUPPET}, name="puppet")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def start(folder: Path, clock: VirtualClock) -> AsyncIterator[Start]:
    """Return what starts a worker that knows the puppet; none is left at the end."""
    assert folder.name
    started: list[WorkerForesight] = []

    def make(policy: ForecastPolicy = POLICY, *, hang_s: float | None = None) -> WorkerForesight:
        started.append(WorkerForesight(policy, clock=clock, deadline_s=DEADLINE_S, hang_s=hang_s))
        return started[-1]

    yield make
    for foresight in started:
        await foresight.close()


def load(*arrivals_rps: float | None) -> list[LoadInterval]:
    return [LoadInterval(arrivals_rps=value) for value in arrivals_rps]


def day(intervals: int) -> list[LoadInterval]:
    return [
        LoadInterval(
            arrivals_rps=10.0 + step % 7, isl_tokens=900.0 + step % 5, osl_tokens=None if step % 3 else 100.0
        )
        for step in range(intervals)
    ]


async def forecast_of(foresight: Foresight, *, now_s: float = 0.0) -> Forecast:
    forecast = await foresight.forecast(now_s=now_s)
    assert forecast is not None
    return forecast


async def late_forecast_of(foresight: Foresight, clock: VirtualClock) -> Forecast:
    """Ask, and let the deadline pass."""
    asked = asyncio.ensure_future(forecast_of(foresight))
    await clock.advance(DEADLINE_S)
    return await asked


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20.0):
        while not condition():
            await SystemClock().sleep(0.002)


async def ended_of(foresight: WorkerForesight, *, number: signal.Signals = signal.SIGKILL) -> int:
    """End a worker from outside, and return once that was noticed."""
    await until(lambda: foresight.pid is not None)
    pid = foresight.pid
    assert pid is not None
    os.kill(pid, number)
    await until(lambda: foresight.pid is None)
    return pid


def is_running(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    return False


def is_folder(path: Path) -> bool:
    return path.is_dir()


def starts(folder: Path) -> list[int]:
    file = folder / "starts"
    return [int(pid) for pid in file.read_text(encoding="ascii").split()] if file.exists() else []


def worker_process() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "predictors.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def trouble_of(foresight: Foresight) -> str:
    assert isinstance(foresight.trouble, ForecastError)
    return str(foresight.trouble)


async def test_the_worker_forecasts_what_the_loop_would(start: Start) -> None:
    apart, inline = start(KALMAN), InlineForesight(KALMAN)
    for foresight in (apart, inline):
        await foresight.learn_older(day(40))
        await foresight.learn([UNSEEN, *day(30)])

    assert await forecast_of(apart, now_s=7.0) == await forecast_of(inline, now_s=7.0)
    assert apart.trouble is None


async def test_nothing_is_forecast_while_nothing_was_told(start: Start) -> None:
    foresight = start()

    assert await foresight.forecast(now_s=0.0) is None
    assert foresight.trouble is None


async def test_nothing_is_forecast_while_no_load_was_known(start: Start) -> None:
    foresight = start()
    await foresight.learn([UNSEEN])

    assert await foresight.forecast(now_s=0.0) is None
    assert foresight.trouble is None


async def test_an_answer_can_be_asked_for_again(start: Start) -> None:
    foresight = start()
    await foresight.learn(load(5.0))

    first, second = await forecast_of(foresight), await forecast_of(foresight)

    assert first == second
    assert first.arrivals_rps.mean == 8.0


async def test_a_late_fit_is_stood_in_for_by_the_last_model_at_the_right_horizon(
    start: Start, clock: VirtualClock, folder: Path
) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    fresh = await forecast_of(foresight)
    await foresight.learn(load(WAIT))
    await until((folder / "waiting").exists)
    late = await late_forecast_of(foresight, clock)
    told = trouble_of(foresight)
    await foresight.learn(load(9.0))
    later = await late_forecast_of(foresight, clock)
    told_later = trouble_of(foresight)

    assert [forecast.arrivals_rps.mean for forecast in (fresh, late, later)] == [8.0, 9.0, 10.0]
    assert [forecast.horizon_s for forecast in (fresh, late, later)] == [3.0, 3.0, 3.0]
    assert [forecast.late_intervals for forecast in (fresh, late, later)] == [0, 1, 2]
    assert not late.arrivals_rps.calibrated
    assert told == "puppet gave no forecast within 10 s; its forecast of 1 interval ago serves"
    assert told_later == "puppet gave no forecast within 10 s; its forecast of 2 intervals ago serves"


async def test_a_late_forecast_is_stamped_when_it_is_given(
    start: Start, clock: VirtualClock, folder: Path
) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    await forecast_of(foresight, now_s=1.0)
    await foresight.learn(load(WAIT))
    await until((folder / "waiting").exists)
    asked = asyncio.ensure_future(forecast_of(foresight, now_s=2.0))
    await clock.advance(DEADLINE_S)

    assert (await asked).made_at_s == 2.0


async def test_once_the_fit_is_done_its_own_forecast_serves_again(
    start: Start, clock: VirtualClock, folder: Path
) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    await forecast_of(foresight)
    await foresight.learn(load(WAIT))
    await until((folder / "waiting").exists)
    await late_forecast_of(foresight, clock)
    (folder / "gate").touch()
    await foresight.learn(load(20.0))
    forecast = await forecast_of(foresight)

    assert (forecast.arrivals_rps.mean, forecast.late_intervals) == (23.0, 0)
    assert foresight.trouble is None


async def test_a_first_fit_that_takes_long_is_told_as_a_start_not_as_a_failure(
    start: Start, clock: VirtualClock, folder: Path
) -> None:
    foresight = start()
    await foresight.learn(load(5.0, WAIT))
    await until((folder / "waiting").exists)
    forecast = await late_forecast_of(foresight, clock)

    assert (forecast.predictor, forecast.arrivals_rps.mean, forecast.late_intervals) == ("constant", WAIT, 0)
    assert "puppet is still starting, and has learned " in trouble_of(foresight)
    assert "until then the load is taken as constant" in trouble_of(foresight)


async def test_a_model_too_many_intervals_behind_is_not_extrapolated_forever(
    start: Start, clock: VirtualClock, folder: Path
) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    await forecast_of(foresight)
    await foresight.learn(load(WAIT, *(7.0,) * 19))
    await until((folder / "waiting").exists)
    last = await late_forecast_of(foresight, clock)
    await foresight.learn(load(8.0))
    beyond = await late_forecast_of(foresight, clock)

    assert (last.predictor, last.late_intervals) == ("puppet", 20)
    assert (beyond.predictor, beyond.late_intervals, beyond.arrivals_rps.mean) == ("constant", 0, 8.0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (FAIL, "puppet gave no forecast: ValueError: cannot learn this; "),
        (LOSE, "puppet gave no forecast: LookupError: lost; "),
        (EAT, "puppet gave no forecast: more than the 4 GiB of memory that a worker may have are needed; "),
    ],
)
async def test_what_a_model_raises_is_told_and_the_worker_goes_on(
    start: Start, folder: Path, value: float, words: str
) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    await forecast_of(foresight)
    await foresight.learn(load(6.0))
    await forecast_of(foresight)
    await foresight.learn(load(value))
    failed = await forecast_of(foresight)
    told = trouble_of(foresight)
    await foresight.learn(load(30.0))
    recovered = await forecast_of(foresight)

    assert failed.late_intervals >= 1
    assert failed.arrivals_rps.mean == 10.0
    assert told.startswith(words)
    assert recovered.arrivals_rps.mean == 33.0
    assert foresight.trouble is None
    assert len(starts(folder)) == 1


async def test_what_a_model_tells_of_itself_is_told_beside_its_newest_forecast(start: Start) -> None:
    foresight = start()
    await foresight.learn(load(SULK))
    forecast = await forecast_of(foresight)

    assert (forecast.arrivals_rps.mean, forecast.late_intervals) == (SULK + 3.0, 0)
    assert trouble_of(foresight) == "an older fit serves; its newest forecast serves"


async def test_a_worker_that_dies_while_fitting_costs_no_wait(start: Start, folder: Path) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    await forecast_of(foresight)
    await foresight.learn(load(WAIT))
    await until((folder / "waiting").exists)
    pid = await ended_of(foresight)
    forecast = await forecast_of(foresight)  # the clock stands still, so this waits for no deadline

    assert (forecast.arrivals_rps.mean, forecast.late_intervals) == (9.0, 1)
    assert trouble_of(foresight) == (
        "the worker of puppet ended with signal 9 (SIGKILL), and is started again; "
        "its forecast of 1 interval ago serves"
    )
    assert not is_running(pid)


async def test_a_worker_started_again_forecasts_as_if_it_had_never_ended(
    start: Start, clock: VirtualClock
) -> None:
    apart, inline = start(KALMAN), InlineForesight(KALMAN)
    for foresight in (apart, inline):
        await foresight.learn_older(day(40))
        await foresight.learn(load(0.0, 0.0))
    await ended_of(apart)
    for foresight in (apart, inline):
        await foresight.learn(load(0.0, 4.0, None, 5.0))
    await clock.advance(1.0)
    await until(lambda: apart.pid is not None)

    assert await forecast_of(apart) == await forecast_of(inline)
    assert trouble_of(apart) == (
        "the worker of kalman ended with signal 9 (SIGKILL), and is started again; its newest forecast serves"
    )
    assert await forecast_of(apart) == await forecast_of(inline)
    assert apart.trouble is None


async def test_what_was_forgotten_is_forgotten_by_the_first_worker_too(
    start: Start, clock: VirtualClock
) -> None:
    foresight = start(KALMAN)
    await foresight.learn_older(day(1000))
    before = await forecast_of(foresight)
    await ended_of(foresight)
    await clock.advance(1.0)
    await until(lambda: foresight.pid is not None)

    assert await forecast_of(foresight) == before
    assert before.points == 300


async def test_restarts_back_off_and_there_is_never_a_second_worker(
    start: Start, clock: VirtualClock, folder: Path
) -> None:
    foresight = start()
    await foresight.learn(load(DIE))
    counts: list[int] = []
    for rest_s in (1.0, 2.0, 4.0):
        await until(lambda: foresight.pid is None and len(starts(folder)) > len(counts))
        await clock.advance(rest_s - 0.1)
        counts.append(len(starts(folder)))
        assert foresight.pid is None
        await clock.advance(0.1)
    await until(lambda: len(starts(folder)) == 4)

    assert counts == [1, 2, 3]
    assert not any(is_running(pid) for pid in starts(folder)[:-1])


async def test_without_any_model_the_load_is_taken_as_constant(start: Start) -> None:
    foresight = start()
    await foresight.learn(load(5.0, EXIT))
    forecast = await forecast_of(foresight)

    assert forecast.predictor == "constant"
    assert trouble_of(foresight) == (
        "the worker of puppet ended with 3: a library that talks, and is started again; "
        "until then the load is taken as constant"
    )


async def test_a_worker_that_hangs_is_ended(start: Start) -> None:
    foresight = start(hang_s=0.4)
    await foresight.learn(load(HANG))
    forecast = await forecast_of(foresight)

    assert forecast.predictor == "constant"
    assert "gave no answer for 0.4 s and was ended" in trouble_of(foresight)


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 6, 8])
async def test_a_worker_that_is_only_just_starting_is_closed_at_once(start: Start, turns: int) -> None:
    foresight = start()
    for _ in range(turns):
        await SystemClock().sleep(0.0)

    async with asyncio.timeout(5.0):
        await foresight.close()

    assert foresight.pid is None


async def test_further_lessons_do_not_keep_a_hung_worker_alive(start: Start) -> None:
    foresight = start(hang_s=0.8)
    await foresight.learn(load(HANG))
    await until(lambda: foresight.pid is not None)
    async with asyncio.timeout(8.0):
        while foresight.pid is not None:
            await foresight.learn(load(5.0))
            await SystemClock().sleep(0.1)

    await forecast_of(foresight)
    assert "gave no answer for 0.8 s and was ended" in trouble_of(foresight)


async def test_a_worker_after_one_that_hung_is_given_more_time(start: Start, clock: VirtualClock) -> None:
    foresight = start(hang_s=0.3)
    await foresight.learn(load(HANG))
    await forecast_of(foresight)
    first = trouble_of(foresight)
    await clock.advance(1.0)
    await until(lambda: foresight.pid is not None)
    await forecast_of(foresight)

    assert "gave no answer for 0.3 s" in first
    assert "gave no answer for 0.6 s" in trouble_of(foresight)


@pytest.mark.slow
async def test_an_idle_worker_is_not_taken_for_a_hung_one(start: Start) -> None:
    foresight = start(hang_s=1.5)
    await foresight.learn(load(5.0))
    await forecast_of(foresight)
    pid = foresight.pid

    await SystemClock().sleep(1.6)
    await foresight.learn(load(6.0))
    await forecast_of(foresight)

    assert foresight.pid == pid


async def test_temporary_files_of_a_killed_worker_are_cleared_away(start: Start, folder: Path) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    await forecast_of(foresight)
    left = Path((folder / "left").read_text(encoding="utf-8"))
    was_there = is_folder(left)
    await ended_of(foresight)
    await forecast_of(foresight)

    assert was_there
    await until(lambda: not is_folder(left.parent))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_for_the_daemon_do_not_end_the_worker(start: Start, number: signal.Signals) -> None:
    foresight = start()
    await foresight.learn(load(5.0))
    await forecast_of(foresight)
    assert foresight.pid is not None

    os.kill(foresight.pid, number)
    await foresight.learn(load(6.0))

    assert (await forecast_of(foresight)).arrivals_rps.mean == 9.0
    assert foresight.trouble is None


@pytest.mark.parametrize("value", [5.0, WAIT, HANG, HANG_NATIVE])
async def test_closing_leaves_no_process_whatever_it_does(start: Start, value: float) -> None:
    foresight = start()
    await foresight.learn(load(value))
    await until(lambda: foresight.pid is not None)
    pid = foresight.pid
    assert pid is not None
    began_s = SystemClock().now_s()
    await foresight.close()

    assert not is_running(pid)
    assert SystemClock().now_s() - began_s < 2.0  # half a second on a machine that has time
    assert foresight.pid is None


async def test_closing_a_worker_that_rests_between_two_starts_ends_it_for_good(
    start: Start, clock: VirtualClock, folder: Path
) -> None:
    foresight = start()
    await foresight.learn(load(DIE))
    await until(lambda: foresight.pid is None and bool(starts(folder)))
    await foresight.close()
    await clock.advance(1000.0)

    assert len(starts(folder)) == 1


async def test_a_predictor_that_is_not_known_is_refused_before_a_process_starts(start: Start) -> None:
    with pytest.raises(ConfigError) as caught:
        start(ForecastPolicy(predictor="pupet"))

    assert caught.value.key == "forecast.predictor"


@pytest.mark.usefixtures("folder")
def test_made_outside_an_event_loop_it_starts_when_first_used(clock: VirtualClock) -> None:
    foresight = WorkerForesight(POLICY, clock=clock, deadline_s=DEADLINE_S)

    async def use() -> Forecast:
        await foresight.learn(load(5.0))
        forecast = await forecast_of(foresight)
        await foresight.close()
        return forecast

    assert asyncio.run(use()).arrivals_rps.mean == 8.0


PARENT = """
import asyncio, sys
from config.clock import SystemClock
from config.policy import ForecastPolicy
from predictors.apart import WorkerForesight
from predictors.base import LoadInterval

async def main():
    policy = ForecastPolicy(predictor="puppet", interval_s=1.0)
    foresight = WorkerForesight(policy, clock=SystemClock(), deadline_s=60.0)
    await foresight.learn([LoadInterval(arrivals_rps=float(sys.argv[1]))])
    await foresight.forecast(now_s=0.0)

asyncio.run(main())
"""


@pytest.mark.parametrize("value", [WAIT, HANG_NATIVE])
@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_worker_whose_daemon_was_killed_ends_and_leaves_no_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: float, *, is_stopped: bool
) -> None:
    (temporary := folder / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(value))
    try:
        await until(lambda: (folder / "waiting").exists() and bool(starts(folder)))
        (pid,) = starts(folder)
        left = list(temporary.iterdir())
        if is_stopped:
            os.kill(pid, signal.SIGSTOP)
    finally:
        parent.kill()
        await parent.wait()

    await until(lambda: not is_running(pid))
    await until(lambda: not list(temporary.iterdir()))
    assert [path.name.partition("-worker-")[0] for path in left] == ["setpoint"]


async def test_what_a_model_started_ends_with_the_worker_of_a_killed_daemon(folder: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(START))
    try:
        await until((folder / "waiting").exists)
        pid = int((folder / "started").read_text(encoding="ascii"))
        assert is_running(pid)
    finally:
        parent.kill()
        await parent.wait()

    await until(lambda: not is_running(pid))


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_a_worker_that_native_code_never_gives_back_is_ended_by_its_alarm() -> None:
    task = Task(policy=POLICY, further=0, limit_s=1.0)
    lesson = Lesson(learned=1, intervals=tuple(load(HANG_NATIVE)))

    with worker_process() as worker:
        assert worker.stdin is not None
        worker.stdin.write(line_of(task) + line_of(lesson))
        worker.stdin.flush()
        code = worker.wait(timeout=30.0)

    assert code == -signal.SIGALRM


@pytest.mark.usefixtures("folder")
def test_a_worker_tells_how_far_it_is_and_then_what_it_expects() -> None:
    task = Task(policy=POLICY, further=2, limit_s=30.0)
    with worker_process() as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(line_of(task) + line_of(Lesson(learned=3, intervals=tuple(load(5.0)))))
        worker.stdin.flush()
        hello, due, path = (news_of(worker.stdout.readline()) for _ in range(3))
        worker.stdin.close()

    assert (hello.learned, hello.is_answer) == (0, False)
    assert (due.learned, due.is_answer, len(due.path)) == (3, True, 1)
    assert [forecast.arrivals_rps.mean for forecast in path.path] == [8.0, 9.0, 10.0]


@pytest.mark.usefixtures("folder")
def test_a_task_that_cannot_be_done_is_told_in_one_line() -> None:
    task = json.loads(line_of(Task(policy=POLICY, further=2, limit_s=30.0)))
    task["policy"]["predictor"] = "pupet"

    done = subprocess.run(
        [sys.executable, "-P", "-m", "predictors.worker"],
        input=json.dumps(task),
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("forecast.predictor: no predictor is called 'pupet'")
    assert done.stderr.count("\n") == 1
