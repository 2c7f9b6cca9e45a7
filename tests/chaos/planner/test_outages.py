"""Outages that last: a source that flaps, an actuator that is away for long. On a virtual clock."""

import asyncio
from io import StringIO
from itertools import pairwise
from typing import Self

from config.clock import VirtualClock
from config.errors import ActuationError, Unreachable
from config.load import load
from connectors.base import Replicas, Traffic, Value
from connectors.testing import FakeActuator, FakeMetricsSource
from planner.commands.assemble import daemon_of
from planner.core.decision import Decision, ReasonCode, StepKind
from planner.serving.log import configure
from planner.serving.records import Actuated, Outcome, Stepped
from planner.simulation.profile import embedded_profile

INTERVAL_S = 30.0


def traffic(rps: float) -> Traffic:
    return Traffic(
        at_s=0.0,
        window_s=INTERVAL_S,
        arrivals_rps=Value(value=rps, at_s=0.0),
        isl_tokens=Value(value=1000.0, at_s=0.0),
        osl_tokens=Value(value=150.0, at_s=0.0),
    )


class Scene:
    """A daemon between a source and an actuator that break on demand."""

    def __init__(self, rps: float) -> None:
        flags = {
            "targets.ttft": "300ms",
            "targets.itl": "25ms",
            "budget_gpus": "40",
            "actuate": "true",
            "look_interval": "0s",
            "pools.prefill.scale_down_window": "60s",
            "pools.decode.scale_down_window": "60s",
        }
        self.clock = VirtualClock()
        self.source = FakeMetricsSource([traffic(rps)], self.clock)
        self.actuator = FakeActuator(Replicas.of(prefill=1, decode=1), self.clock)
        self.log = StringIO()
        configure(level="info", style="console", stream=self.log, clock=self.clock)
        self.daemon, self.desk = daemon_of(
            load(flags=flags, environment={}),
            clock=self.clock,
            source=self.source,
            actuator_of=lambda _pools: self.actuator,
            profile=embedded_profile(),
        )

    async def __aenter__(self) -> Self:
        self.running = asyncio.ensure_future(self.daemon.run())
        await self.clock.advance(1.0)  # so that a tick's retries are over where `tick` returns
        return self

    async def __aexit__(self, *_: object) -> None:
        self.daemon.stop("the test is over")
        await self.running

    async def change_load(self, rps: float) -> None:
        self.source.push(traffic(rps))
        await self.source.observe(INTERVAL_S)  # the load before leaves the script

    async def tick(self) -> Decision:
        await self.clock.advance(INTERVAL_S)
        return self.ticks()[-1]

    def ticks(self) -> list[Decision]:
        records = [record for record in self.desk.journal.recent() if isinstance(record, Stepped)]
        return [record.decision for record in records if record.kind is StepKind.TICK]

    def outcomes(self) -> list[Outcome]:
        return [record.outcome for record in self.desk.journal.recent() if isinstance(record, Actuated)]


async def test_a_source_that_flaps_changes_nothing_while_the_load_stays() -> None:
    async with Scene(rps=60.0) as scene:
        sized = (await scene.tick()).replicas
        for _ in range(10):
            scene.source.break_backend("connection refused")
            held = await scene.tick()
            scene.source.mend_backend()
            seen = await scene.tick()

            assert held.is_hold
            assert not seen.is_hold
            assert held.replicas == seen.replicas == sized

        assert len(scene.actuator.requests) == 1


async def test_a_source_that_flaps_neither_hurries_nor_prevents_the_way_down() -> None:
    async with Scene(rps=60.0) as scene:
        await scene.tick()
        await scene.change_load(1.0)
        counts = []
        for number in range(8):
            if number % 2:
                scene.source.break_backend("connection refused")
            else:
                scene.source.mend_backend()
            decision = await scene.tick()
            counts.append((decision.is_hold, decision.replicas.decode))

        sizes = [size for _, size in counts]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == 1
        falls = [number for number, (a, b) in enumerate(pairwise(sizes), 1) if b < a]
        assert all(not counts[number][0] for number in falls)  # only ever on a tick that sees


async def test_a_load_that_rose_behind_a_flapping_source_is_met_at_the_first_sight() -> None:
    async with Scene(rps=1.0) as scene:
        await scene.tick()
        await scene.change_load(60.0)
        scene.source.break_backend("connection refused")
        held = await scene.tick()
        scene.source.mend_backend()
        met = await scene.tick()

        assert held.replicas.decode == 1
        assert met.replicas.decode > 1


async def test_an_actuator_away_for_ten_ticks_is_a_hold_told_once_and_made_up_for_at_once() -> None:
    async with Scene(rps=60.0) as scene:
        sized = (await scene.tick()).replicas
        scene.actuator.fail_next_read(*[Unreachable("etcd does not answer")] * 10)
        await scene.change_load(90.0)
        held = [await scene.tick() for _ in range(10)]

        back = await scene.tick()

        assert all(decision.is_hold and decision.replicas == sized for decision in held)
        assert {reason.code for decision in held for reason in decision.reasons} == {ReasonCode.BLIND_FLEET}
        assert scene.log.getvalue().count("trouble") == 1
        assert not back.is_hold
        assert back.replicas.decode > sized.decode
        fleet = await scene.actuator.read()
        assert {name: pool.desired for name, pool in fleet.pools.items()} == dict(back.replicas)


async def test_scaling_that_fails_for_ten_ticks_is_decided_anew_each_time_and_done_in_the_end() -> None:
    async with Scene(rps=60.0) as scene:
        scene.actuator.fail_next_scale(*[ActuationError("etcd does not answer")] * 30)
        for _ in range(10):
            await scene.tick()
        lost = scene.outcomes()

        await scene.tick()

        assert lost == [Outcome.FAILED] * 10
        assert scene.outcomes()[-1] is Outcome.APPLIED
        assert [call.replicas for call in scene.actuator.calls] == [scene.ticks()[-1].replicas]
        assert scene.ticks()[0].replicas == scene.ticks()[-1].replicas


async def test_both_sides_gone_for_an_hour_end_where_they_began() -> None:
    async with Scene(rps=60.0) as scene:
        sized = (await scene.tick()).replicas
        scene.source.break_backend("no route to host")
        scene.actuator.fail_next_read(*[Unreachable("no route to host")] * 120)
        for _ in range(120):
            assert (await scene.tick()).replicas == sized
        scene.source.mend_backend()

        back = await scene.tick()

        assert not back.is_hold
        assert back.replicas == sized
        assert len(scene.actuator.requests) == 1
