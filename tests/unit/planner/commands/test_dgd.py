"""`setpoint dgd prepare` with files: what goes where, and what is refused."""

import json
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Protocol

import pytest
import yaml

CASES = Path(__file__).parents[1] / "preparing" / "cases"
IMAGE = ("--image", "registry.example/setpoint:1")


class Answered(Protocol):
    code: int
    out: str
    err: str


Command = Callable[..., Answered]


def test_the_manifest_goes_out_and_what_changed_to_the_side(setpoint: Command) -> None:
    answered = setpoint("dgd", "prepare", str(CASES / "early.yaml"), *IMAGE)

    assert answered.code == 0
    assert yaml.safe_load(answered.out)["kind"] == "DynamoGraphDeployment"
    assert "+          - setpoint" in answered.err
    assert "Planner: image is registry.example/setpoint:1" in answered.err
    assert "note: VllmDecodeWorker: POD_NAME is set already, and stays as it is" in answered.err
    assert f"comments of {CASES / 'early.yaml'} are not kept" in answered.err


def test_the_difference_alone_can_be_asked_for(setpoint: Command) -> None:
    answered = setpoint("dgd", "prepare", str(CASES / "late.yaml"), "--planner", "keep", "--diff")

    assert answered.out.startswith(f"--- {CASES / 'late.yaml'}\n+++ {CASES / 'late.yaml'} (prepared)\n@@ ")
    assert "-" not in {line[:1] for line in answered.out.splitlines()[2:]}


def test_what_was_prepared_is_prepared_already(setpoint: Command, tmp_path: Path) -> None:
    once = setpoint("dgd", "prepare", str(CASES / "early.yaml"), *IMAGE, "--trust-remote-code")
    (tmp_path / "prepared.yaml").write_text(once.out)

    twice = setpoint("dgd", "prepare", str(tmp_path / "prepared.yaml"), "--trust-remote-code")

    assert twice.out == once.out
    assert "nothing is to be changed" in twice.err


def test_json_and_standard_input_are_taken(setpoint: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = json.dumps(yaml.safe_load((CASES / "early.yaml").read_text()), default=str)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(plain.encode()), encoding="ascii"))

    answered = setpoint("dgd", "prepare", "-", *IMAGE, "-o", "json")

    assert json.loads(answered.out)["metadata"]["name"] == "llama-disagg"
    assert "--- standard input" in answered.err


@pytest.mark.parametrize("action", [("dgd", "prepare"), ("config", "import")])
def test_standard_input_is_utf8_whatever_the_locale(
    setpoint: Command, monkeypatch: pytest.MonkeyPatch, action: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"a: \xff"), encoding="ascii"))

    answered = setpoint(*action, "-")

    assert answered.code == 2
    assert answered.err == "error: standard input: byte 4 is not UTF-8; save the file as UTF-8\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nowhere.yaml",), "nowhere.yaml: there is no such file; check the path"),
        ((str(CASES / "early.yaml"),), "--image: it is not given"),
        (
            (str(CASES / "early.yaml"), *IMAGE, "--apply", "--dry-run", "server"),
            "--dry-run: --apply is given too",
        ),
        ((str(CASES / "early.yaml"), *IMAGE, "--force-conflicts"), "--force-conflicts: nothing is applied"),
        ((str(CASES / "early.yaml"), *IMAGE, "--timeout", "3m"), "--timeout: nothing is waited for"),
        ((str(CASES / "early.yaml"), "--planner", "beside"), "beside"),
    ],
)
def test_mistakes_are_one_line_each(setpoint: Command, arguments: tuple[str, ...], part: str) -> None:
    answered = setpoint("dgd", "prepare", *arguments)

    (line,) = answered.err.splitlines()
    assert answered.code == 2
    assert line.startswith("error: ")
    assert part in line
