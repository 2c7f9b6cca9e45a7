"""`setpoint check` on a real API server and a real Prometheus: right, and spoiled in one way at a time."""

import json
from typing import Any

import pytest

from planner.cli import invoke
from tests.integration.planner.doctor.site import Ward

Json = dict[str, Any]


def check(deployed: Ward, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[Json]]:
    capsys.readouterr()
    code = invoke(["check", "-c", str(deployed.file()), "-o", "json", *more])
    said = capsys.readouterr()
    assert said.out, said.err
    findings: list[Json] = json.loads(said.out)["findings"]
    return code, findings


@pytest.mark.slow
def test_a_right_set_up_passes(deployed: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    code = invoke(["check", "-c", str(deployed.file())])
    print(capsys.readouterr().out)
    assert code == 0
    assert 0
