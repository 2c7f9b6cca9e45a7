"""A daemon with `log.format: dynamo` lives through everything that Dynamo's planner has a line for."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import StringIO

import httpx
from prometheus_client.parser import text_string_to_metric_families
from typing_extensions import override

from config.clock import VirtualClock
from config.errors import Unreachable
from config.load import load
from config.policies import forecast_policy_from, policy_from
from connectors.base import Fleet, HoldKind, Idle, Observation, PoolHold, Replicas, Traffic, Unknown, Value
from connectors.testing import FakeActuator, FakeMetricsSource
from planner.commands.assemble import pace_of
from planner.commands.cluster_start import tell_model
from planner.core.decision import Decision, StepKind
from planner.core.words import explain, headline
from planner.daemon import Daemon, Parts
from planner.mind import Mind
from planner.serving.desk import Desk
from planner.serving.journal import Journal
from planner.serving.log import configure, get_logger
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile
from planner.warm import WarmUp, WarmUpOptions

INTERVAL_S = 30.0
BUDGET_GPUS = 6
_FLAGS = {
    "budget_gpus": str(BUDGET_GPUS),
    "targets.ttft": "300ms",
    "targets.itl": "20ms",
    "forecast.predictor": "constant",
    "actuate": "true",
    "interval": f"{INTERVAL_S:g}s",
    "look_interval": "0s",
    "pools.prefill.scale_down_window": "0s",
    "pools.decode.scale_down_window": "0s",
    "log.format": "dynamo",
}


def serving(rps: float) -> Traffic:
    return Traffic(
        at_s=0.0,
        window_s=INTERVAL_S,
        arrivals_rps=Value(value=rps, at_s=0.0),
        isl_tokens=Value(value=2000.0, at_s=0.0),
        osl_tokens=Value(value=300.0, at_s=0.0),
        ttft_s=Value(value=0.15, at_s=0.0),
        itl_s=Value(value=0.01, at_s=0.0),
        request_duration_s=Value(value=3.15, at_s=0.0),
    )


_NOTHING = Idle(at_s=0.0)
IDLE = Traffic(
    at_s=0.0,
    window_s=INTERVAL_S,
    arrivals_rps=Value(value=0.0, at_s=0.0),
    isl_tokens=_NOTHING,
    osl_tokens=_NOTHING,
    ttft_s=_NOTHING,
    itl_s=_NOTHING,
    request_duration_s=_NOTHING,
)
MUTE = replace(serving(10.0), itl_s=Unknown(why="no series of the inter-token latency"))
ENGINE = ("python3", "-m", "dynamo.vllm", "--model", "Qwen/Qwen3-0.6B")
PAST = tuple(replace(serving(4.0), at_s=at_s) for at_s in (-60.0, -30.0, 0.0))


class Cluster(FakeActuator):
    """A fleet of which somebody replaces the decode engines, on demand."""

    is_rolling = False

    @override
    async def read(self) -> Fleet:
        fleet = await super().read()
        prefill = replace(
            fleet.pools["prefill"], target="dynamographdeploymentscalingadapter llm-vllmprefillworker"
        )
        decode = replace(fleet.pools["decode"], target="dynamographdeployment llm:VllmDecodeWorker")
        if self.is_rolling:
            why = "1 of 2 engines has the new template"
            decode = replace(decode, hold=PoolHold(kind=HoldKind.ROLLING_OUT, why=why))
        return replace(fleet, pools={"prefill": prefill, "decode": decode})


class MoodyMind(Mind):
    """Has no forecast, or raises, on demand."""

    is_late = False
    fault: Exception | None = None

    @override
    async def foresee(self, observation: Observation, *, now_s: float) -> None:
        await super().foresee(observation, now_s=now_s)
        if self.is_late:
            self.forecast = None

    @override
    def decide(self, observation: Observation, *, now_s: float, kind: StepKind) -> Decision:
        if self.fault is not None:
            raise self.fault
        return super().decide(observation, now_s=now_s, kind=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run left.

    Attributes:
        log: All that was logged.
        page: Its metrics page while it served under load, over HTTP.
        idle_page: The page after an idle interval.
    """

    log: str
    page: str
    idle_page: str

    @property
    def lines(self) -> list[str]:
        """What stands behind `planner: ` in the log's lines."""
        return re.findall(r"^\S+ \w+ +planner: (.*)$", self.log, re.MULTILINE)


def samples(page: str) -> dict[str, float]:
    """Return the value of each series of Dynamo's; of a state, its name is the sample that is 1."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name.startswith(("planner:", "dynamo_planner_")):
                state = sample.labels.get(sample.name)
                found[f"{sample.name}={state}" if state else sample.name] = float(sample.value)
    return found


class Stage:
    """The daemon and the world around it, on a virtual clock."""

    def __init__(self) -> None:
        settings = load(flags=_FLAGS, environment={}).settings
        self.clock = VirtualClock(wall_origin_s=1_700_000_010.0)
        self.source = FakeMetricsSource([serving(4.0)], self.clock, past=PAST)
        self.engines = Cluster(Replicas.of(prefill=1, decode=1), self.clock)
        self.log = StringIO()
        configure(level="info", style=settings.log.format, stream=self.log, clock=self.clock)
        policy = policy_from(settings, embedded_profile())
        self.mind = MoodyMind(policy, forecast_policy_from(settings), clock=self.clock)
        self.desk = Desk(
            board=StatusBoard(clock=self.clock, version="0", target="llm", advisory=False),
            journal=Journal(),
            logger=get_logger(),
            explain=explain,
            headline=headline,
            style=settings.log.format,
        )
        parts = Parts(source=self.source, actuator=self.engines, desk=self.desk, clock=self.clock)
        warm_up = WarmUp(self.mind, parts, WarmUpOptions(intervals=3))
        self.daemon = Daemon(self.mind, parts, pace_of(settings), warm_up=warm_up)

    async def ticks(self, number: int = 1) -> None:
        await self.clock.advance(number * INTERVAL_S)

    async def sees(self, traffic: Traffic) -> None:
        """Take one tick that sees this."""
        self.source.push(traffic)
        await self.source.observe(INTERVAL_S)  # what was before it is gone
        await self.ticks()


@asynccontextmanager
async def on_stage() -> AsyncIterator[tuple[Stage, str]]:
    """Give a daemon that runs, and the address of its pages."""
    stage = Stage()
    server = await stage.desk.serve(host="127.0.0.1", port=0)
    task = asyncio.ensure_future(stage.daemon.run())
    try:
        await stage.clock.advance(0.0)
        yield stage, server.url
    finally:
        stage.daemon.stop("the scenario is over")
        await task
        await server.stop()


async def _run() -> Run:
    async with on_stage() as (stage, url), httpx.AsyncClient(trust_env=False) as http:
        tell_model([ENGINE, ENGINE])
        await stage.ticks()
        await stage.sees(serving(30.0))
        page = (await http.get(f"{url}/metrics")).text
        await stage.sees(IDLE)
        idle_page = (await http.get(f"{url}/metrics")).text
        await stage.sees(MUTE)
        stage.engines.is_rolling = True
        await stage.sees(serving(20.0))
        stage.engines.is_rolling = False
        stage.mind.is_late = True
        await stage.sees(serving(10.0))
        stage.mind.is_late = False
        stage.source.fail_next(Unreachable("prometheus.test did not answer within 5 s"))
        await stage.ticks()
        stage.mind.fault = ZeroDivisionError("division by zero")
        await stage.ticks()
    return Run(log=stage.log.getvalue(), page=page, idle_page=idle_page)


def run() -> Run:
    """Play the scenario."""
    return asyncio.run(_run())
