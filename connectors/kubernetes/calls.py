"""A request as it is sent, and whether it may be sent twice."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

_REVIEWS = "accessreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A request that is passed on as it is, to something behind the API server."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What came back for it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request and whether it may be repeated after it was carried out."""

    passage: Passage
    is_repeatable: bool

    @property
    def where(self) -> str:
        """Return it in words."""
        return f"{self.passage.method} {self.passage.path}"


def call_of(
    method: str,
    path: str,
    query: Mapping[str, str] | None,
    body: object = None,
    *,
    kind: str = "application/json",
) -> Call:
    """Return a request of JSON.

    Args:
        method: Its method.
        path: Its path.
        query: Its query.
        body: What it carries; None is nothing.
        kind: The content type of that.
    """
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = kind
    content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    passage = Passage(
        method=method, path=path, query=urlencode(query or {}), headers=headers, content=content
    )
    return Call(passage=passage, is_repeatable=_is_repeatable(method, path, body))


def _is_repeatable(method: str, path: str, body: object) -> bool:
    """Tell whether a request that was carried out may be sent again."""
    if method == "POST":
        return path.endswith(_REVIEWS)
    if method == "PATCH" and isinstance(body, Sequence):
        return all(step.get("op") in {"test", "replace"} for step in body if isinstance(step, Mapping))
    return True
