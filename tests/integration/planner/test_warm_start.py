"""A warm start from a real Prometheus whose past was filled in: idle times, an outage and a gap in it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest

from config.load import load
from config.policies import forecast_policy_from, policy_from
from config.policy import ForecastPolicy
from connectors.base import Replicas
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.source import PrometheusSource, SourceOptions
from connectors.testing import FakeActuator
from planner.core.words import explain, headline
from planner.mind import ForesightOptions, Mind
from planner.parts import Parts
from planner.serving.desk import Desk
from planner.serving.journal import Journal
from planner.serving.log import configure, get_logger
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile
from planner.warm import WarmUp, WarmUpOptions
from predictors.base import UNSEEN, Forecast, LoadInterval
from predictors.foresight import InlineForesight
from predictors.load import LoadForecaster
from tests.integration.connectors.prometheus.rig import CLOCK, Frontend, Prometheus, until

pytestmark = pytest.mark.slow

INTERVAL_S = 60
SCRAPE_INTERVAL_S = 15
# The newest blocks belong to the server that scrapes.
AFTER_MINUTES = 10
MODEL = "m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Some minutes of the past."""

    minutes: int
    rps: float = 0.0
    isl_tokens: float = 400.0
    osl_tokens: float = 50.0
    is_up: bool = True
    is_scraped: bool = True

    def is_like(self, interval: LoadInterval) -> bool:
        """Tell whether an interval is what this phase showed."""
        if not self.is_up or not self.is_scraped:
            return interval == UNSEEN
        if self.rps == 0.0:
            return interval == LoadInterval(arrivals_rps=0.0)
        found = (interval.arrivals_rps, interval.isl_tokens, interval.osl_tokens)
        return found == pytest.approx((self.rps, self.isl_tokens, self.osl_tokens), rel=0.01)


PAST = (
    Phase(minutes=30, rps=3.0),
    Phase(minutes=20),
    Phase(minutes=25, rps=5.0, isl_tokens=900.0, osl_tokens=20.0),
    Phase(minutes=12, rps=5.0, is_up=False),
    Phase(minutes=20, rps=2.0),
    Phase(minutes=15, rps=2.0, is_scraped=False),
    Phase(minutes=28, rps=4.0, isl_tokens=250.0),
)
MINUTES = sum(phase.minutes for phase in PAST)


class Counters:
    """The exposition of one frontend through all phases, as OpenMetrics with times."""

    def __init__(self, begin_wall_s: int) -> None:
        self._begin_wall_s = begin_wall_s
        self._lines: dict[str, list[str]] = {}

    def text(self) -> str:
        started = isl = osl = 0.0
        at_s = 0
        for phase in PAST:
            for _ in range(phase.minutes * 60 // SCRAPE_INTERVAL_S):
                if phase.is_up:  # what a frontend counts while nobody scrapes it is counted all the same
                    started += phase.rps * SCRAPE_INTERVAL_S
                    isl += phase.rps * SCRAPE_INTERVAL_S * phase.isl_tokens
                    osl += phase.rps * SCRAPE_INTERVAL_S * phase.osl_tokens
                at_s += SCRAPE_INTERVAL_S
                if phase.is_scraped:
                    self._scrape(at_s, phase, (started, isl, osl))
        return "\n".join([*self._families(), "# EOF\n"])

    def _scrape(self, at_s: int, phase: Phase, totals: tuple[float, float, float]) -> None:
        started, isl, osl = totals
        target = 'job="frontends",instance="a:8000"'
        labels = f'{target},model="{MODEL}"'
        self._add(f"up{{{target}}}", float(phase.is_up), at_s)
        if not phase.is_up:
            return
        self._add(f"dynamo_frontend_disconnected_clients{{{target}}}", 0.0, at_s)
        self._add(f'dynamo_frontend_requests_started_total{{{labels},endpoint="completions"}}', started, at_s)
        for name, total in (("input", isl), ("output", osl)):
            self._add(f"dynamo_frontend_{name}_sequence_tokens_sum{{{labels}}}", total, at_s)
            self._add(f"dynamo_frontend_{name}_sequence_tokens_count{{{labels}}}", started, at_s)

    def _add(self, series: str, value: float, at_s: int) -> None:
        self._lines.setdefault(series, []).append(f"{series} {value} {self._begin_wall_s + at_s}")

    def _families(self) -> Iterator[str]:
        for series, lines in self._lines.items():
            name = series.partition("{")[0]
            kind = "counter" if name.endswith("_total") else "gauge"
            yield f"# TYPE {name.removesuffix('_total')} {kind}"
            yield from lines


@dataclass
class Told(InlineForesight):
    """A foresight that keeps what it was told."""

    policy: ForecastPolicy
    intervals: list[LoadInterval] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.policy)

    async def learn(self, passed: Sequence[LoadInterval]) -> None:
        self.intervals.extend(passed)
        await super().learn(passed)


@dataclass
class Start:
    """A warm start, and what came of it."""

    source: PrometheusSource
    mind: Mind
    told: list[Told]
    desk: Desk
    warm_up: WarmUp
    log: StringIO

    async def forecast(self) -> Forecast | None:
        return await self.told[-1].forecast(now_s=0.0)


def start_on(prometheus: Prometheus, *, model: str = MODEL) -> Start:
    flags = {"targets.ttft": "300ms", "targets.itl": "25ms", "budget_gpus": "20"}
    asked = load(
        flags=flags | {"interval": f"{INTERVAL_S}s", "forecast.predictor": "kalman"}, environment={}
    ).settings
    log, told = StringIO(), list[Told]()
    configure(level="info", style="console", stream=log, clock=CLOCK)

    def make(policy: ForecastPolicy, _options: ForesightOptions) -> Told:
        told.append(Told(policy))
        return told[-1]

    source = PrometheusSource(
        PrometheusClient(prometheus.url, options=HttpOptions(), clock=CLOCK),
        dialect=dynamo(),
        scope=Scope(model=model),
        clock=CLOCK,
        options=SourceOptions(),
    )
    desk = Desk(
        board=StatusBoard(clock=CLOCK, version="0", target="llm", advisory=True),
        journal=Journal(),
        logger=get_logger(),
        explain=explain,
        headline=headline,
    )
    mind = Mind(policy_from(asked, embedded_profile()), forecast_policy_from(asked), clock=CLOCK, make=make)
    actuator = FakeActuator(Replicas.of(prefill=1, decode=1), CLOCK)
    parts = Parts(source=source, actuator=actuator, desk=desk, clock=CLOCK)
    warm_up = WarmUp(mind, parts, WarmUpOptions(intervals=MINUTES + AFTER_MINUTES + 20))
    return Start(source=source, mind=mind, told=told, desk=desk, warm_up=warm_up, log=log)


@pytest.fixture
async def filled(tmp_path: Path, program: Callable[[str, str], str]) -> AsyncIterator[Prometheus]:
    """A Prometheus that has the past, and scrapes nothing."""
    program("prometheus", "prometheus")
    end_wall_s = int(CLOCK.wall_s()) // INTERVAL_S * INTERVAL_S - AFTER_MINUTES * 60
    text = tmp_path / "past.om"
    text.write_text(Counters(end_wall_s - MINUTES * 60).text(), encoding="utf-8")
    prometheus = Prometheus(tmp_path)
    promtool = await asyncio.create_subprocess_exec(
        *(program("promtool", "prometheus"), "tsdb", "create-blocks-from", "openmetrics"),
        *("--max-block-duration=24h", str(text), str(tmp_path / "data")),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await promtool.wait() == 0
    prometheus.scrape()
    await prometheus.start()
    yield prometheus
    await prometheus.kill()


async def test_what_prometheus_kept_is_learned_as_if_it_had_been_observed(filled: Prometheus) -> None:
    start = start_on(filled)
    began_s = CLOCK.now_s()

    first_s = await start.warm_up.begin()
    took_s = CLOCK.now_s() - began_s
    await start.source.close()

    (told,) = start.told
    fed = LoadForecaster(told.policy)
    for interval in told.intervals:
        fed.learn(interval)
    assert await start.forecast() == fed.forecast(0.0)
    assert_as_it_was(told.intervals)
    assert start.mind.is_informed
    # Ticks come where the windows of the past end.
    late_s = (CLOCK.wall_s() - CLOCK.now_s() + first_s + 1.0) % INTERVAL_S
    assert late_s == pytest.approx(1.0, abs=0.05)
    assert f"unknown={sum(one == UNSEEN for one in told.intervals)}" in start.log.getvalue()
    lengths = start.mind.state.lengths
    assert (lengths.isl_tokens or 0.0, lengths.osl_tokens or 0.0) == pytest.approx((250.0, 50.0))
    assert CLOCK.now_s() - lengths.isl_at_s == pytest.approx(AFTER_MINUTES * 60.0, abs=2.0 * INTERVAL_S)
    assert took_s < 5.0


async def test_a_model_that_is_misspelled_teaches_nothing_and_is_said(
    tmp_path: Path, program: Callable[[str, str], str]
) -> None:
    program("prometheus", "prometheus")
    frontend, prometheus = Frontend(), Prometheus(tmp_path)
    frontend.serve_requests(10)
    await frontend.start()
    prometheus.scrape(f"127.0.0.1:{frontend.port}")
    await prometheus.start()

    async def is_scraped() -> bool:
        return frontend.scrapes >= 3

    await until(is_scraped)
    start = start_on(prometheus, model="org/modell-1.5")
    await start.warm_up.begin()
    await start.source.close()
    await prometheus.kill()
    await frontend.stop()

    assert start.told[0].intervals == []
    assert "no series of model 'org/modell-1.5'; the frontend has: org/model-1.5" in start.log.getvalue()


async def test_without_prometheus_the_start_is_cold_and_said(tmp_path: Path) -> None:
    start = start_on(Prometheus(tmp_path))
    began_s = CLOCK.now_s()

    first_s = await start.warm_up.begin()
    await start.source.close()

    assert first_s == pytest.approx(began_s, abs=0.05)
    assert not start.mind.is_informed
    assert "cannot reach" in start.desk.board.parts["warm_up"].why


def assert_as_it_was(intervals: Sequence[LoadInterval]) -> None:
    """Each interval that lies inside one phase is what it was; those at the edges are not compared."""
    assert len(intervals) in {MINUTES + AFTER_MINUTES, MINUTES + AFTER_MINUTES - 1}
    of_past = list(intervals[: len(intervals) - AFTER_MINUTES])[-MINUTES + 1 :]
    assert set(intervals[-AFTER_MINUTES + 1 :]) == {UNSEEN}
    at = -1  # the first interval of all is not compared: its beginning was not scraped
    for phase in PAST:
        inside = of_past[max(0, at + 1) : at + phase.minutes - 1]
        assert len(inside) >= phase.minutes - 3
        assert all(map(phase.is_like, inside)), (phase, inside)
        at += phase.minutes
