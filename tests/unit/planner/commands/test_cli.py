"""The command line as a whole: help, versions, exit codes, and one clear line for each mistake."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import pytest
from typer.testing import CliRunner

from config.catalog import entries
from config.sections import ActuatorKind, LogFormat, LogLevel
from planner.cli import app
from planner.commands.examples import EXAMPLES
from planner.commands.flags import ALL_FLAGS

COMMANDS = ("run", "demo", "plan", "forecast", "config", "status", "explain")
PLAN = ("plan", "--profile", "embedded", "--isl", "2000", "--osl", "300", "--ttft", "300ms", "--itl", "20ms")
RATE = ("--rate", "12")
TARGETS = ("--ttft", "300ms", "--itl", "20ms", "--budget", "8", "--profile", "embedded")

MISTAKES = {
    "a command that does not exist": (("plna",), "no such command 'plna'; did you mean 'plan'?"),
    "a flag that does not exist": (("run", "--tftt", "1s"), "no such option: --tftt; did you mean --ttft?"),
    "a flag that looks like none": (("run", "--zzz"), "no such option: --zzz (see setpoint run --help)"),
    "a flag without its value": (("run", "--ttft"), "option '--ttft' requires an argument"),
    "a word too many": ((*PLAN, *RATE, "more"), "not expected here: more (see setpoint plan --help)"),
    "a missing flag": (PLAN, "missing option '--rate'"),
    "no load": ((*PLAN, "--rate", "0"), "--rate: 0 is not above 0; write requests per second, for example"),
    "a negative load": ((*PLAN, "--rate", "-3"), "--rate: -3 is not above 0"),
    "a load that is no number": ((*PLAN, "--rate", "many"), "--rate: 'many' is not a number"),
    "a load that is not finite": ((*PLAN, "--rate", "nan"), "--rate: 'nan' is not finite"),
    "an absurd load": ((*PLAN, "--rate", "1e99"), "--rate: 1e99 is above 1,000,000"),
    "no prompt": ((*PLAN, *RATE, "--isl", "0"), "--isl: 0 is below 1; write tokens, for example 1000"),
    "an absurd answer": ((*PLAN, *RATE, "--osl", "1e9"), "--osl: 1e9 is above 10,000,000"),
    "a target without unit": (
        (*PLAN, *RATE, "--ttft", "300"),
        "300 has no unit; write 300ms or 300s (flag --ttft)",
    ),
    "a target of zero": ((*PLAN, *RATE, "--itl", "0s"), "targets.itl: 0s is too short"),
    "a solver that does not exist": ((*PLAN, *RATE, "--solver", "magic"), "'magic' is not one of throughput"),
    "a budget below the minimums": (
        (*PLAN, *RATE, "--budget", "3", "--decode-gpus", "4"),
        "budget_gpus: 3 is less than the minimums take",
    ),
    "a budget that is no number": (
        (*PLAN, *RATE, "--budget", "lots"),
        "budget_gpus: 'lots' is not a whole number; write a whole number, for example 8 (flag --budget)",
    ),
    "a profile that does not exist": (
        (*PLAN, *RATE, "--profile", "/does/not/exist"),
        "profile: there is no folder '/does/not/exist'",
    ),
    "no profile": (
        ("plan", *RATE, "--isl", "9", "--osl", "9", "--ttft", "1s", "--itl", "1s"),
        "profile: not set; give the folder",
    ),
    "an output that does not exist": (
        (*PLAN, *RATE, "--output", "xml"),
        "'xml' is not one of 'table', 'json'",
    ),
    "nothing set at all": (("run",), "targets.ttft: is required and was not set; write"),
    "a pair without value": (("run", "--set", "interval"), "--set: 'interval' is not key=value"),
    "an empty pair": (("run", "--set", ""), "--set: there is no key=value"),
    "a setting that does not exist": (
        ("run", *TARGETS, "--set", "targets.tftt=1s"),
        "targets.tftt: there is no such setting; did you mean targets.ttft? (flag --set targets.tftt)",
    ),
    "a setting given twice": (
        ("run", *TARGETS, "--set", "budget_gpus=3"),
        "--set: budget_gpus is given twice; --budget gives it too; keep one",
    ),
    "the same pair twice": (
        ("run", "--set", "interval=3s", "--set", "interval=4s"),
        "--set: interval is given twice; --set interval gives it too",
    ),
    "two sources": (
        ("run", *TARGETS, "--prometheus", "http://a:1", "--scrape", "http://b:1/metrics"),
        "--scrape: --prometheus is given too; metrics are read from one place; keep one",
    ),
    "a file that does not exist": (
        ("run", "--config", "/no/such.yaml"),
        "/no/such.yaml: there is no such file",
    ),
    "an action that does not exist": (("config", "shwo"), "'shwo' is not one of 'show', 'check', 'sample'"),
    "a predictor that does not exist": (
        ("config", "check", *TARGETS, "--predictor", "klman"),
        "no predictor is called 'klman'; did you mean 'kalman'?",
    ),
    "a speed that is no number": (
        ("demo", "--speed", "fast"),
        "--speed: 'fast' is not a number; write a factor",
    ),
    "a speed of zero": (("demo", "--speed", "0"), "--speed: 0 is below 0.1"),
    "a duration without unit": (
        ("demo", "--duration", "90"),
        "--duration: 90 has no unit; write 90ms or 90s",
    ),
    "a duration of zero": (("demo", "--duration", "0s"), "--duration: 0s is too short"),
    "a port that is no port": (("demo", "--port", "99999"), "--port: 99999 is above 65,535"),
    "half a port": (("demo", "--port", "90.5"), "--port: 90.5 is not a whole number; write for example 91"),
    "an address that is none": (
        ("status", "--url", "a b"),
        "--url: 'a b' is not an address; write for example",
    ),
    "an address of another protocol": (("status", "--url", "ftp://a"), "--url: 'ftp://a' is not an address"),
    "a time that is none": (("explain", "--at", "noon"), "--at: 'noon' is not a time; write for example"),
    "none of the last": (("explain", "--last", "0"), "--last: 0 is below 1; write a whole number from 1 to"),
    "a daemon and a journal": (
        ("explain", "--url", "localhost:1", "--journal", "x"),
        "--journal: --url is given too; decisions are read from one place; keep one",
    ),
    "a journal that does not exist": (
        ("explain", "--journal", "/no/journal"),
        "/no/journal: there is no such",
    ),
    "a folder for a journal": (
        ("explain", "--journal", "/"),
        "/: the journal cannot be read: Is a directory",
    ),
}


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_gets_its_one_line_and_exit_code_2(
    setpoint: Run, arguments: tuple[str, ...], expected: str
) -> None:
    answered = setpoint(*arguments)

    assert answered.code == 2
    assert answered.out == ""
    lines = answered.err.splitlines()
    assert [line for line in lines if expected in line], answered.err
    assert all(line.startswith("error: ") for line in lines)


def test_all_that_is_wrong_is_said_at_once(setpoint: Run) -> None:
    answered = setpoint("run", "--ttft", "300", "--itl", "20")

    assert [line.split(":")[1].strip() for line in answered.err.splitlines()] == [
        "budget_gpus",
        "targets.ttft",
        "targets.itl",
    ]


def test_what_is_missing_names_the_flag_that_sets_it(setpoint: Run) -> None:
    answered = setpoint("run", *TARGETS[2:])

    assert "set SETPOINT_TARGETS__TTFT=300ms, or give --ttft 300ms" in answered.err


def test_no_daemon_is_a_failure_and_not_a_misuse(setpoint: Run) -> None:
    answered = setpoint("status", "--url", "127.0.0.1:1")

    assert answered.code == 1
    assert answered.err.startswith("error: no daemon answers at http://127.0.0.1:1 (")
    assert answered.err.count("\n") == 1


@pytest.mark.parametrize("command", ["", *COMMANDS])
@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_the_terminal_and_ends_with_examples(
    monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    result = CliRunner().invoke(app, [*filter(None, [command]), "--help"])

    assert result.exit_code == 0
    examples = result.output.partition("Examples:")[2].strip().splitlines()
    assert [line.strip() for line in examples] == list(EXAMPLES[command])
    assert all(len(line) <= columns for line in result.output.partition("Examples:")[0].splitlines())


@pytest.mark.parametrize(
    ("key", "kinds"), [("actuator", ActuatorKind), ("log.format", LogFormat), ("log.level", LogLevel)]
)
def test_the_help_of_a_choice_names_every_choice(key: str, kinds: type[StrEnum]) -> None:
    meaning = next(flag.meaning for flag in ALL_FLAGS if flag.key == key)

    assert [kind for kind in kinds if not re.search(rf"\b{kind}\b", meaning)] == []


def test_the_bare_command_shows_help(setpoint: Run) -> None:
    answered = setpoint()

    assert answered.code == 0
    assert all(re.search(rf"^  {command} ", answered.out, re.MULTILINE) for command in COMMANDS)


def test_the_version_is_one_line(setpoint: Run) -> None:
    answered = setpoint("--version")

    assert answered.code == 0
    assert re.fullmatch(r"setpoint \S+\n", answered.out)


def test_every_flag_stands_for_a_setting_that_exists() -> None:
    assert {flag.key for flag in ALL_FLAGS} <= entries().keys()
    assert len({flag.key for flag in ALL_FLAGS}) == len(ALL_FLAGS)


def test_what_the_system_refuses_is_one_line_too(setpoint: Run) -> None:
    answered = setpoint("explain", "--journal", "j" * 300)

    assert answered.code == 1
    assert answered.err == f"error: File name too long: {'j' * 300}\n"
