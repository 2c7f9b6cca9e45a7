"""What the API server says becomes data, or words of one line that hold no credential."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kubernetes.answers import Lines, is_status, refusal, safe
from connectors.kubernetes.api import ApiError


@given(
    lines=st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line and line.strip() != b"")),
    cuts=st.lists(st.integers(1, 20), min_size=1),
)
def test_lines_are_found_wherever_their_parts_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    content = b"".join(line + b"\n" for line in lines)
    found: list[bytes] = []
    reader, at = Lines(most_bytes=10_000), 0
    for turn in range(len(content) + 1):
        end = at + cuts[turn % len(cuts)]
        found.extend(reader.feed(content[at:end]))
        at = end

    assert found == lines


def test_a_line_that_never_ends_is_refused_while_it_comes() -> None:
    reader = Lines(most_bytes=100)
    list(reader.feed(b"x" * 90))

    with pytest.raises(ApiError, match="more than 100 bytes"):
        list(reader.feed(b"x" * 20))


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef",
        'authorization="Basic dXNlcjpwYXNz"',
        "bearer abc123def456",
        "the token eyJhbGciOi.eyJpc3Mi.c2ln is old",
        "token=abcdef",
        'id-token: "abcdef"',
        "Set-Cookie: abcdef; path=/",
        '{"password": "abcdef"}',
    ],
)
def test_what_looks_like_a_credential_is_left_out(text: str) -> None:
    found = safe(text)

    assert "***" in found
    assert not any(secret in found for secret in ("abcdef", "dXNlcjpwYXNz", "abc123def456", "eyJ"))


@pytest.mark.parametrize(
    "text",
    [
        "invalid bearer token, token lookup failed",
        'pods "token-reader" is forbidden: User "basic user" cannot get resource "secrets"',
        "Unauthorized",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert safe(text) == text


@given(st.text())
def test_words_are_one_bounded_printable_line(text: str) -> None:
    found = safe(text)

    assert found.isprintable()
    assert len(found) <= 301


@pytest.mark.parametrize(
    ("content", "words", "reason"),
    [
        (json.dumps({"message": "no", "reason": "Forbidden"}).encode(), ": no", "Forbidden"),
        (b"upstream timed out", ": upstream timed out", ""),
        (b"", "", ""),
        (b"[]", ": []", ""),
        (b"\xff", ": ?", ""),
        (b"[" * 100_000, ": " + "[" * 300 + "…", ""),
    ],
)
def test_a_refusal_says_what_the_server_said(content: bytes, words: str, reason: str) -> None:
    error = refusal(418, content, where="GET /a", retry_after_s=None)

    assert str(error).replace("\ufffd", "?") == f"the API server answered 418 to GET /a{words}"
    assert (error.status, error.reason) == (418, reason)


def test_a_status_nobody_knows_is_no_trouble() -> None:
    assert refusal(599, b"", where="GET /a", retry_after_s=None).status == 599


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b'{"kind":"Status"}', True), (b'{"kind":"Pod"}', False), (b"x", False), (b"[]", False)],
)
def test_the_api_servers_own_refusal_is_known(content: bytes, *, expected: bool) -> None:
    assert is_status(content) is expected
