"""What a change of replicas looks like on the wire, and the rights that it takes.

Each write carries the resource version that it was decided on: the API server answers 409 if somebody was
faster. Lists are patched by index behind a test of the entry's name, since a merge patch would replace them.
"""

from collections.abc import Mapping
from dataclasses import replace

from config.errors import Malformed, Refused
from connectors.kubernetes.api import Json, Patch
from connectors.kubernetes.target import ObjectKey, Rule, Write

_SCALE = "scale"


def by_scale(key: ObjectKey, *, version: str, count: int) -> Write:
    """Return what sets the replicas of an object through its scale subresource."""
    return by_merge(replace(key, subresource=_SCALE), version=version, spec={"replicas": count})


def by_merge(key: ObjectKey, *, version: str, spec: Json) -> Write:
    """Return what merges some fields into the object's `spec`.

    Raises:
        Malformed: If there is no resource version: such a write would overwrite whatever is there.
    """
    _require_version(version, key)
    return Write(
        key=key, body={"metadata": {"resourceVersion": version}, "spec": dict(spec)}, kind=Patch.MERGE
    )


def by_index(
    key: ObjectKey, *, version: str, entry: str, named: tuple[str, str], replicas: Mapping[str, int]
) -> Write:
    """Return what sets numbers in one entry of a list, if the entry still is the one that is meant.

    Args:
        key: The object.
        version: Its resource version.
        entry: JSON pointer of the entry, such as `/spec/roles/1`.
        named: The field that names the entry, and its value.
        replicas: The numbers by field.

    Raises:
        Malformed: As for `by_merge`.
    """
    _require_version(version, key)
    field, name = named
    return Write(
        key=key,
        body=[
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "test", "path": f"{entry}/{field}", "value": name},
            *(
                {"op": "add", "path": f"{entry}/{number}", "value": count}
                for number, count in replicas.items()
            ),
        ],
        kind=Patch.JSON,
    )


def require_count(count: int, *, least: int, of: object, why: str = "") -> None:
    """Refuse a number of replicas that may never be asked for.

    Raises:
        Refused: If it is less than `least`.

    Example:
        >>> require_count(0, least=1, of="podclique decode", why="its gang would break")
        Traceback (most recent call last):
        ...
        config.errors.Refused: podclique decode: found 0 replicas, expected 1 or more; its gang would break
    """
    if count < least:
        reason = f"; {why}" if why and count >= 0 else ""
        raise Refused(f"{of}: found {count} replicas, expected {least} or more{reason}")


def _require_version(version: str, key: ObjectKey) -> None:
    if not version:
        raise Malformed(f"expected a resource version of {key}, found none; nothing is written without one")


def to_read(key: ObjectKey, why: str, *, is_needed: bool = True) -> tuple[Rule, Rule]:
    """Return the rights to read one object, and to be told of its changes instead of asking again."""
    read = Rule(
        group=key.resource.group,
        resource=key.resource.plural,
        verbs=("get",),
        why=why,
        names=(key.name,),
        is_needed=is_needed,
    )
    follow = replace(
        read, verbs=("list", "watch"), why=f"follow {key} instead of asking again", is_needed=False
    )
    return read, follow


def to_patch(key: ObjectKey, why: str, *, subresource: str = "") -> Rule:
    """Return the right to change one object, or its subresource only."""
    plural = key.resource.plural
    return Rule(
        group=key.resource.group,
        resource=f"{plural}/{subresource}" if subresource else plural,
        verbs=("patch",),
        why=why,
        names=(key.name,),
    )


def to_scale(key: ObjectKey) -> Rule:
    """Return the right to set the replicas of one object through its scale subresource."""
    return to_patch(key, f"set the replicas of {key}", subresource=_SCALE)


def to_count(key: ObjectKey) -> Rule:
    """Return the right to list pods, for a target whose own status does not count its engines."""
    why = f"count the engines of {key}, which its status does not"
    return Rule(group="", resource="pods", verbs=("list",), why=why)
