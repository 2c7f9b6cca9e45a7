"""What does an answer of etcd's HTTP gateway say: a document, or which refusal?"""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from config.errors import Malformed, ObservationError, Refused

# gRPC status codes, as the gateway puts them into the body of an error.
_OUT_OF_RANGE = 11
_UNAUTHENTICATED = 16
# A server's words end up in each record of an outage.
_WORDS_CHARS = 200
# By words of etcd's own refusals.
_WHAT_TO_DO = {
    "user name is empty": "set etcd.username and etcd.password",
    "authentication failed": "check etcd.username and etcd.password",
    "permission denied": "let this user read and write the planner's keys",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, read to its end."""

    url: str
    status: int
    content: bytes


class CompactedError(ObservationError):
    """The revision that was asked for is no longer kept."""


def document(answer: Answer, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON object that was answered.

    Args:
        answer: What came.
        secrets: What no error may repeat.

    Raises:
        Malformed: If it is none, or not from etcd's gateway.
        CompactedError: If the past that was asked for is no longer kept.
        Refused: If etcd said no.
    """
    if answer.status == HTTPStatus.OK:
        body = _json(answer)
        if isinstance(body, dict):
            return body
        raise Malformed(f"expected a JSON object from {answer.url}, found {message(answer, secrets)!r}")
    words = message(answer, secrets)
    if answer.status == HTTPStatus.NOT_FOUND:
        raise Malformed(
            f"{answer.url} is not etcd's HTTP gateway (HTTP 404); expected etcd 3.4 or newer there"
        )
    if _code(answer) == _OUT_OF_RANGE:
        raise CompactedError(words)
    hint = next((f"; {what}" for said, what in _WHAT_TO_DO.items() if said in words), "")
    path = urlsplit(answer.url).path
    raise Refused(f"etcd said no at {path}: {words} (HTTP {answer.status}){hint}")


def message(answer: Answer, secrets: tuple[str, ...] = ()) -> str:
    """Return the server's own words, cut short and without the secrets."""
    body = _json(answer)
    found = body.get("error") or body.get("message") if isinstance(body, dict) else None
    text = str(found or answer.content.decode(errors="replace"))
    for secret in secrets:
        text = text.replace(secret, "***")
    return text[:_WORDS_CHARS].strip() or "no words"


def is_token_rejected(answer: Answer) -> bool:
    """Tell whether a new login may help: the token expired, or rights were changed since it was made."""
    if answer.status == HTTPStatus.OK:
        return False
    return _code(answer) == _UNAUTHENTICATED or "revision of auth store" in message(answer)


def _json(answer: Answer) -> object:
    try:
        found: object = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    return found


def _code(answer: Answer) -> int | None:
    body = _json(answer)
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else None
