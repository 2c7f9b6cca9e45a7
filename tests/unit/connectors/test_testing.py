"""The fakes do what they say, and each check of the suites can fail."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from config.clock import VirtualClock
from config.errors import ActuationError, Conflict, InternalError, Refused, Stale, Unreachable
from connectors.base import Fleet, Histogram, Idle, PoolState, Replicas, Traffic, Unknown, Value
from connectors.testing import (
    ActuatorConformance,
    ActuatorFactory,
    ActuatorHarness,
    ConformanceError,
    FakeActuator,
    FakeMetricsSource,
    MetricsSourceConformance,
    MetricsSourceFactory,
    MetricsSourceHarness,
    nothing,
    run_checks,
)

START = Replicas.of(prefill=1, decode=2)


def traffic(rps: float, **fields: Value | Idle | Unknown | Histogram) -> Traffic:
    plain = Traffic(at_s=0.0, window_s=30.0, arrivals_rps=Value(value=rps, at_s=0.0))
    return replace(plain, **fields)  # type: ignore[arg-type]


# --- fakes


async def test_the_fake_source_follows_its_script_and_stays_at_the_last_line() -> None:
    clock = VirtualClock()
    source = FakeMetricsSource([traffic(1.0), traffic(2.0)], clock)
    await clock.advance(5.0)

    seen = [await source.observe(10.0) for _ in range(3)]

    assert [one.arrivals_rps for one in seen] == [Value(value=v, at_s=0.0) for v in (1.0, 2.0, 2.0)]
    assert {(one.at_s, one.window_s) for one in seen} == {(5.0, 10.0)}
    assert source.windows_s == (10.0, 10.0, 10.0)


async def test_the_fake_source_breaks_and_mends() -> None:
    source = FakeMetricsSource([traffic(1.0)], VirtualClock())
    source.break_backend("no route to host")
    broken = await source.observe(10.0)
    source.mend_backend()
    mended = await source.observe(10.0)

    assert broken.arrivals_rps == Unknown(why="no route to host")
    assert mended.arrivals_rps == Value(value=1.0, at_s=0.0)


async def test_the_fake_source_without_a_script_knows_nothing_until_it_gets_one() -> None:
    source = FakeMetricsSource([], VirtualClock())
    empty = await source.observe(10.0)
    source.push(traffic(3.0))

    assert isinstance(empty.arrivals_rps, Unknown)
    assert (await source.observe(10.0)).arrivals_rps == Value(value=3.0, at_s=0.0)


async def test_the_fake_source_raises_once() -> None:
    source = FakeMetricsSource([traffic(1.0)], VirtualClock())
    source.fail_next(InternalError("boom"))

    with pytest.raises(InternalError, match="boom"):
        await source.observe(10.0)
    assert (await source.observe(10.0)).arrivals_rps == Value(value=1.0, at_s=0.0)


async def test_a_hanging_fake_goes_on_when_it_is_released() -> None:
    source, actuator = FakeMetricsSource([traffic(1.0)], VirtualClock()), FakeActuator(START, VirtualClock())
    source.hang()
    actuator.hang()
    async with asyncio.TaskGroup() as tasks:
        waiting = [
            tasks.create_task(call)
            for call in (source.observe(1.0), actuator.read(), actuator.scale(Replicas.of(decode=5)))
        ]
        done, _ = await asyncio.wait(waiting, timeout=0.01)
        source.release()
        actuator.release()

    assert not done
    assert len(actuator.calls) == 1


async def test_the_fake_source_gives_no_more_history_than_was_asked_for() -> None:
    past = [replace(traffic(float(n)), at_s=30.0 * n) for n in range(5)]
    source = FakeMetricsSource([], VirtualClock(), past=past)

    assert await source.history(60.0, 30.0) == tuple(past[3:])
    assert await source.history(3600.0, 30.0) == tuple(past)


async def test_the_fakes_count_their_closing() -> None:
    source, actuator = FakeMetricsSource([], VirtualClock()), FakeActuator(START, VirtualClock())
    await source.close()
    await actuator.close()

    assert (source.closes, actuator.closes) == (1, 1)


async def test_the_fake_actuator_fails_as_scripted_and_records_every_request() -> None:
    actuator = FakeActuator(START, VirtualClock())
    actuator.fail_next_scale(Conflict("first"), Refused("second"))
    actuator.fail_next_read(Stale("old"))

    with pytest.raises(Conflict):
        await actuator.scale(Replicas.of(decode=3))
    with pytest.raises(Refused):
        await actuator.scale(Replicas.of(decode=4))
    with pytest.raises(Stale):
        await actuator.read()
    await actuator.scale(Replicas.of(decode=5))

    assert [request.decode for request in actuator.requests] == [3, 4, 5]
    assert [call.replicas.decode for call in actuator.calls] == [5]
    assert (await actuator.read()).pools["decode"].desired == 5


async def test_the_fake_actuator_can_lose_only_the_answer() -> None:
    actuator = FakeActuator(START, VirtualClock())
    actuator.fail_next_scale(ActuationError("lost"), is_applied=True)

    with pytest.raises(ActuationError, match="lost"):
        await actuator.scale(Replicas.of(decode=3))

    assert (await actuator.read()).pools["decode"].desired == 3


async def test_the_fake_actuator_starts_engines_on_its_clock() -> None:
    clock = VirtualClock()
    actuator = FakeActuator(START, clock, startup_s=60.0)
    await actuator.scale(Replicas.of(decode=3))

    assert (await actuator.read()).pools["decode"] == PoolState(desired=3, ready=2, starting=1)
    await clock.advance(60.0)
    assert (await actuator.read()).pools["decode"] == PoolState(desired=3, ready=3)


# --- the suite for actuators


class Faulty:
    """An actuator in memory with one fault; each subclass breaks one promise."""

    def __init__(self) -> None:
        self.fleet = FakeActuator(START, VirtualClock())
        self.is_broken = False

    async def read(self) -> Fleet:
        if self.is_broken:
            raise Unreachable("the backend is gone")
        return await self.fleet.read()

    async def scale(self, replicas: Replicas) -> None:
        if self.is_broken:
            raise ActuationError("the backend is gone")
        await self.fleet.scale(replicas)

    async def close(self) -> None:
        await self.fleet.close()

    async def break_backend(self) -> None:
        self.is_broken = True


class ForgetsAPool(Faulty):
    async def read(self) -> Fleet:
        fleet = await super().read()
        return replace(fleet, pools={"decode": fleet.pools["decode"]})


class NeverGrows(Faulty):
    async def scale(self, replicas: Replicas) -> None:
        await super().scale(Replicas.of(**{name: min(count, 2) for name, count in replicas.items()}))


class NeverShrinks(Faulty):
    async def scale(self, replicas: Replicas) -> None:
        pools = (await super().read()).pools
        await super().scale(
            Replicas.of(**{n: max(c, pools[n].desired) if c >= 0 else c for n, c in replicas.items()})
        )


class NeverReady(Faulty):
    async def read(self) -> Fleet:
        fleet = await super().read()
        return replace(fleet, pools={name: replace(pool, ready=0) for name, pool in fleet.pools.items()})


class Adds(Faulty):
    async def scale(self, replicas: Replicas) -> None:
        pools = (await super().read()).pools
        same = {name: pool.desired for name, pool in pools.items()} == dict(replicas)
        await super().scale(Replicas.of(**{name: count + same for name, count in replicas.items()}))


class ZeroesWhatIsNotNamed(Faulty):
    async def scale(self, replicas: Replicas) -> None:
        await super().scale(Replicas.of(**{"prefill": 0, "decode": 0, **replicas}))


class TakesNegatives(Faulty):
    async def scale(self, replicas: Replicas) -> None:
        await super().scale(Replicas.of(**{name: max(0, count) for name, count in replicas.items()}))


class RaisesRuntimeErrors(Faulty):
    async def read(self) -> Fleet:
        if self.is_broken:
            raise RuntimeError("socket")
        return await super().read()


class ClosesOnce(Faulty):
    async def close(self) -> None:
        if self.fleet.closes:
            raise RuntimeError("closed already")
        await super().close()


class SaysZeroGpus(Faulty):
    async def read(self) -> Fleet:
        fleet = await super().read()
        return replace(fleet, pools={n: replace(p, gpus_per_engine=0) for n, p in fleet.pools.items()})


def opened(kind: type[Faulty]) -> ActuatorFactory:
    @asynccontextmanager
    async def factory() -> AsyncIterator[ActuatorHarness]:
        actuator = kind()
        yield ActuatorHarness(actuator=actuator, replicas=START, break_backend=actuator.break_backend)

    return factory


async def test_an_actuator_without_fault_conforms() -> None:
    names = await ActuatorConformance(opened(Faulty)).run_all()

    assert len(names) == len(set(names)) == 11


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (ForgetsAPool, "reads_every_pool_with_its_first_count"),
        (SaysZeroGpus, "reads_every_pool_with_its_first_count"),
        (NeverGrows, "shows_what_was_asked_for"),
        (NeverShrinks, "scales_down"),
        (NeverReady, "brings_engines_to_ready"),
        (Adds, "asked_twice_is_asked_once"),
        (ZeroesWhatIsNotNamed, "leaves_pools_that_are_not_named"),
        (ZeroesWhatIsNotNamed, "changes_nothing_when_nothing_is_named"),
        (TakesNegatives, "refuses_negative_counts"),
        (RaisesRuntimeErrors, "reports_a_broken_backend"),
        (ClosesOnce, "closes_twice"),
    ],
)
async def test_a_faulty_actuator_is_found_by_the_check_of_its_fault(kind: type[Faulty], check: str) -> None:
    with pytest.raises(ConformanceError, match=f"{check}: "):
        await ActuatorConformance(opened(kind)).run_all()


class RunsApart(Faulty):
    """Lets two requests at once run into each other, so that each pool gets another one's count."""

    def __init__(self) -> None:
        super().__init__()
        self.is_second = False

    async def scale(self, replicas: Replicas) -> None:
        names = sorted(replicas, reverse=self.is_second)
        self.is_second = not self.is_second
        for name in names:
            await super().scale(Replicas.of(**{name: replicas[name]}))
            await asyncio.wait([asyncio.ensure_future(nothing())])


async def test_requests_that_run_into_each_other_are_found() -> None:
    with pytest.raises(ConformanceError, match="neither of two requests"):
        await ActuatorConformance(opened(RunsApart)).survives_concurrent_requests()


# --- the suite for sources


class Source:
    """A source that answers what it is given."""

    def __init__(
        self, *traffics: Traffic, past: Iterable[Traffic] = (), broken: Traffic | None = None
    ) -> None:
        self.fake = FakeMetricsSource(traffics, VirtualClock(), past=past)
        self.answers = list(traffics)
        self.past = tuple(past)
        self.broken = broken
        self.is_broken = False

    async def observe(self, window_s: float) -> Traffic:
        if self.is_broken:
            return self.broken or replace(traffic(0.0), arrivals_rps=Unknown(why="gone"))
        return self.answers.pop(0) if len(self.answers) > 1 else replace(self.answers[0], window_s=window_s)

    async def history(self, duration_s: float, step_s: float) -> tuple[Traffic, ...]:
        return await self.fake.history(duration_s, step_s)

    async def close(self) -> None:
        await self.fake.close()

    async def break_backend(self) -> None:
        self.is_broken = True


class RaisingSource(Source):
    async def observe(self, window_s: float) -> Traffic:
        if self.is_broken:
            raise Unreachable("gone")
        return await super().observe(window_s)


def source_of(make: Callable[[], Source]) -> MetricsSourceFactory:
    @asynccontextmanager
    async def factory() -> AsyncIterator[MetricsSourceHarness]:
        source = make()
        yield MetricsSourceHarness(source=source, break_backend=source.break_backend)

    return factory


GOOD = traffic(
    1.0, isl_tokens=Idle(at_s=0.0), isl_histogram=Histogram(upper_bounds=(1.0, math.inf), counts=(2, 0))
)


async def test_an_honest_source_conforms() -> None:
    names = await MetricsSourceConformance(source_of(lambda: Source(GOOD, past=[GOOD]))).run_all()

    assert len(names) == len(set(names)) == 6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Source(traffic(math.nan)), "arrivals_rps is nan"),
        (lambda: Source(traffic(-1.0)), "arrivals_rps is -1"),
        (lambda: Source(traffic(1.0, ttft_s=Unknown(why=" "))), "ttft_s is unknown without a reason"),
        (lambda: Source(traffic(1.0, in_flight=Idle(at_s=0.0))), "in_flight is Idle"),
        (
            lambda: Source(traffic(1.0, isl_histogram=Histogram(upper_bounds=(1.0,), counts=()))),
            "1 bounds and 0 counts",
        ),
        (
            lambda: Source(traffic(1.0, isl_histogram=Histogram(upper_bounds=(2.0, 1.0), counts=(1, 1)))),
            "do not ascend",
        ),
        (
            lambda: Source(traffic(1.0, isl_histogram=Histogram(upper_bounds=(1.0,), counts=(math.nan,)))),
            "negative or not finite",
        ),
        (lambda: Source(replace(GOOD, at_s=9.0), GOOD, GOOD), "time went back"),
        (lambda: Source(replace(GOOD, at_s=math.inf)), "at_s is inf"),
        (lambda: Source(replace(GOOD, window_s=0.0), GOOD), "window_s is 0"),
        (lambda: Source(GOOD, broken=traffic(0.0)), "expected unknown arrivals from a broken backend"),
        (lambda: RaisingSource(GOOD), "turns_a_broken_backend_into_unknowns: Unreachable: gone"),
        (lambda: Source(GOOD, past=[replace(GOOD, at_s=2.0), GOOD]), "not oldest first"),
    ],
)
async def test_a_dishonest_source_is_found(make: Callable[[], Source], words: str) -> None:
    with pytest.raises(ConformanceError, match=words):
        await MetricsSourceConformance(source_of(make)).run_all()


async def test_a_check_that_hangs_does_not_pass() -> None:
    released = asyncio.Event()

    async def hangs() -> None:
        await released.wait()

    with pytest.raises(ConformanceError, match="1 of 2 checks did not pass:\nhangs: TimeoutError"):
        await run_checks([nothing, hangs], deadline_s=0.01)
