"""What the README shows is true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_embedding_example_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    promised = re.findall(r"print\(.*\)  # (.*)", example)[0]

    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own text

    assert capsys.readouterr().out.strip() == promised
    assert len(example.strip().splitlines()) <= 14


def test_files_that_the_readme_refers_to_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
