"""Good and broken manifests of Dynamo's, one file each, named after what they show.

The first line of a case says what is expected, parts separated by ` || `: of a broken one fragments of the
error, with `!` before what must not be in it; of a good one effective values as `key = value`, and with `~`
before them parts of notes.
"""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load
from config.show import effective

_CASES = Path(__file__).parent / "cases"
_BROKEN = sorted((_CASES / "broken").iterdir())
_GOOD = sorted((_CASES / "good").iterdir())
_LIBRARY_WORDS = ("pydantic", "Input should", "validation error", "yaml.", "tag:yaml")


def _expected(path: Path) -> list[str]:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# expect: ").split(" || ")


@pytest.mark.parametrize("path", _GOOD, ids=lambda path: path.stem)
def test_a_manifest_has_the_expected_values_and_notes(path: Path) -> None:
    loaded = load(dgdr=path, environment={})

    rows = {f"{row.key} = {row.value}" for row in effective(loaded)}
    wanted = _expected(path)
    assert [part for part in wanted if not part.startswith("~") and part not in rows] == []
    notes = "\n".join(loaded.notes)
    assert [part for part in wanted if part.startswith("~") and part[1:] not in notes] == [], notes


@pytest.mark.parametrize("path", _GOOD, ids=lambda path: path.stem)
def test_what_a_manifest_sets_says_where(path: Path) -> None:
    loaded = load(dgdr=path, environment={})

    origins = {key: str(origin) for key, origin in loaded.origins.items() if origin.kind == "dgdr"}
    assert {"interval", "budget_gpus", "targets.ttft", "targets.itl", "targets.percentile"} <= origins.keys()
    unplaced = {key for key, words in origins.items() if str(path) not in words}
    assert unplaced == {"targets.percentile"}


@pytest.mark.parametrize("path", _BROKEN, ids=lambda path: path.stem)
def test_a_broken_manifest_says_what_is_wrong_and_where(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(dgdr=path, environment={})

    text, wanted = str(caught.value), _expected(path)
    assert [part for part in wanted if not part.startswith("!") and part not in text] == [], text
    unwanted = [part[1:] for part in wanted if part.startswith("!")]
    assert [part for part in (*unwanted, *_LIBRARY_WORDS) if part in text] == [], text
    assert path.name in text or "is required" in text
