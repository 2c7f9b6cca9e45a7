"""A request as it is sent, and whether it may be sent twice."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from connectors.kubernetes.api import Before

_REVIEWS = "accessreviews"


def _go_on() -> None:
    """Let it be sent."""


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
    """A request, whether it may be sent again after it was carried out, and what has to be so each time."""

    passage: Passage
    is_repeatable: bool
    before: Before = _go_on

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
    before: Before | None = None,
) -> Call:
    """Return a request of JSON.

    Args:
        method: Its method.
        path: Its path.
        query: Its query.
        body: What it carries; None is nothing.
        kind: The content type of that.
        before: Called right before each time that it is sent.
    """
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = kind
    content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    passage = Passage(
        method=method, path=path, query=urlencode(query or {}), headers=headers, content=content
    )
    return Call(passage=passage, is_repeatable=_is_repeatable(method, path, body), before=before or _go_on)


def _is_repeatable(method: str, path: str, body: object) -> bool:
    """Tell whether a request that was carried out may be sent again."""
    if method == "POST":
        return path.endswith(_REVIEWS)
    if method == "PATCH" and isinstance(body, Sequence):
        return all(step.get("op") in {"test", "replace"} for step in body if isinstance(step, Mapping))
    return True
