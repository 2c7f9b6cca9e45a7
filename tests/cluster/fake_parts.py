"""The rules of the Kubernetes API that the fake one keeps: paths, selectors, patches."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from connectors.kubernetes.api import ApiError

Json = dict[str, Any]
_REQUIREMENT = re.compile(r"(?P<key>[^\s=!,()]+)\s+(?P<how>in|notin)\s+\((?P<values>[^)]*)\)")
_SEPARATOR = re.compile(r",(?![^(]*\))")


def no(status: int, reason: str, message: str) -> NoReturn:
    raise ApiError(message, status=status, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a path means; the objects of all versions of a group are the same ones."""

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str

    @property
    def kind(self) -> tuple[str, str]:
        return self.group, self.plural

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.group, self.plural, self.namespace, self.name

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def holds(self, key: tuple[str, str, str, str]) -> bool:
        """Tell whether an object is in the list that stands at this place."""
        return key[:2] == self.kind and self.namespace in {"", key[2]}


def place_of(path: str) -> Place:
    words = path.strip("/").split("/")
    head = 2 if words[0] == "api" else 3
    if words[0] not in {"api", "apis"} or len(words) <= head:
        no(404, "NotFound", "the server could not find the requested resource")
    group = "" if words[0] == "api" else words[1]
    version, rest = words[head - 1], words[head:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return Place(
        group=group,
        version=version,
        namespace=namespace,
        plural=plural,
        name=name,
        subresource=subresource,
    )


def is_selected(item: Json, query: Mapping[str, str]) -> bool:
    labels = item["metadata"].get("labels") or {}
    return all(_has(labels, part) for part in _parts(query.get("labelSelector", ""))) and all(
        _has(_Fields(item), part) for part in _parts(query.get("fieldSelector", ""))
    )


def _parts(selector: str) -> Sequence[str]:
    return [part.strip() for part in _SEPARATOR.split(selector) if part.strip()]


def _has(values: Mapping[str, str], part: str) -> bool:
    if match := _REQUIREMENT.fullmatch(part):
        listed = {value.strip() for value in match["values"].split(",")}
        return (values.get(match["key"]) in listed) is (match["how"] == "in")
    if "!=" in part:
        key, _, value = part.partition("!=")
        return values.get(key.strip()) != value.strip()
    if "=" in part:
        key, _, value = part.replace("==", "=").partition("=")
        return values.get(key.strip()) == value.strip()
    return part[1:] not in values if part.startswith("!") else part in values


class _Fields(dict[str, str]):
    """Fields of an object by their dotted names."""

    def __init__(self, item: Json) -> None:
        super().__init__()
        self._walk(item, "")

    def _walk(self, value: object, name: str) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                self._walk(one, f"{name}.{key}".strip("."))
        elif isinstance(value, str | int):
            self[name] = str(value)


def merged(target: Json, patch: object) -> Json:
    """Apply a merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        no(400, "BadRequest", "a merge patch is an object")
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            inner = result.get(key)
            result[key] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def patched(target: Json, operations: object) -> Json:
    """Apply a JSON patch (RFC 6902): test, add, replace and remove."""
    if not isinstance(operations, Sequence) or isinstance(operations, str):
        no(400, "BadRequest", "a JSON patch is a list of operations")
    result = copy.deepcopy(target)
    for operation in operations:
        _operate(result, operation)
    return result


def _operate(document: Json, operation: Json) -> None:
    pointer = operation["path"]
    *way, last = [word.replace("~1", "/").replace("~0", "~") for word in pointer.split("/")[1:]]
    parent: Any = document
    try:
        for word in way:
            parent = parent[int(word)] if isinstance(parent, list) else parent[word]
        _apply(parent, last, operation)
    except (KeyError, IndexError, ValueError, TypeError):
        no(422, "Invalid", f"the server rejected our request: {operation['op']} {pointer}: no such path")


def _apply(parent: Json, last: str, operation: Json) -> None:
    at: Any = last
    if isinstance(parent, list):
        at = len(parent) if last == "-" else int(last)
    match operation["op"]:
        case "test":
            if parent[at] != operation["value"]:
                no(422, "Invalid", f"the server rejected our request: test of {operation['path']}")
        case "add" if isinstance(parent, list):
            parent.insert(at, copy.deepcopy(operation["value"]))
        case "add":
            parent[at] = copy.deepcopy(operation["value"])
        case "replace":
            _ = parent[at]
            parent[at] = copy.deepcopy(operation["value"])
        case "remove":
            del parent[at]
        case other:
            no(400, "BadRequest", f"the fake API server does not know the operation {other}")


def scale_of(item: Json, place: Place) -> Json:
    """Return the scale subresource of an object."""
    status = item.get("status", {})
    selector = status.get("selector") or status.get("hpaPodSelector") or _selector_of(item)
    shown: Json = {"replicas": status.get("replicas", 0)}
    if selector:
        shown["selector"] = selector
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {name: item["metadata"][name] for name in names if name in item["metadata"]},
        "spec": {"replicas": item.get("spec", {}).get("replicas", 1 if place.group == "apps" else 0)},
        "status": shown,
    }


def _selector_of(item: Json) -> str:
    selector = item.get("spec", {}).get("selector")
    labels = selector.get("matchLabels", {}) if isinstance(selector, dict) else {}
    return ",".join(f"{key}={value}" for key, value in labels.items())
