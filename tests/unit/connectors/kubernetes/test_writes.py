"""Changes of replicas, and the rights that they take."""

import pytest

from config.errors import Malformed, Refused
from connectors.kubernetes.api import Patch, Resource
from connectors.kubernetes.target import ObjectKey
from connectors.kubernetes.writes import (
    by_index,
    by_merge,
    by_scale,
    require_count,
    to_patch,
    to_read,
    to_scale,
)
from tests.cluster.fake_parts import patched

KEY = ObjectKey(
    resource=Resource(group="ray.io", version="v1", plural="rayclusters", kind="RayCluster"),
    namespace="ai",
    name="llm",
)


def test_a_scale_is_written_with_its_version_and_nothing_else() -> None:
    write = by_scale(KEY, version="7", count=3)

    assert write.key.path == "/apis/ray.io/v1/namespaces/ai/rayclusters/llm/scale"
    assert write.kind is Patch.MERGE
    assert write.body == {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 3}}


def test_nothing_is_written_without_the_version_that_was_decided_on() -> None:
    with pytest.raises(Malformed, match="raycluster llm, found none"):
        by_scale(KEY, version="", count=3)
    with pytest.raises(Malformed, match="raycluster llm, found none"):
        by_index(KEY, version="", entry="/spec/x/0", named=("name", "a"), replicas={"replicas": 3})


def test_fields_of_the_spec_are_merged_with_the_version() -> None:
    write = by_merge(KEY, version="7", spec={"prefill": {"replicas": 3}})

    assert (write.key, write.kind) == (KEY, Patch.MERGE)
    assert write.body == {"metadata": {"resourceVersion": "7"}, "spec": {"prefill": {"replicas": 3}}}


@pytest.mark.parametrize("group", [{"name": "a", "replicas": 1}, {"name": "a"}], ids=["set", "not set"])
def test_an_entry_of_a_list_gets_its_number_whether_it_had_one_or_not(group: dict[str, object]) -> None:
    item = {"metadata": {"resourceVersion": "7"}, "spec": {"groups": [group]}}

    write = by_index(KEY, version="7", entry="/spec/groups/0", named=("name", "a"), replicas={"replicas": 3})

    assert patched(item, write.body)["spec"]["groups"] == [{"name": "a", "replicas": 3}]


@pytest.mark.parametrize(("count", "words"), [(-1, "-1 replicas, expected 2 or more$"), (1, "; it breaks$")])
def test_a_count_below_the_least_is_refused_with_the_reason_where_that_is_one(count: int, words: str) -> None:
    with pytest.raises(Refused, match=words):
        require_count(count, least=2, of=KEY, why="it breaks")


def test_rights_are_for_one_object_and_watching_it_is_not_needed() -> None:
    read, follow = to_read(KEY, "read it")
    patch, scale = to_patch(KEY, "set it"), to_scale(KEY)

    assert {rule.names for rule in (read, follow, patch, scale)} == {("llm",)}
    assert [(rule.resource, rule.verbs, rule.is_needed) for rule in (read, follow, patch, scale)] == [
        ("rayclusters", ("get",), True),
        ("rayclusters", ("list", "watch"), False),
        ("rayclusters", ("patch",), True),
        ("rayclusters/scale", ("patch",), True),
    ]
