"""The guide to the journal names what is in it."""

import dataclasses
import re
from pathlib import Path

import pytest

from planner.serving.records import KINDS, SCHEMA, Outcome

DOCS = (Path(__file__).resolve().parents[4] / "docs" / "journal.md").read_text()
COMMON = {"record", "target", "at_wall_s", "now_s"}


def test_the_guide_tells_the_schema() -> None:
    assert f"`schema` (now `{SCHEMA}`)" in DOCS


@pytest.mark.parametrize("name", KINDS)
def test_the_guide_lists_exactly_the_fields_of_each_record(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(KINDS[name])}
    row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |"))

    assert set(re.findall(r"`(\w+)`", row.split("|")[3])) == fields - COMMON


@pytest.mark.parametrize("outcome", Outcome)
def test_the_guide_names_each_outcome(outcome: Outcome) -> None:
    assert f"`{outcome}`" in DOCS
