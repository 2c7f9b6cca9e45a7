"""How what Kubernetes itself defines is read: what is absent, null or of another shape is empty.

Objects of others' kinds are read by `meta`, where a wrong shape is `Malformed`. Pods, events and the
metadata of any object have their shape from the API server, and one that lacks something must not hide the
rest of a fleet.
"""

from collections.abc import Mapping, Sequence

from connectors.kubernetes.api import Json


def at(item: Json, *path: str) -> object:
    """Return what is at a path; None if it, or something on the way, is absent."""
    found: object = item
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def text(item: Json, *path: str) -> str:
    """Return the text at a path; empty if there is none.

    Example:
        >>> text({"status": {"phase": "Running"}}, "status", "phase"), text({}, "status", "phase")
        ('Running', '')
    """
    found = at(item, *path)
    return found if isinstance(found, str) else ""


def number(item: Json, *path: str) -> int:
    """Return the whole number at a path; zero if there is none."""
    found = at(item, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def member(item: Json, *path: str) -> Json:
    """Return the map at a path; an empty one if there is none."""
    found = at(item, *path)
    return found if isinstance(found, Mapping) else {}


def items(item: Json, *path: str) -> tuple[Json, ...]:
    """Return the maps of the list at a path; none if there is no list."""
    found = at(item, *path)
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ()
    return tuple(one for one in found if isinstance(one, Mapping))


def name_of(item: Json) -> str:
    """Return the name of an object."""
    return text(item, "metadata", "name")


def version_of(item: Json) -> str:
    """Return the resource version of an object."""
    return text(item, "metadata", "resourceVersion")


def is_newer(version: str, than: str) -> bool:
    """Compare resource versions; those that are no numbers are newer where they differ.

    Example:
        >>> is_newer("10", than="9"), is_newer("9", than="9"), is_newer("b", than="a")
        (True, False, True)
    """
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than
