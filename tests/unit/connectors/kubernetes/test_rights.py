"""What is needed is asked for exactly, and what a Role grants beyond it is named."""

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from connectors.kubernetes.api import ApiError, Json
from connectors.kubernetes.rights import (
    RULES,
    WITHOUT,
    Feature,
    covers,
    may,
    missing,
    missing_yaml,
    role_rules,
    role_yaml,
    rules_for,
    unneeded,
)
from connectors.kubernetes.target import Rule
from tests.cluster.fake_api import FakeApi

SCALE = Rule(
    group="apps", resource="deployments/scale", verbs=("get", "patch"), why="scale", names=("decode",)
)
LEASES = "/apis/coordination.k8s.io/v1/namespaces/llm/leases"


def granted(resource: str, *verbs: str, group: str = "apps", names: tuple[str, ...] = ()) -> Json:
    found: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return found | ({"resourceNames": list(names)} if names else {})


@pytest.mark.parametrize(
    ("rules", "is_enough"),
    [
        pytest.param([granted("deployments/scale", "get", "patch")], True, id="exactly"),
        pytest.param([granted("deployments/scale", "*", names=("decode",))], True, id="every-verb-by-name"),
        pytest.param([granted("*/scale", "get", "patch")], True, id="every-scale"),
        pytest.param([granted("*", "*", group="*")], True, id="everything"),
        pytest.param(
            [granted("deployments/scale", "get"), granted("deployments/scale", "patch", names=("decode",))],
            True,
            id="in-two-rules",
        ),
        pytest.param([granted("deployments", "*")], False, id="the-parent-only"),
        pytest.param([granted("deployments/scale", "get")], False, id="one-verb-only"),
        pytest.param([granted("deployments/scale", "*", names=("web",))], False, id="another-name"),
        pytest.param([granted("deployments/scale", "*", group="")], False, id="another-group"),
        pytest.param([], False, id="nothing"),
        pytest.param([{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}], False, id="no-resources"),
    ],
)
def test_a_rule_is_covered_as_the_api_server_understands_it(rules: list[Json], *, is_enough: bool) -> None:
    assert covers(rules, SCALE) is is_enough


def test_creating_is_not_granted_by_a_rule_that_names_objects() -> None:
    election = replace(RULES[Feature.ELECTION][0], names=("setpoint-llm",))
    by_name = granted(
        "leases", "create", "get", "update", group="coordination.k8s.io", names=("setpoint-llm",)
    )

    assert not covers([by_name], election)
    assert covers([by_name, granted("leases", "create", group="coordination.k8s.io")], election)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param(granted("deployments/scale", "get", "patch", names=("decode",)), [], id="nothing"),
        pytest.param(
            granted("deployments/scale", "get", "update", names=("decode",)),
            ["update on deployments/scale (apps) named decode"],
            id="a-verb",
        ),
        pytest.param(
            granted("deployments/scale", "get", "patch"),
            ["get, patch on deployments/scale (apps), needed only for decode"],
            id="all-objects",
        ),
        pytest.param(granted("secrets", "get", group=""), ["get on secrets (core)"], id="another-resource"),
        pytest.param(granted("*", "*", group="*"), ["* on * (*)"], id="everything"),
    ],
)
def test_what_a_role_grants_without_need_is_named(rule: Json, words: list[str]) -> None:
    assert [str(excess) for excess in unneeded([rule], (SCALE,))] == words


def test_a_role_of_all_features_covers_them_and_grants_nothing_beyond() -> None:
    needed = [rule for feature in Feature for rule in rules_for(feature, "setpoint-llm")]

    written = yaml.safe_load(role_yaml("setpoint", "llm", needed))

    assert written["kind"] == "Role"
    assert written["metadata"] == {"name": "setpoint", "namespace": "llm"}
    assert written["rules"] == role_rules(needed)
    assert all(covers(written["rules"], rule) for rule in needed)
    assert unneeded(written["rules"], needed) == ()
    assert "*" not in role_yaml("setpoint", "", needed)


def test_each_feature_says_what_is_lost_without_it() -> None:
    assert set(WITHOUT) == set(RULES) == set(Feature)


async def test_each_verb_of_a_rule_is_asked_for_with_its_name() -> None:
    api = FakeApi()
    election = replace(RULES[Feature.ELECTION][0], names=("setpoint-llm",))

    allowed = await may(api, election, "llm")

    assert allowed is True
    asked = [sent.body["spec"]["resourceAttributes"] for sent in api.requests]
    assert [(each["verb"], each.get("name")) for each in asked] == [
        ("create", None),
        ("get", "setpoint-llm"),
        ("update", "setpoint-llm"),
    ]


async def test_rights_of_a_service_account_are_asked_for_with_its_groups() -> None:
    api = FakeApi()
    subject = "system:serviceaccount:llm:setpoint"
    api.forbid("patch", "/apis/apps/v1/namespaces/llm/deployments/decode/scale", subject=subject)

    allowed = await may(api, SCALE, "llm", subject=subject)

    assert allowed is False
    assert await may(api, SCALE, "llm") is True
    assert api.requests[0].path == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert api.requests[0].body["spec"]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:llm",
        "system:authenticated",
    ]


async def test_no_answer_is_neither_yes_nor_no() -> None:
    api = FakeApi()
    api.fail_next(ApiError("no route to host", status=0), times=3)

    assert await may(api, SCALE, "llm") is None
    assert await missing(api, (SCALE,), "llm") == ()


async def test_what_is_missing_is_found_and_written_as_yaml() -> None:
    api = FakeApi()
    api.forbid("update", LEASES)

    lacking = await missing(api, (*rules_for(Feature.ELECTION, "setpoint-llm"), SCALE), "llm")

    assert yaml.safe_load(missing_yaml(lacking))["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["setpoint-llm"],
            "verbs": ["get", "update"],
        }
    ]


def test_the_source_has_no_rule_for_secrets_or_deletion() -> None:
    text = "\n".join(missing_yaml(rules) for rules in RULES.values())

    assert not re.search(r"secrets|delete|escalate|bind|impersonate", text)
