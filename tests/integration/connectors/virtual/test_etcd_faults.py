"""What goes wrong between a planner and a real etcd: other writers, lost answers, dead servers, logins."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from config.clock import ScaledClock, SystemClock, VirtualClock
from config.errors import ActuationError, Conflict, ObservationError, Refused, Unreachable
from connectors.base import Replicas
from connectors.virtual.environment import EtcdEnvironment, VirtualDecision
from connectors.virtual.etcd import EtcdActuator, EtcdTarget
from connectors.virtual.etcd_client import EtcdOptions

if TYPE_CHECKING:
    from tests.integration.connectors.virtual.conftest import EtcdServer

Open = Callable[..., EtcdActuator]
Answer = tuple[int, bytes]
Serve = Callable[[Callable[[str, bytes], Awaitable[Answer | None]]], Awaitable[str]]
PREFIX = "v1/llm/planner/"
RIGHT = "right"


async def carry_out(_decision: VirtualDecision) -> None:
    """Play an environment that is done at once."""


# --- a second writer


async def test_a_second_writer_is_a_conflict_and_its_counts_are_read_next(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
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

    assert etcd.own()["num_prefill_workers"] == "5"
    assert (pools["prefill"].desired, pools["decode"].desired) == (5, 5)


async def test_after_reading_again_the_planner_scales_over_the_second_writer(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    ours = planner()
    await ours.scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)
    etcd.put(PREFIX + "num_decode_workers", "9")
    with pytest.raises(Conflict):
        await ours.scale(Replicas.of(prefill=1, decode=3))

    await ours.read()
    await ours.scale(Replicas.of(prefill=1, decode=3))

    assert etcd.own()["num_decode_workers"] == "3"
    assert etcd.own()["decision_id"] == "1"


async def test_of_two_planners_at_once_one_wins_as_a_whole(etcd: "EtcdServer", planner: Open) -> None:
    contenders = [planner() for _ in range(6)]
    calls = [one.scale(Replicas.of(prefill=n, decode=10 * n)) for n, one in enumerate(contenders, start=1)]

    results = await asyncio.gather(*calls, return_exceptions=True)

    stored = etcd.own()
    assert results.count(None) == 1
    assert all(result is None or isinstance(result, ActuationError) for result in results)
    assert int(stored["num_decode_workers"]) == 10 * int(stored["num_prefill_workers"])
    assert stored["decision_id"] == "0"


# --- etcd goes away


async def test_what_could_not_be_written_while_etcd_was_down_is_written_at_the_next_call(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment
) -> None:
    actuator = planner()
    await actuator.scale(Replicas.of(prefill=1, decode=2))
    await environment.step(carry_out)
    await etcd.kill()

    with pytest.raises(Unreachable, match="no etcd endpoint answered"):
        await actuator.read()
    with pytest.raises(ActuationError, match="no etcd endpoint answered"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    await etcd.start()
    kept = etcd.own()
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    assert kept["num_decode_workers"] == "2"
    assert etcd.own()["num_decode_workers"] == "3"
    assert etcd.own()["decision_id"] == "1"


async def test_a_frozen_etcd_is_unreachable_in_time_and_usable_afterwards(
    etcd: "EtcdServer", planner: Open
) -> None:
    actuator = planner(timeout_s=0.2)
    etcd.pause()

    with pytest.raises(ActuationError, match=r"no answer within 0\.2 s"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    etcd.resume()
    async with asyncio.timeout(10):
        while await _fails(actuator):
            pass

    assert etcd.own()["num_decode_workers"] == "3"
    assert etcd.own()["decision_id"] == "0"


async def _fails(actuator: EtcdActuator) -> bool:
    try:
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    except ActuationError:
        return True
    return False


async def test_the_next_endpoint_answers_for_one_that_is_gone(
    etcd: "EtcdServer", clock: VirtualClock
) -> None:
    both = EtcdOptions(endpoints=("http://127.0.0.1:1", etcd.url + "/"), timeout_s=2.0)
    actuator = EtcdActuator(both, EtcdTarget(dynamo_namespace="llm"), clock)

    await actuator.scale(Replicas.of(prefill=1, decode=3))
    await actuator.close()

    assert etcd.own()["num_decode_workers"] == "3"


# --- answers get lost


async def test_a_write_whose_answer_was_lost_is_found_and_not_repeated(
    etcd: "EtcdServer", planner: Open, gateway: Serve
) -> None:
    async def lose_the_answer(path: str, body: bytes) -> Answer | None:
        answer = await etcd.forward(path, body)
        return None if path == "/v3/kv/txn" else answer

    await planner(await gateway(lose_the_answer)).scale(Replicas.of(prefill=1, decode=3))

    assert etcd.own()["decision_id"] == "0"
    assert {revision for _, revision in etcd.stored().values()} == {2}


async def test_a_write_that_reached_etcd_twice_is_one_decision(
    etcd: "EtcdServer", planner: Open, gateway: Serve
) -> None:
    async def lose_the_answer(path: str, body: bytes) -> Answer | None:
        answer = await etcd.forward(path, body)
        return None if path == "/v3/kv/txn" else answer

    actuator = planner(await gateway(lose_the_answer), etcd.url)
    await actuator.scale(Replicas.of(prefill=1, decode=3))
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    assert etcd.own()["decision_id"] == "0"
    assert {revision for _, revision in etcd.stored().values()} == {2}


async def test_a_write_that_never_arrived_is_an_error_and_written_at_the_next_call(
    etcd: "EtcdServer", planner: Open, gateway: Serve
) -> None:
    losses = ["/v3/kv/txn"]

    async def lose_one_request(path: str, body: bytes) -> Answer | None:
        if path in losses:
            losses.remove(path)
            return None
        return await etcd.forward(path, body)

    actuator = planner(await gateway(lose_one_request))

    with pytest.raises(ActuationError, match="decision 0 was not written: no etcd endpoint answered"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    before = etcd.own()
    await actuator.scale(Replicas.of(prefill=1, decode=3))

    assert before == {}
    assert etcd.own()["num_decode_workers"] == "3"


async def test_a_write_that_nobody_can_tell_about_is_recognized_as_ours_later(
    etcd: "EtcdServer", planner: Open, environment: EtcdEnvironment, gateway: Serve
) -> None:
    away = asyncio.Event()

    async def go_away_with_the_write(path: str, body: bytes) -> Answer | None:
        answer = await etcd.forward(path, body)
        if path == "/v3/kv/txn" and "scaled_decision_id" not in etcd.own():
            away.set()
        return None if away.is_set() else answer

    actuator = planner(await gateway(go_away_with_the_write))
    await actuator.read()
    with pytest.raises(ActuationError, match="not known whether decision 0 was written"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))
    await environment.step(carry_out)
    away.clear()
    await actuator.scale(Replicas.of(prefill=1, decode=4))

    assert etcd.own()["num_decode_workers"] == "4"
    assert etcd.own()["decision_id"] == "1"


async def test_a_writer_that_comes_between_reading_and_writing_loses_nothing(
    etcd: "EtcdServer", planner: Open, gateway: Serve
) -> None:
    async def let_another_in(path: str, body: bytes) -> Answer | None:
        if path == "/v3/kv/txn":
            etcd.put(PREFIX + "num_prefill_workers", "7")
        return await etcd.forward(path, body)

    actuator = planner(await gateway(let_another_in))

    with pytest.raises(Conflict, match=r"became no decision \(prefill 7, decode 1\)"):
        await actuator.scale(Replicas.of(prefill=1, decode=3))

    assert etcd.own() == {"num_prefill_workers": "7"}


async def test_an_environment_carries_on_when_etcd_comes_back(
    etcd: "EtcdServer", planner: Open, gateway: Serve
) -> None:
    losses = ["/v3/kv/range", "/v3/kv/txn"]
    acted = asyncio.Event()
    rounds: list[int] = []

    async def lose_each_once(path: str, body: bytes) -> Answer | None:
        if path in losses:
            losses.remove(path)
            return None
        return await etcd.forward(path, body)

    async def start_engines(decision: VirtualDecision) -> None:
        rounds.append(decision.decision_id)
        if len(rounds) == 2:
            acted.set()

    await planner().scale(Replicas.of(prefill=1, decode=2))
    options = EtcdOptions(endpoints=(await gateway(lose_each_once),))
    environment = EtcdEnvironment(options, dynamo_namespace="llm")
    running = asyncio.create_task(
        environment.run(start_engines, ScaledClock(SystemClock(), speed_ratio=1000.0))
    )
    async with asyncio.timeout(10):
        await acted.wait()
        while await environment.pending() is not None:
            pass
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await environment.close()

    assert rounds == [0, 0]
    assert etcd.own()["scaled_decision_id"] == "0"


# --- logging in


@pytest.fixture
def locked(etcd: "EtcdServer") -> "EtcdServer":
    """Return an etcd that wants a login: root with the password `right`."""
    etcd.post("/v3/auth/user/add", {"name": "root", "password": RIGHT})
    etcd.post("/v3/auth/role/add", {"name": "root"})
    etcd.post("/v3/auth/user/grant", {"user": "root", "role": "root"})
    etcd.post("/v3/auth/user/add", {"name": "guest", "password": RIGHT})
    etcd.post("/v3/auth/enable", {})
    return etcd


async def login(etcd: "EtcdServer", *, username: str = "", password: str = "") -> Exception | None:
    user = EtcdOptions(endpoints=(etcd.url,), username=username, password=password)
    actuator = EtcdActuator(user, EtcdTarget(dynamo_namespace="llm"), VirtualClock())
    try:
        await actuator.scale(Replicas.of(prefill=1, decode=3))
        await actuator.read()
    except (ActuationError, ObservationError) as error:
        return error
    finally:
        await actuator.close()
    return None


async def test_a_user_with_the_right_password_may_write(locked: "EtcdServer") -> None:
    assert await login(locked, username="root", password=RIGHT) is None


@pytest.mark.parametrize(
    ("username", "password", "words"),
    [
        ("root", "hunter2", "authentication failed"),
        ("", "", "user name is empty"),
        ("guest", RIGHT, "permission denied"),
    ],
    ids=["wrong password", "no login", "no rights"],
)
async def test_a_login_that_is_refused_says_so_without_the_password(
    locked: "EtcdServer", username: str, password: str, words: str
) -> None:
    error = await login(locked, username=username, password=password)

    assert isinstance(error, Refused)
    assert words in str(error)
    assert "hunter2" not in str(error)


async def test_a_refused_login_makes_reading_an_observation_error(
    locked: "EtcdServer", planner: Open
) -> None:
    actuator = planner(locked.url)

    with pytest.raises(ObservationError, match="user name is empty"):
        await actuator.read()


async def test_a_token_that_is_no_longer_known_is_renewed(locked: "EtcdServer") -> None:
    user = EtcdOptions(endpoints=(locked.url,), username="root", password=RIGHT)
    actuator = EtcdActuator(user, EtcdTarget(dynamo_namespace="llm"), VirtualClock())
    await actuator.scale(Replicas.of(prefill=1, decode=3))
    login = locked.post("/v3/auth/authenticate", {"name": "root", "password": RIGHT})
    locked.post("/v3/auth/disable", {}, token=str(login["token"]))
    locked.post("/v3/auth/enable", {})

    fleet = await actuator.read()
    await actuator.close()

    assert fleet.pools["decode"].desired == 3
