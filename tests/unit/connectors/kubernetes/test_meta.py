"""What all objects have in common."""

from typing import Any

import pytest

from config.errors import Malformed
from connectors.base import HoldKind
from connectors.kubernetes.meta import (
    condition_of,
    hold_of,
    is_observed,
    items,
    member,
    number,
    selector_text,
    text,
)


def annotated(**annotations: str) -> dict[str, Any]:
    names = {key.replace("__", "-"): value for key, value in annotations.items()}
    return {"metadata": {"annotations": {f"setpoint.dev/{key}": value for key, value in names.items()}}}


@pytest.mark.parametrize("value", ["", "true", "True", "yes", "benchmark", "0"])
def test_any_value_but_false_pauses(value: str) -> None:
    hold = hold_of(annotated(paused=value), "decode")

    assert hold is not None
    assert hold.kind is HoldKind.PAUSED
    assert hold.why.startswith("paused by the annotation setpoint.dev/paused")


def test_the_value_is_the_reason_that_is_shown() -> None:
    hold = hold_of(annotated(paused="benchmark until six"), "decode")

    assert hold is not None
    assert hold.why.endswith(": benchmark until six")


@pytest.mark.parametrize("value", ["false", "False", " false "])
def test_false_does_not_pause(value: str) -> None:
    assert hold_of(annotated(paused=value), "decode") is None


def test_one_pool_may_be_paused_alone() -> None:
    item = annotated(paused__decode="true")

    assert hold_of(item, "decode") is not None
    assert hold_of(item, "prefill") is None
    assert hold_of({}, "decode") is None


@pytest.mark.parametrize(
    ("generation", "observed", "answer"), [(2, 1, False), (2, 2, True), (2, 3, True), (2, "1", False)]
)
def test_a_status_may_be_about_the_past(generation: int, observed: object, answer: object) -> None:
    item = {"metadata": {"generation": generation}, "status": {"observedGeneration": observed}}

    assert is_observed(item) is answer


def test_a_status_that_does_not_say_is_taken_as_the_kind_wants() -> None:
    assert is_observed({"metadata": {"generation": 1}})
    assert not is_observed({"metadata": {"generation": 1}}, if_unsaid=False)


def test_conditions_are_found_by_type() -> None:
    row = {"type": "Ready", "status": "False", "reason": "updating", "message": "two\n of three"}
    found = condition_of({"status": {"conditions": [row]}}, "Ready")

    assert (found.is_true, found.is_false, found.words) == (False, True, "updating: two of three")
    assert not condition_of({}, "Ready").is_false


@pytest.mark.parametrize(
    ("operator", "values", "words"),
    [
        ("In", ["a", "b"], "t in (a,b)"),
        ("NotIn", ["a"], "t notin (a)"),
        ("Exists", None, "t"),
        ("DoesNotExist", None, "!t"),
    ],
)
def test_every_operator_of_a_selector_has_its_text(
    operator: str, values: list[str] | None, words: str
) -> None:
    expression = {"key": "t", "operator": operator, "values": values}

    assert selector_text({"matchExpressions": [expression]}) == words
    assert selector_text({"matchLabels": {"a": "b"}, "matchExpressions": [expression]}) == f"a=b,{words}"


def test_an_operator_that_is_not_known_is_not_left_out() -> None:
    with pytest.raises(Malformed, match="found 'Gt'"):
        selector_text({"matchExpressions": [{"key": "t", "operator": "Gt"}]})


@pytest.mark.parametrize("value", [-1, 1.5, "3", True, [1]])
def test_what_is_no_count_is_malformed(value: object) -> None:
    with pytest.raises(Malformed, match=r"expected a count at spec\.replicas, found"):
        number({"spec": {"replicas": value}}, "spec", "replicas")


def test_a_field_of_another_shape_is_malformed_and_one_that_is_null_is_absent() -> None:
    assert (member({"spec": None}, "spec"), items({"spec": None}, "spec", "a")) == ({}, ())
    assert (text({"a": 1}, "a"), text({}, "a", "b")) == ("", "")
    with pytest.raises(Malformed, match=r"expected an object around spec\.a, found 'x'"):
        number({"spec": "x"}, "spec", "a")
    with pytest.raises(Malformed, match="expected an object at spec"):
        member({"spec": [1]}, "spec")
    with pytest.raises(Malformed, match="expected a list of objects at spec, found "):
        items({"spec": ["a" * 100]}, "spec")
