"""Objects of another shape than their kind has, and how two objects differ."""

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, cast

from connectors.kubernetes.api import Json
from connectors.kubernetes.target import Objects

Path = tuple[str | int, ...]
_Holder = MutableMapping[str | int, object]
# What stands where something else belongs: an older version, a newer one, a mistake.
STRANGE_VALUES: tuple[object, ...] = (None, True, -1, 2.5, "x", [], ["x"], [[]], {}, {"x": 1})
# What the API server itself changes when an object is written.
_OWN_FIELDS = frozenset({"resourceVersion", "generation", "managedFields"})


def distorted(objects: Objects) -> Iterator[tuple[str, Objects]]:
    """Yield the objects with one field at a time of another shape, and without it; and how, in words."""
    for key, item in objects.items():
        for path in ((), *paths_of(item)):
            where = f"{key} at {'.'.join(map(str, path)) or 'all of it'}"
            for value in STRANGE_VALUES:
                yield f"{where} is {value!r}", {**objects, key: changed_at(item, path, value)}
            if path:
                yield f"{where} is missing", {**objects, key: without(item, path)}


def changes_of(before: object, after: object, path: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield where two objects differ, apart from what the API server changes itself.

    Example:
        >>> list(changes_of({"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}))
        [('.spec.replicas', 1, 2)]
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after} - (_OWN_FIELDS if path == ".metadata" else set())):
            yield from changes_of(before.get(name), after.get(name), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from changes_of(old, new, f"{path}[{index}]")
    elif before != after:
        yield path, before, after


def paths_of(item: object, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each field of an object and of each entry of its lists.

    Example:
        >>> list(paths_of({"spec": {"roles": [{"name": "a"}]}}))[1:]
        [('spec', 'roles'), ('spec', 'roles', 0), ('spec', 'roles', 0, 'name')]
    """
    entries: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(item, Mapping):
        entries = iter(item.items())
    elif isinstance(item, list):
        entries = iter(enumerate(item))
    for name, inner in entries:
        yield (*path, name)
        yield from paths_of(inner, (*path, name))


def changed_at(item: Json, path: Path, value: object) -> Json:
    """Return an object with another value at a path; what leads nowhere changes nothing."""

    def put(holder: _Holder) -> None:
        holder[path[-1]] = copy.deepcopy(value)

    return _changed(item, path, put) if path else cast("Json", copy.deepcopy(value))


def without(item: Json, path: Path) -> Json:
    """Return an object without what is at a path; what leads nowhere changes nothing."""

    def drop(holder: _Holder) -> None:
        del holder[path[-1]]

    return _changed(item, path, drop)


def _changed(item: Json, path: Path, change: Callable[[_Holder], None]) -> Json:
    whole = copy.deepcopy(dict(item))
    holder: Any = whole
    with suppress(KeyError, IndexError, TypeError):
        for name in path[:-1]:
            holder = holder[name]
        change(holder)
    return whole
