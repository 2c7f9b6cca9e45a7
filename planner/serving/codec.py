"""How do Setpoint's plain values become strict JSON and come back equal?

JSON knows no NaN and no infinity. A journal must still be able to hold whatever was observed, because the
fold of the journal has to equal the loop. So a float that is not finite is written as the string `"NaN"`,
`"Infinity"` or `"-Infinity"` where a number is expected, and only there is it read back as that number. The
bare tokens are refused. Everything else is ASCII, so that no text from outside can break a line or a
reader.
"""

import json
import math
import numbers
from collections.abc import Mapping
from typing import TypeVar, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from config.errors import Malformed

T = TypeVar("T")

NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


_ADAPTERS: dict[type[object], TypeAdapter[object]] = {}


def _adapter(kind: type[object]) -> TypeAdapter[object]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _plain(value: object) -> object:
    # What pydantic does not know: read-only mappings, and the numbers of numpy.
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(f"expected plain data, found {type(value).__name__}")


def _strict(plain: JsonValue) -> JsonValue:
    if isinstance(plain, dict):
        return {key: _strict(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_strict(value) for value in plain]
    if isinstance(plain, float) and not math.isfinite(plain):
        return NON_FINITE.get(plain, "NaN")
    return plain


def to_jsonable(value: object) -> JsonValue:
    """Return a dataclass value as JSON's own types.

    Raises:
        TypeError: If the value holds something that is not plain data.
    """
    dumped: JsonValue = _adapter(type(value)).dump_python(
        value, mode="json", fallback=_plain, warnings="none"
    )
    return _strict(dumped)


def write_json(plain: JsonValue) -> str:
    """Write JSON's own types on one line, strictly.

    Example:
        >>> write_json({"why": "no answer", "value": 1.5})
        '{"why":"no answer","value":1.5}'
    """
    return json.dumps(plain, allow_nan=False, separators=(",", ":"))


def to_json(value: object) -> str:
    """Write a dataclass value as one line of strict JSON.

    Example:
        >>> from connectors.base import Value
        >>> to_json(Value(value=float("nan"), at_s=2.0))
        '{"value":"NaN","at_s":2.0,"samples":null,"estimator":"","kind":"value"}'
    """
    return write_json(to_jsonable(value))


def read_json(text: str | bytes) -> JsonValue:
    """Read strict JSON into its own types.

    Raises:
        Malformed: If it is not JSON, or holds a bare NaN or infinity.
    """
    try:
        plain: JsonValue = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"expected JSON, found {str(text[:40])!r}: {error}") from error
    return plain


def from_jsonable(kind: type[T], plain: JsonValue) -> T:
    """Make a dataclass value from JSON's own types; keys that it does not know are ignored.

    Raises:
        Malformed: If the JSON does not have the shape of that value.
    """
    try:
        return cast("T", _adapter(kind).validate_python(plain))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise Malformed(f"expected {kind.__name__}; at {where}: {first['msg']}") from error


def from_json(kind: type[T], text: str | bytes) -> T:
    """Read a dataclass value from JSON.

    Raises:
        Malformed: If it is not strict JSON, or does not have the shape of that value.

    Example:
        >>> from connectors.base import Unknown
        >>> from_json(Unknown, '{"why": "no answer"}')
        Unknown(why='no answer', kind='unknown')
    """
    return from_jsonable(kind, read_json(text))


def _refuse(token: str) -> float:
    raise ValueError(f"the token {token} is not JSON")
