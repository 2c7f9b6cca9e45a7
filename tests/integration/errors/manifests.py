"""Dynamo's manifests and arguments that are refused before anything is made of them."""

import re
from pathlib import Path

import pytest

from tests.integration.errors.row import Row, code, refused

BROKEN = Path(__file__).parents[2] / "unit/config/dynamo/cases/broken"
# One file for each class; all of them are tested in tests/unit/config/dynamo.
FILES = (
    "malformed.yaml",
    "another_kind.yaml",
    "helm_template.yaml",
    "helm_template_in_quotes.yaml",
    "settings_of_setpoint.yaml",
    "deployment_without_a_planner.yaml",
    "deployment_whose_configuration_is_elsewhere.yaml",
    "two_requests.yaml",
    "planner_is_a_list.yaml",
    "section_misspelt.yaml",
    "planner_key_beside_its_section.yaml",
    "planner_key_misspelt.yaml",
    "planner_key_near_to_none.yaml",
    "target_misspelt.yaml",
    "key_in_two_spellings.yaml",
    "several_mistakes_at_once.yaml",
    "interval_with_a_unit.yaml",
    "target_of_zero.yaml",
    "budget_is_a_fraction.yaml",
    "budget_of_zero.yaml",
    "predictor_misspelt.yaml",
    "truth_of_words.yaml",
    "window_too_short.yaml",
    "namespace_is_a_number.yaml",
    "token_is_a_number.yaml",
    "endpoint_is_no_url.yaml",
    "environment_unknown.yaml",
    "deployment_with_a_misspelt_argument.yaml",
    "deployment_with_a_bare_argument.yaml",
)
ARGUMENTS = (
    ("an argument that is none", "--adjustment-intervall 60"),
    ("an argument without its value", "--ttft --itl 30"),
    ("a word that stands alone", "--ttft 300 400"),
    ("words for a number", "--max-gpu-budget four"),
)
_PLACE = re.compile(r"\.yaml:(\d+)")


def manifests(patch: pytest.MonkeyPatch) -> list[Row]:
    """Import each file from its own folder, so that errors name it without one; and some arguments."""
    patch.chdir(BROKEN)
    lines = [refused(_what(name), ("config", "import", name)) for name in FILES]
    nothing = refused("nothing to import", ("config", "import"))
    absent = refused("a file that is not there", ("config", "import", "absent.yaml"))
    arguments = [
        refused(f"{what}: {code(text)}", ("config", "import", "--", *text.split()))
        for what, text in ARGUMENTS
    ]
    return [*map(_shown, lines), nothing, absent, *arguments]


def _what(name: str) -> str:
    return name.rpartition(".")[0].replace("_", " ")


def _shown(row: Row) -> Row:
    """Add the lines of the file that are complained about."""
    lines = (BROKEN / f"{row.what.replace(' ', '_')}.yaml").read_text(encoding="utf-8").splitlines()
    shown = [code(lines[int(number) - 1].strip()) for line in row.says for number in _PLACE.findall(line)[:1]]
    what = ": ".join(filter(None, (row.what, ", ".join(dict.fromkeys(shown)))))
    return Row(what=what, says=row.says, effect=row.effect, code=row.code)
