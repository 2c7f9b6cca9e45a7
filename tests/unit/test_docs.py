"""The pages under docs are listed, their links lead somewhere, and the limits name what the code knows."""

import re
from pathlib import Path

import pytest

from planner.core.budget import Claim, split
from planner.core.decision import ReasonCode

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def test_the_index_lists_every_page_once() -> None:
    rows = re.findall(
        r"^\| \[(.+?)\]\((.+?)\)", (DOCS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert sorted(target for _, target in rows) == sorted(
        page.name for page in DOCS.glob("*.md") if page.name != "README.md"
    ), "list each page of docs in docs/README.md"
    assert [name for name, target in rows if name != target] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]

    assert [link for link in targets if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:config|connectors|predictors|planner|docs|tests|\.ci)/[\w./-]*)`", page.read_text()
    )

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_limits_name_every_way_to_be_blind() -> None:
    text = (DOCS / "limits.md").read_text(encoding="utf-8")

    assert [code for code in ReasonCode if code.startswith("blind_") and f"`{code}`" not in text] == []
    assert set(re.findall(r"`(blind_\w+)`", text)) <= {code.value for code in ReasonCode}


@pytest.mark.parametrize(("wanted", "granted"), [((6, 9), (5, 7)), ((6, 10), (4, 8))])
def test_the_split_that_the_limits_tell_is_the_one_that_is_made(
    wanted: tuple[int, int], granted: tuple[int, int]
) -> None:
    text = (DOCS / "limits.md").read_text(encoding="utf-8")
    claims = tuple(Claim(wanted=count, least=1, gpus=1) for count in wanted)

    assert f"wants of {wanted[0]} and {wanted[1]}" in " ".join(text.split())
    assert f"get {granted[0]} and {granted[1]}" in " ".join(text.split())
    assert split(claims, 12) == granted
