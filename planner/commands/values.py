"""Which number does a flag hold?"""

import math

from config.errors import ConfigError
from config.units import duration_s, quoted

# A lower limit below this only says that zero is too little.
_SMALL = 1e-3


def number(flag: str, text: str, *, least: float, most: float, example: str) -> float:
    """Return the number that a flag holds.

    Args:
        flag: Its name, for errors.
        text: What the user wrote.
        least: The least that is allowed.
        most: The most that is allowed.
        example: What a right value looks like, with its unit in words.

    Raises:
        ConfigError: If it is not a number, or out of range.

    Example:
        >>> number("--rate", "12.5", least=0.001, most=1e6, example="requests per second, for example 12.5")
        12.5
    """
    try:
        found = float(text)
    except ValueError:
        raise ConfigError(f"'{quoted(text)}' is not a number", key=flag, hint=f"write {example}") from None
    if not math.isfinite(found):
        raise ConfigError(f"'{quoted(text)}' is not finite", key=flag, hint=f"write {example}")
    if found < least:
        limit = "not above 0" if least < _SMALL else f"below {least:g}"
        raise ConfigError(f"{quoted(text)} is {limit}", key=flag, hint=f"write {example}")
    if found > most:
        raise ConfigError(f"{quoted(text)} is above {most:,.0f}", key=flag, hint=f"write {example}")
    return found


def whole(flag: str, text: str, *, least: int, most: int) -> int:
    """Return the whole number that a flag holds.

    Raises:
        ConfigError: If it is not one, or out of range.

    Example:
        >>> whole("--port", "9085", least=0, most=65535)
        9085
    """
    found = number(flag, text, least=least, most=most, example=f"a whole number from {least} to {most}")
    if found != int(found):
        raise ConfigError(
            f"{quoted(text)} is not a whole number", key=flag, hint=f"write for example {math.ceil(found)}"
        )
    return int(found)


def duration(flag: str, text: str) -> float:
    """Return the seconds of the duration that a flag holds.

    Raises:
        ConfigError: If it is not a duration above zero.

    Example:
        >>> duration("--duration", "2m")
        120.0
    """
    try:
        found = duration_s(text)
    except ConfigError as error:
        raise ConfigError(error.problem, key=flag, hint=error.hint) from None
    if found <= 0.0:
        raise ConfigError(
            f"{quoted(text)} is too short", key=flag, hint="write a duration above zero, for example 2m"
        )
    return found
