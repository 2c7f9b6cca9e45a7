"""Manifests are read as kubectl reads them, and what is written reads the same again."""

import pytest

from config.dynamo.nodes import Source
from config.errors import ConfigError
from planner.preparing.text import Tree, has_comments, trees, written


def read(text: str) -> list[Tree]:
    return trees(Source(name="deploy.yaml", text=text))


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("0444", 292),
        ("0o444", 292),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("on", True),
        ("'on'", "on"),
        ("~", None),
        ("1.6.1", "1.6.1"),
        ("0.9.0", "0.9.0"),
        ("089", 89.0),
        ("", None),
    ],
)
def test_scalars_mean_what_they_mean_to_kubectl(scalar: str, value: object) -> None:
    found = read(f"a: {scalar}")[0]["a"]

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["1e3", "12:30", "y", "n", "on", "0o7", "1_0", "2026-01-31", "null", "1.5", ""]
)
def test_texts_that_look_like_something_else_are_put_into_quotes(text: str) -> None:
    assert f"'{text}'" in written([{"a": text}])
    assert read(written([{"a": text}])) == [{"a": text}]


def test_documents_and_items_of_lists_are_objects_of_their_own() -> None:
    text = "kind: A\n---\n# nothing\n---\nkind: List\nitems:\n- {kind: B}\n- {kind: C}\n"

    assert [one["kind"] for one in read(text)] == ["A", "B", "C"]


@pytest.mark.parametrize("text", ["[1]", "kind: List\nitems: [{kind: A}, 3]", "kind: List\nitems: [null]"])
def test_what_is_no_object_is_refused_and_not_dropped(text: str) -> None:
    with pytest.raises(ConfigError, match="a document is not an object"):
        read(text)


def test_keys_are_texts_and_aliases_and_merges_are_written_out() -> None:
    text = "base: &base {x: 1, on: 2}\n1: a\nmore: {<<: *base, x: 3}\nsame: *base\n"

    found = read(text)

    assert found == [
        {"base": {"x": 1, "on": 2}, "1": "a", "more": {"on": 2, "x": 3}, "same": {"x": 1, "on": 2}}
    ]
    assert "&" not in written(found)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: 1\na: 2\n", "deploy.yaml:2: a is set twice"),
        ("a: {{ .Values.a }}\n", "deploy.yaml:1: this is a template that was not rendered"),
        ("- a\n", "deploy.yaml: a document is not an object"),
        ("a: !secret b\n", "deploy.yaml:1: a value has a tag"),
        ("a: .inf\n", "deploy.yaml:1: the number is not finite"),
        ("a: [1\n", "deploy.yaml:2: this is not YAML"),
        ("? [a]\n: 1\n", "deploy.yaml:1: a key is not a text"),
        ("a: &a [1]\nb: {<<: *a}\n", "<< merges something that is no mapping"),
    ],
)
def test_what_cannot_be_a_manifest_is_told_with_its_line(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert part in str(caught.value)


def test_a_bomb_of_aliases_ends_in_words() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(ConfigError, match="more than 100000 values"):
        read("\n".join(rows))


@pytest.mark.parametrize(
    ("text", "is_so"), [("# a\n", True), ("a: 1 # b\n", True), ("a: b#c\n", False), ("a: '#'\n", False)]
)
def test_comments_are_noticed(text: str, *, is_so: bool) -> None:
    assert has_comments(text) is is_so
