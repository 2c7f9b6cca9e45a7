"""A real `setpoint run` whose models live in a worker that hangs, dies or raises: decisions go on."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest

from config.policy import ForecastPolicy
from planner.core.decision import ReasonCode, StepKind
from planner.past import interval_of
from planner.serving.records import Stepped
from predictors.base import Forecast
from predictors.load import LoadForecaster
from tests.e2e.frontend import Frontend, Load
from tests.e2e.servers import CLOCK, SCRIPT, Setpoint, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

INTERVAL_S = 1.0
STARTUP_S = 2.0
DEADLINE_S = 0.25
STOP_S = 5.0
# A Kalman filter whose fits can be made to hang or to fail.
PUPPET = """
import threading
from pathlib import Path
from predictors.kalman import build as kalman

HERE = Path(__file__).parent

class Puppet:
    def __init__(self, model):
        self._model = model

    def observe(self, value):
        if (HERE / "fail").exists():
            raise ValueError("cannot learn this")
        while (HERE / "hang").exists():
            threading.Event().wait(0.02)
        self._model.observe(value)

    def forecast(self, steps):
        return self._model.forecast(steps)

def build(policy):
    return Puppet(kalman(policy))
"""

Ticks = Sequence[Stepped]


class Stage:
    """A daemon that scrapes one frontend, and its predictor's strings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.setpoint = Setpoint(folder, SCRIPT)
        self.frontend = Frontend()

    async def start(self, *, process: str = "worker") -> None:
        settings = self.write(process=process)
        await self.setpoint.start("--config", settings, environment={"PYTHONPATH": str(self.folder)})

    def write(self, *, process: str = "worker") -> str:
        settings = {
            "interval": f"{INTERVAL_S:g}s",
            "look_interval": "0s",
            "startup": f"{STARTUP_S:g}s",
            "profile": "embedded",
            "budget_gpus": 64,
            "targets": {"ttft": "300ms", "itl": "20ms"},
            "source": "scrape",
            "scrape": {"urls": [f"http://{self.frontend.target}/metrics"]},
            "forecast": {"predictor": "puppet", "process": process, "fit_deadline": f"{DEADLINE_S:g}s"},
            "http": {"port": self.setpoint.port},
            "journal": {"path": str(self.setpoint.journal)},
        }
        file = self.folder / "setpoint.yaml"
        file.write_text(json.dumps(settings), encoding="utf-8")
        return str(file)

    def pull(self, name: str) -> None:
        (self.folder / name).touch()

    def release(self, name: str) -> None:
        (self.folder / name).unlink()

    @property
    def worker(self) -> int:
        (pid,) = children(self.setpoint.pid)
        return pid

    def ticks(self) -> Ticks:
        return [step for step in self.setpoint.steps() if step.kind is StepKind.TICK]

    async def until_tick(self, is_so: Callable[[Stepped], bool], what: str) -> None:
        async def found() -> bool:
            return bool(ticks := self.ticks()) and is_so(ticks[-1])

        await until(found, what)

    async def command(self, *arguments: str) -> str:
        """Return what a command says of the daemon, in one line."""
        process = await asyncio.create_subprocess_exec(
            SCRIPT, *arguments, "--url", self.setpoint.url, stdout=asyncio.subprocess.PIPE, env={}
        )
        said, _ = await process.communicate()
        return " ".join(said.decode().split())


@pytest.fixture
async def stage(install: Callable[..., None], tmp_path: Path) -> AsyncIterator[Stage]:
    install("[setpoint.predictors]\npuppet = puppet:build\n", {"puppet.py": PUPPET}, name="puppet")
    found = Stage(tmp_path)
    await found.frontend.start()
    found.frontend.carry(Load(rate_rps=30.0))
    try:
        yield found
    finally:
        await found.setpoint.kill()
        await found.frontend.stop()


def children(pid: int) -> list[int]:
    """Return the processes that a process started and did not bury; a zombie is one too."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [child for child in pids if parent_of(child) == pid]


def parent_of(pid: int) -> int | None:
    with suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    return None


def is_running(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    return False


def is_served_by(name: str, *, late: range = range(1)) -> Callable[[Stepped], bool]:
    def is_so(tick: Stepped) -> bool:
        forecast = tick.forecast
        return forecast is not None and forecast.predictor == name and forecast.late_intervals in late

    return is_so


def undisturbed(ticks: Ticks) -> Forecast | None:
    """Return what models forecast that learned every tick in one process."""
    forecaster = LoadForecaster(
        ForecastPolicy(predictor="kalman", interval_s=INTERVAL_S, startup_s=STARTUP_S)
    )
    for tick in ticks:
        forecaster.learn(interval_of(tick.observation.traffic))
    return forecaster.forecast(0.0)


def assert_in_rhythm(ticks: Ticks) -> None:
    """Ticks were taken, and decisions came within what they may wait for; a busy machine may cost a few."""
    first, *_, last = (tick.now_s - tick.duration_s for tick in ticks)
    assert len(ticks) - 1 >= 0.8 * round((last - first) / INTERVAL_S)
    assert median(tick.duration_s for tick in ticks) < DEADLINE_S + 0.5 * INTERVAL_S


async def test_a_fit_that_hangs_costs_neither_ticks_nor_decisions_and_is_said(stage: Stage) -> None:
    await stage.start()
    await stage.until_tick(is_served_by("puppet"), "the worker's own forecast serves")

    stage.pull("hang")
    stage.frontend.carry(Load(rate_rps=60.0))
    await stage.until_tick(is_served_by("puppet", late=range(3, 20)), "a forecast of before serves")
    status, explained = await stage.command("status"), await stage.command("explain")
    parts = (await stage.setpoint.read("/api/v1/state"))["parts"]
    stage.release("hang")
    await stage.until_tick(is_served_by("puppet"), "the worker's own forecast serves again")

    ticks = stage.ticks()
    assert_in_rhythm(ticks)
    assert all(not tick.decision.is_hold for tick in ticks[-4:])
    assert "forecast by puppet, " in status
    assert "predictor failing" in status
    assert "late)" in explained
    trouble = next(part["detail"] for part in parts if part["part"] == "predictor")
    assert trouble.startswith("puppet gave no forecast within 0.25 s; its forecast of")
    assert "puppet gave no forecast within 0.25 s" in " ".join(stage.setpoint.log.split())
    last, truth = ticks[-1].forecast, undisturbed(ticks)
    assert last is not None
    assert truth is not None
    assert (last.arrivals_rps, last.isl_tokens) == (truth.arrivals_rps, truth.isl_tokens)


async def test_after_a_killed_worker_forecasts_are_those_of_one_that_lived(stage: Stage) -> None:
    await stage.start()
    await stage.setpoint.ticks(4)
    await stage.until_tick(is_served_by("puppet"), "the worker's own forecast serves")
    before = stage.worker

    os.kill(before, signal.SIGKILL)
    await stage.until_tick(lambda tick: not is_served_by("puppet")(tick), "somebody else's serves")
    await stage.until_tick(is_served_by("puppet"), "the worker's own forecast serves again")

    ticks = stage.ticks()
    assert_in_rhythm(ticks)
    assert stage.worker != before
    assert not is_running(before)
    assert "ended with signal 9 (SIGKILL), and is started again" in stage.setpoint.log
    last, truth = ticks[-1].forecast, undisturbed(ticks)
    assert last is not None
    assert truth is not None
    assert (last.arrivals_rps, last.isl_tokens, last.osl_tokens, last.points) == (
        truth.arrivals_rps,
        truth.isl_tokens,
        truth.osl_tokens,
        truth.points,
    )


async def test_a_first_fit_that_hangs_leaves_the_load_as_it_is_and_status_says_who_serves(
    stage: Stage,
) -> None:
    stage.pull("hang")
    await stage.start()

    await stage.until_tick(is_served_by("constant"), "a constant model serves")
    status = await stage.command("status")

    assert "forecast by constant" in status
    assert "puppet is still starting, and has learned 0 of" in status


async def test_a_stop_while_a_fit_hangs_comes_in_time_and_leaves_no_process(stage: Stage) -> None:
    await stage.start()
    await stage.until_tick(is_served_by("puppet"), "the worker's own forecast serves")
    stage.pull("hang")
    await stage.until_tick(is_served_by("puppet", late=range(1, 20)), "a forecast of before serves")
    pid = stage.worker

    began_s = CLOCK.now_s()
    code = await stage.setpoint.terminate()
    took_s = CLOCK.now_s() - began_s

    assert (code, took_s < STOP_S) == (0, True), stage.setpoint.log
    assert not is_running(pid)
    assert stage.setpoint.records()[-1].record == "stopped"
    assert "Traceback" not in stage.setpoint.log


@pytest.mark.parametrize("process", ["inline", "worker"])
async def test_a_model_that_raises_while_it_learns_costs_its_forecast_alone(
    stage: Stage, process: str
) -> None:
    await stage.start(process=process)
    await stage.until_tick(is_served_by("puppet"), "its own forecast serves")

    stage.pull("fail")
    stage.frontend.carry(Load(rate_rps=60.0))
    await stage.until_tick(lambda tick: not is_served_by("puppet")(tick), "somebody else's serves")
    await stage.setpoint.ticks(2)
    status = await stage.command("status")

    ticks = stage.ticks()
    assert_in_rhythm(ticks)
    assert "cannot learn this" in status
    assert not ticks[-1].decision.is_hold
    if process == "inline":
        reasons = {reason.code for reason in ticks[-1].decision.reasons}
        assert ReasonCode.FORECAST_MISSING in reasons
    stage.release("fail")
    await stage.until_tick(is_served_by("puppet"), "its own forecast serves again")


async def test_restarts_leak_neither_processes_nor_files(stage: Stage) -> None:
    await stage.start()
    await stage.until_tick(is_served_by("puppet"), "the worker's own forecast serves")
    before = files_of(stage.setpoint.pid)

    for _ in range(2):
        os.kill(stage.worker, signal.SIGKILL)
        await stage.until_tick(lambda tick: not is_served_by("puppet")(tick), "somebody else's serves")
        await stage.until_tick(is_served_by("puppet"), "the worker's own forecast serves again")

    assert is_running(stage.worker)  # the only one
    assert files_of(stage.setpoint.pid) == before


def files_of(pid: int) -> list[str]:
    """Return what a process holds open, but for sockets, which are open while somebody asks."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    return sorted(link.partition(":")[0] for link in links if not link.startswith("socket:"))
