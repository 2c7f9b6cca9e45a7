"""What is wrong with the settings, in words: one line per problem, with the setting and where it was set."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.catalog import entries
from config.errors import ConfigError
from config.fields import PROBLEM, shown

NOT_SET = "is required and was not set"


class OriginKind(StrEnum):
    """The sources of settings, the strongest first."""

    FLAG = "flag"
    ENV = "env"
    DYNAMO = "dynamo"
    FILE = "file"
    DGDR = "dgdr"
    DEFAULT = "default"


# How names of origins begin that are a default of Dynamo's.
DYNAMO_DEFAULT = "Dynamo's default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value is from.

    Attributes:
        kind: The source.
        name: The flag, the variable, the file with its line, or the manifest with its line and Dynamo's key;
            empty for a plain default.
    """

    kind: OriginKind
    name: str = ""

    @property
    def is_given(self) -> bool:
        """Whether somebody gave the value; Setpoint's defaults and Dynamo's nobody did."""
        is_dynamo_default = self.kind is OriginKind.DGDR and self.name.startswith(DYNAMO_DEFAULT)
        return self.kind is not OriginKind.DEFAULT and not is_dynamo_default

    def __str__(self) -> str:
        """Render the origin in words."""
        words = {
            OriginKind.ENV: f"variable {self.name}",
            OriginKind.DYNAMO: f"Dynamo's variable {self.name}",
            OriginKind.DEFAULT: f"default, {self.name}" if self.name else "default",
        }
        return words.get(self.kind, self.name)


DEFAULT = Origin(kind=OriginKind.DEFAULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        key: The setting, the variable, or the file.
        problem: What was found.
        hint: What was expected, and what to do.
        origin: Where the setting was set; None where the key says it.
        others: Further settings that take part in it.
    """

    key: str
    problem: str
    hint: str = ""
    origin: Origin | None = None
    others: tuple[str, ...] = ()

    def error(self) -> ConfigError:
        """Return the problem as the error of one line."""
        place = f" ({self.origin})" if self.origin and self.origin.kind is not OriginKind.DEFAULT else ""
        if self.hint:
            return ConfigError(self.problem, key=self.key, hint=f"{self.hint}{place}")
        return ConfigError(f"{self.problem}{place}", key=self.key)


def one_error(problems: Iterable[Problem]) -> ConfigError:
    """Return one error that says all problems, each on a line of its own."""
    errors = [problem.error() for problem in problems]
    return errors[0] if len(errors) == 1 else ConfigError("\n".join(map(str, errors)))


def from_validation(error: ValidationError) -> list[Problem]:
    """Translate what pydantic found into our words, at most one problem for each setting."""
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        key, rest = _key(detail)
        problem, hint = _words(detail, key)
        found.setdefault(key, Problem(key=key, problem=_entry_words(rest) + problem, hint=hint))
    return list(found.values())


def first_causes(found: Iterable[Problem], earlier: Iterable[Problem]) -> list[Problem]:
    """Leave out what is absent only because it was misspelt, or because its section could not be read.

    Example:
        >>> absent = Problem(key="targets.ttft", problem=NOT_SET)
        >>> first_causes([absent], [Problem(key="targets", problem="[1] is not a section")])
        []
    """
    causes = {key for problem in earlier for key in (problem.key, *problem.others)}
    return [one for one in found if one.problem != NOT_SET or not causes & set(_path(one.key))]


def _path(key: str) -> Iterator[str]:
    """Yield a key and the sections around it."""
    while key:
        yield key
        key = key.rpartition(".")[0]


def _key(detail: ErrorDetails) -> tuple[str, tuple[int | str, ...]]:
    """Split the place of an error into the dotted key of the setting and the way inside its value."""
    parts = detail["loc"]
    for length in range(1, len(parts) + 1):
        key = ".".join(map(str, parts[:length]))
        if key in entries():
            return key, parts[length:]
    return ".".join(map(str, parts)), ()


def _entry_words(rest: tuple[int | str, ...]) -> str:
    numbers = [part + 1 for part in rest if isinstance(part, int)]
    return f"entry {numbers[0]}: " if numbers else ""


def _words(detail: ErrorDetails, key: str) -> tuple[str, str]:
    context = detail.get("ctx", {})
    if detail["type"] == PROBLEM:
        return str(context["problem"]), str(context["hint"])
    if detail["type"] == "missing":
        return NOT_SET, _how_to_set(key)
    entry = entries().get(key)
    value = "the value" if entry is not None and entry.is_secret else shown(detail["input"])
    problem, hint = _expected(
        detail["type"], {name: str(limit) for name, limit in context.items()}, detail["input"]
    )
    if detail["type"].startswith("int") and entry is not None and isinstance(entry.example, int):
        hint = f"{hint}, for example {entry.example}"
    return f"{value} {problem}", hint


def _how_to_set(key: str) -> str:
    example = entries()[key].example if key in entries() else ""
    variable = f"SETPOINT_{key.upper().replace('.', '__')}={example}"
    *parents, name = key.split(".")
    lines = "".join(f"{parent}: {{" for parent in parents) + f"{name}: {example}" + "}" * len(parents)
    return f"write {lines} in the file, or set {variable}"


_KINDS = {
    "int": ("is not a whole number", "write a whole number"),
    "float": ("is not a number", "write a number, for example 0.5"),
    "finite": ("is not a finite number", "write a number, for example 0.5"),
    "bool": ("is neither true nor false", "write true or false"),
    "list": ("is not a list", "write a list, for example [http://host:9090]"),
    "tuple": ("is not a list", "write a list, for example [http://host:9090]"),
    "dict": ("is not a mapping", "write a mapping, for example {name: text}"),
    "mapping": ("is not a mapping", "write a mapping, for example {name: text}"),
}
_BOUNDS = {
    "greater_than": ("is too small", "write a number above {gt}"),
    "greater_than_equal": ("is too small", "write at least {ge}"),
    "less_than": ("is too large", "write a number below {lt}"),
    "less_than_equal": ("is too large", "write at most {le}"),
    "string_too_short": ("is empty", "write a text, or remove the line"),
}


def _expected(kind: str, context: dict[str, str], value: object) -> tuple[str, str]:
    if kind in _BOUNDS:
        problem, hint = _BOUNDS[kind]
        return problem, hint.format(**context)
    if kind in {"enum", "literal_error"}:
        return _choices(context["expected"], value)
    if kind.startswith("string"):
        return "is not a text", "put it in quotes if it is meant as one" if isinstance(
            value, int | float
        ) else "write a text"
    return _KINDS.get(kind.partition("_")[0], ("is not allowed here", "see the sample configuration"))


def _choices(expected: str, value: object) -> tuple[str, str]:
    names = expected.replace("'", "").replace(" or ", ", ").split(", ")
    near = difflib.get_close_matches(str(value).lower()[:64], names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"write {' or '.join(names)}"
    return f"is not one of {', '.join(names)}", hint
