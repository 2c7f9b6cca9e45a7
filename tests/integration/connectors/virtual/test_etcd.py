"""The virtual connector's keys and handshake on a real etcd, read back by an independent client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from config.clock import VirtualClock
from config.errors import ActuationError, Malformed
from connectors.base import PoolState, Replicas
from connectors.testing import ActuatorConformance, ActuatorHarness
from connectors.virtual.environment import EtcdEnvironment, VirtualDecision
from connectors.virtual.etcd import EtcdActuator, EtcdTarget
from connectors.virtual.etcd_client import EtcdOptions
from connectors.virtual.etcd_keys import Counts

if TYPE_CHECKING:
    from tests.integration.connectors.virtual.conftest import EtcdServer

Open = Callable[..., EtcdActuator]
PREFIX = "v1/llm/planner/"


async def carry_out(_decision: VirtualDecision) -> None:
    """Play an environment that is done at once."""


def options(etcd: "EtcdServer", *, timeout_s: float = 5.0) -> EtcdOptions:
    return EtcdOptions(endpoints=(etcd.url,), timeout_s=timeout_s)


def target(*, prefill: int = 1, decode: int = 1) -> EtcdTarget:
    return EtcdTarget(dynamo_namespace="llm", initial=Counts(prefill=prefill, decode=decode))


# --- keys and handshake


async def test_the_first_decision_is_zero_and_its_counts_are_decimal_text(
    etcd: "EtcdServer", planner: Open
) -> None:
    await planner().scale(Replicas.of(prefill=2, decode=11))

    assert etcd.own() == {"num_prefill_workers": "2", "num_decode_workers": "11", "decision_id": "0"}


async def test_counts_and_decision_are_one_transaction(etcd: "EtcdServer", planner: Open) -> None:
    await planner().scale(Replicas.of(prefill=2, decode=3))

    assert len({revision for _, revision in etcd.stored().values()}) == 1


async def test_a_decision_is_carried_out_and_acknowledged_once(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    seen: list[VirtualDecision] = []

    async def start_engines(decision: VirtualDecision) -> None:
        seen.append(decision)

    await actuator.scale(Replicas.of(prefill=2, decode=3))
    first, second = await environment.step(start_engines), await environment.step(start_engines)

    assert (first, second) == (True, False)
    assert seen == [VirtualDecision(decision_id=0, counts=Counts(prefill=2, decode=3))]
    assert etcd.own()["scaled_decision_id"] == "0"


async def test_equal_counts_are_not_written_again(etcd: "EtcdServer", planner: Open) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=2, decode=3))
    before = etcd.stored()

    await actuator.scale(Replicas.of(prefill=2, decode=3))
    await planner().scale(Replicas.of(prefill=2, decode=3))

    assert etcd.stored() == before


async def test_a_restarted_planner_goes_on_counting_decisions(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    await planner().scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)

    await planner().scale(Replicas.of(prefill=1, decode=3))

    assert etcd.own()["decision_id"] == "1"


async def test_a_decision_is_newer_than_an_acknowledgement_that_outlived_the_planners_keys(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    etcd.put(PREFIX + "scaled_decision_id", "7")

    await planner().scale(Replicas.of(prefill=1, decode=2))

    assert etcd.own()["decision_id"] == "8"
    assert await environment.pending() is not None


async def test_an_acknowledgement_is_never_taken_back(
    etcd: "EtcdServer", environment: EtcdEnvironment
) -> None:
    etcd.put(PREFIX + "scaled_decision_id", "7")

    await environment.acknowledge(3)

    assert etcd.own()["scaled_decision_id"] == "7"


async def test_half_a_decision_is_not_carried_out(etcd: "EtcdServer", environment: EtcdEnvironment) -> None:
    etcd.put(PREFIX + "num_prefill_workers", "2")
    etcd.put(PREFIX + "num_decode_workers", "3")
    without_id = await environment.pending()
    etcd.put(PREFIX + "decision_id", "0")
    whole = await environment.pending()
    etcd.put(PREFIX + "num_prefill_workers", "9")
    half_of_the_next = await environment.pending()

    assert without_id is None
    assert whole == VirtualDecision(decision_id=0, counts=Counts(prefill=2, decode=3))
    assert half_of_the_next is None


async def test_counts_without_a_decision_are_announced_by_the_next_call(
    etcd: "EtcdServer", planner: Open
) -> None:
    etcd.put(PREFIX + "num_prefill_workers", "2")
    etcd.put(PREFIX + "num_decode_workers", "3")

    await planner().scale(Replicas.of(prefill=2, decode=3))

    assert etcd.own()["decision_id"] == "0"


async def test_a_request_that_names_nothing_writes_nothing(etcd: "EtcdServer", planner: Open) -> None:
    await planner().scale(Replicas(()))

    assert etcd.own() == {}


async def test_two_requests_of_one_planner_at_once_are_not_taken_for_two_writers(planner: Open) -> None:
    actuator = planner()
    calls = [actuator.scale(Replicas.of(prefill=1, decode=n)) for n in (2, 3)]

    first, second = await asyncio.gather(*calls, return_exceptions=True)

    assert first is None
    assert "decision 0 is not acknowledged" in str(second)


async def test_the_environment_runs_until_it_is_cancelled(
    planner: Open, environment: EtcdEnvironment, clock: VirtualClock
) -> None:
    acted = asyncio.Event()

    async def start_engines(_decision: VirtualDecision) -> None:
        acted.set()

    await planner().scale(Replicas.of(prefill=1, decode=2))
    running = asyncio.create_task(environment.run(start_engines, clock))
    async with asyncio.timeout(10):
        await acted.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


# --- what the fleet is


async def test_a_fleet_that_was_never_asked_for_has_its_initial_counts(etcd: "EtcdServer") -> None:
    actuator = EtcdActuator(options(etcd), target(prefill=2, decode=3), VirtualClock())

    fleet = await actuator.read()
    await actuator.close()

    assert dict(fleet.pools) == {
        "prefill": PoolState(desired=2, ready=2),
        "decode": PoolState(desired=3, ready=3),
    }


async def test_what_is_not_acknowledged_is_starting_or_terminating(
    planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=4, decode=4))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=6, decode=1))

    between = (await actuator.read()).pools
    await environment.step(carry_out)
    after = (await actuator.read()).pools

    assert between["prefill"] == PoolState(desired=6, ready=4, starting=2)
    assert between["decode"] == PoolState(desired=1, ready=1, terminating=3)
    assert after["prefill"] == PoolState(desired=6, ready=6)
    assert after["decode"] == PoolState(desired=1, ready=1)


async def test_all_decisions_since_the_acknowledged_one_bound_what_may_run_also_after_a_restart(
    planner: Open, environment: EtcdEnvironment, clock: VirtualClock
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=9, decode=9))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=4, decode=4))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=6, decode=4))
    one_owed = (await actuator.read()).pools
    await clock.advance(1800.0)
    await actuator.scale(Replicas.of(prefill=5, decode=3))

    two_owed = (await actuator.read()).pools
    restarted = (await planner().read()).pools

    assert one_owed["prefill"] == PoolState(desired=6, ready=4, starting=2)
    assert two_owed == restarted
    assert restarted["prefill"] == PoolState(desired=5, ready=4, starting=1, terminating=1)
    assert restarted["decode"] == PoolState(desired=3, ready=3, terminating=1)


async def test_a_count_that_was_changed_by_hand_is_wanted_and_not_ready(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    for decode in (2, 5):
        await actuator.scale(Replicas.of(prefill=1, decode=decode))
        await environment.step(carry_out)
    etcd.put(PREFIX + "num_decode_workers", "9")

    pools = (await planner().read()).pools

    assert pools["prefill"] == PoolState(desired=1, ready=1)
    assert pools["decode"] == PoolState(desired=9, ready=5, starting=4)


async def test_a_decision_that_dynamo_wrote_key_by_key_is_bounded_by_the_one_before(
    etcd: "EtcdServer", planner: Open
) -> None:
    for decision, (prefill, decode) in enumerate([(1, 2), (3, 1)]):
        etcd.put(PREFIX + "num_prefill_workers", str(prefill))
        etcd.put(PREFIX + "num_decode_workers", str(decode))
        etcd.put(PREFIX + "decision_id", str(decision))
    etcd.put(PREFIX + "scaled_decision_id", "0")

    pools = (await planner().read()).pools

    assert pools["prefill"] == PoolState(desired=3, ready=1, starting=2)
    assert pools["decode"] == PoolState(desired=1, ready=1, terminating=1)


async def test_a_compacted_history_is_replaced_by_what_this_process_saw(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=4, decode=4))
    await environment.step(carry_out)
    await actuator.read()
    await actuator.scale(Replicas.of(prefill=6, decode=4))
    etcd.put("other", "key")
    etcd.compact()

    known = (await actuator.read()).pools
    restarted = (await planner().read()).pools

    assert known["prefill"] == PoolState(desired=6, ready=4, starting=2)
    assert restarted["prefill"] == PoolState(desired=6, ready=1, starting=5)


@pytest.mark.parametrize("value", ["", "three", "-1", "2.5", "9" * 5000])
async def test_a_count_that_is_none_is_malformed_with_key_and_value(
    etcd: "EtcdServer", planner: Open, value: str
) -> None:
    etcd.put(PREFIX + "num_decode_workers", value)
    actuator = planner()

    with pytest.raises(Malformed, match="num_decode_workers") as read:
        await actuator.read()
    with pytest.raises(ActuationError, match="num_decode_workers"):
        await actuator.scale(Replicas.of(prefill=1, decode=2))
    assert repr(value[:40]) in str(read.value)


# --- acknowledgement


async def test_an_unacknowledged_decision_holds_the_next_one_until_the_wait_is_over(
    etcd: "EtcdServer", planner: Open, clock: VirtualClock
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=1, decode=2))
    await clock.advance(12.0)

    with pytest.raises(
        ActuationError,
        match=r"decision 0 is not acknowledged .* \(acknowledged: none\), waiting 12 s of 1800 s",
    ):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    held = etcd.own()
    await clock.advance(1787.0)
    with pytest.raises(ActuationError, match="1799 s of 1800 s"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    await clock.advance(1.0)
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    assert held["num_decode_workers"] == "2"
    assert etcd.own() == {"num_prefill_workers": "1", "num_decode_workers": "3", "decision_id": "1"}


async def test_an_older_acknowledgement_counts_as_none(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    with pytest.raises(ActuationError, match=r"decision 1 is not acknowledged .* \(acknowledged: 0\)"):
        await actuator.scale(Replicas.of(prefill=1, decode=4))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=1, decode=4))

    assert etcd.own()["decision_id"] == "2"


async def test_the_wait_of_a_restarted_planner_begins_when_it_first_looks(
    planner: Open, clock: VirtualClock
) -> None:
    await planner().scale(Replicas.of(prefill=1, decode=2))
    await clock.advance(5000.0)
    restarted = planner()
    await restarted.read()
    await clock.advance(30.0)

    with pytest.raises(ActuationError, match="30 s of 1800 s"):
        await restarted.scale(Replicas.of(prefill=1, decode=3))


# --- what every actuator must do


@pytest.fixture
def harness(etcd: "EtcdServer") -> Callable[[], AbstractAsyncContextManager[ActuatorHarness]]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ActuatorHarness]:
        etcd.post("/v3/kv/deleterange", {"key": "AA==", "range_end": "AA=="})
        environment = EtcdEnvironment(options(etcd), dynamo_namespace="llm")
        actuator = EtcdActuator(options(etcd, timeout_s=0.5), target(prefill=1, decode=2), VirtualClock())

        async def settle() -> None:
            await environment.step(carry_out)

        async def freeze() -> None:
            etcd.pause()

        yield ActuatorHarness(
            actuator=actuator,
            replicas=Replicas.of(prefill=1, decode=2),
            settle=settle,
            break_backend=freeze,
        )
        etcd.resume()
        await actuator.close()
        await environment.close()

    return opened


@pytest.mark.slow
async def test_the_etcd_actuator_conforms(
    harness: Callable[[], AbstractAsyncContextManager[ActuatorHarness]],
) -> None:
    assert len(await ActuatorConformance(harness).run_all()) == 11
