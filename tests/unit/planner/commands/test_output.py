"""What is printed fits where it is printed, and says numbers with their unit."""

import pytest

from planner.commands.output import (
    Cell,
    Column,
    Tone,
    fits,
    milliseconds,
    span,
    table,
    toned,
    visible,
    wrapped,
)

HEADS = (Column(title="name", is_whole=True), Column(title="text"), Column(title="n", is_number=True))


def test_only_texts_are_broken_where_the_line_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    shown = table(
        HEADS, [("a.very.long.name.of.a.setting", "some words that are long for so short a line", "123456")]
    )

    first, *more = shown.splitlines()[1:]
    assert first.startswith("a.very.long.name.of.a.setting ")
    assert first.endswith("123456")
    assert more


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    shown = table(HEADS, [("[bold]", "[red]x[/red] :smile:", "1")])

    assert "[bold]" in shown
    assert "[red]x[/red] :smile:" in shown


def test_text_from_outside_can_neither_begin_a_line_nor_drive_the_terminal() -> None:
    assert toned(Cell(text="a\nb\x1b[31m", tone=Tone.BAD)) == "a\\nb\\x1b[31m"
    assert wrapped("a\nb\x07") == "a\\nb\\x07"
    assert visible("ümlaut → fine") == "ümlaut → fine"


def test_prose_is_not_drawn_out_over_a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")

    assert max(map(len, wrapped("word " * 100).splitlines())) <= 100


def test_a_long_word_is_not_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    address = "http://" + "a" * 60

    assert address in wrapped(f"see {address} for more").splitlines()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0.0 ms"), (0.0999, "99.9 ms"), (0.1, "100 ms"), (9.999, "9999 ms"), (10.0, "10.0 s")],
)
def test_latencies_keep_three_digits(seconds: float, expected: str) -> None:
    assert milliseconds(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1.0, "0 s"), (59.9, "59 s"), (60.0, "1 min 0 s"), (86_400.0, "1 d 0 h")]
)
def test_spans_keep_two_units(seconds: float, expected: str) -> None:
    assert span(seconds) == expected


@pytest.mark.parametrize(("length", "is_fitting"), [(60, True), (61, False)])
def test_what_fits_takes_one_line_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, *, length: int, is_fitting: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    assert fits("x" * length) is is_fitting
