"""The end of a journal is found without reading all of it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from planner.serving.tail import line_of, tail

PADDING = "x" * 300


def written(at_wall_s: float, record: str = "stepped", kind: str = "tick", *, padding: str = PADDING) -> str:
    head = f'{{"schema":1,"record":"{record}","at_wall_s":{at_wall_s!r},"now_s":0.0,"target":"a"'
    return f'{head},"kind":"{kind}","observation":{{"kind":"look","padding":"{padding}"}}}}\n'


def times(path: Path, since_wall_s: float) -> list[float]:
    return [line.at_wall_s for line in tail(path, since_wall_s=since_wall_s)]


def test_only_what_is_new_enough_is_read_from_a_file_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(written(float(at)) for at in range(5000)))
    assert path.stat().st_size > 2_000_000

    assert times(path, 4990.5) == [float(at) for at in range(4991, 5000)]
    assert times(path, 5000.0) == []
    assert len(times(path, -1.0)) == 5000


def test_rotated_files_are_read_only_as_far_back_as_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(written(5.0) + written(6.0))
    (tmp_path / "journal.jsonl.1").write_text(written(3.0) + written(4.0))
    oldest = tmp_path / "journal.jsonl.2"
    oldest.write_text(written(1.0) + written(2.0))
    assert times(path, 1.5) == [2.0, 3.0, 4.0, 5.0, 6.0]
    oldest.unlink()
    oldest.mkdir()  # whoever opens it gets an error

    assert times(path, 3.5) == [4.0, 5.0, 6.0]
    with pytest.raises(IsADirectoryError):
        times(path, 2.5)


def test_lines_that_are_torn_or_foreign_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    torn = written(3.0)[:40]
    path.write_text(written(1.0) + "\n" + torn + "\n" + "hello\n" + written(4.0) + written(5.0)[:30])

    assert times(path, 0.0) == [1.0, 4.0]


def test_a_long_line_in_the_middle_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    lines = [written(float(at), padding="x" * (500_000 if at == 7 else 20_000)) for at in range(20)]
    path.write_text("".join(lines))

    for since in range(20):
        assert times(path, float(since)) == [float(at) for at in range(since, 20)]


@pytest.mark.parametrize(
    ("record", "kind", "is_tick"),
    [("stepped", "tick", True), ("stepped", "look", False), ("started", "tick", False)],
)
def test_ticks_are_told_from_looks_by_the_head_alone(record: str, kind: str, *, is_tick: bool) -> None:
    line = line_of(written(1.0, record, kind).encode())

    assert line is not None
    assert (line.record, line.is_tick) == (record, is_tick)


def test_a_journal_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such journal"):
        times(tmp_path / "absent.jsonl", 0.0)


@pytest.mark.timeout(5)
def test_a_device_that_never_ends_has_no_past(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.symlink_to("/dev/full")
    rotated = tmp_path / "journal.jsonl.1"
    rotated.write_text(written(1.0))

    assert times(path, 0.0) == [1.0]


@pytest.mark.timeout(5)
def test_a_pipe_that_nobody_writes_to_has_no_past(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    os.mkfifo(path)

    assert times(path, 0.0) == []


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=60_000), min_size=1, max_size=30),
    since=st.integers(min_value=-1, max_value=31),
)
def test_the_tail_is_what_reading_everything_would_give(
    sizes: list[int], since: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tail") / "journal.jsonl"
    path.write_text("".join(written(float(at), padding="x" * size) for at, size in enumerate(sizes)))

    assert times(path, float(since)) == [float(at) for at in range(len(sizes)) if at >= since]
