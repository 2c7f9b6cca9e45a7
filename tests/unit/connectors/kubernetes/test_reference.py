"""What a user may write to name a target."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.policy import Role
from connectors.kubernetes.reference import named, parse_reference
from connectors.kubernetes.target import Reference

KEY = "kubernetes.decode"
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


def parsed(text: str) -> Reference:
    return parse_reference(text, role=Role.DECODE, namespace="ai", key=KEY)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("deployment/decode", ("deployment", "decode", "", "")),
        ("  Deployment/decode ", ("deployment", "decode", "", "")),
        ("deployments.apps/decode", ("deployments.apps", "decode", "", "")),
        ("rollouts.v1alpha1.argoproj.io/a.b", ("rollouts.v1alpha1.argoproj.io", "a.b", "", "")),
        ("raycluster/llm:prefill", ("raycluster", "llm", "", "prefill")),
        ("dgd/llm:VllmDecodeWorker", ("dgd", "llm", "", "VllmDecodeWorker")),
        ("sts?app=vllm", ("sts", "", "app=vllm", "")),
        ("sts?app.io/role=decode,tier=:Part_1", ("sts", "", "app.io/role=decode,tier=", "Part_1")),
    ],
)
def test_a_target_is_named_by_kind_and_name_or_labels(text: str, parts: tuple[str, ...]) -> None:
    found = parsed(text)

    assert (found.kind, found.name, found.selector, found.part) == parts
    assert (found.namespace, found.role, found.key) == ("ai", Role.DECODE, KEY)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' names no object"),
        ("decode", "'decode' names no object; write kind/name"),
        ("deployment", "such as deployment/NAME"),
        ("/decode", "'' in '/decode' is not a kind"),
        ("dep loy/decode", "'dep loy' in 'dep loy/decode' is not a kind"),
        ("deployment/", "'' in 'deployment/' is not the name of an object"),
        ("deployment/Decode", "'Decode' in 'deployment/Decode' is not the name"),
        (f"deployment/{'a' * 254}", "is not the name of an object"),
        ("deployment/a/b", "'a/b' in 'deployment/a/b' is not the name"),
        ("deployment/decode:", "'' behind the colon"),
        ("deployment/decode:a b", "'a b' behind the colon"),
        ("sts?app", "'app' in 'sts?app' is not a label with its value"),
        ("sts?app=a,", "'' in 'sts?app=a,' is not a label"),
        ("sts?app=a b", "is not a label with its value"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_setting_and_the_form(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)

    assert caught.value.key == KEY
    assert words in str(caught.value)


@given(kind=NAMES, name=NAMES, part=st.none() | NAMES)
def test_a_reference_is_shown_as_it_was_written(kind: str, name: str, part: str | None) -> None:
    text = f"{kind}/{name}" + (f":{part}" if part else "")

    assert named(parsed(text)) == text


@given(st.text(max_size=40))
def test_any_other_text_ends_in_a_reference_or_a_configuration_error(text: str) -> None:
    found = None
    with suppress(ConfigError):
        found = parsed(text)

    assert found is None or bool(found.name) != bool(found.selector)
