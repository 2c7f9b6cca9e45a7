"""Files that cannot be read, each with one clear line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load

Write = Callable[..., Path]
_GOOD = "budget_gpus: 8\ntargets: {ttft: 300ms, itl: 25ms}\n"


def _error(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file=path, environment={})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent.yaml"

    assert (
        _error(path) == f"{path}: there is no such file; check the path given by --config or SETPOINT_CONFIG"
    )


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert "this is a directory; name the file in it" in _error(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(write: Write) -> None:
    path = write(_GOOD)
    path.chmod(0)

    assert "the file may not be read; give this user the permission" in _error(path)


@pytest.mark.parametrize("content", ["", "\n\n", "  \n"])
@pytest.mark.parametrize("name", ["setpoint.yaml", "setpoint.toml"])
def test_an_empty_file_points_at_the_sample(write: Write, content: str, name: str) -> None:
    assert "the file is empty; start from the sample" in _error(write(content, name))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"budget_gpus: \xff\n", "byte 14 is not UTF-8; save the file as UTF-8"),
        (_GOOD.encode("utf-16"), "is not UTF-8"),
        (b"budget_gpus: \x00\n", "the file holds a forbidden character"),
        (b"#" * (2**20 + 1), "the file is larger than 1 MiB"),
        (b"a: " + b"[" * 5000, "this is not YAML"),
        (b"a: " + b"{a: " * 3000 + b"1" + b"}" * 3000, "this is not YAML"),
    ],
    ids=["latin-1", "utf-16", "nul", "huge", "deep list", "deep mapping"],
)
def test_a_file_of_other_content_is_refused(write: Write, content: bytes, part: str) -> None:
    assert part in _error(write(content))


def test_aliases_that_multiply_are_harmless(write: Write) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 30)]

    with pytest.raises(ConfigError) as caught:
        load(file=write(_GOOD + "interval: &i [x]\n" + "\n".join(lines)), environment={})

    assert len(str(caught.value)) < 20_000


def test_mappings_that_aliases_multiply_end_in_words(write: Write) -> None:
    levels = ["x0: &x0 {a: 1}"]
    for level in range(1, 9):
        members = ", ".join(f"k{number}: *x{level - 1}" for number in range(9))
        levels.append(f"x{level}: &x{level} {{{members}}}")
    file = write("\n".join([*levels, "targets: *x8"]))

    with pytest.raises(ConfigError, match="more than 10000 keys, those included that aliases repeat"):
        load(file=file, environment={})


def test_an_unknown_ending_is_refused(write: Write) -> None:
    assert "the ending '.ini' is not known; name the file .yaml, .yml or .toml" in _error(
        write(_GOOD, "setpoint.ini")
    )


@pytest.mark.parametrize("name", ["setpoint.yml", "setpoint.YAML", "setpoint"])
def test_yaml_has_several_endings(write: Write, name: str) -> None:
    assert load(file=write(_GOOD, name), environment={}).settings.budget_gpus == 8


def test_json_is_read_too(write: Write) -> None:
    text = '{"budget_gpus": 8, "targets": {"ttft": "300ms", "itl": "25ms"}}'

    assert load(file=write(text, "setpoint.json"), environment={}).settings.targets.ttft == 0.3


def test_a_byte_order_mark_and_windows_lines_are_fine(write: Write) -> None:
    yaml = b"\xef\xbb\xbf" + _GOOD.replace("\n", "\r\n").encode()
    toml = b'\xef\xbb\xbfbudget_gpus = 8\r\n[targets]\r\nttft = "300ms"\r\nitl = "25ms"\r\n'

    assert load(file=write(yaml), environment={}).settings.budget_gpus == 8
    assert load(file=write(toml, "setpoint.toml"), environment={}).settings.targets.itl == 0.025
