"""A fleet that is found at start is adopted; a change of leader changes nothing."""

from dataclasses import replace

import pytest

from config.policy import CorrectionPolicy, Policy
from connectors.base import Fleet
from planner.core.decision import ReasonCode
from tests.unit.planner.core.scene import Loop, codes, counts, fleet, policy, pool, say

LOAD = frozenset({ReasonCode.LOAD, ReasonCode.WINDOW_DOWN, ReasonCode.WINDOW_UP, ReasonCode.SETTLING})


def rules(*, budget_gpus: int = 64, bounds: tuple[int, int | None] = (1, None)) -> Policy:
    both = (pool(name, bounds=bounds, windows_s=(0.0, 90.0)) for name in ("prefill", "decode"))
    return policy(*both, budget_gpus=budget_gpus, correction=CorrectionPolicy(enabled=False))


def applied(engines: Fleet, replicas: dict[str, int]) -> Fleet:
    """Return the fleet after somebody carried out a decision at once."""
    return replace(fleet(**replicas), standby=engines.standby)


@pytest.mark.parametrize("found", [(2, 1), (5, 5), (12, 9)])
def test_a_fleet_within_limits_is_left_as_it_is_until_load_or_windows_say_otherwise(
    found: tuple[int, int],
) -> None:
    engines = fleet(prefill=found[0], decode=found[1])
    daemon = Loop(rules())

    greeting = daemon.look(15.0, engines)
    first = daemon.tick(15.0, engines)

    assert not greeting.is_change
    assert counts(first) == {"prefill": found[0], "decode": found[1]}
    assert codes(first) <= LOAD


@pytest.mark.parametrize("found", [(40, 40), (64, 64)])
def test_a_fleet_beyond_the_budget_waits_for_the_first_good_tick_and_takes_one_step(
    found: tuple[int, int],
) -> None:
    engines = fleet(prefill=found[0], decode=found[1])
    daemon = Loop(rules(budget_gpus=20))

    greeting = daemon.look(15.0, engines)
    first = daemon.tick(15.0, engines)
    second = daemon.tick(15.0, applied(engines, counts(first)))

    assert not greeting.is_change
    assert first.gpus == 20
    assert f"{found[0]} were found at start" in say(first, ReasonCode.BUDGET, "prefill")
    assert not second.is_change
    assert ReasonCode.BUDGET not in codes(second)


def test_a_fleet_outside_its_bounds_is_brought_back_in_one_step_that_says_so() -> None:
    engines = fleet(prefill=1, decode=9)
    daemon = Loop(rules(bounds=(3, 6)))

    greeting = daemon.look(15.0, engines)
    first = daemon.tick(15.0, engines)

    assert not greeting.is_change
    assert counts(first) == {"prefill": 3, "decode": 6}
    assert say(first, ReasonCode.MINIMUM, "prefill").endswith("the pool's minimum is 3; 1 was found at start")
    assert say(first, ReasonCode.MAXIMUM, "decode").endswith("the pool's maximum is 6; 9 were found at start")


def test_a_limit_that_only_bounds_the_load_says_nothing_of_the_start() -> None:
    first = Loop(rules(budget_gpus=8)).tick(95.0, fleet(prefill=2, decode=1))

    assert "found at start" not in say(first, ReasonCode.BUDGET, "prefill")


@pytest.mark.parametrize("ticks_before", [1, 2, 5, 9])
def test_a_change_of_leader_changes_no_count(ticks_before: int) -> None:
    """Two daemons watch one fleet; the one that waited takes over under the same load."""
    leader, standby = Loop(rules()), Loop(rules())
    engines = fleet(prefill=2, decode=1)
    for _ in range(ticks_before):
        engines = applied(engines, counts(leader.tick(25.0, engines)))
        standby.tick(25.0, replace(engines, standby="the other one leads"))

    greeting = standby.look(25.0, engines)
    decisions = [standby.tick(25.0, engines) for _ in range(8)]

    assert [counts(decision) for decision in (greeting, *decisions)] == [{"prefill": 3, "decode": 1}] * 9


@pytest.mark.parametrize("handover", range(1, 9))
def test_a_new_leader_decides_what_the_old_one_would_have(handover: int) -> None:
    rates = (25.0, 60.0, 95.0, 40.0, 15.0, 15.0, 15.0, 15.0, 15.0, 15.0)
    leader, standby, engines = Loop(rules()), Loop(rules()), fleet(prefill=3, decode=2)
    for number, rate in enumerate(rates):
        follows = engines if number >= handover else replace(engines, standby="the other one leads")
        would, does = leader.tick(rate, engines), standby.tick(rate, follows)

        assert counts(does) == counts(would)
        engines = applied(engines, counts(would))


def test_a_standby_remembers_the_counts_of_the_leader_not_its_own() -> None:
    standby = Loop(rules())
    engines = fleet(prefill=3, decode=2)
    waiting = standby.tick(95.0, replace(engines, standby="the other one leads"))

    found = standby.tick(25.0, fleet(prefill=4, decode=2))

    assert counts(waiting)["prefill"] == 10
    assert found.pools[0].current == 4
