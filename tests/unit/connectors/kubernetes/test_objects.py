"""What targets share: finding the object and its part, and naming what does not fit."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.kubernetes.api import ApiError, Resource
from connectors.kubernetes.objects import (
    entry_of,
    locate,
    optional,
    part_of,
    required,
    speaking_of,
    with_pods,
)
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import ObjectKey, Reference, TargetView
from tests.cluster.examples import pod
from tests.cluster.fake_api import FakeApi

FLEETS = Resource(group="acme.example", version="v1", plural="fleets", kind="Fleet")
KEY = ObjectKey(resource=FLEETS, namespace="ai", name="llm")


def reference(text: str) -> Reference:
    return parse_reference(text, role=Role.DECODE, namespace="ai", key="kubernetes.decode")


def test_an_object_that_is_not_there_is_named() -> None:
    with pytest.raises(Malformed, match="expected fleet llm in namespace ai, found none"):
        required({}, KEY)
    assert optional({}, KEY) is None


def test_an_object_that_is_no_map_is_malformed() -> None:
    strange: Any = {KEY: []}

    with pytest.raises(Malformed, match="expected fleet llm as an object, found list"):
        required(strange, KEY)


def test_an_error_names_its_object_once() -> None:
    with pytest.raises(Malformed) as caught, speaking_of(KEY), speaking_of(KEY):
        raise Malformed("no spec")

    assert str(caught.value) == "fleet llm: no spec"


async def test_an_object_is_found_in_the_version_that_serves_its_kind() -> None:
    """The version that a group prefers may not have the kind."""
    api = FakeApi()
    api.define(Resource(group="acme.example", version="v2", plural="docks", kind="Dock"))
    api.define(FLEETS)

    assert (await locate(api, reference("fleet/llm"), group="acme.example")) == KEY


async def test_somebody_elses_kind_of_the_same_name_is_refused_with_what_to_write() -> None:
    api = FakeApi()
    api.define(FLEETS)

    with pytest.raises(
        ConfigError, match=r"acme\.example/v1, expected other\.example.*fleet\.other\.example"
    ):
        await locate(api, reference("fleet/llm"), group="other.example")


async def test_a_kind_that_nobody_serves_is_missing() -> None:
    with pytest.raises(ApiError) as caught:
        await locate(FakeApi(), reference("fleet/llm"), group="acme.example")

    assert caught.value.is_missing


@pytest.mark.parametrize(
    ("text", "known", "part"), [("fleet/a:x", ("x", "y"), "x"), ("fleet/a", ("x",), "x")]
)
def test_a_part_is_named_or_the_only_one(text: str, known: tuple[str, ...], part: str) -> None:
    assert part_of(reference(text), known, word="role") == part


@pytest.mark.parametrize(
    ("text", "known", "words"),
    [
        ("fleet/a", ("x", "y"), "no name of a role; it has x, y; write fleet/a:x"),
        ("fleet/a:z", ("x",), "no role 'z'; it has x; write fleet/a:x"),
        ("fleet/a", (), "no name of a role; it has none; write fleet/a:NAME"),
    ],
)
def test_a_part_that_is_not_known_is_refused_with_those_that_are(
    text: str, known: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        part_of(reference(text), known, word="role")


def test_an_entry_is_found_by_its_name_and_not_by_its_place() -> None:
    entries = [{"name": "a"}, {"name": "b"}]

    assert entry_of(entries, field="name", name="b", path="spec.roles") == (1, {"name": "b"})
    with pytest.raises(Malformed, match=r"expected one with name 'c' in spec\.roles, found a, b"):
        entry_of(entries, field="name", name="c", path="spec.roles")
    with pytest.raises(Malformed, match="found none"):
        entry_of([], field="name", name="c", path="spec.roles")


def test_the_pods_of_an_engine_speak_together() -> None:
    plain = TargetView(desired=1, version="1")
    leader, worker = pod(4, grace_s=600), pod(8, grace_s=60)

    view = with_pods(plain, [(leader, 1), (worker, 3)])

    assert (view.pods_per_engine, view.gpus_per_engine, view.grace_s) == (4, 28, 60.0)
    assert view.secrets == ("registry",)
    assert view.arguments == ("--model", "org/m") * 2
