"""What stands for Dynamo's ARIMA in the comparison forecasts as Dynamo 0.9.0 did when it was run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.dynamo_arima import DynamoArima

SEQUENCES = ("ramp", "bursty")


@pytest.mark.slow
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_forecasts_are_those_of_dynamo(shared_dir: Path, sequence: str) -> None:
    golden = json.loads((shared_dir / "golden" / "dynamo-090.json").read_text(encoding="utf-8"))
    cases: list[dict[str, Any]] = golden["other_predictor_cases"]["arima"]
    case = next(one for one in cases if one["sequence"] == sequence and not one["log1p_requested"])
    predictor, found = DynamoArima(), []

    for value in case["input"]:
        predictor.observe(value)
        found.append(predictor.forecast(1).mean)

    # Fits depend a little on the versions of the libraries below.
    assert found == pytest.approx(case["predicted_after_each_input"], rel=0.02, abs=0.01)
