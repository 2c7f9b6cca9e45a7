"""The planner's command line: `--adjustment-interval 60 --ttft=300 --no-correction`."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from config.dynamo.found import Written
from config.dynamo.key import Section
from config.dynamo.spelling import key_of
from config.errors import ConfigError
from config.templates import MARK, unrendered
from config.units import quoted

_LEAD = "--"
# What ends a command in a shell's line: `2>&1`, `| tee log`, `&& …`.
_SHELL = re.compile(r"[0-9&]?>.*|<.*|\|{1,2}|&{1,2}|;")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word of a command line.

    Attributes:
        text: The word.
        line: The line of the file that it is from; 0 on a command line.
    """

    text: str
    line: int = 0


def tokens_of(text: str, *, line: int = 0, name: str = "") -> tuple[Token, ...]:
    """Split a text as a shell would; lines that end in a backslash go on, and # begins a comment.

    Raises:
        ConfigError: If a quote is not closed.
    """
    found: list[Token] = []
    for number, row in _rows(text):
        try:
            words = shlex.split(row, comments=True)
        except ValueError:
            raise ConfigError(
                "a quote is not closed", key=f"{name}:{line + number}" if name else "", hint="close it"
            ) from None
        found += (Token(text=word, line=line + number if line else 0) for word in words)
    return tuple(found)


def parsed(tokens: Iterable[Token], *, name: str = "") -> tuple[Written, ...]:
    """Return the arguments of a command line; the program before the first one is passed over.

    So is what a shell does after them.

    Args:
        tokens: Its words.
        name: What the file is called that holds it; empty if it is none.

    Raises:
        ConfigError: If an argument has no value, a word stands alone, or a template was not rendered.
    """
    own = own_words(tokens)
    for word in own:
        if MARK in word.text:
            raise unrendered(f"{name}:{word.line}" if name else "")
    return tuple(_arguments(own, name))


def own_words(tokens: Iterable[Token]) -> list[Token]:
    """Return the words from the first argument on, up to what a shell does after them."""
    words = list(tokens)
    first = next((index for index, word in enumerate(words) if word.text.startswith(_LEAD)), len(words))
    last = next((i for i in range(first, len(words)) if _SHELL.fullmatch(words[i].text)), len(words))
    return words[first:last]


def _rows(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number from 0; those that go on are put together."""
    begun, row = 0, ""
    for number, part in enumerate(text.splitlines()):
        begun = begun if row else number
        row += part
        if part.endswith("\\"):
            row = f"{row[:-1]} "
            continue
        yield begun, row
        row = ""
    if row:
        yield begun, row


def _arguments(words: list[Token], file: str) -> Iterator[Written]:
    index = 0
    while index < len(words):
        word = words[index]
        name, equals, value = word.text.partition("=")
        index += 1
        if not name.startswith(_LEAD):
            raise _alone(word, file)
        if equals:
            yield Written(name=name, value=value, line=word.line)
        elif _is_switch(name):
            yield Written(name=name, value=True, line=word.line)
        elif index < len(words) and not words[index].text.startswith(_LEAD):
            yield Written(name=name, value=words[index].text, line=word.line)
            index += 1
        else:
            raise _bare(name, word, file)


def _is_switch(name: str) -> bool:
    key = key_of(name, Section.PLANNER)
    return key is not None and key.is_switch


def _alone(word: Token, file: str) -> ConfigError:
    hint = f"arguments of the planner look like --adjustment-interval 60{_where(word, file)}"
    return ConfigError("the word stands alone", key=quoted(word.text), hint=hint)


def _bare(name: str, word: Token, file: str) -> ConfigError:
    hint = f"write the value after it{_where(word, file)}"
    return ConfigError("it has no value", key=quoted(name), hint=hint)


def _where(word: Token, file: str) -> str:
    return f" ({file}:{word.line})" if file and word.line else ""
