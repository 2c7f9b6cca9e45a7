"""How values that Dynamo's variables, arguments and keys hold become values of Setpoint's settings.

Units are Dynamo's: plain numbers of seconds or milliseconds. Numbers and truths may stand in quotes, as they
do in variables, in arguments, and in many a manifest.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from config.errors import ConfigError
from config.fields import shown
from config.units import duration_s, format_duration


class Untranslatable(ValueError):
    """A variable or key holds what Dynamo would not take either.

    Attributes:
        problem: What was found.
        hint: What was expected.
    """

    def __init__(self, problem: str, hint: str) -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a value of Dynamo's means here.

    Attributes:
        settings: Values of settings by dotted key; not shown, since one may be a secret.
        if_aimed: More of them, that count only where it is said what is scaled on Kubernetes.
        note: What the user should know of it; empty if the settings say all.
        settled_by: The setting that makes the note pointless if it is given elsewhere; empty if none does.
    """

    settings: Mapping[str, object] = field(default_factory=dict, repr=False)
    if_aimed: Mapping[str, object] = field(default_factory=dict, repr=False)
    note: str = ""
    settled_by: str = ""


Translate = Callable[[object], Meant]

_LEAST_S, _MOST_S = 1e-6, 1e7
_MOST_COUNT = 1_000_000
_DIGITS = 9
# By how many of the unit are in a second.
_EXAMPLES = {1: 30, 1000: 300}
_WORDS = {"yes": True, "on": True, "1": True, "no": False, "off": False, "0": False}
_TRUTHS = {"true": True, "false": False, **_WORDS}


def text(key: str) -> Translate:
    """Return the translation of a text."""

    def translate(value: object) -> Meant:
        return Meant(settings={key: _text(value)})

    return translate


def one_of(key: str, *names: str) -> Translate:
    """Return the translation of a choice that has the same names here."""

    def translate(value: object) -> Meant:
        return Meant(settings={key: chosen(value, names)})

    return translate


def seconds(key: str) -> Translate:
    """Return the translation of a number of seconds."""
    return _duration(key, unit="seconds", per_s=1)


def milliseconds(key: str) -> Translate:
    """Return the translation of a number of milliseconds."""
    return _duration(key, unit="milliseconds", per_s=1000)


def count(*keys: str) -> Translate:
    """Return the translation of a whole number, not negative."""

    def translate(value: object) -> Meant:
        return Meant(settings=dict.fromkeys(keys, whole(value)))

    return translate


def positive(key: str) -> Translate:
    """Return the translation of a number above zero."""

    def translate(value: object) -> Meant:
        number = _number(value)
        if number is None or number <= 0.0:
            raise Untranslatable(f"{shown(value)} is not a number above zero", "write for example 0.5")
        return Meant(settings={key: number})

    return translate


def truth(key: str, *, is_inverted: bool = False) -> Translate:
    """Return the translation of a truth; inverted where Dynamo's key says the opposite."""

    def translate(value: object) -> Meant:
        return Meant(settings={key: is_true(value) is not is_inverted})

    return translate


def port(value: object) -> Meant:
    """Translate a port: Dynamo's 0 turns the server off, where Setpoint's 0 takes a free port."""
    number = whole(value, example=9085)
    return Meant(settings={"http.port": number} if number else {"http.enabled": False})


def nothing(why: str) -> Translate:
    """Return the translation of what Dynamo knows and Setpoint has no counterpart for."""
    return lambda _value: Meant(note=why)


def chosen(value: object, names: tuple[str, ...]) -> str:
    """Return a choice.

    Raises:
        Untranslatable: If it is none of the names.
    """
    found = str(value).strip().lower() if isinstance(value, str) else ""
    if found in names:
        return found
    near = difflib.get_close_matches(found[:64], names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"write {' or '.join(names)}"
    raise Untranslatable(f"{shown(value)} is not one of {', '.join(names)}", hint)


def whole(value: object, *, least: int = 0, example: int = 4) -> int:
    """Return a whole number.

    Raises:
        Untranslatable: If it is none, or below the least.
    """
    number = _number(value)
    if number is None or number != int(number) or not least <= number <= _MOST_COUNT:
        raise Untranslatable(
            f"{shown(value)} is not a whole number from {least}", f"write for example {example}"
        )
    return int(number)


def is_true(value: object) -> bool:
    """Return a truth.

    Raises:
        Untranslatable: If it is none.
    """
    found = _TRUTHS.get(str(value).strip().lower()) if isinstance(value, str | bool | int) else None
    if found is None:
        raise Untranslatable(f"{shown(value)} is neither true nor false", "write true or false")
    return found


def _text(value: object) -> str:
    # It is not repeated, since it may be a secret.
    if not isinstance(value, str) or not value.strip():
        raise Untranslatable("the value is not a text", "write a text; put a number in quotes")
    return value.strip()


def _duration(key: str, *, unit: str, per_s: int) -> Translate:
    def translate(value: object) -> Meant:
        number = _number(value)
        if number is None:
            raise Untranslatable(f"{shown(value)} is not a number of {unit}", _bare(value, per_s))
        if number <= 0.0:
            raise Untranslatable(f"{shown(value)} must be above 0", _example(per_s))
        if not _LEAST_S <= number / per_s <= _MOST_S:
            raise Untranslatable(f"{shown(value)} is out of range", _nearest(number, per_s))
        exact = float(round(Decimal(repr(number)) / per_s, _DIGITS))
        return Meant(settings={key: format_duration(exact)})

    return translate


def _bare(value: object, per_s: int) -> str:
    """Return what to write in place of a duration with a unit, so that it stays as long."""
    try:
        found_s = duration_s(value) if isinstance(value, str) else 0.0
    except ConfigError:
        return _example(per_s)
    return f"write {_plain(found_s, per_s)}" if _LEAST_S <= found_s <= _MOST_S else _example(per_s)


def _nearest(number: float, per_s: int) -> str:
    is_long = number / per_s > _MOST_S
    return f"write at {'most' if is_long else 'least'} {_plain(_MOST_S if is_long else _LEAST_S, per_s)}"


def _example(per_s: int) -> str:
    return f"write for example {_EXAMPLES[per_s]}"


def _plain(duration: float, per_s: int) -> str:
    return f"{(Decimal(repr(duration)) * per_s).normalize():f}"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
