"""The planner as others embed it: what drives it makes no difference."""

from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load
from config.policies import forecast_policy_from, policy_from
from config.settings import Settings
from connectors.base import Fleet, Observation, PoolState, Traffic, Unknown, Value
from planner.core.decision import ReasonCode, StepKind
from planner.core.state import initial_state
from planner.core.step import step
from planner.embedding import Planner
from planner.simulation.profile import embedded_profile

RATES = (4.0, 8.0, 16.0, 24.0, 30.0, 41.0, 38.0, 29.0)


def settings(**flags: str) -> Settings:
    base = {"targets.ttft": "300ms", "targets.itl": "25ms", "budget_gpus": "20"}
    asked = {key.replace("__", "."): value for key, value in flags.items()}
    return load(flags=base | asked, environment={}).settings


def planner(**flags: str) -> Planner:
    return Planner(settings(**flags), embedded_profile())


def seen(rps: float, *, prefill: int = 1, decode: int = 1, window_s: float = 30.0) -> Observation:
    return Observation(
        traffic=Traffic(
            at_s=0.0,
            window_s=window_s,
            arrivals_rps=Value(value=rps, at_s=0.0),
            isl_tokens=Value(value=1000.0, at_s=0.0),
            osl_tokens=Value(value=150.0, at_s=0.0),
        ),
        fleet=Fleet(
            at_s=0.0,
            pools={
                "prefill": PoolState(desired=prefill, ready=prefill),
                "decode": PoolState(desired=decode, ready=decode),
            },
        ),
    )


def feed(one: Planner, rates: tuple[float, ...] = RATES, *, begin: int = 1) -> None:
    for number, rps in enumerate(rates, start=begin):
        one.step(seen(rps), now_s=30.0 * number)


def test_a_decision_has_counts_by_role_and_reasons() -> None:
    decision = planner().step(seen(60.0), now_s=30.0)

    assert decision.replicas.prefill > 1
    assert decision.replicas.decode > 1
    assert ReasonCode.LOAD in {reason.code for reason in decision.reasons}


def test_its_state_is_the_fold_of_the_pure_step() -> None:
    one, state = planner(forecast__predictor="kalman"), initial_state(planner().policy)

    for number, rps in enumerate(RATES, start=1):
        now_s = 30.0 * number
        decision = one.step(seen(rps), now_s=now_s)
        state, folded = step(one.policy, state, seen(rps), one.forecast, now_s=now_s, kind=StepKind.TICK)
        assert decision == folded

    assert one.state == state


def test_looks_teach_the_predictor_nothing() -> None:
    with_looks, without = planner(forecast__predictor="kalman"), planner(forecast__predictor="kalman")

    for number, rps in enumerate(RATES, start=1):
        for look in range(5):
            now_s = 30.0 * number - 25.0 + 5.0 * look
            with_looks.step(seen(500.0, window_s=20.0), now_s=now_s, kind=StepKind.LOOK)
        for one in (with_looks, without):
            one.step(seen(rps), now_s=30.0 * number)

    assert with_looks.forecast == without.forecast
    assert with_looks.forecast is not None
    assert with_looks.forecast.points == len(RATES)


def test_two_planners_share_nothing() -> None:
    one, other = planner(), planner()

    feed(one)

    assert other.state == initial_state(other.policy)
    assert other.forecast is None


def test_an_unknown_interval_is_unknown_to_the_predictor_too() -> None:
    one = planner(forecast__predictor="kalman")
    feed(one)
    blind = replace(seen(0.0).traffic, arrivals_rps=Unknown(why="away"))

    decision = one.step(Observation(traffic=blind, fleet=seen(0.0).fleet), now_s=270.0)

    assert decision.is_hold
    assert one.forecast is not None
    assert one.forecast.points == len(RATES)
    assert one.forecast.arrivals_rps.mean > 1.0


def test_intervals_that_nobody_observed_pass_for_unknown_ones() -> None:
    skipped, blind = planner(forecast__predictor="kalman"), planner(forecast__predictor="kalman")
    unknown = replace(seen(0.0).traffic, arrivals_rps=Unknown(why="away"), isl_tokens=Unknown(why="away"))
    unknown = replace(unknown, osl_tokens=Unknown(why="away"))
    for one in (skipped, blind):
        feed(one)

    skipped.skip(2)
    for number in (9, 10):
        blind.step(Observation(traffic=unknown, fleet=seen(0.0).fleet), now_s=30.0 * number)
    for one in (skipped, blind):
        one.step(seen(33.0), now_s=330.0)

    assert skipped.forecast == blind.forecast


def test_another_predictor_is_taught_the_same_history() -> None:
    changed, always = planner(), planner(forecast__predictor="kalman")
    for one in (changed, always):
        feed(one)
        one.skip(1)

    asked = settings(forecast__predictor="kalman")
    changed.change(policy_from(asked, embedded_profile()), forecast_policy_from(asked))
    for one in (changed, always):
        one.step(seen(33.0), now_s=300.0)

    assert changed.forecast == always.forecast


def test_another_predictor_is_taught_no_more_than_the_last_300_intervals() -> None:
    one, asked = planner(), settings(forecast__predictor="kalman")
    feed(one, RATES * 40)

    one.change(policy_from(asked, embedded_profile()), forecast_policy_from(asked))
    one.step(seen(33.0), now_s=30_000.0)

    assert one.forecast is not None
    assert one.forecast.points == 301


def test_of_a_long_gap_no_more_than_300_intervals_are_told() -> None:
    forecasts = []
    for gap in (150, 100_000):
        one = planner(forecast__predictor="kalman")
        feed(one)
        one.skip(gap)
        one.skip(gap)
        one.step(seen(33.0), now_s=30_000.0)
        forecasts.append(one.forecast)

    assert forecasts[0] == forecasts[1]
    assert forecasts[0] is not None


def test_a_change_keeps_the_state_and_takes_the_new_limits() -> None:
    one = planner()
    feed(one)
    state = one.state

    asked = settings(budget_gpus="3")
    one.change(policy_from(asked, embedded_profile()), forecast_policy_from(asked))

    assert one.state == state
    assert one.step(seen(60.0), now_s=300.0).gpus == 3


def test_a_change_that_is_refused_changes_nothing() -> None:
    one = planner()
    feed(one)
    policy, forecast_policy, forecast = one.policy, one.forecast_policy, one.forecast

    asked = settings(budget_gpus="3", forecast__predictor="crystal-ball")
    with pytest.raises(ConfigError, match="crystal-ball"):
        one.change(policy_from(asked, embedded_profile()), forecast_policy_from(asked))

    assert (one.policy, one.forecast_policy, one.forecast) == (policy, forecast_policy, forecast)


ACME = """
from predictors.constant import build as constant


class Moody:
    def __init__(self, policy):
        self.inner = constant(policy)

    def observe(self, value):
        if value == 1800.0:  # 60 requests per second
            raise ZeroDivisionError("no variance in the data")
        self.inner.observe(value)
        if value is None:
            self.fill()

    def forecast(self, steps):
        return self.inner.forecast(steps)
"""


@pytest.fixture
def moody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planner:
    """A planner with a third party's predictor that raises now and then."""
    info = tmp_path / "acme_moods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-moods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[setpoint.predictors]\nmoody = acme_moods:Moody\n")
    (tmp_path / "acme_moods.py").write_text(ACME)
    monkeypatch.syspath_prepend(str(tmp_path))
    return planner(forecast__predictor="moody")


def test_a_predictor_that_fails_over_skipped_intervals_tells_at_the_next_tick(moody: Planner) -> None:
    feed(moody, (4.0, 8.0))

    moody.skip(3)
    decision = moody.step(seen(9.0), now_s=180.0)

    assert isinstance(moody.trouble, AttributeError)
    assert not decision.is_hold


def test_a_predictor_that_raises_costs_the_forecast_and_not_the_decision(moody: Planner) -> None:
    one = moody

    feed(one, (4.0, 8.0))
    decision = one.step(seen(60.0), now_s=90.0)

    assert isinstance(one.trouble, ZeroDivisionError)
    assert one.forecast is None
    assert not decision.is_hold
    assert ReasonCode.FORECAST_MISSING in {reason.code for reason in decision.reasons}
    assert decision.replicas.prefill > 1  # sized for the load that was seen
    one.step(seen(50.0), now_s=120.0)
    assert one.trouble is None
    assert one.forecast is not None
