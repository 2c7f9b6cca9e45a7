"""What `config` shows is what is in force, and what `check` takes `run` takes."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from config.catalog import entries
from config.load import load

TARGETS = ("--ttft", "300ms", "--itl", "20ms", "--budget", "8", "--profile", "embedded")


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]


def test_every_setting_is_shown_with_its_origin(
    setpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("budget_gpus: 8\n")
    monkeypatch.setenv("SETPOINT_INTERVAL", "1m")

    answered = setpoint(
        "config", "-c", str(file), "--ttft", "300ms", "--set", "look.band=0.5", "--advise", "-o", "json"
    )

    shown = json.loads(answered.out)
    assert shown.keys() == entries().keys()
    assert shown["budget_gpus"] == {"value": 8, "origin": f"{file}:1"}
    assert shown["interval"] == {"value": "60s", "origin": "variable SETPOINT_INTERVAL"}
    assert shown["targets.ttft"] == {"value": "300ms", "origin": "flag --ttft"}
    assert shown["look.band"] == {"value": 0.5, "origin": "flag --set look.band"}
    assert shown["actuate"] == {"value": False, "origin": "flag --advise"}
    assert shown["startup"]["origin"] == "default"


def test_what_is_required_and_not_set_is_no_error_to_look_at(setpoint: Run) -> None:
    answered = setpoint("config", "show")

    assert answered.code == 0
    assert answered.err == ""
    row = next(line for line in answered.out.splitlines() if line.startswith("targets.ttft "))
    assert row.split(maxsplit=2) == ["targets.ttft", "-", "required, not set"]


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_secrets_are_masked_in_every_form(setpoint: Run, output: str) -> None:
    hidden = "dGhlLXNlY3JldA"
    answered = setpoint(
        "config",
        "--output",
        output,
        *("--set", f"prometheus.token={hidden}", "--set", f"prometheus.headers=X-Scope-OrgID={hidden}"),
    )

    assert answered.code == 0
    assert hidden not in answered.out + answered.err
    assert answered.out.count("********") == 2


def test_yaml_can_be_used_as_a_file_again(setpoint: Run, tmp_path: Path) -> None:
    first = setpoint("config", *TARGETS, "--scrape", "http://a:1/metrics", "-o", "yaml")
    file = tmp_path / "again.yaml"
    file.write_text(first.out)
    again = load(file=file, environment={})

    assert yaml.safe_load(first.out)["scrape"]["urls"] == ["http://a:1/metrics"]
    assert again.settings.scrape.urls == ("http://a:1/metrics",)
    assert again.settings.budget_gpus == 8


def test_risks_are_told_on_standard_error(setpoint: Run) -> None:
    answered = setpoint("config", *TARGETS, "--set", "prometheus.verify_tls=false", "-o", "json")

    assert json.loads(answered.out)
    assert answered.err.startswith("warning: prometheus.verify_tls is false: ANYBODY")


def test_the_sample_passes_the_check(setpoint: Run, tmp_path: Path) -> None:
    file = tmp_path / "sample.yaml"
    file.write_text(setpoint("config", "sample").out)

    answered = setpoint("config", "check", "-c", str(file))

    assert answered.code == 0
    assert answered.out.startswith(f"OK: {file}: 4 of {len(entries())} settings are set")


def test_the_schema_is_one_json_object(setpoint: Run) -> None:
    schema = json.loads(setpoint("config", "schema").out)

    assert schema["properties"]["targets"]


def test_a_check_for_programs_is_json(setpoint: Run) -> None:
    answered = setpoint("config", "check", *TARGETS, "-o", "json")

    assert json.loads(answered.out) == {"ok": True, "warnings": []}


def test_a_failed_check_for_programs_is_json_too(setpoint: Run) -> None:
    answered = setpoint("config", "check", *TARGETS, "--ttft", "300", "--log-level", "loud", "-o", "json")

    document = json.loads(answered.out)
    assert answered.code == 2
    assert answered.err == ""
    assert document["ok"] is False
    assert [problem.partition(":")[0] for problem in document["problems"]] == ["targets.ttft", "log.level"]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("prometheus.dialect=vlm", "'vlm'"),
        ("forecast.predictor=kalmann", "'kalmann'"),
        ("plugin.source=acme", "plugin.source: "),
        ("plugin.actuator=acme", "plugin.actuator: "),
        ("prometheus.ca_file=FILE", "FILE"),
        ("http.bind=localhost:80", "http.bind: "),
        ("journal.path=/dev/null/journal.jsonl", "journal.path: "),
    ],
)
def test_a_check_refuses_what_run_refuses(setpoint: Run, tmp_path: Path, pair: str, expected: str) -> None:
    file = tmp_path / "no.pem"
    file.write_text("no certificate")
    name = pair.partition("=")[0].removeprefix("plugin.")
    chosen = ("--set", f"{name}=plugin") if pair.startswith("plugin.") else ("--prometheus", "https://a:1")

    answered = setpoint("config", "check", *TARGETS, *chosen, "--set", pair.replace("FILE", str(file)))

    assert answered.code == 2
    assert expected.replace("FILE", str(file)) in answered.err
    assert answered.out == ""


def test_a_check_connects_to_nothing(setpoint: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.0)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        answered = setpoint(
            *("config", "check", *TARGETS, "--prometheus", url, "--actuator", "etcd"),
            *("--set", f"etcd.endpoints={url}"),
        )

        assert answered.code == 0, answered.err
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_journal_that_may_not_be_written_fails_the_check(setpoint: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("root may write everywhere")

    answered = setpoint("config", "check", *TARGETS, "--journal", str(tmp_path / "j.jsonl"))

    assert "journal.path: this user may not make files in" in answered.err
    assert not list(tmp_path.iterdir())


def test_a_check_makes_no_journal(setpoint: Run, tmp_path: Path) -> None:
    answered = setpoint("config", "check", *TARGETS, "--journal", str(tmp_path / "j.jsonl"))

    assert answered.code == 0
    assert not list(tmp_path.iterdir())


def test_a_profile_that_is_not_set_is_shown_as_required(setpoint: Run) -> None:
    answered = setpoint("config", "show")

    row = next(line for line in answered.out.splitlines() if line.startswith("profile "))
    assert row.split(maxsplit=2) == ["profile", "-", "required, not set"]


def test_a_check_reads_the_profile_too(setpoint: Run, tmp_path: Path) -> None:
    answered = setpoint("config", "check", *TARGETS[:-1], str(tmp_path))

    assert answered.code == 2
    assert f"profile: {tmp_path} holds no prefill profile" in answered.err


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table_fits_the_terminal_and_breaks_no_name(
    setpoint: Run, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    answered = setpoint("config", *TARGETS, "--scrape", "http://a.very.long.name.of.some.host:8000/metrics")

    lines = answered.out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert entries().keys() <= {line.split(maxsplit=1)[0] for line in lines}
