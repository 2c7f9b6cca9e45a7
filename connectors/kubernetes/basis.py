"""What a decision was made on, so that a write that comes later can tell whether it still is so.

Only what people and controllers *want* counts: an object whose status moved is still the one that was
decided on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.kubernetes.api import Json
from connectors.kubernetes.paths import number, text
from connectors.kubernetes.target import ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Which object it was, and which state of what is wanted.

    Attributes:
        uid: Its identity, which a recreated object does not have.
        generation: Counts the changes of its spec; 0 if the kind does not count them.
    """

    uid: str
    generation: int


class Basis:
    """What was decided on: shared by pools, since pools share objects."""

    def __init__(self) -> None:
        self._stamps: dict[ObjectKey, Stamp] = {}

    def take(self, objects: Mapping[ObjectKey, Json]) -> None:
        """Take note of what the next decision will be made on."""
        self._stamps.update({key: stamp_of(item) for key, item in objects.items()})

    def difference(self, key: ObjectKey, objects: Mapping[ObjectKey, Json]) -> str:
        """Return what is different now about the object that is to be written, in words; empty if nothing."""
        whole = key.whole
        seen = whole if whole in objects else key
        known, item = self._stamps.get(seen), objects.get(seen)
        if known is None or item is None:
            return ""
        now = stamp_of(item)
        if now.uid != known.uid:
            return f"{whole} was deleted and created again"
        if now.generation != known.generation:
            return f"{whole} was changed (generation {known.generation} is {now.generation} now)"
        return ""


def stamp_of(item: Json) -> Stamp:
    """Return the stamp of an object."""
    return Stamp(uid=text(item, "metadata", "uid"), generation=number(item, "metadata", "generation"))
