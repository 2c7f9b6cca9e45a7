"""A morning of one deployment: the load comes, grows, and once cannot be read; and a daemon that shows it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.clock import VirtualClock
from config.load import load
from config.sources import process_environment
from connectors.base import Fleet, Observation, PoolState, Traffic, Unknown, Value
from planner.cli import invoke
from planner.core.decision import StepKind
from planner.core.words import explain, headline
from planner.embedding import Planner
from planner.serving.api import Api
from planner.serving.journal import Journal
from planner.serving.metrics import Metrics
from planner.serving.records import Record, Started, Stepped, to_line
from planner.serving.server import Server
from planner.serving.status import StatusBoard
from planner.simulation.profile import embedded_profile

WALL_S = 1_700_000_000.0
_FLAGS = {
    "budget_gpus": "8",
    "targets.ttft": "300ms",
    "targets.itl": "20ms",
    "targets.percentile": "p95",
    "pools.decode.scale_down_window": "0s",
    "pools.prefill.scale_down_window": "0s",
}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in process_environment():
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a command line did."""

    code: int
    out: str
    err: str


Run = Callable[..., Answered]


@pytest.fixture
def setpoint(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run command lines in this process, as the console script does."""

    def run(*arguments: str) -> Answered:
        code = invoke(arguments)
        shown = capsys.readouterr()
        return Answered(code=code, out=shown.out, err=shown.err)

    return run


def observation(now_s: float, *, rate_rps: float | None, engines: Mapping[str, int]) -> Observation:
    def known(value: float) -> Value:
        return Value(value=value, at_s=now_s)

    pools = {name: PoolState(desired=count, ready=count) for name, count in engines.items()}
    traffic = Traffic(
        at_s=now_s,
        window_s=30.0,
        arrivals_rps=Unknown(why="prometheus did not answer") if rate_rps is None else known(rate_rps),
        isl_tokens=known(2000.0),
        osl_tokens=known(300.0),
        ttft_s=known(0.15),
        ttft_quantile_s=known(0.45),
        itl_s=known(0.01),
        itl_quantile_s=known(0.012),
        queued=known(0.0),
        in_flight=known(12.0),
    )
    return Observation(traffic=traffic, fleet=Fleet(at_s=now_s, pools=pools))


@pytest.fixture
def morning() -> tuple[Record, ...]:
    """A start; ticks at 5 and 20 requests/s, one that reads nothing, two more at 20; then two quiet looks."""
    planner = Planner(load(flags=_FLAGS, environment={}).settings, embedded_profile())
    started = Started(
        at_wall_s=WALL_S,
        now_s=0.0,
        version="0.1.0",
        target="llama",
        policy=planner.policy,
        forecast_policy=planner.forecast_policy,
        state=planner.state,
    )
    records: list[Record] = [started]
    engines: Mapping[str, int] = {"prefill": 1, "decode": 1}
    for number, rate_rps in enumerate((5.0, 20.0, None, 20.0, 20.0), start=1):
        now_s = 30.0 * number
        seen = observation(now_s, rate_rps=rate_rps, engines=engines)
        record = _stepped(planner, seen, now_s=now_s, kind=StepKind.TICK)
        records.append(record)
        engines = dict(record.decision.replicas)
    quiet = observation(155.0, rate_rps=20.0, engines=engines)
    records += [_stepped(planner, quiet, now_s=now_s, kind=StepKind.LOOK) for now_s in (155.0, 160.0)]
    return tuple(records)


def _stepped(planner: Planner, seen: Observation, *, now_s: float, kind: StepKind) -> Stepped:
    decision = planner.step(seen, now_s=now_s, kind=kind)
    return Stepped(
        at_wall_s=WALL_S + now_s,
        now_s=now_s,
        target="llama",
        kind=kind,
        observation=seen,
        forecast=planner.forecast,
        decision=decision,
        duration_s=0.02,
    )


@pytest.fixture
def board() -> StatusBoard:
    return StatusBoard(
        clock=VirtualClock(wall_origin_s=WALL_S), version="0.1.0", target="llama", advisory=True
    )


@pytest.fixture
def journal_file(tmp_path: Path, morning: Sequence[Record]) -> Path:
    path = tmp_path / "decisions.jsonl"
    path.write_text("".join(f"{to_line(record)}\n" for record in morning))
    return path


@pytest.fixture
def daemon_url(board: StatusBoard, morning: Sequence[Record]) -> Iterator[str]:
    """Serve what a daemon would after that morning, on a real socket and a thread of its own."""
    journal = Journal()
    for record in morning:
        board.take(record)
        journal.append(record)
    board.report("source", is_ok=False, detail="prometheus did not answer")
    board.report("actuator", is_ok=True)
    board.next_tick_at_s = 12.0
    api = Api(board=board, journal=journal, metrics=Metrics(board), explain=explain, headline=headline)
    server = Server(api, host="127.0.0.1", port=0)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(timeout=10)
    yield server.url
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)
    loop.close()
