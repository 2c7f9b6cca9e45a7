"""What the fake API server forbids, and how it answers access reviews about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectors.kubernetes.api import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A verb below a path; with a subject, only for reviews about that user."""

    verb: str
    prefix: str
    subject: str

    def applies(self, verb: str, path: str) -> bool:
        return self.verb in {"*", verb} and path.startswith(self.prefix)


def may(table: Iterable[Forbidden], attributes: Mapping[str, str], user: str) -> bool:
    """Answer a review; its attributes have no version, so the one that is forbidden counts."""
    return not any(
        rule.applies(attributes["verb"], _path(attributes, rule.prefix))
        for rule in table
        if rule.subject in {"", user}
    )


def _path(attributes: Mapping[str, str], prefix: str) -> str:
    words = prefix.strip("/").split("/")
    version = attributes.get("version", "*")
    if version in {"", "*"}:
        at = 1 if words[0] == "api" else 2
        version = words[at] if len(words) > at else "v1"
    resource = Resource(
        group=attributes.get("group", ""), version=version, plural=attributes["resource"], kind=""
    )
    subresource = attributes.get("subresource", "")
    # A review of a subresource without a name is about all objects.
    name = attributes.get("name", "") or ("*" if subresource else "")
    return resource.path(attributes.get("namespace") or None, name, subresource)
