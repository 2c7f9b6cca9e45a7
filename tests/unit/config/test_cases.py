"""Good and broken configurations, one file each, named after what they show.

The first line of a case says what is expected, parts separated by ` || `: of a broken one fragments of the
error, with `!` before what must not be in it; of a good one effective values as `key = value`.
"""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load
from config.show import effective

_CASES = Path(__file__).parent / "cases"
_BROKEN = sorted((_CASES / "broken").iterdir())
_GOOD = sorted((_CASES / "good").iterdir())
_LIBRARY_WORDS = ("pydantic", "Input should", "validation error", "type=", "ValidationError", "tag:yaml")


def _expected(path: Path) -> list[str]:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# expect: ").split(" || ")


def _error_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file=path, environment={})
    return str(caught.value)


@pytest.mark.parametrize("path", _BROKEN, ids=lambda path: path.name)
def test_a_broken_configuration_says_what_is_wrong_and_what_to_do(path: Path) -> None:
    text = _error_of(path)

    wanted = [part for part in _expected(path) if not part.startswith("!")]
    assert [part for part in wanted if part not in text] == [], text
    assert path.name in text or "is required" in text


@pytest.mark.parametrize("path", _BROKEN, ids=lambda path: path.name)
def test_a_broken_configuration_shows_no_secret_and_no_words_of_libraries(path: Path) -> None:
    text = _error_of(path)

    unwanted = [part[1:] for part in _expected(path) if part.startswith("!")]
    assert [part for part in (*unwanted, *_LIBRARY_WORDS) if part in text] == [], text


@pytest.mark.parametrize("path", _GOOD, ids=lambda path: path.name)
def test_a_good_configuration_has_the_expected_values(path: Path) -> None:
    loaded = load(file=path, environment={})

    rows = {f"{row.key} = {row.value}" for row in effective(loaded)}
    assert [part for part in _expected(path) if part not in rows] == []
