"""`config import` writes a file that `config check` takes, and says what has no counterpart."""

import re
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Protocol

import pytest
import yaml

CASES = Path(__file__).parents[3] / "unit" / "config" / "dynamo" / "cases" / "good"
GUIDE = sorted(CASES.glob("guide_*.yaml"))

ADDRESS = "http://prometheus-kube-prometheus-prometheus.monitoring.svc.cluster.local:9090"
DOCUMENT = Path(__file__).parents[4] / "docs" / "dynamo.md"


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]


@pytest.mark.parametrize("path", sorted(CASES.iterdir()), ids=lambda path: path.stem)
def test_what_import_writes_is_taken_and_says_the_same(setpoint: Run, tmp_path: Path, path: Path) -> None:
    written = tmp_path / "setpoint.yaml"
    written.write_text(setpoint("config", "import", str(path)).out)
    flags = ("--profile", "embedded", "-o", "json")

    checked = setpoint("config", "check", "-c", str(written), *flags)
    direct = setpoint("config", "show", "--dgdr", str(path), *flags)
    through = setpoint("config", "show", "-c", str(written), *flags)

    assert checked.code == 0, checked.out
    shown, again = yaml.safe_load(direct.out), yaml.safe_load(through.out)
    different = {key for key, row in shown.items() if again[key]["value"] != row["value"]}
    assert different == ({"prometheus.token"} if path.stem.startswith("secrets") else set())


def test_every_line_names_the_key_it_comes_from(setpoint: Run, tmp_path: Path) -> None:
    file = tmp_path / "deploy.yaml"
    file.write_text("planner: {plannerAdjustmentInterval: 30, loadPredictor: constant}\nsla: {ttft: 300.0}\n")

    answered = setpoint("config", "import", str(file))

    assert answered.out.splitlines() == [
        f"# Settings of Setpoint, from: DGDR {file}",
        "# Each line names Dynamo's key and value. What is absent here has Setpoint's own default.",
        "# Start with: setpoint run --config THIS_FILE --profile FOLDER",
        "",
        "interval: 30s  # plannerAdjustmentInterval: 30",
        "budget_gpus: 8  # plannerMaxGpuBudget: 8, Dynamo's default",
        "targets:",
        "  ttft: 300ms  # ttft: 300.0",
        "  itl: 10ms  # itl: 10.0, Dynamo's default",
        "  percentile: mean  # Dynamo's targets are means",
        "pools:",
        "  prefill:",
        "    min_replicas: 1  # plannerMinEndpoint: 1, Dynamo's default",
        "  decode:",
        "    min_replicas: 1  # plannerMinEndpoint: 1, Dynamo's default",
        "forecast:",
        "  predictor: constant  # loadPredictor: constant",
        "  log1p: false  # plannerLoadPredictorLog1p: false, Dynamo's default",
        "prometheus:",
        f"  url: {ADDRESS}  # plannerMetricPullingPrometheusEndpoint: {ADDRESS[:63]}…, Dynamo's default",
    ]
    engines, advice, kubernetes = answered.err.splitlines()
    assert engines.startswith("warning: plannerPrefillEngineNumGpu is absent, plannerDecodeEngineNumGpu is")
    assert advice.startswith("warning: plannerNoOperation is absent – Dynamo's planner would scale")
    assert kubernetes.startswith(
        "warning: plannerEnvironment is absent – Dynamo's default is kubernetes; it is actuator: kubernetes"
    )


def test_arguments_follow_two_dashes(setpoint: Run) -> None:
    answered = setpoint(
        "config", "import", "--", "--adjustment-interval", "60", "--ttft=300", "--no-operation"
    )

    assert answered.code == 0
    assert yaml.safe_load(answered.out)["interval"] == "60s"
    assert "actuate: false  # --no-operation" in answered.out


def test_standard_input_is_read(setpoint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"python3 -m planner --max-gpu-budget 3\n")))

    answered = setpoint("config", "import", "-")

    assert yaml.safe_load(answered.out)["budget_gpus"] == 3


def test_a_secret_is_named_and_not_written(setpoint: Run, tmp_path: Path) -> None:
    file = tmp_path / "planner.yaml"
    file.write_text("metric_pulling_prometheus_token: hunter2\n")

    answered = setpoint("config", "import", str(file))

    assert "hunter2" not in answered.out + answered.err
    assert "  # token:" in answered.out
    assert "warning: prometheus.token is not written here; set prometheus.token_file" in answered.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "config import: there is nothing to import; name a file or - for standard input"),
        (("a.yaml", "b.yaml"), "config import: 'b.yaml' is one too many"),
        (("absent.yaml",), "absent.yaml: there is no such file; check the path given to config import"),
        (("--ttft", "300ms", "absent.yaml"), "config import: it takes no flags"),
        (("--", "--max-gpu-budgt", "4"), "did you mean --max-gpu-budget? (argument --max-gpu-budgt)"),
        (("--", "--max-gpu-budget", "0"), "budget_gpus: 0 is too small; write at least 1 (argument"),
    ],
)
def test_what_cannot_be_imported_is_told(setpoint: Run, words: tuple[str, ...], part: str) -> None:
    answered = setpoint("config", "import", *words)

    assert (answered.code, answered.out) == (2, "")
    assert part in answered.err


def test_other_actions_take_no_words(setpoint: Run) -> None:
    answered = setpoint("config", "show", "deploy.yaml")

    assert (answered.code, answered.err) == (2, "error: config show: 'deploy.yaml' is not expected here\n")


def test_a_request_serves_a_plan(setpoint: Run) -> None:
    point = ("--rate", "2", "--isl", "2000", "--osl", "300", "-o", "json")

    answered = setpoint("plan", "--dgdr", str(GUIDE[0]), "--profile", "embedded", *point)

    assert yaml.safe_load(answered.out)["budget_gpus"] == 4


def test_check_tells_the_notes_of_a_request(setpoint: Run) -> None:
    answered = setpoint("config", "check", "--dgdr", str(GUIDE[0]), "--profile", "embedded")

    assert answered.out.startswith(f"OK: {GUIDE[0]}: ")
    assert "warning: isl: 3000, osl: 150 – for Dynamo's profiler only" in answered.err


def test_show_names_file_line_and_key(setpoint: Run) -> None:
    answered = setpoint("config", "show", "--dgdr", str(GUIDE[0]), "-o", "json")

    origin = yaml.safe_load(answered.out)["budget_gpus"]["origin"]
    assert origin == f"DGDR {GUIDE[0]}:22 plannerMaxGpuBudget"


def test_what_the_page_shows_is_what_is_printed(
    setpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    manifest, *_ = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "deploy.yaml").write_text(manifest)
    monkeypatch.chdir(tmp_path)

    shown = [
        block.split("\n", maxsplit=1) for block in re.findall(r"```console\n\$ (.*?)\n```", page, re.DOTALL)
    ]
    answers = [setpoint(*command.split()[1:]) for command, _ in shown]

    assert [(answer.out + answer.err).rstrip() for answer in answers] == [output for _, output in shown]


def test_the_file_that_behaves_most_like_dynamo_is_taken_beside_the_request(
    setpoint: Run, tmp_path: Path
) -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    manifest, settings = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    request, like_dynamo = tmp_path / "deploy.yaml", tmp_path / "like-dynamo.yaml"
    request.write_text(manifest)
    like_dynamo.write_text(settings)

    answered = setpoint(
        "config", "check", "--dgdr", str(request), "-c", str(like_dynamo), "--profile", "embedded"
    )

    assert answered.code == 0, answered.err
