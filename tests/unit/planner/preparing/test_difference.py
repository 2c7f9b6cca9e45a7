"""What a diff shows of a deployment, and what it hides."""

import pytest

from planner.preparing.difference import difference
from planner.preparing.text import Tree

SECRET: Tree = {"kind": "Secret", "data": {"a": "aGlkZGVu"}, "stringData": {"HF_TOKEN": "hidden"}}


def variables(*added: Tree) -> Tree:
    known: list[Tree] = [
        {"name": "HF_TOKEN", "value": "hidden"},
        {"name": "api_key", "value": "hidden"},
        {"name": "MAX_TOKENS", "value": "4096"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    ]
    return {"kind": "DynamoGraphDeployment", "env": [*known, *added]}


@pytest.fixture
def shown() -> str:
    added: Tree = {"name": "POD_NAME", "value": "x"}
    return "\n".join(difference([SECRET, variables()], [SECRET, variables(added)], name="f"))


def test_the_change_and_what_is_no_secret_are_shown(shown: str) -> None:
    assert "+- name: POD_NAME" in shown
    assert "key: password" in shown


@pytest.mark.parametrize("secret", ["hidden\n", "aGlkZGVu"])
def test_what_is_secret_around_a_change_is_not_shown(secret: str) -> None:
    before: Tree = {**SECRET, "type": "Opaque"}
    near = [{"name": "HF_TOKEN", "value": "hidden"}]

    lines = [
        *difference([before], [{**before, "type": "x"}], name="f"),
        *difference([{"env": near}], [{"env": [*near, {"name": "A", "value": "1"}]}], name="f"),
    ]

    assert secret not in "".join(f"{line}\n" for line in lines).replace("(hidden)", "")
    assert sum("(hidden)" in line for line in lines) == 3


def test_a_count_of_tokens_is_no_secret() -> None:
    lines = difference([{"env": [{"name": "MAX_TOKENS", "value": "4096"}]}], [{"env": []}], name="f")

    assert "-  value: '4096'" in lines
