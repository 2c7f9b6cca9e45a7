"""Which objects of the API server are meant, a list of them or the one of a name, and what all of them are.

A list that is cut into pages is read to its end, and what is no list is not taken for an empty one: objects
that are left out would look like engines that are gone.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from connectors.kubernetes.answers import MALFORMED
from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.paths import at, items, name_of, text
from connectors.kubernetes.target import ObjectKey

# A page of pods is some megabytes; the whole of a large fleet at once would be felt.
_PAGE = 250


def _as_it_is(item: Json) -> Json:
    return item


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is mirrored.

    Attributes:
        path: Where the list is.
        selector: Label selector; empty is all.
        name: The only object that counts, which may be read by itself; empty is all.
        kept: Returns what is remembered of an object.
    """

    path: str
    selector: str = ""
    name: str = ""
    kept: Callable[[Json], Json] = _as_it_is

    @classmethod
    def of_object(cls, key: ObjectKey) -> "Listing":
        """Return the list that has nothing but one object."""
        return cls(path=key.resource.path(key.namespace), name=key.name)

    @property
    def query(self) -> Mapping[str, str]:
        """Return what selects it."""
        labels = {"labelSelector": self.selector} if self.selector else {}
        return {**labels, "fieldSelector": f"metadata.name={self.name}"} if self.name else labels

    def __str__(self) -> str:
        """Return the path, with the name where there is one."""
        return f"{self.path}/{self.name}" if self.name else self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a list had.

    Attributes:
        objects: The objects by name.
        version: The resource version of the list.
    """

    objects: Mapping[str, Json]
    version: str


async def list_all(api: Api, listing: Listing) -> Listed:
    """Ask for a list, and for its further pages where it has some.

    Raises:
        ApiError: If there is no answer, or it is no list.
    """
    found: dict[str, Json] = {}
    version = ""
    query = {**listing.query, **({} if listing.name else {"limit": str(_PAGE)})}
    async for page in pages(api, listing.path, query):
        found |= {name_of(item): listing.kept(item) for item in items(page, "items")}
        version = text(page, "metadata", "resourceVersion")
    return Listed(objects=found, version=version)


async def pages(api: Api, path: str, query: Mapping[str, str]) -> AsyncIterator[Json]:
    """Yield the pages of a list, one if the API server does not cut it.

    Raises:
        ApiError: If there is no answer, or it is no list.
    """
    asked = dict(query)
    while True:
        page = await api.get(path, asked)
        _check(page, path)
        yield page
        asked["continue"] = text(page, "metadata", "continue")
        if not asked["continue"]:
            return


def _check(page: Json, path: str) -> None:
    version, found = text(page, "metadata", "resourceVersion"), at(page, "items")
    if not version or not (found is None or isinstance(found, list)):
        raise ApiError(
            f"expected a list with a resource version as the answer to GET {path}, found another document;"
            f" is this the address of a Kubernetes API server?",
            status=HTTPStatus.OK,
            reason=MALFORMED,
        )
