"""docs/cli.md names every flag, and what it shows is what the commands print."""

import re
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

import pytest
import typer

from planner.cli import app

DOCUMENT = Path(__file__).parents[4] / "docs" / "cli.md"
# Those that depend on nothing but their flags.
SHOWN = ("setpoint plan ", "setpoint config check ")


class Answered(Protocol):
    code: int
    out: str
    err: str


class _Parameter(Protocol):
    opts: list[str]
    secondary_opts: list[str]


class _Command(Protocol):
    params: list[_Parameter]


class _Group(Protocol):
    commands: Mapping[str, _Command]


def test_every_command_and_option_is_in_the_documentation() -> None:
    documentation = DOCUMENT.read_text(encoding="utf-8")
    group = cast("_Group", typer.main.get_command(app))

    for name, command in group.commands.items():
        assert f"\n## setpoint {name}\n" in documentation
        section = documentation.partition(f"\n## setpoint {name}\n")[2].partition("\n## ")[0]
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        wanted = {option for option in options if option.startswith("--")} - {"--help"}
        assert {option for option in wanted if f"`{option}" not in section} == set(), name


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def shown() -> list[tuple[str, str]]:
    pairs = [block.removeprefix("$ ").split("\n", maxsplit=1) for block in blocks("console")]
    return [(command, output) for command, output in pairs if command.startswith(SHOWN)]


@pytest.mark.parametrize(("command", "output"), shown(), ids=[command for command, _ in shown()])
def test_what_is_shown_is_what_is_printed(
    setpoint: Callable[..., Answered], monkeypatch: pytest.MonkeyPatch, command: str, output: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    answered = setpoint(*command.split()[1:])

    assert (answered.out + answered.err).rstrip() == output


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text("\n".join(blocks("python")))

    runpy.run_path(str(script))

    assert capsys.readouterr().out == "2 2 4\n"
