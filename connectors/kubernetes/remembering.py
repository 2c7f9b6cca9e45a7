"""An API server whose kinds are asked for once: several targets are found by the same lists."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from connectors.kubernetes.api import Api, ApiError, Before, Json, Patch, WatchEvent


@dataclass(slots=True)
class Remembering:
    """An `Api` that asks what is served only once, for the time in which targets are found."""

    api: Api
    _known: dict[str, Json | ApiError] = field(default_factory=dict)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Read an object or a list."""
        if query or not _is_discovery(path):
            return await self.api.get(path, query)
        if path not in self._known:
            try:
                self._known[path] = await self.api.get(path)
            except ApiError as error:
                if not error.is_missing:
                    raise
                self._known[path] = error
        found = self._known[path]
        if isinstance(found, ApiError):
            raise found
        return found

    async def post(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Create an object, or ask for a review."""
        return await self.api.post(path, body, query)

    async def put(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Replace an object."""
        return await self.api.put(path, body, query)

    async def patch(
        self,
        path: str,
        body: object,
        kind: Patch,
        query: Mapping[str, str] | None = None,
        *,
        before: Before | None = None,
    ) -> Json:
        """Change part of an object."""
        return await self.api.patch(path, body, kind, query, before=before)

    def watch(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        """Follow a list from a resource version on."""
        return self.api.watch(path, query)

    async def close(self) -> None:
        """Release the connections."""
        await self.api.close()


def _is_discovery(path: str) -> bool:
    depth = len(path.strip("/").split("/"))
    return path == "/api/v1" or (path.startswith("/apis") and depth <= len(("apis", "group", "version")))
