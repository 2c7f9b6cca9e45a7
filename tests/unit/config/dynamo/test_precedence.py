"""A manifest is the weakest source, and says what became of its keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.dynamo.words import Mapped, mapped
from config.errors import ConfigError
from config.load import load, reload
from config.show import effective

REQUEST = """\
kind: DynamoGraphDeploymentRequest
spec:
  profilingConfig:
    config:
      sla: {ttft: 300.0, itl: 30.0}
      planner:
        plannerMaxGpuBudget: 4
        plannerAdjustmentInterval: 30
        loadPredictor: kalman
"""


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "deploy.yaml"
    path.write_text(REQUEST)
    return path


@pytest.mark.parametrize(
    ("sources", "value"),
    [
        ((), 30.0),
        (("file",), 41.0),
        (("file", "variable"), 42.0),
        (("file", "variable", "flag"), 43.0),
        (("variable",), 42.0),
    ],
)
def test_every_other_source_is_stronger(
    request_file: Path, tmp_path: Path, sources: tuple[str, ...], value: float
) -> None:
    file = tmp_path / "setpoint.yaml"
    file.write_text("interval: 41s\n")

    loaded = load(
        dgdr=request_file,
        file=file if "file" in sources else None,
        environment={"SETPOINT_INTERVAL": "42s"} if "variable" in sources else {},
        flags={"interval": "43s"} if "flag" in sources else {},
    )

    assert loaded.settings.interval == value
    assert loaded.settings.budget_gpus == 4


def test_defaults_of_dynamo_are_weaker_than_its_variables(request_file: Path) -> None:
    loaded = load(dgdr=request_file, environment={"PROMETHEUS_ENDPOINT": "http://prometheus:9090"})

    assert loaded.settings.prometheus.url == "http://prometheus:9090"
    assert str(loaded.origins["pools.decode.min_replicas"]) == f"Dynamo's default ({request_file})"


def test_a_variable_names_the_manifest(request_file: Path) -> None:
    loaded = load(environment={"SETPOINT_DGDR": str(request_file)})

    assert (loaded.settings.budget_gpus, loaded.dgdr) == (4, request_file)


def test_a_manifest_is_read_again(request_file: Path) -> None:
    loaded = load(dgdr=request_file, environment={})
    request_file.write_text(REQUEST.replace("Budget: 4", "Budget: 6"))

    assert reload(loaded).settings.budget_gpus == 6


def test_an_absent_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; check the path given by --dgdr"):
        load(dgdr=tmp_path / "absent.yaml", environment={})


def test_the_origin_names_file_line_and_key(request_file: Path) -> None:
    loaded = load(dgdr=request_file, environment={})

    rows = {row.key: row.origin for row in effective(loaded)}
    assert rows["budget_gpus"] == f"DGDR {request_file}:7 plannerMaxGpuBudget"
    assert rows["targets.ttft"] == f"DGDR {request_file}:5 ttft"


def test_what_each_key_was_mapped_to_is_told(request_file: Path) -> None:
    environment = {"SCALING_MAX_WAIT_TIME": "900"}

    rows = mapped(load(dgdr=request_file, environment=environment, flags={"budget_gpus": "8"}))

    assert rows[0] == Mapped(
        said="ttft: 300.0", settings="targets.ttft 300ms", where=f"DGDR {request_file}:5 ttft"
    )
    assert [row.settings for row in rows if row.said == "plannerMaxGpuBudget: 4"] == [
        "budget_gpus 8 (set by a flag)"
    ]
    assert [row.settings for row in rows if row.said == "SCALING_MAX_WAIT_TIME"] == ["etcd.max_wait 15m"]
    assert rows[-1].where == f"Dynamo's default ({request_file})"
    assert "plannerKalmanR: 10.0" in rows[-1].said
    assert "forecast.kalman_r 10.0" in rows[-1].settings


def test_a_secret_is_not_told(write: Callable[..., Path]) -> None:
    path = write("metric_pulling_prometheus_token: hunter2\n")
    environment = {"PROMETHEUS_TOKEN": "hunter3"}

    loaded = load(dgdr=path, environment=environment)

    told = f"{mapped(loaded)} {loaded.notes} {loaded.translations} {loaded!r}"
    assert "hunter" not in told


@pytest.mark.parametrize(
    ("name", "value"), [("PROMETHEUS_EXTRA_QUERY_PARAMS", "tenant=a"), ("SCALING_CHECK_INTERVAL", "10")]
)
def test_a_variable_of_dynamo_without_counterpart_is_told(
    least: dict[str, object], name: str, value: str
) -> None:
    loaded = load(flags=least, environment={name: value})

    assert [note.partition(" – ")[0] for note in loaded.notes] == [name]


def test_values_of_an_embedding_program_are_weaker_than_a_manifest(request_file: Path) -> None:
    loaded = load(dgdr=request_file, environment={}, base={"budget_gpus": "20", "startup": "90s"})

    assert (loaded.settings.budget_gpus, loaded.settings.startup) == (4, 90.0)
    assert str(loaded.origins["startup"]) == "default"


def test_a_note_that_a_stronger_source_settles_is_not_told(request_file: Path) -> None:
    stronger = {"actuate": "true", "actuator": "etcd", "pools.prefill.gpus_per_engine": "2"}

    told = load(dgdr=request_file, environment={}).notes
    settled = load(dgdr=request_file, environment={}, flags=stronger).notes

    assert [note.partition(" – ")[0] for note in told] == [
        "plannerPrefillEngineNumGpu is absent, plannerDecodeEngineNumGpu is absent",
        "plannerNoOperation is absent",
        "plannerEnvironment is absent",
    ]
    assert [note.partition(" – ")[0] for note in settled] == ["plannerDecodeEngineNumGpu is absent"]


def test_parameters_of_another_predictor_wait_for_it(write: Callable[..., Path]) -> None:
    path = write("load_predictor: arima\nkalman_q_level: 3\nkalman_min_points: 9\n")

    forecast = load(dgdr=path, environment={}, flags={"forecast.predictor": "kalman"}).settings.forecast

    assert (forecast.kalman_q_level, forecast.min_points) == (3.0, 5)
