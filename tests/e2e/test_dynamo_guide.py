"""The planner's section of Dynamo's guide, as it stands, scales the simulated fleet with each predictor."""

import re
import subprocess
import sys
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
