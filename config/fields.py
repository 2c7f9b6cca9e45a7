"""The kinds of values that a setting can have, with errors in the user's words.

A duration is a float of seconds and a size an int of bytes once they are read; both are written with a
unit. Validators raise an error of the type `PROBLEM` that carries a problem and a hint, which
`config.problems` turns into the one line that a user reads.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from config import units
from config.errors import ConfigError

PROBLEM = "setpoint"
# Python refuses to print integers that are much longer.
_MAX_BITS = 200
_PERCENT = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SIZES = (1024, 2**40)


def refuse(problem: str, hint: str = "") -> PydanticCustomError:
    """Return the error that carries our own words through pydantic."""
    return PydanticCustomError(PROBLEM, "{problem}", {"problem": problem, "hint": hint})


def shown(value: object) -> str:
    """Return a found value as a user recognizes it, on one line and of bounded length.

    Example:
        >>> shown("abc"), shown(True), shown(None), shown([1]), shown(3)
        ("'abc'", 'true', 'null', 'a list', '3')
    """
    if isinstance(value, str):
        return f"'{units.quoted(value)}'"
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return "a huge number"
    words = {
        type(None): "null",
        bool: str(value is True).lower(),
        list: "a list",
        tuple: "a list",
        dict: "a mapping",
    }
    return words.get(type(value)) or units.quoted(str(value))


def _duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise refuse(f"{shown(value)} is not a duration", "write for example 300ms, 30s, 5m or 1h")
    text = value if isinstance(value, str) else shown(value)
    try:
        return units.duration_s(text)
    except ConfigError as error:
        raise refuse(error.problem, error.hint) from None


def _positive(seconds: float) -> float:
    if seconds <= 0.0:
        raise refuse("0s is too short", "write a duration above zero, for example 300ms or 30s")
    return seconds


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise refuse(f"{shown(value)} is not a size", "write for example 8MiB, 64KiB or 1048576")
    try:
        size = units.size_bytes(shown(value).strip("'"))
    except ConfigError as error:
        raise refuse(error.problem, error.hint) from None
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise refuse(f"{shown(value)} is out of range", "write a size from 1KiB to 1024GiB")
    return size


def _percentile(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str):
        raise refuse(f"{shown(value)} is not a percentile", _percentile_hint(value))
    try:
        return units.format_percentile(units.percentile_ratio(value))
    except ConfigError as error:
        raise refuse(error.problem, error.hint) from None


def _percentile_hint(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _PERCENT:
        return "write mean, or for example p95 or 95%"
    percent = value if value > 1 else round(value * 100, 6)
    return f"write p{percent:g}, {percent:g}% or mean"


def _number(value: object) -> object:
    """Keep pydantic from taking true for 1."""
    if isinstance(value, bool):
        raise refuse(f"{shown(value)} is not a number", "write a number")
    return value


def _listed(value: object) -> object:
    """Take `a, b` and `["a", "b"]`, as a variable holds them, for a list."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    return _json(text, "write the entries with commas between them")


def _mapped(value: object) -> object:
    """Take `a=1,b=2` and `{"a": "1"}`, as a variable holds them, for a mapping."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("{"):
        return _json(text, "write name=value with commas between")
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not separator or not name.strip() for name, separator, _ in pairs):
        raise refuse("the text is not a list of name=value", "write name=value with commas between")
    return {name.strip(): content.strip() for name, _, content in pairs}


def _json(text: str, hint: str) -> object:
    # The text may hold a secret, so it is not repeated.
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        raise refuse("the text looks like JSON but is not", hint) from None


def _url(value: str) -> str:
    hint = "write for example http://host:9090"
    try:
        parts = urlsplit(value.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise refuse("the text is not a URL", hint) from None
    if "@" in value:
        raise refuse("the URL holds a user name or a password", "move them to username and password")
    if not usable or any(character.isspace() for character in value.strip()):
        raise refuse(f"{shown(value)} is not a URL with http:// or https://", hint)
    if parts.query or parts.fragment:
        raise refuse(
            "the URL has a query or a fragment", f"remove the part from '{'?' if parts.query else '#'}' on"
        )
    return value.strip().rstrip("/")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise refuse(f"{shown(value)} is not a name", "write letters, digits, dots, dashes and underscores")
    return value


def _labels(value: Mapping[str, str]) -> Mapping[str, str]:
    for label in value:
        if not _LABEL.fullmatch(label):
            raise refuse(f"{shown(label)} is not a label", "write a label's name, for example cluster")
    return value


def _secret(value: SecretStr) -> SecretStr:
    """Drop the line break that files and shells leave at the end."""
    text = value.get_secret_value().rstrip("\r\n")
    if not text.isprintable() or not text:
        raise refuse("the secret is empty or has a control character", "write it on one line")
    return SecretStr(text)


def _headers(value: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name, secret in value.items():
        if not _HEADER.fullmatch(name):
            raise refuse(f"{shown(name)} is not the name of a header", "write for example X-Scope-OrgID")
        if not secret.get_secret_value().isprintable():
            raise refuse("a header's value has a line break or another control character", "remove it")
    return value


def _options(value: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name in value:
        if not _NAME.fullmatch(name):
            raise refuse(f"{shown(name)} is not the name of an option", "write for example path")
    return value


_DURATION_SCHEMA = {"type": "string", "pattern": units.DURATION_PATTERN}
_SIZE_SCHEMA = {"anyOf": [{"type": "string", "pattern": units.SIZE_PATTERN}, {"type": "integer"}]}

Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(units.format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A duration in seconds; may be zero."""

PositiveDuration = Annotated[
    float,
    AfterValidator(_positive),
    BeforeValidator(_duration),
    PlainSerializer(units.format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A duration in seconds above zero."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(units.format_size, return_type=str),
    WithJsonSchema(_SIZE_SCHEMA),
]
"""A size in bytes."""

Percentile = Annotated[
    str,
    BeforeValidator(_percentile),
    WithJsonSchema({"type": "string", "pattern": units.PERCENTILE_PATTERN}),
]
"""`mean`, or a percentile as `p95`."""

NOT_BOOL = BeforeValidator(_number)
"""Refuses true and false where a number is wanted; written after the bounds, so that a schema shows these."""

Text = Annotated[str, Field(min_length=1)]
"""Text that is not empty."""

Name = Annotated[str, AfterValidator(_name)]
"""A name that may stand in a key of etcd and in a label."""

Secret = Annotated[SecretStr, AfterValidator(_secret)]
"""Text that is never shown."""

Url = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
"""An HTTP or HTTPS address without credentials, query and trailing slash."""

Urls = Annotated[tuple[Url, ...], NoDecode, BeforeValidator(_listed)]
"""Several addresses."""

Labels = Annotated[Mapping[str, Text], NoDecode, AfterValidator(_labels), BeforeValidator(_mapped)]
"""Names and texts."""

SecretMap = Annotated[Mapping[str, SecretStr], NoDecode, AfterValidator(_headers), BeforeValidator(_mapped)]
"""Names, and texts that are never shown."""

SecretOptions = Annotated[
    Mapping[str, SecretStr], NoDecode, AfterValidator(_options), BeforeValidator(_mapped)
]
"""Options of somebody else's code, whose texts are never shown, since we cannot tell which are secret."""
