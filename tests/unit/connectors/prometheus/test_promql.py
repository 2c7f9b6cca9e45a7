"""What quoting promises: whatever a user names, the server is asked for just that."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from connectors.prometheus.promql import (
    Compare,
    Matcher,
    duration,
    escape_regex,
    parse_matchers,
    quote,
    same_text_any_case,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ASCII = st.text(st.characters(max_codepoint=127))


@given(TEXTS)
def test_a_quoted_text_reads_back_equal(text: str) -> None:
    quoted = quote(text)

    # Python's and PromQL's double-quoted strings share these escapes.
    assert ast.literal_eval(quoted) == text
    assert "\n" not in quoted


@given(TEXTS, TEXTS)
def test_an_escaped_text_matches_only_itself(text: str, other: str) -> None:
    pattern = escape_regex(text)

    assert re.fullmatch(pattern, text)
    assert bool(re.fullmatch(pattern, other)) is (text == other)


@given(ASCII, ASCII)
def test_a_model_is_found_in_whatever_case(text: str, other: str) -> None:
    matcher = same_text_any_case("model", text)

    assert matcher.accepts({"model": text.upper()})
    assert matcher.accepts({"model": text.lower()})
    assert matcher.accepts({"model": other}) is (text.lower() == other.lower())


@given(st.sampled_from(Compare), TEXTS)
def test_a_written_matcher_reads_back_equal(compare: Compare, text: str) -> None:
    value = text if compare in {Compare.EQUAL, Compare.NOT_EQUAL} else escape_regex(text)
    matcher = Matcher("job", compare, value)

    assert parse_matchers(f'{{{matcher}, a="b"}}', key="k") == (matcher, Matcher("a", Compare.EQUAL, "b"))


@given(st.sampled_from(Compare), ASCII, st.dictionaries(st.just("job"), ASCII))
def test_a_negated_matcher_accepts_the_rest(compare: Compare, text: str, labels: dict[str, str]) -> None:
    matcher = Matcher("job", compare, escape_regex(text))

    assert matcher.accepts(labels) is not matcher.negated().accepts(labels)


@pytest.mark.parametrize("text", ["job", "job=frontend", 'job="a" b="c"', 'job=="a"', '1a="b"', 'a="b'])
def test_selectors_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r'expected label="value"'):
        parse_matchers(text, key="selectors")


def test_a_bad_regular_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a regular expression"):
        parse_matchers('job=~"("', key="selectors")


def test_no_selectors_are_no_matchers() -> None:
    assert parse_matchers(" {} ", key="selectors") == ()


@pytest.mark.parametrize(
    ("seconds", "text"), [(30.0, "30s"), (30, "30s"), (3600.0, "3600s"), (2.5, "2500ms")]
)
def test_durations_are_written_exactly(seconds: float, text: str) -> None:
    assert duration(seconds) == text
