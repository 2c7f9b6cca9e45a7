"""How fields of an object are read: what is not there, or is not what its kind says, is `Malformed`.

The objects are other people's. A map where a list should be, a text for a number, a field that is gone in a
newer version: each ends in one line that names the object and the field, never in another exception.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from config.errors import Malformed
from connectors.kubernetes.api import Json
from connectors.kubernetes.target import ObjectKey, Objects

_WORDS = {dict: "a map", list: "a list", str: "a text", bool: "true or false", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class Fields:
    """A map of an object, and where it stands.

    A field that is null is read as one that is absent, as the API server does.

    Attributes:
        json: The map.
        where: The object and the path in it, for errors.

    Example:
        >>> decode = Fields({"spec": {"replicas": 3, "roles": [{"name": "a"}]}}, "deployment decode")
        >>> decode.at("spec").count("replicas"), decode.at("spec").count("missing", default=1)
        (3, 1)
        >>> [role.text("name") for role in decode.at("spec").each("roles")]
        ['a']
        >>> decode.at("spec", "roles")
        Traceback (most recent call last):
        ...
        config.errors.Malformed: deployment decode.spec.roles: expected a map, found a list; ...
    """

    json: Json
    where: str

    def maybe(self, *names: str) -> "Fields | None":
        """Return the map at a path; None if it, or one on the way, is absent."""
        found = self
        for name in names:
            value = found.json.get(name)
            if value is None:
                return None
            if not isinstance(value, Mapping):
                found.wrong(name, "a map")
            found = Fields(value, f"{found.where}.{name}")
        return found

    def at(self, *names: str) -> "Fields":
        """Return the map at a path, which has to be there."""
        found = self
        for name in names:
            found = found.maybe(name) or found.wrong(name, "a map")
        return found

    def or_empty(self, *names: str) -> "Fields":
        """Return the map at a path; an empty one if it is absent."""
        return self.maybe(*names) or Fields({}, ".".join((self.where, *names)))

    def each(self, name: str) -> "tuple[Fields, ...]":
        """Return the maps of a list; none if it is absent."""
        value = self.json.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(name, "a list")
        for item in value:
            if not isinstance(item, Mapping):
                self.wrong(name, "a list of maps")
        return tuple(Fields(item, f"{self.where}.{name}[{index}]") for index, item in enumerate(value))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list; none if it is absent."""
        value = self.json.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(name, "a list of texts")
        return tuple(value)

    def text(self, name: str, *, default: str | None = None) -> str:
        """Return a text; without a default it has to be there."""
        value = self.json.get(name)
        if value is None and default is not None:
            return default
        return value if isinstance(value, str) else self.wrong(name, "a text")

    def flag(self, name: str) -> bool:
        """Return true or false; false if it is absent."""
        value = self.json.get(name)
        if value is None:
            return False
        return value if isinstance(value, bool) else self.wrong(name, "true or false")

    def count(self, name: str, *, default: int | None = None) -> int:
        """Return a whole number that is not negative; without a default it has to be there."""
        value = self.json.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        return self.wrong(name, "a whole number")

    def count_or_none(self, name: str) -> int | None:
        """Return a whole number that is not negative, or None if it is absent."""
        return None if self.json.get(name) is None else self.count(name)

    def wrong(self, name: str, expected: str) -> NoReturn:
        """Raise `Malformed` for a field that is not what was expected.

        Raises:
            Malformed: Always.
        """
        value = self.json.get(name)
        found = "nothing" if value is None else _described(value)
        raise Malformed(
            f"{self.where}.{name}: expected {expected}, found {found}; is the object of a version of its"
            f" kind that Setpoint does not know?"
        )


def read(objects: Objects, key: ObjectKey) -> Fields:
    """Return an object that has to be there.

    Raises:
        Malformed: If it is not there, or is no map.
    """
    found = maybe_read(objects, key)
    if found is None:
        raise Malformed(
            f"there is no {key} in namespace {key.namespace}; was it deleted, or is its name different?"
        )
    return found


def maybe_read(objects: Objects, key: ObjectKey) -> Fields | None:
    """Return an object, or None if it is not there.

    Raises:
        Malformed: If it is no map.
    """
    found: object = objects.get(key)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise Malformed(f"{key}: expected a map, found {_described(found)}")
    return Fields(found, str(key))


def version_of(item: Fields) -> str:
    """Return the resource version of an object."""
    return item.at("metadata").text("resourceVersion")


def _described(value: object) -> str:
    if isinstance(value, Mapping):
        return _WORDS[dict]
    word = _WORDS.get(type(value), type(value).__name__)
    return word if isinstance(value, list) else f"{word}: {str(value)[:40]!r}"
