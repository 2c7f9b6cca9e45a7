"""What is read of the cluster for all checks: each object once, whoever asks, long lists page by page."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, TypeVar, cast

from connectors.kubernetes.api import Api, ApiError, Json
from connectors.kubernetes.listing import pages
from connectors.kubernetes.meta import items, member, text

T = TypeVar("T")
_PAGE = "500"


class Records:
    """Reads through an API and remembers.

    Args:
        api: Who asks.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self._known: dict[str, asyncio.Task[Any]] = {}

    async def once(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what was made under a key, making it at the first call; an error is remembered, too."""
        task = self._known.get(key)
        if task is None:
            task = self._known[key] = asyncio.ensure_future(make())
        return cast("T", await asyncio.shield(task))

    async def get(self, path: str) -> Json:
        """Return an object or a short list.

        Raises:
            ApiError: If it cannot be read.
        """
        return await self.once(path, lambda: _read(self.api, path))

    async def maybe(self, path: str) -> Json | None:
        """Return an object; None if there is none, or no such kind.

        Raises:
            ApiError: If it cannot be read.
        """
        try:
            return await self.get(path)
        except ApiError as error:
            if error.is_missing:
                return None
            raise

    async def kept(
        self, path: str, query: Mapping[str, str] | None = None, *, keep: Callable[[Json], T]
    ) -> tuple[T, ...]:
        """Return what is kept of each object of a list.

        Raises:
            ApiError: If it cannot be read.
        """
        found: list[T] = []
        async for page in pages(self.api, path, {**(query or {}), "limit": _PAGE}):
            found.extend(keep(item) for item in items(page, "items"))
        return tuple(found)

    async def listed(self, path: str, query: Mapping[str, str] | None = None) -> tuple[Json, ...]:
        """Return all objects of a list, remembered.

        Raises:
            ApiError: If it cannot be read.
        """
        key = f"{path}?{sorted((query or {}).items())}"
        return await self.once(key, lambda: self.kept(path, query, keep=lambda item: item))

    async def close(self) -> None:
        """End what is still being read."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)


async def _read(api: Api, path: str) -> Json:
    return await api.get(path)


def unread(error: ApiError, what: str) -> str:
    """Return in words that something could not be read.

    Example:
        >>> unread(ApiError("no", status=403), "nodes")
        'nodes may not be read (403 Forbidden)'
    """
    if error.is_forbidden:
        return f"{what} may not be read (403 Forbidden)"
    if error.status == HTTPStatus.UNAUTHORIZED:
        return f"{what} cannot be read: the credentials are not accepted (401)"
    return f"{what} cannot be read: {error}"


def labels_of(item: Json) -> Mapping[str, str]:
    """Return an object's labels."""
    return {key: str(value) for key, value in member(item, "metadata", "labels").items()}


def annotations_of(item: Json) -> Mapping[str, str]:
    """Return an object's annotations."""
    return {key: str(value) for key, value in member(item, "metadata", "annotations").items()}


def is_running(pod: Json) -> bool:
    """Tell whether a pod runs."""
    return text(pod, "status", "phase") == "Running"
