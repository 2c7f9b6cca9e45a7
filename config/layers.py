"""What one source of settings gives: values by dotted key, where each is from, and what is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from config.problems import Origin, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One value that a source gives."""

    value: object = field(repr=False)
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What one of Dynamo's variables or keys was mapped to.

    Attributes:
        origin: Where it was written, or whose default it is.
        said: The variable, or the key with its value, in Dynamo's words; no secret.
        keys: The settings that it gives, by dotted key.
    """

    origin: Origin
    said: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the user should know of one of Dynamo's keys.

    Attributes:
        said: The key, in Dynamo's words; no secret.
        why: What has no counterpart here, or another meaning.
        settled_by: The setting that makes it pointless if a stronger source gives it; empty if none does.
    """

    said: str
    why: str
    settled_by: str = ""


def in_lines(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return notes as lines; those that say the same of several keys become one.

    Example:
        >>> in_lines((Note(said="isl", why="unused"), Note(said="osl", why="unused")))
        ('isl, osl – unused',)
    """
    saids: dict[str, list[str]] = {}
    for note in notes:
        saids.setdefault(note.why, []).append(note.said)
    return tuple(f"{', '.join(said)} – {why}" for why, said in saids.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source gives.

    Attributes:
        values: By dotted key.
        problems: What is wrong with it.
        translations: What became of Dynamo's variables or keys, in the order of the source.
        notes: What has no counterpart here, or another meaning.
        if_aimed: Values that count only where some source says what is scaled on Kubernetes.
    """

    values: Mapping[str, Given]
    problems: tuple[Problem, ...] = ()
    translations: tuple[Translation, ...] = ()
    notes: tuple[Note, ...] = ()
    if_aimed: Mapping[str, Given] = field(default_factory=dict)
