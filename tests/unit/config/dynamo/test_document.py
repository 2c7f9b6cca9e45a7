"""docs/dynamo.md names every key and variable, with its setting and default."""

from pathlib import Path

import pytest

from config.dynamo.key import Key
from config.dynamo.keys import ARGUMENT_DEFAULTS, KEYS, REQUEST_DEFAULTS
from config.dynamo.values import Untranslatable
from config.dynamo.variables import VARIABLES

DOCUMENT = (Path(__file__).parents[4] / "docs" / "dynamo.md").read_text(encoding="utf-8")
ROWS = [line for line in DOCUMENT.splitlines() if line.startswith("| ")]
SAMPLES = ("arima", "virtual", "true", 30, "text")


def settings_of(key: Key) -> set[str]:
    for sample in SAMPLES:
        try:
            if settings := key.translate(sample).settings:
                return set(settings)
        except Untranslatable:
            continue
    return set()


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_key_is_listed_with_its_settings_and_its_default(key: Key) -> None:
    settings = settings_of(key)
    row = next((row for row in ROWS if f"| `{key.name}` |" in row), "")
    if key.name == "no_correction":
        row = next(row for row in ROWS if "`--no-correction`" in row)

    assert f"`{key.name}`" in DOCUMENT or row
    assert {name for name in settings if f"`{name}`" not in row} == set()
    default = "" if key.default is None else str(key.default).lower().removesuffix(".0")
    assert default in row.rpartition("| ")[2] or not settings
    if key.name in REQUEST_DEFAULTS:
        assert f"in a request {REQUEST_DEFAULTS[key.name]:g}" in row


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_listed(name: str) -> None:
    assert any(f"`{name}`" in row for row in ROWS)


@pytest.mark.parametrize(("name", "value"), ARGUMENT_DEFAULTS.items())
def test_the_default_of_an_argument_is_listed(name: str, value: object) -> None:
    row = next(row for row in ROWS if f"| `{name}` |" in row)

    assert row.endswith(f"| {value}; in a request or 1.6 none |")
