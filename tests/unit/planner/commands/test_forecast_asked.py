"""Where the load is read from that `forecast` compares on."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]
NO_LOAD = "error: no load is given to forecast; name a trace of requests, or give --prometheus http://127.0.0.1:9090\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[[str], str]:
    """Write a request of Dynamo's with one line more for its planner."""

    def write(line: str) -> str:
        path = tmp_path / "deploy.yaml"
        path.write_text(f"planner:\n  plannerAdjustmentInterval: 30\n{line}sla: {{ttft: 300}}\n")
        return str(path)

    return write


def test_an_address_that_only_dynamo_presumes_is_no_load(
    setpoint: Run, manifest: Callable[[str], str]
) -> None:
    answered = setpoint("forecast", "--dgdr", manifest(""))

    assert (answered.code, answered.out) == (2, "")
    assert answered.err.endswith(NO_LOAD)


def test_an_address_that_the_manifest_gives_is_asked(setpoint: Run, manifest: Callable[[str], str]) -> None:
    line = "  plannerMetricPullingPrometheusEndpoint: http://127.0.0.1:1\n"

    answered = setpoint("forecast", "--dgdr", manifest(line), "--last", "1h")

    assert answered.code == 1
    assert "http://127.0.0.1:1" in answered.err
