"""The planner's section of Dynamo's guide, as it stands, scales the simulated fleet with each predictor."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SETPOINT = Path(sys.executable).parent / "setpoint"
CASES = Path(__file__).parents[1] / "unit" / "config" / "dynamo" / "cases" / "good"
LINE = re.compile(r"prefill (\d+)/(\d+), decode (\d+)/(\d+), GPUs (\d+)/(\d+)")
COMMON = (
    ("ttft: 300.0", "targets.ttft 300ms"),
    ("itl: 30.0", "targets.itl 30ms"),
    ("plannerMinEndpoint: 1", "pools.prefill.min_replicas 1, pools.decode.min_replicas 1"),
    ("plannerMaxGpuBudget: 4", "budget_gpus 4"),
    ("plannerAdjustmentInterval: 30", "interval 30s"),
)
BLOCKS = {
    "constant": (("plannerLoadPredictor: constant", "forecast.predictor constant"),),
    "arima": (
        ("plannerLoadPredictor: arima", "forecast.predictor arima"),
        ("loadPredictorLog1p: true", "forecast.log1p true"),
    ),
    "kalman": (
        ("kalmanQLevel: 1.0", "forecast.kalman_q_level 1.0"),
        ("kalmanQTrend: 0.1", "forecast.kalman_q_trend 0.1"),
        ("kalmanR: 10.0", "forecast.kalman_r 10.0"),
    ),
    "prophet": (
        ("plannerLoadPredictor: prophet", "forecast.predictor prophet"),
        ("prophetWindowSize: 50", "forecast.window_points 50"),
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("predictor", BLOCKS)
def test_the_section_of_the_guide_runs_as_it_stands(predictor: str) -> None:
    manifest = CASES / f"guide_{predictor}.yaml"
    command = [
        str(SETPOINT),
        "demo",
        "--plain",
        "--speed",
        "25",
        "--duration",
        "10s",
        "--dgdr",
        str(manifest),
    ]

    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for said, settings in (*COMMON, *BLOCKS[predictor]):
        assert f'said="{said}"  settings="{settings}"  where="DGDR {manifest}:' in done.stderr
    understood = next(line for line in done.stderr.splitlines() if " understood " in line)
    assert f"predictor={predictor}  solver=throughput  statistic=mean  budget_gpus=4" in understood
    ticks = [tuple(map(int, match.groups())) for match in LINE.finditer(done.stdout)]
    assert len(ticks) >= 3, done.stdout
    assert all(gpus <= 4 and budget == 4 for *_, gpus, budget in ticks)
    assert all(prefill + decode <= 4 and min(prefill, decode) >= 1 for _, prefill, _, decode, *_ in ticks)


def setpoint(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(SETPOINT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=PLAIN)


PLAIN = {"COLUMNS": "100", "LANG": "C.UTF-8"}


@pytest.mark.slow
@pytest.mark.parametrize("predictor", BLOCKS)
def test_what_import_writes_is_taken_by_check(tmp_path: Path, predictor: str) -> None:
    imported = setpoint("config", "import", str(CASES / f"guide_{predictor}.yaml"))
    file = tmp_path / "setpoint.yaml"
    file.write_text(imported.stdout)

    checked = setpoint("config", "check", "-c", str(file), "--profile", "embedded")

    assert (imported.returncode, checked.returncode, checked.stderr) == (0, 0, "")
    assert checked.stdout.startswith(f"OK: {file}: ")


@contextmanager
def running(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [str(SETPOINT), "run", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=PLAIN) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_run_says_what_each_key_was_mapped_to_before_it_starts() -> None:
    manifest = CASES / "guide_kalman.yaml"
    where = ("--scrape", "http://127.0.0.1:9/metrics", "--http-port", "0", "--profile", "embedded")
    events: list[dict[str, object]] = []

    with running("--dgdr", str(manifest), "--log-format", "json", "--budget", "3", *where) as process:
        assert process.stderr is not None
        while not events or events[-1]["event"] != "started":
            events.append(json.loads(process.stderr.readline()))
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=30)

    assert code == 0
    understood = next(event for event in events if event["event"] == "understood")
    assert (understood["statistic"], understood["solver"], understood["predictor"]) == (
        "mean",
        "throughput",
        "kalman",
    )
    taken = {event["said"]: event["settings"] for event in events if event["event"] == "taken from Dynamo"}
    assert taken["plannerAdjustmentInterval: 30"] == "interval 30s"
    assert taken["plannerMaxGpuBudget: 4"] == "budget_gpus 3 (set by a flag)"
    notes = [str(event["note"]) for event in events if event["event"] == "of Dynamo's settings"]
    assert any(note.startswith("plannerNoOperation is absent") for note in notes)
