"""Counts that were written where they may not be read: Dynamo's adapters under the stock planner's rights."""

from collections.abc import AsyncIterator

import pytest

from config.clock import VirtualClock
from config.policy import Role
from connectors.base import Replicas
from connectors.kubernetes.actuator import ActuatorOptions, KubernetesActuator
from connectors.kubernetes.reference import parse_reference
from tests.cluster.dynamo import NS, adapted, cluster, opted_in, path_of

_DECODE = "VllmDecodeWorker"


class Stock:
    """A graph deployment whose decode adapter may be written and not read; the test plays the operator."""

    def __init__(self) -> None:
        self.clock = VirtualClock(wall_origin_s=1_767_225_600.0)
        graph = opted_in("v1alpha1")
        self.graph, self.api = path_of(graph), cluster(graph)
        self.adapter = adapted(self.api, graph, _DECODE, replicas=2)
        for verb in ("get", "list", "watch"):
            self.api.forbid(verb, self.adapter)
            self.api.forbid(verb, self.adapter.rpartition("/")[0])
        self.said: list[str] = []
        self.actuator = KubernetesActuator(
            self.api,
            [
                parse_reference("dgd/vllm-disagg", role=role, namespace=NS, key="")
                for role in (Role.PREFILL, Role.DECODE)
            ],
            clock=self.clock,
            options=ActuatorOptions(say=self.said.append),
        )

    async def desired(self) -> int:
        return (await self.actuator.read()).pools["decode"].desired

    async def scale(self, count: int) -> None:
        await self.actuator.scale(Replicas.of(decode=count))

    async def copy(self, count: int) -> None:
        """Do what the operator does with what an adapter asks for."""
        self.api.change(self.graph, {"spec": {"services": {_DECODE: {"replicas": count}}}})
        await self.clock.advance(0.0)

    def blamed(self) -> list[str]:
        return [words for words in self.said if "changed from" in words]

    def asked(self) -> list[object]:
        return [sent.body["spec"]["replicas"] for sent in self.api.writes()]


@pytest.fixture
async def stock() -> AsyncIterator[Stock]:
    stock = Stock()
    yield stock
    await stock.actuator.close()


async def test_a_write_counts_before_the_operator_has_copied_it(stock: Stock) -> None:
    await stock.desired()

    await stock.scale(5)

    assert await stock.desired() == 5
    assert stock.asked() == [5]
    assert stock.blamed() == []


async def test_what_the_operator_copies_is_nobody_elses_change(stock: Stock) -> None:
    await stock.desired()
    await stock.scale(5)
    await stock.scale(3)

    await stock.copy(5)
    between = await stock.desired()
    await stock.copy(3)

    assert (between, await stock.desired()) == (3, 3)
    assert stock.asked() == [5, 3]
    assert stock.blamed() == []


async def test_a_count_that_was_never_written_is_somebody_elses(stock: Stock) -> None:
    await stock.desired()
    await stock.scale(5)

    await stock.copy(4)

    assert await stock.desired() == 4
    assert len(stock.blamed()) == 1


async def test_a_count_that_is_taken_back_before_it_shows_is_not_waited_for(stock: Stock) -> None:
    await stock.desired()
    await stock.scale(5)
    await stock.scale(2)

    await stock.desired()
    await stock.clock.advance(61.0)

    assert await stock.desired() == 2
    assert not any("are still shown" in words for words in stock.said)


async def test_a_write_that_never_shows_is_told_and_written_again_and_nobody_is_blamed(stock: Stock) -> None:
    await stock.desired()
    for _ in range(4):
        await stock.scale(5)
        await stock.clock.advance(61.0)
        assert await stock.desired() == 2

    assert stock.asked() == [5, 5, 5, 5]
    assert stock.blamed() == []
    assert (await stock.actuator.read()).pools["decode"].hold is None
    assert any("5 replicas were asked for, and 60 s later 2 are still shown" in words for words in stock.said)
