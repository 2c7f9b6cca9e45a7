"""How a target finds what is its own: the object that is meant, the part of it, the pods of one engine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from config.errors import ConfigError, Malformed
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.discovery import discover, find_one
from connectors.kubernetes.gpus import engine_gpus
from connectors.kubernetes.meta import text
from connectors.kubernetes.podspec import arguments_of, grace_s_of, secrets_of
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import ObjectKey, Objects, Reference, TargetView


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


async def read_if_allowed(api: Api, path: str) -> Json | None:
    """Ask for an object; None if it is not there, or our rights do not reach it.

    Raises:
        ApiError: If the API server does not answer.
    """
    try:
        return await api.get(path)
    except ApiError as error:
        if error.is_missing or error.is_forbidden:
            return None
        raise


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


async def locate(api: Api, reference: Reference, *, group: str) -> ObjectKey:
    """Return the object that a reference means, in the version in which the API server serves its kind.

    Raises:
        ConfigError: If labels select none or several, or somebody else has a kind of the same name.
        ApiError: If the API server does not answer, or serves no such kind.
    """
    resource = (await discover(api, reference.kind)).resource
    if resource.group != group:
        word = reference.kind.partition(".")[0]
        raise ConfigError(
            f"{named(reference)} is of {resource.api_version}, expected {group}",
            key=reference.key,
            hint=f"write {named(replace(reference, kind=f'{word}.{group}'))}",
        )
    name = await find_one(api, resource, reference)
    return ObjectKey(resource=resource, namespace=reference.namespace, name=name)


def refuse_part(reference: Reference, *, why: str) -> None:
    """Refuse a reference that names a part of something that has none.

    Raises:
        ConfigError: If it names one.
    """
    if reference.part:
        raise ConfigError(
            f"found the part {reference.part!r} in {named(reference)}; {why}",
            key=reference.key,
            hint=f"write {named(replace(reference, part=''))}",
        )


def part_of(reference: Reference, known: Sequence[str], *, word: str) -> str:
    """Return the part that a reference means; it may be left out where there is only one.

    Args:
        reference: The reference.
        known: Names of the parts that there are.
        word: What such a part is called.

    Raises:
        ConfigError: If there is no such part, or several and none is named.
    """
    if reference.part in known:
        return reference.part
    if not reference.part and len(known) == 1:
        return known[0]
    listed = ", ".join(known) or "none"
    found = f"no {word} {reference.part!r}" if reference.part else f"no name of a {word}"
    example = named(replace(reference, part=known[0] if known else "NAME"))
    raise ConfigError(
        f"{named(reference)} has {found}", key=reference.key, hint=f"it has {listed}; write {example}"
    )


def entry_of(entries: Sequence[Json], *, field: str, name: str, path: str) -> tuple[int, Json]:
    """Return the entry of a list that a field names, and its index.

    Raises:
        Malformed: If there is none.
    """
    for index, entry in enumerate(entries):
        if text(entry, field) == name:
            return index, entry
    known = ", ".join(text(entry, field) for entry in entries) or "none"
    raise Malformed(f"expected one with {field} {name!r} in {path}, found {known}")


def with_pods(
    view: TargetView, pods: Sequence[tuple[Json, int]], templates: Mapping[str, Json] | None = None
) -> TargetView:
    """Add to a view what the pods of one engine say, each kind of pod with how many there are of it.

    Args:
        view: The rest.
        pods: The pods.
        templates: Templates of the devices that they claim, by name.
    """
    specs = [spec for spec, _ in pods]
    return replace(
        view,
        pods_per_engine=sum(count for _, count in pods),
        gpus_per_engine=engine_gpus(pods, templates).gpus,
        grace_s=min((grace_s_of(spec) for spec in specs), default=None),
        secrets=tuple(sorted({name for spec in specs for name in secrets_of(spec)})),
        arguments=tuple(word for spec in specs for word in arguments_of(spec)),
    )
