"""The journal keeps what it can and never disturbs who writes to it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.policy import EngineProfile, Policy, PoolPolicy, Role, Targets
from planner.core.state import initial_state
from planner.serving.journal import Journal, open_journal_file
from planner.serving.logfile import RotatingFile
from planner.serving.reader import UnreadLine, journal_files, read_journal
from planner.serving.records import Actuated, Outcome, Record, Started, Stopped, to_line

POLICY = Policy(
    pools=(PoolPolicy(name="decode", role=Role.DECODE, profile=EngineProfile(name="none")),),
    targets=Targets(ttft_s=0.3, itl_s=0.03),
    budget_gpus=8,
    interval_s=30.0,
)


def stopped(number: int) -> Stopped:
    return Stopped(at_wall_s=float(number), now_s=float(number), target="a", cause="test")


def actuated(number: int) -> Actuated:
    return Actuated(
        at_wall_s=float(number),
        now_s=float(number),
        target="a",
        replicas=(),
        outcome=Outcome.ADVISORY,
    )


def head() -> Started:
    return Started(
        at_wall_s=0.0,
        now_s=0.0,
        version="0",
        target="a",
        policy=POLICY,
        forecast_policy=None,
        state=initial_state(POLICY),
        is_continued=True,
    )


def read(path: Path) -> tuple[list[Record], list[UnreadLine]]:
    unread: list[UnreadLine] = []
    return list(read_journal(path, report=unread.append)), unread


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_records_read_back_in_the_order_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path))
    journal.append(head())
    journal.append(stopped(1))
    journal.close()

    assert read(path) == ([head(), stopped(1)], [])


def test_each_record_is_in_the_file_before_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path, is_synced=True))
    journal.append(stopped(1))

    assert path.read_text() == to_line(stopped(1)) + "\n"
    journal.close()


@pytest.mark.parametrize("cut", [1, 10, -1], ids=["one byte", "ten bytes", "all but the newline's neighbor"])
def test_a_torn_last_line_costs_only_itself(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(to_line(stopped(1)) + "\n" + to_line(stopped(2))[:cut])
    file = open_journal_file(path)
    journal = Journal(file)
    journal.append(stopped(3))
    journal.close()

    records, unread = read(path)

    assert file.was_torn
    assert records == [stopped(1), stopped(3)]
    assert [line.line_number for line in unread] == [2]


def test_a_line_that_is_still_torn_is_skipped_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(to_line(stopped(1)) + "\n" + '{"schema":1,"rec')

    records, unread = read(path)

    assert records == [stopped(1)]
    assert len(unread) == 1
    assert str(unread[0]).startswith(f"{path}:2: skipped: the last line is torn;")


def test_a_process_killed_while_it_writes_leaves_a_readable_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    script = f"""
import os, pathlib, signal
from planner.serving.journal import Journal, open_journal_file
from planner.serving.records import Stopped, to_line
record = Stopped(at_wall_s=1.0, now_s=1.0, target="a", cause="test")
Journal(open_journal_file(pathlib.Path({str(path)!r}))).append(record)
fd = os.open({str(path)!r}, os.O_WRONLY | os.O_APPEND)
os.write(fd, to_line(record)[:20].encode())
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = run_python(script)
    journal = Journal(open_journal_file(path))
    journal.append(stopped(2))
    journal.close()

    records, unread = read(path)

    assert killed.returncode == -9
    assert records == [stopped(1), stopped(2)]
    assert len(unread) == 1


def test_a_full_file_is_rotated_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    size = len(to_line(actuated(1))) + 1
    journal = Journal(open_journal_file(path, max_bytes=2 * size, keep=2))
    for number in range(1, 8):
        journal.append(actuated(number))
    journal.close()

    records, _ = read(path)

    assert [file.name for file in journal_files(path)] == [
        "journal.jsonl.2",
        "journal.jsonl.1",
        "journal.jsonl",
    ]
    assert records == [actuated(number) for number in range(3, 8)]


def test_rotated_files_are_read_in_the_order_of_numbers_not_of_letters(tmp_path: Path) -> None:
    path = tmp_path / "journal[1].jsonl"
    journal = Journal(open_journal_file(path, max_bytes=1, keep=20))
    for number in range(12):
        journal.append(actuated(number))
    journal.close()
    (tmp_path / "journal[1].jsonl.bak").write_text("not one of ours")

    assert read(path) == ([actuated(number) for number in range(12)], [])


def test_each_rotated_file_begins_with_what_replay_needs(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path, max_bytes=1, keep=3), head=head)
    journal.append(actuated(1))
    journal.append(actuated(2))
    journal.close()

    assert read(path)[0] == [actuated(1), head(), actuated(2), head()]
    assert path.read_text() == to_line(head()) + "\n"


def test_with_nothing_to_keep_a_full_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path, max_bytes=1, keep=0))
    journal.append(actuated(1))
    journal.close()

    assert [file.name for file in tmp_path.iterdir()] == ["journal.jsonl"]
    assert path.read_text() == ""


def test_the_last_record_of_a_process_stays_the_last_line_of_a_full_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path, max_bytes=1), head=head)
    journal.append(stopped(1))
    journal.close()
    tail = read(path)[0][-1]
    successor = Journal(open_journal_file(path, max_bytes=1), head=head)
    successor.append(actuated(2))
    successor.close()

    assert tail == stopped(1)
    assert read(path)[0] == [stopped(1), actuated(2), head()]


def test_a_full_disk_is_counted_and_reported_and_never_raised() -> None:
    errors: list[Exception] = []
    journal = Journal(RotatingFile(Path("/dev/full"), max_bytes=2**20, keep=0), on_error=errors.append)
    journal.append(stopped(1))
    journal.append(stopped(2))

    assert journal.write_errors == 2
    assert journal.last_error == "cannot append to /dev/full: No space left on device"
    assert [type(error) for error in errors] == [OSError, OSError]
    assert journal.recent() == (stopped(1), stopped(2))
    journal.close()


def test_a_record_that_was_written_by_half_does_not_damage_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    script = f"""
import pathlib, resource, signal
from planner.serving.journal import Journal, open_journal_file
from planner.serving.records import Stopped, to_line
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
record = Stopped(at_wall_s=1.0, now_s=1.0, target="a", cause="test")
journal = Journal(open_journal_file(pathlib.Path({str(path)!r})))
size = len(to_line(record)) + 1
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 9, resource.RLIM_INFINITY))
journal.append(record)
journal.append(record)
journal.append(record)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(record)
print(journal.write_errors)
"""
    ended = run_python(script)

    records, unread = read(path)

    assert ended.stdout == "2\n"
    assert records == [stopped(1), stopped(1)]
    assert [line.line_number for line in unread] == [2]


def test_a_file_that_somebody_deleted_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path))
    journal.append(stopped(1))
    path.unlink()
    journal.append(stopped(2))
    journal.close()

    assert read(path)[0] == [stopped(2)]


def test_a_file_that_somebody_moved_is_left_alone_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path))
    journal.append(stopped(1))
    path.rename(tmp_path / "moved")
    journal.reopen()
    journal.append(stopped(2))
    journal.close()

    assert read(path)[0] == [stopped(2)]


def test_a_folder_that_vanished_costs_records_and_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    journal = Journal(open_journal_file(folder / "journal.jsonl"))
    (folder / "journal.jsonl").unlink()
    folder.rmdir()
    journal.append(stopped(1))
    folder.mkdir()
    journal.append(stopped(2))
    journal.close()

    assert journal.write_errors == 1
    assert read(folder / "journal.jsonl")[0] == [stopped(2)]


def test_without_a_file_the_newest_records_are_in_memory() -> None:
    journal = Journal(ring_records=2)
    for number in range(3):
        journal.append(stopped(number))
    journal.reopen()
    journal.close()

    assert journal.recent() == (stopped(1), stopped(2))


def test_two_daemons_cannot_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(open_journal_file(path))

    with pytest.raises(
        ConfigError, match=r"journal\.path: another process writes .*; give each daemon its own"
    ):
        open_journal_file(path)
    journal.close()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("missing/journal.jsonl", "No such file or directory", id="no-folder"),
        pytest.param(".", "Is a directory", id="a-folder"),
    ],
)
def test_a_path_that_cannot_be_written_is_an_error_at_start(tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"journal\.path: cannot append to .*{found}; name a file in an existing"
    ):
        open_journal_file(tmp_path / name)


def test_reading_a_journal_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such journal"):
        read(tmp_path / "none" / "journal.jsonl")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("[]", "expected a JSON object, found list", id="not-an-object"),
        pytest.param('{"record":"stopped"}', "expected schema 1, found None", id="no-schema"),
        pytest.param('{"schema":2,"record":"stopped"}', "expected schema 1, found 2", id="newer-schema"),
        pytest.param('{"schema":1,"record":"moved"}', "expected a record of started, ", id="unknown-record"),
        pytest.param(
            '{"schema":1,"record":"stopped"}', "expected Stopped; at at_wall_s: ", id="field-missing"
        ),
        pytest.param('{"schema":1,"at_wall_s":NaN}', "the token NaN is not JSON", id="bare-nan"),
        pytest.param("\x00\x00\x00", "expected JSON, found", id="zeros-after-power-loss"),
        pytest.param("[" * 100_000, "expected JSON, found", id="bottomless"),
    ],
)
def test_a_damaged_line_is_skipped_with_its_reason(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{line}\n\n{to_line(stopped(1))}\n")

    records, unread = read(path)

    assert records == [stopped(1)]
    assert [(found.line_number, why in found.why) for found in unread] == [(1, True)], unread


def test_bytes_that_are_no_text_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"\xff\xfe\x80\n" + json.dumps({"schema": 1}).encode() + b"\n")

    records, unread = read(path)

    assert records == []
    assert [line.line_number for line in unread] == [1, 2]


def test_a_new_journal_is_not_for_everybody_to_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    open_journal_file(path).close()

    assert path.stat().st_mode & 0o007 == 0
