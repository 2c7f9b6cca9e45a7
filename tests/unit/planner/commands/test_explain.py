"""The decision that a person asks about is found and told whole: seen, expected, decided, why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from planner.commands.explain import moment

START_S = 1_700_000_000


class Answered(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Answered]


def times(shown: str) -> list[int]:
    """Return when the decisions were made, in seconds since the start, from JSON."""
    return [round(one["view"]["at_wall_s"]) - START_S for one in json.loads(shown)["decisions"]]


def test_a_journal_tells_the_last_notable_decision_and_the_newest(setpoint: Run, journal_file: Path) -> None:
    answered = setpoint("explain", "--journal", str(journal_file), "-o", "json")

    # 90 s: held for lack of data; 150 s: the newest tick, and the looks after it changed nothing.
    assert times(answered.out) == [90, 150]


def test_a_decision_is_told_whole(setpoint: Run, journal_file: Path) -> None:
    answered = setpoint("explain", "--journal", str(journal_file), "--at", str(START_S + 61))

    words = " ".join(answered.out.split())
    assert words.startswith(
        "2023-11-14 22:14:20Z tick seen 20 requests/s, prompts 2000 tokens, outputs 300 tokens"
    )
    assert "forecast 20 requests/s" in words
    assert "sized for 20 requests/s of 2000 prompt and 300 output tokens" in words
    assert "decided prefill 1 → 3 (load), decode 1 → 2 (load); 5 of 8 GPUs" in words
    assert "because prefill: 20.00 requests/s" in words


def test_a_hold_says_what_was_not_known(setpoint: Run, journal_file: Path) -> None:
    answered = setpoint("explain", "--journal", str(journal_file), "--at", str(START_S + 100))

    assert "tick  (hold)" in answered.out
    assert "load unknown: prometheus did not answer" in answered.out
    assert "because   holding: the offered load is not known" in answered.out


def test_the_last_so_many_are_in_the_order_of_time(setpoint: Run, journal_file: Path) -> None:
    answered = setpoint("explain", "--journal", str(journal_file), "--last", "3", "-o", "json")

    assert times(answered.out) == [90, 120, 150]


def test_what_a_daemon_remembers_is_told_too(setpoint: Run, daemon_url: str) -> None:
    answered = setpoint("explain", "--url", daemon_url)

    assert answered.code == 0
    assert "tick  (hold)" in answered.out
    assert "sized for 20 requests/s" in answered.out
    assert "because   holding: the offered load is not known (prometheus did not answer)" in answered.out


def test_a_daemon_and_its_journal_agree(setpoint: Run, daemon_url: str, journal_file: Path) -> None:
    told = setpoint("explain", "--url", daemon_url, "--last", "4", "-o", "json")
    written = setpoint("explain", "--journal", str(journal_file), "--last", "4", "-o", "json")

    views = [[one["view"] for one in json.loads(shown.out)["decisions"]] for shown in (told, written)]
    assert views[0] == views[1]


def test_older_files_of_a_journal_are_read_where_needed(setpoint: Run, journal_file: Path) -> None:
    lines = journal_file.read_text().splitlines(keepends=True)
    journal_file.with_name(f"{journal_file.name}.1").write_text("".join(lines[:4]))
    journal_file.write_text("".join(lines[4:]))

    found = setpoint("explain", "--journal", str(journal_file), "-o", "json")
    early = setpoint("explain", "--journal", str(journal_file), "--at", str(START_S + 31), "-o", "json")

    assert times(found.out) == [90, 150]
    assert times(early.out) == [30]


def test_torn_lines_are_passed_over_and_counted(setpoint: Run, journal_file: Path) -> None:
    with journal_file.open("a") as file:
        file.write('{"schema":1,"rec\n' * 5)

    answered = setpoint("explain", "--journal", str(journal_file))

    assert answered.code == 0
    assert "150" not in answered.err
    assert answered.err.count("warning: ") == 4
    assert answered.err.endswith("warning: 2 more lines were skipped\n")


def test_a_time_before_the_first_decision_is_a_failure(setpoint: Run, journal_file: Path) -> None:
    answered = setpoint("explain", "--journal", str(journal_file), "--at", "2023-11-14T22:13:00Z")

    assert answered.code == 1
    assert answered.err == f"error: {journal_file} holds no decision at or before 2023-11-14 22:13:00Z\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("1970-01-01T00:10:00Z", 600.0),
        ("1970-01-01T00:10:00", 600.0),
        ("1970-01-01 01:10:00+01:00", 600.0),
        ("600", 600.0),
        ("1h", 3600.0),
    ],
)
def test_a_moment_is_understood_as_people_write_it(words: str, expected: float) -> None:
    assert moment(words, now_wall_s=7200.0) == expected


@pytest.mark.parametrize("columns", ["80", "120"])
def test_an_explanation_fits_the_terminal(
    setpoint: Run, journal_file: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    answered = setpoint("explain", "--journal", str(journal_file), "--last", "9")

    assert max(map(len, answered.out.splitlines())) <= int(columns)
