"""What is said to a Kubernetes API server, as plain data, and the protocol of whoever says it.

Objects are JSON as they came. What leaves this package is `connectors.base`'s vocabulary.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

from config.errors import SetpointError

# JSON of an object that others define; every reader checks what it takes out.
Json = Mapping[str, Any]
# What has to be so right before something is sent; it raises where it is not.
Before = Callable[[], None]
FIELD_MANAGER = "setpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of object as the API serves it.

    Attributes:
        group: Its API group; empty is the core group.
        version: The version that is used.
        plural: Its name in paths.
        kind: Its kind.

    Example:
        >>> deployments = Resource(group="apps", version="v1", plural="deployments", kind="Deployment")
        >>> deployments.path("llm", "decode", "scale")
        '/apis/apps/v1/namespaces/llm/deployments/decode/scale'
        >>> Resource(group="", version="v1", plural="nodes", kind="Node").path(None)
        '/api/v1/nodes'
    """

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """Return what stands in the object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the path of all objects, of one, or of its subresource; None is the whole cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = ("namespaces", namespace, self.plural) if namespace else (self.plural,)
        tail = tuple(part for part in (*parts, name, subresource) if part)
        return "/".join((root, *(quote(part, safe="") for part in tail)))


class Patch(StrEnum):
    """The content type of a patch."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    # Server-side apply; JSON is YAML, too.
    APPLY = "application/apply-patch+yaml"


class ApiError(SetpointError):
    """The API server said no, or nothing.

    Attributes:
        status: HTTP status; 0 if no answer came in time.
        reason: The machine's word for it, such as `NotFound`, `Expired` or `Conflict`; may be empty.
        retry_after_s: When the server asks to be tried again; None if it did not say.
    """

    def __init__(
        self, problem: str, *, status: int, reason: str = "", retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s
        super().__init__(problem)

    @property
    def is_missing(self) -> bool:
        """Tell whether there is no such object, or no such kind."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def is_forbidden(self) -> bool:
        """Tell whether our rights do not suffice."""
        return self.status == HTTPStatus.FORBIDDEN

    @property
    def is_conflict(self) -> bool:
        """Tell whether somebody else was faster, or the object exists already."""
        return self.status == HTTPStatus.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One line of a watch.

    Attributes:
        kind: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`; an `ERROR` is raised as an `ApiError` instead.
        item: The object.
    """

    kind: str
    item: Json


class Api(Protocol):
    """Who speaks to the API server: authenticated, bounded in time and rate, retried where that can help.

    Every method raises `ApiError`, and nothing else, where an answer does not come or is not a success.
    """

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Read an object or a list."""
        ...

    async def post(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Create an object, or ask for a review."""
        ...

    async def put(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Replace an object."""
        ...

    async def patch(
        self,
        path: str,
        body: object,
        kind: Patch,
        query: Mapping[str, str] | None = None,
        *,
        before: Before | None = None,
    ) -> Json:
        """Change part of an object.

        Args:
            path: The object.
            body: The change.
            kind: How it is stated.
            query: Further wishes.
            before: Called right before each time that it is sent; what it raises passes, and nothing is sent.
        """
        ...

    def watch(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        """Follow a list from a resource version on; ends when the server closes it."""
        ...

    async def close(self) -> None:
        """Release the connections."""
        ...
