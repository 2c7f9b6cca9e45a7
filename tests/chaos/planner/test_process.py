"""A real `setpoint run`: killed, signalled, and with a disk that is full or gone."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

from config.clock import SystemClock
from planner.core.state import State
from planner.core.step import step
from planner.serving.reader import UnreadLine, read_journal
from planner.serving.records import Actuated, Record, Reloaded, Started, Stepped, Stopped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

T = TypeVar("T", bound=Record)

CLOCK = SystemClock()
PATIENCE_S = 30.0
STOP_S = 5.0
COMMAND = "from planner.cli import main; main()"
SETTINGS = """\
interval: 1s
look_interval: 250ms
startup: 2s
budget_gpus: {budget}
profile: embedded
actuate: true
actuator: memory
targets: {{ttft: 300ms, itl: 25ms}}
source: scrape
scrape: {{urls: ["{url}"], timeout: 500ms}}
http: {{enabled: false}}
journal: {{path: "{journal}"}}
"""


class Exporter:
    """A frontend whose counters grow with the time at a given rate; it hangs on demand."""

    def __init__(self) -> None:
        self.rps = 60.0
        self.url = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self._at_s = CLOCK.now_s()
        self._requests = 1000.0

    async def page(self, _request: web.Request) -> web.Response:
        await self.gate.wait()
        now_s = CLOCK.now_s()
        self._requests += self.rps * (now_s - self._at_s)
        self._at_s = now_s
        return web.Response(text="\n".join(self._lines()) + "\n")

    def _lines(self) -> list[str]:
        count = int(self._requests)
        means = {
            "input_sequence_tokens": 1000.0,
            "output_sequence_tokens": 150.0,
            "time_to_first_token_seconds": 0.1,
            "inter_token_latency_seconds": 0.01,
            "request_duration_seconds": 2.0,
        }
        lines = [
            'dynamo_frontend_disconnected_clients{model="m"} 0',
            'dynamo_frontend_inflight_requests{model="m"} 3',
            f'dynamo_frontend_requests_total{{model="m"}} {count}',
        ]
        for family, mean in means.items():
            name = f"dynamo_frontend_{family}"
            lines += [
                f'{name}_bucket{{model="m",le="+Inf"}} {count}',
                f'{name}_sum{{model="m"}} {mean * count}',
                f'{name}_count{{model="m"}} {count}',
            ]
        return lines


@asynccontextmanager
async def exporting() -> AsyncIterator[Exporter]:
    exporter, app = Exporter(), web.Application()
    app.router.add_get("/metrics", exporter.page)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        exporter.url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
        yield exporter
    finally:
        exporter.gate.set()
        await runner.cleanup()


class Run:
    """One process, and what it wrote."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.unread: list[UnreadLine] = []

    @property
    def journal(self) -> Path:
        return self.folder / "records" / "journal.jsonl"

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def records(self) -> list[Record]:
        self.unread = []
        return list(read_journal(self.journal, report=self.unread.append)) if self.journal.exists() else []

    def of(self, kind: type[T]) -> list[T]:
        return [record for record in self.records() if isinstance(record, kind)]

    def ticks(self) -> int:
        return sum(record.kind == "tick" for record in self.of(Stepped))

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                assert self.process.returncode is None, self.log()
                await CLOCK.sleep(0.2)

    async def send(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal that ends the process; return its exit code and how long that took."""
        sent_at_s = CLOCK.now_s()
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
        return code, CLOCK.now_s() - sent_at_s


class Place:
    """Where a test's processes run: a folder, an exporter, a file of settings."""

    def __init__(self, folder: Path, exporter: Exporter, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.exporter = exporter
        self._stack = stack
        (folder / "records").mkdir()
        self.write()

    def write(self, *, budget: str = "20") -> None:
        journal = self.folder / "records" / "journal.jsonl"
        text = SETTINGS.format(budget=budget, url=self.exporter.url, journal=journal)
        (self.folder / "setpoint.yaml").write_text(text)

    async def run(self, *, prefix: tuple[str, ...] = (), stderr: int | None = None) -> Run:
        arguments = (sys.executable, "-P", "-c", COMMAND, "run", "-c", str(self.folder / "setpoint.yaml"))
        with (self.folder / "log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                *prefix,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log if stderr is None else stderr,
                cwd=self.folder,
                env={},
            )
        self._stack.push_async_callback(_bury, process)
        return Run(process, self.folder)


async def _bury(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        exporter = await stack.enter_async_context(exporting())
        yield Place(tmp_path, exporter, stack)


def replayed(records: list[Record]) -> list[str]:
    """Fold each process of a journal and return what does not agree."""
    policy, state, problems = None, State(pools=()), list[str]()
    for record in records:
        if isinstance(record, Started | Reloaded):
            policy, state = record.policy, record.state
        elif isinstance(record, Stepped) and policy is not None:
            seen = (record.observation, record.forecast)
            state, decision = step(policy, state, *seen, now_s=record.now_s, kind=record.kind)
            if decision != record.decision:
                problems.append(f"at {record.now_s}: {decision} is not {record.decision}")
    return problems


async def test_a_killed_process_leaves_a_journal_that_the_next_one_goes_on_with(place: Place) -> None:
    killed = await place.run()
    await killed.until(lambda: killed.ticks() >= 2)
    code, _ = await killed.send(signal.SIGKILL)
    left = killed.records()
    # What a kill in the middle of a write would leave.
    with killed.journal.open("r+b") as file:
        file.truncate(killed.journal.stat().st_size - 40)

    again = await place.run()
    await again.until(lambda: again.ticks() >= 4)
    last, took_s = await again.send(signal.SIGTERM)

    records = again.records()
    assert code == -signal.SIGKILL
    assert (last, took_s < STOP_S) == (0, True)
    assert not any(isinstance(record, Stopped) for record in left)
    assert records[: len(left) - 1] == left[:-1]
    assert len(again.unread) == 1
    assert [type(record) for record in records if not isinstance(record, Stepped | Actuated)] == [
        Started,
        Started,
        Stopped,
    ]
    assert again.of(Stopped)[0].cause == "SIGTERM"
    assert replayed(records) == []
    assert any(record.decision.replicas.decode > 1 for record in again.of(Stepped))


async def test_a_stop_comes_in_time_even_while_the_source_hangs(place: Place) -> None:
    run = await place.run()
    await run.until(lambda: run.ticks() >= 1)
    place.exporter.gate.clear()
    await run.until(lambda: run.of(Stepped)[-1].decision.is_hold)

    code, took_s = await run.send(signal.SIGTERM)

    assert (code, took_s < STOP_S) == (0, True)
    assert isinstance(run.records()[-1], Stopped)
    assert "Traceback" not in run.log()


async def test_settings_are_read_again_and_a_bad_file_is_told_and_left(place: Place) -> None:
    run = await place.run()
    await run.until(lambda: run.ticks() >= 2)

    place.write(budget="3")
    run.process.send_signal(signal.SIGHUP)
    await run.until(lambda: len(run.of(Reloaded)) == 1)
    ticks = run.ticks()
    await run.until(lambda: run.ticks() > ticks)
    place.write(budget="many")
    run.process.send_signal(signal.SIGHUP)
    await run.until(lambda: len(run.of(Reloaded)) == 2)
    ticks = run.ticks()
    await run.until(lambda: run.ticks() > ticks)
    code, _ = await run.send(signal.SIGINT)

    good, bad = run.of(Reloaded)
    assert code == 0
    assert (good.problem, good.policy.budget_gpus) == ("", 3)
    assert "budget_gpus" in bad.problem
    assert bad.policy.budget_gpus == 3
    assert run.of(Stepped)[-1].decision.committed_gpus == 3
    assert "the settings before stay in force" in run.log()
    assert run.of(Stopped)[0].cause == "SIGINT"
    assert replayed(run.records()) == []


async def test_a_disk_that_is_full_costs_the_journal_and_nothing_else(place: Place) -> None:
    shell = ("/bin/sh", "-c", 'ulimit -f 64; exec "$@"', "sh")  # blocks of 512 bytes
    run = await place.run(prefix=shell)
    await run.until(lambda: "a record was not written to the journal" in run.log())
    lines = run.log().count(" tick ")
    await run.until(lambda: run.log().count(" tick ") >= lines + 2 or run.process.returncode is not None)

    code, took_s = await run.send(signal.SIGTERM)

    assert (code, took_s < STOP_S) == (0, True)
    assert run.log().count("a record was not written to the journal") == 1
    assert replayed(run.records()) == []


async def test_a_journal_whose_folder_is_removed_goes_on_once_the_folder_is_back(place: Place) -> None:
    run = await place.run()
    await run.until(lambda: run.ticks() >= 1)
    shutil.rmtree(run.journal.parent)
    await run.until(lambda: "a record was not written to the journal" in run.log())
    run.journal.parent.mkdir()

    await run.until(lambda: run.ticks() >= 1)
    code, _ = await run.send(signal.SIGTERM)

    assert code == 0
    assert "works again" in run.log()
    assert isinstance(run.records()[-1], Stopped)


async def test_a_log_that_nobody_reads_any_more_does_not_matter(place: Place) -> None:
    reader, writer = os.pipe()
    try:
        run = await place.run(stderr=writer)
    finally:
        os.close(writer)
        os.close(reader)

    await run.until(lambda: run.ticks() >= 2)
    _, took_s = await run.send(signal.SIGTERM)

    assert took_s < STOP_S
    assert isinstance(run.records()[-1], Stopped)
    assert replayed(run.records()) == []


async def test_a_second_process_on_the_same_journal_is_turned_away(place: Place) -> None:
    run = await place.run()
    await run.until(lambda: run.ticks() >= 1)

    second = await place.run()
    async with asyncio.timeout(PATIENCE_S):
        code = await second.process.wait()

    assert code == 2
    assert "another process writes the journal" in second.log()
    assert (await run.send(signal.SIGTERM))[0] == 0
    assert replayed(run.records()) == []
