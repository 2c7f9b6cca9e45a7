"""The list of all settings, drawn from the models: keys, meanings, defaults, and which are secret."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import cast

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config.settings import Settings

_FEW = 2
# An embedding program hands the profile over itself, so it has a default; the commands have nothing without.
_COMMANDS_NEED = frozenset({"profile"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One setting.

    Attributes:
        key: Its dotted name.
        description: What it means.
        is_required: Whether it has no default.
        is_needed: Whether the daemon does not start without it.
        is_secret: Whether its value must never be shown.
        example: A value as a user would write it; None if the default serves as one.
    """

    key: str
    description: str
    is_required: bool
    is_needed: bool
    is_secret: bool
    example: object


@cache
def entries() -> Mapping[str, Entry]:
    """Return all settings by dotted key, in the order of the models."""
    return MappingProxyType({entry.key: entry for entry in _walk(Settings, "")})


@cache
def sections() -> Mapping[str, str]:
    """Return the descriptions of all sections by dotted key, in the order of the models."""
    return MappingProxyType(dict(_sections(Settings, "")))


def value_of(settings: Settings, key: str) -> object:
    """Return the value of one setting by its dotted key."""
    node: object = settings
    for part in key.split("."):
        node = dict(cast("BaseModel", node))[part]
    return node


def suggestion(key: str) -> str:
    """Return what to do about a key that does not exist: the nearest ones, or all that are allowed there.

    Example:
        >>> suggestion("targets.tfft")
        'did you mean targets.ttft?'
        >>> suggestion("targets.colour")
        'targets takes: itl, percentile, ttft'
    """
    if found := nearest(key):
        return f"did you mean {' or '.join(found)}?"
    parent, _ = _place(key)
    return f"{parent or 'the top level'} takes: {', '.join(sorted(_children(parent)))}"


def nearest(key: str) -> tuple[str, ...]:
    """Return the settings or sections that a key which does not exist was probably meant to be.

    Example:
        >>> nearest("targets.tfft"), nearest("ttft"), nearest("targets.colour")
        (('targets.ttft',), ('targets.ttft',), ())
    """
    parent, name = _place(key)
    wanted, siblings = name[:64].lower().replace("-", "_"), sorted(_children(parent))
    if near := difflib.get_close_matches(wanted, siblings, n=1, cutoff=0.7):
        return (_join(parent, near[0]),)
    elsewhere = tuple(known for known in (*entries(), *sections()) if known.rpartition(".")[2] == name)
    return elsewhere if len(elsewhere) <= _FEW else ()


def _place(key: str) -> tuple[str, str]:
    """Split a key into a section that exists and the rest."""
    parent, _, name = key.rpartition(".")
    return (parent, name) if parent in sections() else ("", key)


def section_model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a section, or None if the field holds a value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _walk(model: type[BaseModel], prefix: str) -> Iterator[Entry]:
    for name, field in model.model_fields.items():
        key = _join(prefix, name)
        section = section_model(field)
        if section is not None:
            yield from _walk(section, key)
        else:
            yield Entry(
                key=key,
                description=field.description or "",
                is_required=field.is_required(),
                is_needed=field.is_required() or key in _COMMANDS_NEED,
                is_secret=SecretStr.__name__ in repr(field.annotation),
                example=field.examples[0] if field.examples else None,
            )


def _sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        section = section_model(field)
        if section is not None:
            yield _join(prefix, name), field.description or ""
            yield from _sections(section, _join(prefix, name))


def _children(parent: str) -> Iterable[str]:
    depth = parent.count(".") + 1 if parent else 0
    within = f"{parent}." if parent else ""
    return {key.split(".")[depth] for key in entries() if key.startswith(within)}


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
