"""The page of all settings is what the models say."""

from pathlib import Path

from config.catalog import entries
from config.document import settings_markdown

PAGE = Path(__file__).resolve().parents[3] / "docs" / "settings.md"
UPDATE = "docs/settings.md is out of date; run: .venv/bin/python -m config.document > docs/settings.md"


def test_the_page_in_docs_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_markdown(), UPDATE


def test_the_page_has_each_setting_once() -> None:
    rows = [line for line in settings_markdown().splitlines() if line.startswith("| `")]

    assert sorted(row.split("`")[1] for row in rows) == sorted(entries())


def test_rows_say_what_a_setting_takes_and_what_it_is_without() -> None:
    page = settings_markdown()

    assert "| `targets.ttft` | duration | **required** | Target of the time to first token. |" in page
    assert "| `actuator` | `memory`, `etcd`, `webhook`, `kubernetes`, `plugin` | `memory` |" in page
    assert "| `sizing.quantile` | number from 0.5 to 0.999 or `null` | `null` |" in page
    assert "| `journal.max_bytes` | size | `64MiB` |" in page
    assert "| `plugin.options` | names with a secret each | `{}` |" in page
    assert "| `scrape.urls` | list of URLs | `[]` |" in page


def test_text_in_a_row_is_not_taken_for_markup() -> None:
    assert " <" not in settings_markdown()
