"""docs/errors.md is what Setpoint says today; start-up errors are plain, and no fault costs an engine."""

import re

import pytest

from tests.integration.errors.page import PAGE, UPDATE, Section, drawn, sections
from tests.integration.errors.row import Row

pytestmark = pytest.mark.slow
# Words of libraries, and of what must never reach a user.
FOREIGN = ("Traceback", "pydantic", "validation error", "input_value", "allow_pickle", "hunter2", "tag:yaml")


@pytest.fixture(scope="module")
def found() -> list[Section]:
    return sections()


def rows(found: list[Section], *, is_start: bool) -> list[Row]:
    return [row for section in found if section.is_start is is_start for row in section.rows]


def test_the_page_shows_what_is_said_today(found: list[Section]) -> None:
    page = PAGE.read_text(encoding="utf-8")

    changed = set(drawn(found).splitlines()) ^ set(page.splitlines())
    assert page == drawn(found), (
        f"write docs/errors.md again with `{UPDATE}`; these differ: {sorted(changed)}"
    )


def test_every_mistake_at_the_start_is_told_in_whole_lines_with_exit_code_2(found: list[Section]) -> None:
    told = rows(found, is_start=True)

    assert len(told) > 90
    assert [row for row in told if row.code != 2 or not row.says] == []
    assert [line for row in told for line in row.says if not re.fullmatch(r"error: \S.*\S", line)] == []


def test_no_line_has_words_of_a_library_or_a_secret(found: list[Section]) -> None:
    lines = [
        line for is_start in (True, False) for row in rows(found, is_start=is_start) for line in row.says
    ]

    assert [line for line in lines if any(word in line for word in FOREIGN)] == []
    assert [line for line in lines if "\n" in line] == []


def test_nothing_that_goes_wrong_while_running_costs_an_engine(found: list[Section]) -> None:
    told = rows(found, is_start=False)

    assert len(told) > 60
    assert [row for row in told if row.is_kept is not True] == []


def test_a_load_that_is_unknown_is_always_a_hold(found: list[Section]) -> None:
    told = [
        row for row in rows(found, is_start=False) if row.effect.startswith(("arrivals unknown", "fleet"))
    ]

    assert len(told) > 40
    assert [row for row in told if "hold: " not in row.effect or "holding: " not in row.says[0]] == []
