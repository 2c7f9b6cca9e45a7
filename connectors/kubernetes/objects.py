"""How a target takes its objects out of those that were read, and names the one that does not fit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from config.errors import Malformed
from connectors.kubernetes.api import Json
from connectors.kubernetes.target import ObjectKey, Objects


def required(objects: Objects, key: ObjectKey) -> Json:
    """Return an object that has to be there.

    Raises:
        Malformed: If it is not there, or is no map.
    """
    found = optional(objects, key)
    if found is None:
        raise Malformed(
            f"expected {key} in namespace {key.namespace}, found none; was it deleted, or does it have"
            f" another name?"
        )
    return found


def optional(objects: Objects, key: ObjectKey) -> Json | None:
    """Return an object, or None if it is not there.

    Raises:
        Malformed: If it is no map.
    """
    found: object = objects.get(key)
    if found is None or isinstance(found, Mapping):
        return found
    raise Malformed(f"expected {key} as an object, found {type(found).__name__}")


@contextmanager
def speaking_of(key: ObjectKey) -> Iterator[None]:
    """Put the object's name before what is wrong with its shape.

    Raises:
        Malformed: What was raised inside, with the name in front.

    Example:
        >>> from connectors.kubernetes.api import Resource
        >>> decode = ObjectKey(
        ...     resource=Resource(group="apps", version="v1", plural="deployments", kind="Deployment"),
        ...     namespace="ai", name="decode")
        >>> with speaking_of(decode):
        ...     raise Malformed("expected a count at spec.replicas, found 'x'")
        Traceback (most recent call last):
        ...
        config.errors.Malformed: deployment decode: expected a count at spec.replicas, found 'x'
    """
    try:
        yield
    except Malformed as error:
        if str(key) in str(error):
            raise
        raise Malformed(f"{key}: {error}") from error
