"""`setpoint forecast` as a process of its own, on recorded traffic and on a real Prometheus' history."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from planner.forecasting.trace import read_trace
from tests.e2e.servers import CLOCK, SCRIPT, Prometheus, until

pytestmark = pytest.mark.slow
EVERY_S = 15
OUTAGE_S = (1500, 2100)


async def forecast(*arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(SCRIPT, "forecast", *arguments, "-o", "json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 50.0)
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


async def test_recorded_traffic_is_forecast_by_all_four_predictors(shared_dir: Path) -> None:
    trace = shared_dir / "traces" / "mooncake_conversation.jsonl.gz"

    found = await forecast(str(trace), "--interval", "1m", "--last", "40m")

    (load,) = found["loads"]
    assert [one["predictor"] for one in load["results"]] == ["arima", "constant", "kalman", "prophet"]
    assert [one.get("failed") for one in load["results"]] == [None] * 4
    for one in load["results"]:
        assert [horizon["steps"] for horizon in one["horizons"]] == [1, 5]
        assert all(0.3 < horizon["error_vs_last_ratio"] < 3.0 for horizon in one["horizons"])
        assert all(0.5 < horizon["below_p90_ratio"] <= 1.0 for horizon in one["horizons"])
    assert found["verdict"]["predictor"] in {"arima", "constant", "kalman", "prophet"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
async def test_an_end_before_the_end_leaves_no_process_behind(
    shared_dir: Path, number: signal.Signals, code: int
) -> None:
    trace = shared_dir / "traces" / "azure2023_conv.jsonl.gz"
    process = await asyncio.create_subprocess_exec(
        *(SCRIPT, "forecast", str(trace), "--interval", "1s", "--predictor", "prophet"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    await asyncio.wait_for(process.stderr.readline(), 20.0)  # it tells how far it is
    (child,) = children(process.pid)

    process.send_signal(number)

    assert await asyncio.wait_for(process.wait(), 10.0) == code
    await until(partial(is_gone, child), "the predictor's process is gone")


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()


async def is_gone(pid: str) -> bool:
    return not await asyncio.to_thread(Path(f"/proc/{pid}").exists)


def openmetrics(trace: Path, end_wall_s: int) -> Iterator[str]:
    """Yield the history of a frontend that served a trace until then, and was down for a while."""
    rates = [one.arrivals_rps or 0.0 for one in read_trace(trace, interval_s=EVERY_S)]
    target = 'job="frontends",instance="a:8000"'
    begin_wall_s = end_wall_s - EVERY_S * len(rates)
    started, samples = 0.0, []
    for number, rate_rps in enumerate(rates):
        started += rate_rps * EVERY_S
        if not OUTAGE_S[0] < number * EVERY_S < OUTAGE_S[1]:
            samples.append((begin_wall_s + (number + 1) * EVERY_S, started))
    yield "# TYPE up gauge\n"
    yield from (f"up{{{target}}} 1 {at}\n" for at, _ in samples)
    yield "# TYPE dynamo_frontend_disconnected_clients gauge\n"
    yield from (f"dynamo_frontend_disconnected_clients{{{target}}} 0 {at}\n" for at, _ in samples)
    labels = f'{target},model="m",endpoint="completions"'
    yield "# TYPE dynamo_frontend_requests_started counter\n"
    yield from (f"dynamo_frontend_requests_started_total{{{labels}}} {count} {at}\n" for at, count in samples)
    yield "# EOF\n"


@pytest.fixture
async def prometheus(
    shared_dir: Path, tmp_path: Path, program: Callable[[str, str], str]
) -> AsyncIterator[Prometheus]:
    """A Prometheus whose history holds an hour of recorded traffic."""
    history = tmp_path / "history.om"
    trace = shared_dir / "traces" / "azure2023_conv.jsonl.gz"
    history.write_text("".join(openmetrics(trace, int(CLOCK.wall_s()) - 30)), encoding="utf-8")
    promtool = await asyncio.create_subprocess_exec(
        *(program("promtool", "prometheus"), "tsdb", "create-blocks-from", "openmetrics"),
        *("--max-block-duration=24h", str(history), str(tmp_path / "data")),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await promtool.wait() == 0
    (tmp_path / "prometheus.yml").write_text("{}", encoding="utf-8")
    server = Prometheus(tmp_path, program("prometheus", "prometheus"))
    await server.start()
    await until(lambda: server.is_fine("/-/ready"), "Prometheus is ready")
    yield server
    await server.kill()


async def test_the_history_of_prometheus_tells_what_the_trace_told(
    shared_dir: Path, prometheus: Prometheus
) -> None:
    cheap = ("--predictor", "constant,kalman", "--interval", "1m", "--horizon", "1m")
    trace = shared_dir / "traces" / "azure2023_conv.jsonl.gz"

    recorded = await forecast(str(trace), *cheap)
    observed = await forecast("--prometheus", prometheus.url, "--last", "1h", *cheap)

    (load,) = observed["loads"]
    assert load["intervals"] == 60
    assert 9 <= load["unknown_intervals"] <= 16
    for seen, known in zip(load["results"], recorded["loads"][0]["results"], strict=True):
        (ours,), (theirs,) = seen["horizons"], known["horizons"]
        assert ours["mean_actual"] == pytest.approx(theirs["mean_actual"], rel=0.15)
        assert ours["error_vs_last_ratio"] == pytest.approx(theirs["error_vs_last_ratio"], abs=0.2)
