"""Which objects say how many devices a pod claims by Dynamic Resource Allocation (DRA)?"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from config.errors import Malformed
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.discovery import discover
from connectors.kubernetes.gpus import claims_of
from connectors.kubernetes.objects import read_if_allowed
from connectors.kubernetes.target import ObjectKey, Objects, Rule
from connectors.kubernetes.writes import to_read

_TEMPLATES = "resourceclaimtemplates.resource.k8s.io"


async def claim_keys(api: Api, specs: Iterable[Json], *, namespace: str) -> tuple[ObjectKey, ...]:
    """Return the templates of the claims of pods; none if they have none, or the API has no such kind.

    Args:
        api: The API server.
        specs: Specifications of the pods.
        namespace: Where the pods are.

    Raises:
        ApiError: If the API server does not answer.
    """
    names = sorted({name for spec in specs for name in claims_of(spec)})
    if not names:
        return ()
    try:
        resource = (await discover(api, _TEMPLATES)).resource
    except ApiError as error:
        if not error.is_missing:
            raise
        return ()
    return tuple(ObjectKey(resource=resource, namespace=namespace, name=name) for name in names)


async def claims_in(
    api: Api, key: ObjectKey, pods: Callable[[Json], Iterable[tuple[Json, int]]]
) -> tuple[ObjectKey, ...]:
    """Return the templates of the claims of the pods that an object describes.

    An object that is not there, may not be read or cannot be understood has none: whoever views it says so.

    Args:
        api: The API server.
        key: The object.
        pods: Takes the specifications of the pods out of it.

    Raises:
        ApiError: If the API server does not answer.
    """
    item = await read_if_allowed(api, key.path)
    if item is None:
        return ()
    try:
        specs = [spec for spec, _ in pods(item)]
    except Malformed:
        return ()
    return await claim_keys(api, specs, namespace=key.namespace)


def templates_in(objects: Objects, keys: Sequence[ObjectKey]) -> Mapping[str, Json]:
    """Return those of the templates that could be read, by name."""
    return {key.name: objects[key] for key in keys if key in objects}


def claim_rules(keys: Sequence[ObjectKey]) -> tuple[Rule, ...]:
    """Return the rights to read the templates; without them the GPUs of an engine have to be set."""
    return tuple(
        rule for key in keys for rule in to_read(key, "count the GPUs that pods claim", is_needed=False)
    )
