"""How long is the event loop held while models are fitted, and what does the worker cost?

Run it by hand: `python -m tests.bench.bench_worker`. A task wakes every millisecond and notes how late it is,
while intervals are learned one after the other without a rest, so that a fit is nearly always in progress.
Two processes keep the cores busy meanwhile. The same is done without any fit, with the fits on the loop, and
with the fits in a thread. Lateness depends on the machine and on what else it does: compare rows of one run.
The CPU time that the loop's own thread takes between two wakes does not.
"""

import argparse
import asyncio
import contextlib
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from config.clock import SystemClock
from config.policy import ForecastPolicy
from config.process import keep_small
from predictors.apart import WorkerForesight
from predictors.base import LoadInterval
from predictors.load import LoadForecaster

CLOCK = SystemClock()
HEAVY = ("arima", "prophet")
BEAT_S = 0.001
DEADLINE_S = 60.0
Tick = Callable[[LoadInterval], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of the event loop."""

    late_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)


def policy_of(name: str) -> ForecastPolicy:
    """Return a policy with the horizon that most fleets need."""
    return ForecastPolicy(predictor=name, interval_s=30.0, startup_s=120.0)


def day(seed: int) -> Iterator[LoadInterval]:
    """Return a load with a slow wave and noise; another one for each seed, as models keep their fits."""
    chance = random.Random(seed)
    step = 0
    while True:
        wave = 20.0 + 10.0 * math.sin(step / 40.0)
        yield LoadInterval(
            arrivals_rps=max(0.0, chance.gauss(wave, 2.0)),
            isl_tokens=chance.gauss(2000.0, 100.0),
            osl_tokens=chance.gauss(300.0, 20.0),
        )
        step += 1


@contextlib.contextmanager
def busy(cores: int) -> Iterator[None]:
    """Keep cores busy."""
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    spinning = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


async def nothing(_: LoadInterval) -> None:
    """Let time pass."""
    await CLOCK.sleep(0.01)


@contextlib.asynccontextmanager
async def ticks_of(way: str, name: str, past: list[LoadInterval]) -> AsyncIterator[Tick]:
    """Return what learns an interval in one of the ways, after a past."""
    policy = policy_of(name)
    if way == "worker":
        foresight = WorkerForesight(policy, clock=CLOCK, deadline_s=DEADLINE_S)
        await foresight.learn(past)
        await foresight.forecast(now_s=0.0)

        async def ask(interval: LoadInterval) -> None:
            await foresight.learn([interval])
            await foresight.forecast(now_s=0.0)

        yield ask
        await foresight.close()
        return
    forecaster = LoadForecaster(policy)

    def learn(interval: LoadInterval) -> None:
        forecaster.learn(interval)
        forecaster.forecast(0.0)

    async def inline(interval: LoadInterval) -> None:
        learn(interval)
        await CLOCK.sleep(0.0)

    async def threaded(interval: LoadInterval) -> None:
        await asyncio.to_thread(learn, interval)

    for interval in past:
        await asyncio.to_thread(forecaster.learn, interval)
    yield inline if way == "inline" else threaded


async def beat(seen: Seen) -> None:
    """Note how late the event loop is; what would have been due while it was held was late as well."""
    while True:
        due_s, cpu_s = CLOCK.now_s() + BEAT_S, time.thread_time()
        await CLOCK.sleep(BEAT_S)
        held_s = CLOCK.now_s() - due_s
        seen.late_s.extend(held_s - missed * BEAT_S for missed in range(1 + int(held_s / BEAT_S)))
        seen.cpu_s.append(time.thread_time() - cpu_s)


async def watched(tick: Tick, load: Iterator[LoadInterval], *, seconds: float) -> Seen:
    """Return what was seen of the loop while intervals were learned."""
    seen = Seen()
    end_s = CLOCK.now_s() + seconds
    beating = asyncio.ensure_future(beat(seen))
    while CLOCK.now_s() < end_s:
        began_s = CLOCK.now_s()
        await tick(next(load))
        seen.took_s.append(CLOCK.now_s() - began_s)
    await CLOCK.sleep(2.0 * BEAT_S)
    beating.cancel()
    return seen


async def blocking(ways: list[tuple[str, str]], *, seconds: float, past: int, cores: int) -> None:
    """Print how long the loop is held in each way."""
    row(
        *("fits", "late p50 ms", "late p99 ms", "late max ms", "CPU p99 ms", "CPU max ms"),
        *("ticks", "tick p50 ms", "tick max ms"),
    )
    row(*("---",) * 9)
    for seed, (name, way) in enumerate(ways):
        load = day(seed)
        first = [next(load) for _ in range(past)]
        if way == "none":
            with busy(cores):
                seen = await watched(nothing, load, seconds=seconds)
        else:
            async with ticks_of(way, name, first) as tick:
                with busy(cores):
                    seen = await watched(tick, load, seconds=seconds)
        row(
            f"{name} {way}".strip(),
            *(f"{1000.0 * quantile(seen.late_s, share):.2f}" for share in (0.5, 0.99, 1.0)),
            *(f"{1000.0 * quantile(seen.cpu_s, share):.2f}" for share in (0.99, 1.0)),
            f"{len(seen.took_s)}",
            *(f"{1000.0 * quantile(seen.took_s, share):.1f}" for share in (0.5, 1.0)),
        )


async def costs(name: str, *, past: int) -> None:
    """Print what a worker costs, alone on the machine."""
    load = day(0)
    began_s = CLOCK.now_s()
    foresight = WorkerForesight(policy_of(name), clock=CLOCK, deadline_s=600.0)
    await foresight.learn([next(load)])
    await foresight.forecast(now_s=0.0)
    first_s = CLOCK.now_s() - began_s
    first_mb = rss_mb(foresight)
    began_s = CLOCK.now_s()
    await foresight.learn([next(load) for _ in range(past - 1)])
    await foresight.forecast(now_s=0.0)
    past_s = CLOCK.now_s() - began_s
    past_mb = rss_mb(foresight)
    took_s = []
    for _ in range(20):
        began_s = CLOCK.now_s()
        await foresight.learn([next(load)])
        await foresight.forecast(now_s=0.0)
        took_s.append(CLOCK.now_s() - began_s)
    began_s = CLOCK.now_s()
    await foresight.close()
    row(
        name,
        f"{first_s:.2f} s",
        f"{first_mb:.0f} MB",
        f"{past_s:.1f} s",
        f"{past_mb:.0f} MB",
        f"{1000.0 * statistics.median(took_s):.0f} ms",
        f"{1000.0 * max(took_s):.0f} ms",
        f"{1000.0 * (CLOCK.now_s() - began_s):.0f} ms",
    )


def rss_mb(foresight: WorkerForesight) -> float:
    """Return the resident memory of the worker."""
    status = Path(f"/proc/{foresight.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if "VmRSS" in line) / 1e6


def quantile(values: list[float], share: float) -> float:
    """Return an empirical quantile."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def row(*cells: str) -> None:
    """Print a row of a table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


async def measure(given: argparse.Namespace) -> None:
    """Measure everything and print it."""
    ways = [("", "none"), *((name, way) for name in HEAVY for way in given.ways)]
    await blocking(ways, seconds=given.seconds, past=given.before, cores=given.cores)
    sys.stdout.write("\n")
    row(
        "worker",
        "first answer",
        "RSS",
        f"{given.past} intervals",
        "RSS",
        "next, p50",
        "next, max",
        "close",
    )
    row(*("---",) * 8)
    for name in HEAVY:
        await costs(name, past=given.past)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each way is watched")
    parser.add_argument("--cores", type=int, default=2, help="how many cores are kept busy")
    parser.add_argument("--past", type=int, default=100, help="intervals to learn before the costs are told")
    parser.add_argument("--before", type=int, default=45, help="intervals to learn before watching")
    parser.add_argument("--ways", nargs="+", default=["worker", "inline", "thread"])
    keep_small()
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
