"""The mind asks a foresight for the forecast and never waits for it without end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from config.clock import VirtualClock
from config.errors import ConfigError
from config.load import load
from config.policies import forecast_policy_from, policy_from
from config.policy import ForecastPolicy
from config.sections import ForecastProcess
from config.settings import Settings
from connectors.base import Fleet, Observation, PoolState, Traffic, Value
from planner.core.decision import ReasonCode, StepKind
from planner.embedding import Planner
from planner.mind import ForesightOptions, Mind
from planner.simulation.profile import embedded_profile
from predictors.base import UNSEEN, Forecast, LoadInterval
from predictors.foresight import InlineForesight

RATES = (4.0, 8.0, 16.0, 24.0, 30.0, 41.0, 38.0, 29.0)


def settings(**flags: str) -> Settings:
    base = {"targets.ttft": "300ms", "targets.itl": "25ms", "budget_gpus": "20"}
    asked = {key.replace("__", "."): value for key, value in flags.items()}
    return load(flags=base | asked, environment={}).settings


def seen(rps: float) -> Observation:
    return Observation(
        traffic=Traffic(
            at_s=0.0,
            window_s=30.0,
            arrivals_rps=Value(value=rps, at_s=0.0),
            isl_tokens=Value(value=1000.0, at_s=0.0),
            osl_tokens=Value(value=150.0, at_s=0.0),
        ),
        fleet=Fleet(
            at_s=0.0,
            pools={name: PoolState(desired=1, ready=1) for name in ("prefill", "decode")},
        ),
    )


@dataclass
class Recorder:
    """A foresight that remembers what it was told, and has the trouble that the test wants."""

    policy: ForecastPolicy
    learned: list[LoadInterval] = field(default_factory=list)
    older: list[LoadInterval] = field(default_factory=list)
    trouble: Exception | None = None
    raises: Exception | None = None
    before: tuple["Recorder", ...] = ()
    is_hanging: bool = False
    is_closed: bool = False

    async def learn(self, passed: Sequence[LoadInterval]) -> None:
        assert not self.is_closed
        assert all(one.is_closed for one in self.before), "two workers learn at once"
        self.learned.extend(passed)

    async def learn_older(self, past: Sequence[LoadInterval]) -> None:
        assert not self.learned
        self.older.extend(past)

    async def forecast(self, *, now_s: float) -> Forecast | None:
        if self.raises is not None:
            raise self.raises
        if self.is_hanging:
            await VirtualClock().sleep(1.0)  # a clock that nobody moves
        inline = InlineForesight(self.policy)
        await inline.learn(self.learned)
        return await inline.forecast(now_s=now_s)

    async def close(self) -> None:
        self.is_closed = True


class Studio:
    """A mind, and every foresight that it made."""

    def __init__(self, options: ForesightOptions | None = None, **flags: str) -> None:
        asked = settings(**flags)
        self.made: list[Recorder] = []
        self.mind = Mind(
            policy_from(asked, embedded_profile()),
            forecast_policy_from(asked),
            clock=VirtualClock(),
            options=options,
            make=self._make,
        )

    def _make(self, policy: ForecastPolicy, _options: ForesightOptions) -> Recorder:
        if policy.predictor == "crystal-ball":
            raise ConfigError("no predictor is called so", key="forecast.predictor")
        self.made.append(Recorder(policy, before=tuple(self.made)))
        return self.made[-1]

    async def tick(self, rps: float, *, now_s: float) -> None:
        await self.mind.foresee(seen(rps), now_s=now_s)
        self.mind.decide(seen(rps), now_s=now_s, kind=StepKind.TICK)


async def feed(studio: Studio, rates: Sequence[float] = RATES) -> None:
    for number, rps in enumerate(rates, start=1):
        await studio.tick(rps, now_s=30.0 * number)


@pytest.mark.parametrize("process", [ForecastProcess.INLINE, ForecastProcess.AUTO])
async def test_it_decides_as_the_planner_for_embedding(process: ForecastProcess) -> None:
    asked = settings(forecast__predictor="kalman")
    mind = Mind(
        policy_from(asked, embedded_profile()),
        forecast_policy_from(asked),
        clock=VirtualClock(),
        options=ForesightOptions(process=process),
    )
    planner = Planner(asked, embedded_profile())

    for number, rps in enumerate(RATES, start=1):
        await mind.foresee(seen(rps), now_s=30.0 * number)
        decided = mind.decide(seen(rps), now_s=30.0 * number, kind=StepKind.TICK)
        assert decided == planner.step(seen(rps), now_s=30.0 * number)

    assert (mind.state, mind.forecast) == (planner.state, planner.forecast)
    await mind.close()


async def test_a_foresight_that_hangs_costs_the_forecast_and_not_the_decision() -> None:
    studio = Studio(ForesightOptions(deadline_s=-0.999))  # and a second of grace
    studio.made[0].is_hanging = True

    await studio.mind.foresee(seen(60.0), now_s=30.0)
    decision = studio.mind.decide(seen(60.0), now_s=30.0, kind=StepKind.TICK)

    assert isinstance(studio.mind.trouble, TimeoutError)
    assert ReasonCode.FORECAST_MISSING in {reason.code for reason in decision.reasons}
    assert decision.replicas.prefill > 1  # sized for the load that was seen


async def test_a_foresight_that_raises_costs_the_forecast_until_it_works_again() -> None:
    studio = Studio()
    studio.made[0].raises = LookupError("no model")

    await studio.tick(3.0, now_s=30.0)
    broken = (studio.mind.forecast, studio.mind.trouble)
    studio.made[0].raises = None
    await studio.tick(3.0, now_s=60.0)

    assert broken[0] is None
    assert isinstance(broken[1], LookupError)
    assert studio.mind.trouble is None
    assert studio.mind.forecast is not None


async def test_the_trouble_of_a_foresight_that_forecasts_all_the_same_is_told() -> None:
    studio = Studio()
    studio.made[0].trouble = ValueError("the fit is late")

    await studio.tick(3.0, now_s=30.0)

    assert studio.mind.trouble is studio.made[0].trouble
    assert studio.mind.forecast is not None


async def test_another_predictor_is_taught_all_that_is_kept_and_the_one_before_ends() -> None:
    studio = Studio()
    older = (LoadInterval(arrivals_rps=7.0),)
    await studio.mind.recall(older=older, recent=(LoadInterval(arrivals_rps=1.0), UNSEEN))
    await feed(studio, (4.0,))
    studio.mind.skip(1)
    await feed(studio, (8.0,))

    asked = settings(forecast__predictor="kalman")
    await studio.mind.change(policy_from(asked, embedded_profile()), forecast_policy_from(asked))

    first, second = studio.made
    assert [one.arrivals_rps for one in first.learned] == [1.0, None, 4.0, None, 8.0]
    assert (second.older, second.learned) == ([*older], first.learned)
    assert (first.is_closed, second.is_closed) == (True, False)
    assert second.policy.predictor == "kalman"


async def test_intervals_of_another_length_are_not_learned_as_if_they_were_alike() -> None:
    studio = Studio()
    await studio.mind.recall(
        older=(LoadInterval(arrivals_rps=7.0),), recent=(LoadInterval(arrivals_rps=1.0),)
    )
    await feed(studio, (4.0, 8.0))

    asked = settings(interval="60s")
    await studio.mind.change(policy_from(asked, embedded_profile()), forecast_policy_from(asked))
    is_informed = studio.mind.is_informed
    await studio.tick(9.0, now_s=120.0)

    assert not is_informed
    assert (studio.made[1].older, studio.made[1].learned[0].arrivals_rps) == ([], 9.0)


async def test_a_change_of_limits_alone_keeps_the_foresight() -> None:
    studio = Studio()
    await feed(studio)

    asked = settings(budget_gpus="3")
    await studio.mind.change(policy_from(asked, embedded_profile()), forecast_policy_from(asked))

    assert len(studio.made) == 1
    assert studio.mind.policy.budget_gpus == 3


async def test_another_place_for_the_models_is_another_foresight() -> None:
    studio = Studio()
    policy, forecast_policy = studio.mind.policy, studio.mind.forecast_policy

    await studio.mind.change(policy, forecast_policy, ForesightOptions(process=ForecastProcess.WORKER))

    assert len(studio.made) == 2


async def test_a_change_that_is_refused_changes_nothing() -> None:
    studio = Studio()
    await feed(studio)
    before = (studio.mind.policy, studio.mind.forecast_policy)

    asked = settings(budget_gpus="3")
    wrong = replace(forecast_policy_from(asked), predictor="crystal-ball")
    with pytest.raises(ConfigError):
        await studio.mind.change(policy_from(asked, embedded_profile()), wrong)

    assert (studio.mind.policy, studio.mind.forecast_policy) == before
    assert not studio.made[0].is_closed


async def test_the_past_is_learned_in_place_of_what_was_learned() -> None:
    studio = Studio()
    await studio.mind.recall(older=(), recent=(LoadInterval(arrivals_rps=1.0),))
    await feed(studio, (2.0,))

    await studio.mind.recall(older=(), recent=(LoadInterval(arrivals_rps=9.0),))
    await feed(studio, (3.0,))

    assert [one.arrivals_rps for one in studio.made[0].learned] == [1.0, 2.0]
    assert [one.arrivals_rps for one in studio.made[1].learned] == [9.0, 3.0]
    assert [one.is_closed for one in studio.made] == [True, False]


async def test_a_heavy_model_is_told_no_more_of_a_trace_than_it_would_keep() -> None:
    studio = Studio()
    older = tuple(LoadInterval(arrivals_rps=float(number)) for number in range(500))
    recent = tuple(LoadInterval(arrivals_rps=1000.0 + number) for number in range(290))

    await studio.mind.recall(older=older, recent=recent)

    assert studio.made[0].older == list(older[-10:])
    assert studio.made[0].learned == list(recent)


async def test_a_mind_that_is_closed_closes_its_foresight() -> None:
    studio = Studio()

    await studio.mind.close()

    assert studio.made[0].is_closed


@pytest.mark.parametrize(
    ("options", "interval_s", "deadline_s"),
    [
        (ForesightOptions(), 180.0, 10.0),
        (ForesightOptions(), 6.0, 2.0),
        (ForesightOptions(deadline_s=25.0), 6.0, 25.0),
    ],
)
def test_a_tick_waits_a_third_of_the_interval_and_no_more_than_ten_seconds(
    options: ForesightOptions, interval_s: float, deadline_s: float
) -> None:
    assert options.deadline_of(ForecastPolicy(interval_s=interval_s)) == deadline_s
