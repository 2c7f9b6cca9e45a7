"""How long until the daemon is up, and what does it take while it runs?

Run it by hand: `python -m tests.bench.bench_daemon`. It starts the real daemon on two frontends that it
scrapes directly, with the synthetic profile, and prints a table. Times stand beside that of an empty Python,
since both depend on the machine and on what else it does.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config.clock import SystemClock
from config.load import load
from planner.core.decision import StepKind
from planner.embedding import Planner
from planner.serving.reader import read_journal
from planner.serving.records import Stepped
from planner.simulation.profile import embedded_profile
from tests.e2e.frontend import Frontend, Load
from tests.e2e.servers import SCRIPT, Setpoint

CLOCK = SystemClock()
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """One start of the daemon."""

    healthy_s: float
    ready_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What a daemon took while it ran."""

    ticks: int
    rss_ready_mb: float
    rss_mb: float
    cpu_s_per_tick: float
    tick_s: tuple[float, ...]
    exit_s: float


async def command_s(*command: str) -> float:
    """Return how long a command takes."""
    began_s = CLOCK.now_s()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, cwd=ROOT)
    code = await process.wait()
    if code != 0:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return CLOCK.now_s() - began_s


async def startup(folder: Path, frontends: list[Frontend]) -> Startup:
    """Start a daemon with looks of 0.2 s; ready follows once two scrapes made a rate."""
    daemon = Setpoint(folder, SCRIPT)
    began_s = CLOCK.now_s()
    await daemon.spawn("run", "--config", write_settings(daemon, frontends), environment={})
    try:
        healthy_s = await answers_s(daemon, "/healthz", began_s)
        ready_s = await answers_s(daemon, "/readyz", began_s)
        cpu_s = await daemon.metric("process_cpu_seconds_total")
    finally:
        await daemon.kill()
    return Startup(healthy_s=healthy_s, ready_s=ready_s, cpu_s=cpu_s)


async def stay(folder: Path, frontends: list[Frontend], *, ticks: int) -> Stay:
    """Run a daemon for so many ticks of 0.2 s."""
    daemon = Setpoint(folder, SCRIPT)
    await daemon.start("--config", write_settings(daemon, frontends))
    try:
        await daemon.ticks(1)
        rss_ready_mb = await rss(daemon)
        cpu_s = await daemon.metric("process_cpu_seconds_total")
        done = 0.0
        began = await daemon.metric("setpoint_steps_total", kind="tick")
        while done < ticks:
            await CLOCK.sleep(1.0)
            done = await daemon.metric("setpoint_steps_total", kind="tick") - began
        cpu_s = await daemon.metric("process_cpu_seconds_total") - cpu_s
        rss_mb = await rss(daemon)
        stop_s = CLOCK.now_s()
        await daemon.terminate()
        stop_s = CLOCK.now_s() - stop_s
    finally:
        await daemon.kill()
    steps = [record for record in read_journal(daemon.journal, report=print) if isinstance(record, Stepped)]
    return Stay(
        ticks=int(done),
        rss_ready_mb=rss_ready_mb,
        rss_mb=rss_mb,
        cpu_s_per_tick=cpu_s / done,
        tick_s=tuple(step.duration_s for step in steps if step.kind is StepKind.TICK),
        exit_s=stop_s,
    )


def write_settings(daemon: Setpoint, frontends: list[Frontend]) -> str:
    """Write the settings file and return its path."""
    settings = {
        "interval": "200ms",
        "look_interval": "0s",
        "startup": "0s",
        "profile": "embedded",
        "budget_gpus": 64,
        "targets": {"ttft": "300ms", "itl": "20ms"},
        "source": "scrape",
        "scrape": {"urls": [f"http://{frontend.target}/metrics" for frontend in frontends]},
        "http": {"port": daemon.port},
        "journal": {"path": str(daemon.journal)},
    }
    file = daemon.folder / "setpoint.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    return str(file)


async def answers_s(daemon: Setpoint, path: str, began_s: float) -> float:
    """Return when an address first answered 200."""
    while not await answers(daemon.port, path):
        await CLOCK.sleep(0.005)
    return CLOCK.now_s() - began_s


async def answers(port: int, path: str) -> bool:
    """Tell whether an address answers 200; without a library, whose own work would count."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    head = await reader.readline()
    writer.close()
    return b" 200 " in head


async def rss(daemon: Setpoint) -> float:
    """Return the resident memory in MB, as the daemon's own metrics tell it (VmRSS)."""
    return await daemon.metric("process_resident_memory_bytes") / 1e6


def compute_s(daemon_journal: Path) -> list[float]:
    """Return the CPU time of forecast and step on what was observed, without network and records."""
    records = read_journal(daemon_journal, report=print)
    ticks = [r for r in records if isinstance(r, Stepped) and r.kind is StepKind.TICK]
    settings = load(flags={"targets.ttft": "300ms", "targets.itl": "20ms", "budget_gpus": 64}, environment={})
    planner = Planner(settings.settings, embedded_profile())
    taken = []
    for tick in ticks:
        began_s = time.process_time()
        planner.step(tick.observation, now_s=tick.now_s)
        taken.append(time.process_time() - began_s)
    return taken


def quantile_ms(values: Sequence[float], share: float) -> str:
    """Return an empirical quantile."""
    return f"{sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1000.0:.2f} ms"


def row(what: str, figure: str, beside: str = "") -> None:
    """Print a row of the table."""
    sys.stdout.write(f"| {what:<46} | {figure:>10} | {beside:<28} |\n")


async def measure(folder: Path, *, starts: int, ticks: int) -> None:
    """Measure everything and print it."""
    frontends = [Frontend(), Frontend(counts_arrivals=False)]
    for frontend in frontends:
        await frontend.start()
        frontend.carry(Load(rate_rps=20.0))
    nothing_s = statistics.median([await command_s(sys.executable, "-c", "pass") for _ in range(starts)])
    help_s = statistics.median([await command_s(SCRIPT, "--help") for _ in range(starts)])
    found = [await startup(folder, frontends) for _ in range(starts)]
    healthy_s = statistics.median(one.healthy_s for one in found)
    ready_s = statistics.median(one.ready_s for one in found)
    (folder / "journal.jsonl").unlink()
    held = await stay(folder, frontends, ticks=ticks)
    for frontend in frontends:
        await frontend.stop()
    step_s = compute_s(folder / "journal.jsonl")

    row("what", "figure", "beside")
    row("-" * 46, "-" * 10, "-" * 28)
    row("python -c pass, median", f"{nothing_s:.3f} s", f"of {starts} starts")
    row("setpoint --help, median", f"{help_s:.3f} s", f"{help_s / nothing_s:.1f} x an empty Python")
    row(
        "start to /healthz 200, median",
        f"{healthy_s:.3f} s",
        f"{healthy_s / nothing_s:.1f} x an empty Python",
    )
    row("start to /readyz 200, median", f"{ready_s:.3f} s", "first tick is after 0.2 s")
    cpu_s = statistics.median(one.cpu_s for one in found)
    row("CPU time until then, median", f"{cpu_s:.3f} s", f"{cpu_s / ready_s:.0%} of that time")
    row("resident memory at the first tick", f"{held.rss_ready_mb:.1f} MB")
    row(f"resident memory after {held.ticks} ticks", f"{held.rss_mb:.1f} MB")
    row(
        "CPU time of forecast and step, p50",
        quantile_ms(step_s, 0.5),
        f"of {len(step_s)} ticks, folded again",
    )
    row("CPU time of forecast and step, p99", quantile_ms(step_s, 0.99))
    row("tick with scraping, p50", quantile_ms(held.tick_s, 0.5), "2 pages over loopback")
    row("tick with scraping, p99", quantile_ms(held.tick_s, 0.99))
    row(
        "CPU time per tick, all included",
        f"{held.cpu_s_per_tick * 1000.0:.2f} ms",
        "and 1 read of /metrics a second",
    )
    row("SIGTERM to exit", f"{held.exit_s:.3f} s")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="how often to start it")
    parser.add_argument("--ticks", type=int, default=200, help="how long to run it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="setpoint-bench") as folder:
        asyncio.run(measure(Path(folder), starts=given.starts, ticks=given.ticks))


if __name__ == "__main__":
    main()
