"""An API that notes what was asked of it, and whether rights as a Role grants them would have allowed it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from connectors.kubernetes.api import Api, Before, Json, Patch, WatchEvent
from connectors.kubernetes.target import Rule


@dataclass(frozen=True, slots=True)
class Recording:
    """An `Api` that passes everything on.

    Attributes:
        api: Who answers.
        asked: What was asked, as the verb that a Role grants and the path.
    """

    api: Api
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Read an object or a list."""
        self._note("get" if _named(path)[3] else "list", path)
        return await self.api.get(path, query)

    async def post(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Create an object."""
        self._note("create", path)
        return await self.api.post(path, body, query)

    async def put(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Replace an object."""
        self._note("update", path)
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
        self._note("patch", path)
        return await self.api.patch(path, body, kind, query, before=before)

    def watch(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        """Follow a list."""
        self._note("watch", path)
        return self.api.watch(path, query)

    async def close(self) -> None:
        """Release the connections."""
        await self.api.close()

    def _note(self, verb: str, path: str) -> None:
        # What is served at all may be asked by anybody who is known to the server.
        if "/namespaces/" in path:
            self.asked.append((verb, path))


def covers(rules: Iterable[Rule], verb: str, path: str) -> bool:
    """Tell whether rules allow a request to an object or a list in a namespace.

    Example:
        >>> rule = Rule(group="apps", resource="deployments/scale", verbs=("patch",), why="", names=("a",))
        >>> covers([rule], "patch", "/apis/apps/v1/namespaces/ai/deployments/a/scale")
        True
        >>> covers([rule], "patch", "/apis/apps/v1/namespaces/ai/deployments/a")
        False
    """
    group, plural, subresource, name = _named(path)
    resource = f"{plural}/{subresource}" if subresource else plural
    return any(
        (rule.group, rule.resource) == (group, resource)
        and verb in rule.verbs
        and (not rule.names or name in rule.names)
        for rule in rules
    )


def _named(path: str) -> tuple[str, str, str, str]:
    """Return group, plural, subresource and name of what stands at a path in a namespace."""
    head, _, tail = path.partition("/namespaces/")
    group = head.split("/")[2] if head.startswith("/apis/") else ""
    _, plural, name, subresource = (*tail.split("/"), "", "", "")[:4]
    return group, plural, subresource, unquote(name)
