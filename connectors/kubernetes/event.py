"""What does an Event look like, and a ConfigMap of our own?

Core `v1` Events with the fields of old, as every `kubectl describe` shows them: newer `events.k8s.io` ones
have no age and no sender in older clients, and cannot be counted up by somebody who may only patch.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.kubernetes.api import FIELD_MANAGER, Json
from connectors.kubernetes.builtin import CONFIG_MAPS, EVENTS
from connectors.kubernetes.target import ObjectKey

REPORTER = "setpoint"
# What the API server takes of a message, and of the name of who reports.
_MESSAGE_BYTES = 1024
_INSTANCE_BYTES = 128
_NAME_CHARACTERS = 220


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that is told once, or once more.

    Attributes:
        about: The object that it is told of; a subresource of it counts as the object.
        is_warning: Whether somebody should look at it.
        reason: One word in camel case.
        message: Words for people.
    """

    about: ObjectKey
    is_warning: bool
    reason: str
    message: str


def event(happening: Happening, *, uid: str, instance: str, wall_s: float) -> dict[str, Any]:
    """Return an Event that tells something for the first time.

    Args:
        happening: What is told.
        uid: Of the object; `kubectl describe` finds Events by it. Empty where it could not be read.
        instance: Which process tells it.
        wall_s: When, Unix time.
    """
    key = happening.about
    about: dict[str, object] = {
        "apiVersion": key.resource.api_version,
        "kind": key.resource.kind,
        "name": key.name,
        "namespace": key.namespace,
    }
    return {
        "apiVersion": "v1",
        "kind": EVENTS.kind,
        "metadata": {"name": _name(happening, instance, wall_s), "namespace": key.namespace},
        "involvedObject": about | ({"uid": uid} if uid else {}),
        "type": "Warning" if happening.is_warning else "Normal",
        "reason": happening.reason,
        "message": shortened(happening.message, _MESSAGE_BYTES),
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": shortened(instance, _INSTANCE_BYTES),
        "firstTimestamp": timestamp(wall_s),
        "lastTimestamp": timestamp(wall_s),
        "count": 1,
    }


def once_more(count: int, *, wall_s: float) -> Json:
    """Return the patch that tells an Event once more."""
    return {"count": count, "lastTimestamp": timestamp(wall_s)}


def config_map(name: str, data: Mapping[str, str]) -> dict[str, object]:
    """Return a ConfigMap of our own; as a merge patch it sets these keys."""
    labels = {"app.kubernetes.io/managed-by": FIELD_MANAGER}
    return {
        "apiVersion": "v1",
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": name, "labels": labels},
        "data": dict(data),
    }


def shortened(text: str, limit_bytes: int) -> str:
    """Return a text of at most so many bytes of UTF-8, with an ellipsis where something is missing.

    Example:
        >>> shortened("prefill 2 → 4", 12), shortened("decode", 12)
        ('prefill 2…', 'decode')
    """
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text
    return encoded[: limit_bytes - len("…".encode())].decode(errors="ignore").rstrip() + "…"


def timestamp(wall_s: float) -> str:
    """Return a time as Kubernetes' `Time` is written.

    Example:
        >>> timestamp(1_700_000_000.75)
        '2023-11-14T22:13:20Z'
    """
    return datetime.fromtimestamp(wall_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _name(happening: Happening, instance: str, wall_s: float) -> str:
    """Return a name that no other Event has; the same telling by the same process has the same."""
    words = f"{happening.about.path} {happening.reason} {happening.message} {instance} {wall_s}"
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    return f"{happening.about.name[:_NAME_CHARACTERS].rstrip('-.')}.{digest}"
