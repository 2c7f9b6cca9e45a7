"""The virtual connector's keys and handshake on a real etcd, read back by an independent client."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest

from config.clock import VirtualClock
from config.errors import ActuationError, Conflict, Malformed, ObservationError, Refused, Unreachable
from connectors.base import PoolState, Replicas
from connectors.testing import ActuatorConformance, ActuatorHarness
from connectors.virtual.environment import EtcdEnvironment, VirtualDecision
from connectors.virtual.etcd import EtcdActuator, EtcdTarget
from connectors.virtual.etcd_client import EtcdOptions
from connectors.virtual.etcd_keys import Counts

PREFIX = "v1/llm/planner/"


class Server(Protocol):
    """What these tests use of the fixture `etcd`."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def put(self, key: str, value: str) -> None: ...
    def delete(self, key: str) -> None: ...
    def stored(self) -> dict[str, tuple[str, int]]: ...
    def values(self) -> dict[str, str]: ...
    def compact(self) -> None: ...
    def post(self, path: str, body: dict[str, object], *, token: str = "") -> dict[str, object]: ...


def options(etcd: Server, *, timeout_s: float = 5.0) -> EtcdOptions:
    return EtcdOptions(endpoints=(etcd.url,), timeout_s=timeout_s)


def target(*, prefill: int = 1, decode: int = 1) -> EtcdTarget:
    return EtcdTarget(dynamo_namespace="llm", initial=Counts(prefill=prefill, decode=decode))


Open = Callable[[], EtcdActuator]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def planner(etcd: Server, clock: VirtualClock) -> AsyncIterator[Open]:
    """Start planners: the same one again is a restart, a second one is a competitor."""
    opened: list[EtcdActuator] = []

    def start() -> EtcdActuator:
        opened.append(EtcdActuator(options(etcd, timeout_s=1.0), target(), clock))
        return opened[-1]

    yield start
    for actuator in opened:
        await actuator.close()


@pytest.fixture
async def environment(etcd: Server) -> AsyncIterator[EtcdEnvironment]:
    found = EtcdEnvironment(options(etcd), dynamo_namespace="llm")
    yield found
    await found.close()


async def carry_out(_decision: VirtualDecision) -> None:
    """Play an environment that is done at once."""


def own(etcd: Server) -> dict[str, str]:
    return {key.removeprefix(PREFIX): value for key, value in etcd.values().items()}


# --- keys and handshake


async def test_the_first_decision_is_zero_and_its_counts_are_decimal_text(
    etcd: Server, planner: Open
) -> None:
    await planner().scale(Replicas.of(prefill=2, decode=11))

    assert own(etcd) == {"num_prefill_workers": "2", "num_decode_workers": "11", "decision_id": "0"}


async def test_counts_and_decision_are_one_transaction(etcd: Server, planner: Open) -> None:
    await planner().scale(Replicas.of(prefill=2, decode=3))

    assert len({revision for _, revision in etcd.stored().values()}) == 1


async def test_a_decision_is_carried_out_and_acknowledged_once(
    etcd: Server, planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    seen: list[VirtualDecision] = []

    async def start_engines(decision: VirtualDecision) -> None:
        seen.append(decision)

    await actuator.scale(Replicas.of(prefill=2, decode=3))
    first, second = await environment.step(start_engines), await environment.step(start_engines)

    assert (first, second) == (True, False)
    assert seen == [VirtualDecision(decision_id=0, counts=Counts(prefill=2, decode=3))]
    assert own(etcd)["scaled_decision_id"] == "0"


async def test_equal_counts_are_not_written_again(etcd: Server, planner: Open) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=2, decode=3))
    before = etcd.stored()

    await actuator.scale(Replicas.of(prefill=2, decode=3))
    await planner().scale(Replicas.of(prefill=2, decode=3))

    assert etcd.stored() == before


async def test_a_restarted_planner_goes_on_counting_decisions(
    etcd: Server, planner: Open, environment: EtcdEnvironment
) -> None:
    await planner().scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)

    await planner().scale(Replicas.of(prefill=1, decode=3))

    assert own(etcd)["decision_id"] == "1"


async def test_a_decision_is_newer_than_an_acknowledgement_that_outlived_the_planners_keys(
    etcd: Server, planner: Open, environment: EtcdEnvironment
) -> None:
    etcd.put(PREFIX + "scaled_decision_id", "7")

    await planner().scale(Replicas.of(prefill=1, decode=2))

    assert own(etcd)["decision_id"] == "8"
    assert await environment.pending() is not None


async def test_an_acknowledgement_is_never_taken_back(
    etcd: Server, planner: Open, environment: EtcdEnvironment
) -> None:
    etcd.put(PREFIX + "scaled_decision_id", "7")

    await environment.acknowledge(3)

    assert own(etcd)["scaled_decision_id"] == "7"


async def test_half_a_decision_is_not_carried_out(etcd: Server, environment: EtcdEnvironment) -> None:
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


async def test_counts_without_a_decision_are_announced_by_the_next_call(etcd: Server, planner: Open) -> None:
    etcd.put(PREFIX + "num_prefill_workers", "2")
    etcd.put(PREFIX + "num_decode_workers", "3")

    await planner().scale(Replicas.of(prefill=2, decode=3))

    assert own(etcd)["decision_id"] == "0"


async def test_the_environment_runs_until_it_is_cancelled(
    etcd: Server, planner: Open, environment: EtcdEnvironment, clock: VirtualClock
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


async def test_a_fleet_that_was_never_asked_for_has_its_initial_counts(etcd: Server) -> None:
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


async def test_a_restarted_planner_knows_what_was_acknowledged_from_the_history(
    planner: Open, environment: EtcdEnvironment, clock: VirtualClock
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=4, decode=4))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=6, decode=4))
    await clock.advance(1800.0)
    await actuator.scale(Replicas.of(prefill=2, decode=5))

    pools = (await planner().read()).pools

    assert pools["prefill"] == PoolState(desired=2, ready=2, terminating=4)
    assert pools["decode"] == PoolState(desired=5, ready=4, starting=1)


async def test_a_compacted_history_is_replaced_by_what_this_process_saw(
    etcd: Server, planner: Open, environment: EtcdEnvironment
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
    etcd: Server, planner: Open, value: str
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
    etcd: Server, planner: Open, clock: VirtualClock
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=1, decode=2))
    await clock.advance(12.0)

    with pytest.raises(
        ActuationError,
        match=r"decision 0 is not acknowledged .* \(acknowledged: none\), waiting 12 s of 1800 s",
    ):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    held = own(etcd)
    await clock.advance(1787.0)
    with pytest.raises(ActuationError, match="1799 s of 1800 s"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    await clock.advance(1.0)
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    assert held["num_decode_workers"] == "2"
    assert own(etcd) == {"num_prefill_workers": "1", "num_decode_workers": "3", "decision_id": "1"}


async def test_an_older_acknowledgement_counts_as_none(
    etcd: Server, planner: Open, environment: EtcdEnvironment, clock: VirtualClock
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    with pytest.raises(ActuationError, match=r"decision 1 is not acknowledged .* \(acknowledged: 0\)"):
        await actuator.scale(Replicas.of(prefill=1, decode=4))
    await environment.step(carry_out)
    await actuator.scale(Replicas.of(prefill=1, decode=4))

    assert own(etcd)["decision_id"] == "2"


async def test_the_wait_of_a_restarted_planner_begins_when_it_first_looks(
    etcd: Server, planner: Open, clock: VirtualClock
) -> None:
    await planner().scale(Replicas.of(prefill=1, decode=2))
    await clock.advance(5000.0)
    restarted = planner()
    await restarted.read()
    await clock.advance(30.0)

    with pytest.raises(ActuationError, match="30 s of 1800 s"):
        await restarted.scale(Replicas.of(prefill=1, decode=3))


# --- a second writer


async def test_a_second_writer_is_a_conflict_and_its_counts_are_read_next(
    etcd: Server, planner: Open, environment: EtcdEnvironment
) -> None:
    ours, theirs = planner(), planner()
    await ours.scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)
    await ours.read()
    await theirs.scale(Replicas.of(prefill=5, decode=5))

    with pytest.raises(
        Conflict, match=r"decision 0 \(prefill 1, decode 2\) became decision 1 \(prefill 5, decode 5\)"
    ):
        await ours.scale(Replicas.of(prefill=1, decode=3))
    pools = (await ours.read()).pools

    assert own(etcd)["num_prefill_workers"] == "5"
    assert (pools["prefill"].desired, pools["decode"].desired) == (5, 5)


async def test_after_reading_again_the_planner_scales_over_the_second_writer(
    etcd: Server, planner: Open, environment: EtcdEnvironment
) -> None:
    ours = planner()
    await ours.scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)
    etcd.put(PREFIX + "num_decode_workers", "9")
    with pytest.raises(Conflict):
        await ours.scale(Replicas.of(prefill=1, decode=3))

    await ours.read()
    await ours.scale(Replicas.of(prefill=1, decode=3))

    assert own(etcd)["num_decode_workers"] == "3"
    assert own(etcd)["decision_id"] == "1"


async def test_of_two_planners_at_once_one_wins_as_a_whole(etcd: Server, planner: Open) -> None:
    contenders = [planner() for _ in range(6)]
    calls = [one.scale(Replicas.of(prefill=n, decode=10 * n)) for n, one in enumerate(contenders, start=1)]

    results = await asyncio.gather(*calls, return_exceptions=True)

    stored = own(etcd)
    assert results.count(None) == 1
    assert all(result is None or isinstance(result, ActuationError) for result in results)
    assert int(stored["num_decode_workers"]) == 10 * int(stored["num_prefill_workers"])
    assert stored["decision_id"] == "0"


# --- etcd goes away


async def test_what_could_not_be_written_while_etcd_was_down_is_written_at_the_next_call(
    etcd: Server, planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)
    etcd.kill()

    with pytest.raises(Unreachable, match="no etcd endpoint answered"):
        await actuator.read()
    with pytest.raises(ActuationError, match="no etcd endpoint answered"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    etcd.start()
    kept = own(etcd)
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    assert kept["num_decode_workers"] == "2"
    assert own(etcd)["num_decode_workers"] == "3"
    assert own(etcd)["decision_id"] == "1"


async def test_a_frozen_etcd_is_unreachable_in_time_and_usable_afterwards(
    etcd: Server, clock: VirtualClock
) -> None:
    actuator = EtcdActuator(options(etcd, timeout_s=0.2), target(), clock)
    etcd.pause()

    with pytest.raises(ActuationError, match=r"no answer within 0\.2 s"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    etcd.resume()
    async with asyncio.timeout(10):
        while await _fails(actuator):
            pass
    await actuator.close()

    assert own(etcd)["num_decode_workers"] == "3"
    assert own(etcd)["decision_id"] == "0"


async def _fails(actuator: EtcdActuator) -> bool:
    try:
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    except ActuationError:
        return True
    return False


async def test_the_next_endpoint_answers_for_one_that_is_gone(etcd: Server, clock: VirtualClock) -> None:
    both = EtcdOptions(endpoints=("http://127.0.0.1:1", etcd.url + "/"), timeout_s=2.0)
    actuator = EtcdActuator(both, target(), clock)

    await actuator.scale(Replicas.of(prefill=1, decode=3))
    await actuator.close()

    assert own(etcd)["num_decode_workers"] == "3"


# --- logging in


@pytest.fixture
def locked(etcd: Server) -> Server:
    """Return an etcd that wants a login: root with the password `right`."""
    etcd.post("/v3/auth/user/add", {"name": "root", "password": "right"})
    etcd.post("/v3/auth/role/add", {"name": "root"})
    etcd.post("/v3/auth/user/grant", {"user": "root", "role": "root"})
    etcd.post("/v3/auth/user/add", {"name": "guest", "password": "right"})
    etcd.post("/v3/auth/enable", {})
    return etcd


async def login(etcd: Server, *, username: str = "", password: str = "") -> Exception | None:
    user = EtcdOptions(endpoints=(etcd.url,), username=username, password=password)
    actuator = EtcdActuator(user, target(), VirtualClock())
    try:
        await actuator.scale(Replicas.of(prefill=1, decode=3))
        await actuator.read()
    except (ActuationError, ObservationError) as error:
        return error
    finally:
        await actuator.close()
    return None


async def test_a_user_with_the_right_password_may_write(locked: Server) -> None:
    assert await login(locked, username="root", password="right") is None  # noqa: S106 - a test's own


@pytest.mark.parametrize(
    ("username", "password", "words"),
    [
        ("root", "hunter2", "authentication failed"),
        ("", "", "user name is empty"),
        ("guest", "right", "permission denied"),
    ],
    ids=["wrong password", "no login", "no rights"],
)
async def test_a_login_that_is_refused_says_so_without_the_password(
    locked: Server, username: str, password: str, words: str
) -> None:
    error = await login(locked, username=username, password=password)

    assert isinstance(error, Refused)
    assert words in str(error)
    assert "hunter2" not in str(error)


async def test_a_refused_login_makes_reading_an_observation_error(locked: Server) -> None:
    actuator = EtcdActuator(options(locked), target(), VirtualClock())

    with pytest.raises(ObservationError, match="user name is empty"):
        await actuator.read()
    await actuator.close()


async def test_a_token_that_is_no_longer_known_is_renewed(locked: Server) -> None:
    user = EtcdOptions(endpoints=(locked.url,), username="root", password="right")  # noqa: S106 - a test's own
    actuator = EtcdActuator(user, target(), VirtualClock())
    await actuator.scale(Replicas.of(prefill=1, decode=3))
    locked.kill()
    locked.start()

    fleet = await actuator.read()
    await actuator.close()

    assert fleet.pools["decode"].desired == 3


# --- what every actuator must do


@pytest.fixture
def harness(etcd: Server) -> Callable[[], AbstractAsyncContextManager[ActuatorHarness]]:
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
