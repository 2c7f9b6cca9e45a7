"""Each kind is scaled up and down by `setpoint run`, with the rights of deploy/ and no others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.cluster.control_plane import Json
from tests.cluster.examples import EXAMPLES
from tests.cluster.played import Played
from tests.e2e.frontend import Load
from tests.e2e.kinds import (
    LOW,
    QUIET,
    Controllers,
    Pair,
    asked_at,
    forbidden,
    is_done,
    now,
    pair,
    tally,
    words,
)
from tests.e2e.stage import Stage

T = TypeVar("T")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
LARGE = Load(rate_rps=100.0)
# On a machine that is too busy a tick may be blind, which is told.
TOLD = frozenset({"create events", "patch events"})
_UP_AND_DOWN = 2
# Prefill and decode; the two have no kind of objects in common, so that it is told whose requests are whose.
PAIRS = (
    ("statefulset", "dynamographdeployment v1alpha1"),
    ("anything with a scale", "dynamographdeployment v1beta1"),
    ("deployment", "dynamographdeployment with an adapter"),
    ("leaderworkerset", "scaling adapter"),
    ("disaggregatedset", "raycluster"),
    ("llminferenceservice stating none", "rayservice"),
    ("stormservice in pool mode", "llminferenceservice stating replicas"),
    ("inferenceservice none", "llminferenceservice of several nodes"),
    ("podcliquescalinggroup", "podclique"),
    ("inferenceservice external", "stormservice in replica mode"),
)


def test_no_kind_is_left_out() -> None:
    assert {name for both in PAIRS for name in both} == {example.name for example in EXAMPLES}


@asynccontextmanager
async def daemons(stage: Stage, folder: Path, pairs: Sequence[tuple[str, str]]) -> AsyncIterator[list[Pair]]:
    """Give a daemon to each pair; all see the same load."""
    stage.scene.frontend.carry(LOW)
    await stage.scene.prometheus.start(stage.scene.frontend.target)
    found = [
        await asyncio.to_thread(pair, stage, *names, folder=folder / f"pair-{number}")
        for number, names in enumerate(pairs)
    ]
    async with AsyncExitStack() as stack:
        for one in found:
            stack.push_async_callback(one.stage.scene.setpoint.kill)
        await stack.enter_async_context(Controllers(found))
        for one in found:
            await one.start()  # one after the other, since it is work for the processor
        yield found


@pytest.mark.parametrize("pairs", [PAIRS[:5], PAIRS[5:]], ids=["first half", "second half"])
async def test_every_kind_is_scaled_with_the_rights_of_its_role_and_costs_nothing_at_rest(
    stage: Stage,
    tmp_path: Path,
    pairs: Sequence[tuple[str, str]],
    record_property: Callable[[str, object], None],
) -> None:
    async with daemons(stage, tmp_path, pairs) as found:
        await _all(one.stage.scene.setpoint.ticks(2) for one in found)
        began = now()
        await _all(one.stage.scene.setpoint.ticks(3) for one in found)
        rested = now()
        stage.scene.frontend.carry(LARGE)
        await _all(one.settled(one.is_more) for one in found)
        stage.scene.frontend.carry(LOW)
        await _all(one.settled(one.is_less) for one in found)
        await _all(one.stage.scene.setpoint.ticks(1) for one in found)
        codes = await _all(one.stage.scene.setpoint.terminate() for one in found)

    assert codes == [0] * len(found)
    rests = 0
    for one in found:
        requests = one.requests()
        start = [entry for entry in requests if asked_at(entry) < began]
        rest = [entry for entry in requests if began <= asked_at(entry) < rested]
        after = [entry for entry in requests if rested <= asked_at(entry)]
        record_property(one.names, [tally(one.shared(part)) for part in (start, rest, after)])
        for pool in (one.prefill, one.decode):
            record_property(pool.name, [tally(one.of(pool, part)) for part in (start, rest, after)])
            _check_price(pool, one.of(pool, (*rest, *after)), decided=one.decided(pool))
        assert list(forbidden(requests)) == [], one.names
        if all(one.changes(pool, rest) == 0 for pool in (one.prefill, one.decode)):
            rests += 1
            assert {words(entry) for entry in rest} <= QUIET | TOLD, one.names
    # On a busy machine the load may be measured wrong, and answered, in one place or another.
    assert rests >= len(found) - 1


def _check_price(pool: Played, changes: Sequence[Json], *, decided: int) -> None:
    """Each decision is one patch; where it went to a scale, object and scale are read again."""
    asked = Counter(entry["verb"] for entry in changes)
    done = [entry for entry in changes if entry["verb"] == "patch" and is_done(entry)]

    assert _UP_AND_DOWN <= len(done) <= decided, (pool.name, tally(changes), decided)
    assert len({words(entry) for entry in done}) == 1, (pool.name, tally(changes))
    assert asked["list"] <= asked["patch"], (pool.name, tally(changes))
    assert asked["get"] <= 2 * asked["patch"], (pool.name, tally(changes))
    assert set(asked) <= {"patch", "list", "get"}, (pool.name, tally(changes))


async def _all(waits: Iterable[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*waits))
