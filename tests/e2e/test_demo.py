"""The demo, as a person starts it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SETPOINT = Path(sys.executable).parent / "setpoint"
LINE = re.compile(r"prefill (\d+)/(\d+), decode (\d+)/(\d+), GPUs (\d+)/(\d+)")


def rises_and_falls(counts: list[int]) -> bool:
    peak = max(counts)
    return peak >= counts[0] + 3 and min(counts[counts.index(peak) :]) <= peak - 3


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_demo_scales_both_pools_up_and_down_within_one_simulated_day() -> None:
    command = [str(SETPOINT), "demo", "--plain", "--speed", "90", "--duration", "41s"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stderr
    seen = [tuple(int(n) for n in match.groups()) for match in LINE.finditer(done.stdout)]
    assert rises_and_falls([prefill for _, prefill, *_ in seen]), done.stdout
    assert rises_and_falls([decode for _, _, _, decode, *_ in seen]), done.stdout
    assert all(gpus <= budget for *_, gpus, budget in seen)
    assert "requests/s need" in done.stdout
    assert re.search(r"\d+ requests, \d+\.\d% in time", done.stdout.splitlines()[-1])


def test_demo_refuses_a_duration_without_unit() -> None:
    command = [str(SETPOINT), "demo", "--duration", "20"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 2
    assert "20" in done.stderr
    assert "Traceback" not in done.stderr
