"""What became of Dynamo's keys, for people: lines for the log, and a file of settings that says the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.catalog import entries
from config.dynamo.found import Found
from config.layers import Layer, Translation
from config.load import Loaded
from config.problems import DYNAMO_DEFAULT, Origin, OriginKind
from config.show import effective, written


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """One of Dynamo's keys or variables and the settings that it stands for.

    Attributes:
        said: The key and its value, or the variable, in Dynamo's words.
        settings: The settings in force and their values; one that something stronger sets says so.
        where: Where it was written, or that it is a default of Dynamo's.
    """

    said: str
    settings: str
    where: str


def mapped(loaded: Loaded) -> tuple[Mapped, ...]:
    """Return what each of Dynamo's keys and variables was mapped to, those absent at the end and as one."""
    values = {row.key: row.value for row in effective(loaded)}
    rows = [
        Mapped(
            said=one.said,
            settings=", ".join(_in_force(key, values[key], one.origin, loaded) for key in one.keys),
            where=str(one.origin),
        )
        for one in loaded.translations
    ]
    defaults = [row for row in rows if row.where.startswith(DYNAMO_DEFAULT)]
    given = [row for row in rows if not row.where.startswith(DYNAMO_DEFAULT)]
    if not defaults:
        return tuple(given)
    said, settings = ", ".join(row.said for row in defaults), ", ".join(row.settings for row in defaults)
    return (*given, Mapped(said=said, settings=settings, where=defaults[0].where))


def as_file(found: Found, layer: Layer) -> str:
    """Return a file of settings in which every line names the key of Dynamo's that it comes from."""
    source = f"{found.form.value} {found.file}" if found.file else "arguments of Dynamo's planner"
    head = (
        f"# Settings of Setpoint, from: {source}\n"
        "# Each line names Dynamo's key and value. What is absent here has Setpoint's own default.\n"
        "# Start with: setpoint run --config THIS_FILE --profile FOLDER\n\n"
    )
    return head + "\n".join(_lines(layer))


def _in_force(key: str, value: str, origin: Origin, loaded: Loaded) -> str:
    actual = loaded.origins[key]
    if actual == origin:
        return f"{key} {value}"
    by = "a flag" if actual.kind is OriginKind.FLAG else str(actual)
    return f"{key} {value} (set by {by})"


def _lines(layer: Layer) -> Iterator[str]:
    comments = _comments(layer.translations)
    opened: set[str] = set()
    for key, entry in entries().items():
        if key not in layer.values:
            continue
        *parents, name = key.split(".")
        for depth in range(len(parents)):
            section = ".".join(parents[: depth + 1])
            if section not in opened:
                opened.add(section)
                yield f"{'  ' * depth}{parents[depth]}:"
        # A secret is named, and not written to a place that nobody guards.
        line = f"# {name}:" if entry.is_secret else f"{name}: {written(layer.values[key].value)}"
        yield f"{'  ' * len(parents)}{line}  # {comments.get(key) or layer.values[key].origin.name}"


def _comments(translations: tuple[Translation, ...]) -> Mapping[str, str]:
    return {key: _comment(one) for one in translations for key in one.keys}


def _comment(one: Translation) -> str:
    return f"{one.said}, {DYNAMO_DEFAULT}" if one.origin.name.startswith(DYNAMO_DEFAULT) else one.said
