"""Which kind of object a word names, in which version the API serves it, and which target reads it.

The API server says what it serves: `/apis` lists the groups with the version that each prefers, and a group's
version lists its resources with their short names and subresources. Nothing of that is written down here but
where to look first, since a large cluster has dozens of groups.
"""

import difflib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from config.errors import ConfigError
from connectors.kubernetes.api import Api, ApiError, Json, Resource
from connectors.kubernetes.meta import items, name_of, text
from connectors.kubernetes.reference import named
from connectors.kubernetes.remembering import Remembering
from connectors.kubernetes.target import Reference, Target, TargetBuilder

GROUP = "setpoint.targets"
_VERSION = re.compile(r"v\d+((alpha|beta)\d+)?")
_SHOWN_NAMES = 8
# Where the kinds are that people scale, so that most words are found with two or three requests.
_FIRST_GROUPS = (
    "apps",
    "nvidia.com",
    "leaderworkerset.x-k8s.io",
    "ray.io",
    "serving.kserve.io",
    "grove.io",
    "disaggregatedset.x-k8s.io",
    "orchestration.aibrix.ai",
    "argoproj.io",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A kind of object that the API serves.

    Attributes:
        resource: The kind, in the version that is preferred or was named.
        has_scale: Whether its objects have a scale subresource.
    """

    resource: Resource
    has_scale: bool


async def discover(api: Api, kind: str) -> Found:
    """Find the kind that a word names: a kind, plural, singular or short name.

    Args:
        api: The API server.
        kind: The word; a group may follow, or a version and a group: `rollouts.v1alpha1.argoproj.io`.

    Raises:
        ApiError: If the API server does not answer, or, as one that `is_missing`, serves no such kind.
    """
    return await _Search(api).find(kind.lower())


async def preferred_version(api: Api, group: str) -> str:
    """Return the version of a group that the API server prefers.

    Raises:
        ApiError: If the API server does not answer, or, as one that `is_missing`, serves no such group.
    """
    return text(await api.get(f"/apis/{group}"), "preferredVersion", "version")


async def find_one(api: Api, resource: Resource, reference: Reference) -> str:
    """Return the name of the object that a reference means; a selector has to select exactly one.

    Raises:
        ConfigError: If the selector selects none, or several.
        ApiError: If the API server does not answer.
    """
    if reference.name:
        return reference.name
    path = resource.path(reference.namespace)
    found = items(await api.get(path, {"labelSelector": reference.selector}), "items")
    names = sorted(name_of(one) for one in found)
    if len(names) == 1:
        return names[0]
    many = f"{len(names)} objects ({_listed(names)})" if names else "no object"
    problem = (
        f"{named(reference)} selects {many} in namespace {reference.namespace}; exactly one was expected"
    )
    hint = f"name it: {reference.kind}/NAME" if names else "check the labels and the namespace"
    raise ConfigError(problem, key=reference.key, hint=hint)


async def resolve(api: Api, reference: Reference) -> Target:
    """Return the target that a reference means: of its kind's own sort, or anything that can be scaled.

    Raises:
        ConfigError: If there is no such kind, it cannot be scaled, or the reference fits no object.
        ApiError: If the API server does not answer, or an object that has to be read does not exist.
    """
    remembering = Remembering(api)
    try:
        found = await discover(remembering, reference.kind)
    except ApiError as error:
        if not error.is_missing:
            raise
        raise await _unknown_kind(remembering, reference) from error
    entry = _entry_points().get(found.resource.kind.lower())
    if entry is not None:
        return await cast("TargetBuilder", entry.load())(reference, remembering)
    if not found.has_scale:
        raise _not_scalable(reference, found.resource)
    # This module is what the targets are built on, so that it cannot import them before they exist.
    from connectors.kubernetes.targets import scalable

    return await scalable.build(reference, remembering)


@dataclass(slots=True)
class _Search:
    """One walk through what the API serves; it remembers what it saw, for the error."""

    api: Api
    silent: list[str] = field(default_factory=list)

    async def find(self, kind: str) -> Found:
        word, group, version = _parted(kind)
        async for path in self._places(group, version):
            if found := await self._look(path, word):
                return found
        problem = f"the API server serves no kind {kind!r}"
        if self.silent:
            problem += f" (it did not answer for {_listed(self.silent)})"
        raise ApiError(problem, status=HTTPStatus.NOT_FOUND, reason="NotFound")

    async def _places(self, group: str | None, version: str) -> AsyncIterator[str]:
        """Yield the paths of the group versions to look in, the likely ones first."""
        if group is None:
            yield "/api/v1"
        listed = {text(one, "name"): one for one in items(await self.api.get("/apis"), "groups")}
        for name in _in_order(tuple(listed)) if group is None else (group,):
            if name in listed:
                for served in _versions(listed[name], version):
                    yield f"/apis/{name}/{served}"

    async def _look(self, path: str, word: str) -> Found | None:
        try:
            listing = await self.api.get(path)
        except ApiError as error:
            # One broken extension of the API server must not hide the other groups.
            if error.status == HTTPStatus.UNAUTHORIZED or not error.status:
                raise
            self.silent.append(path.removeprefix("/apis/"))
            return None
        resources = items(listing, "resources")
        for one in resources:
            if word in _words(one):
                return _found(text(listing, "groupVersion"), one, resources)
        return None


def _found(group_version: str, resource: Json, resources: Sequence[Json]) -> Found:
    group, _, version = group_version.rpartition("/")
    plural = text(resource, "name")
    return Found(
        resource=Resource(group=group, version=version, plural=plural, kind=text(resource, "kind")),
        has_scale=any(text(one, "name") == f"{plural}/scale" for one in resources),
    )


def _words(resource: Json) -> set[str]:
    """Return the words that mean a resource; a subresource has none."""
    plural = text(resource, "name")
    if "/" in plural:
        return set()
    short = resource.get("shortNames") or ()
    words = (text(resource, "kind").lower(), plural, text(resource, "singularName"), *short)
    return {word for word in words if word}


def _parted(kind: str) -> tuple[str, str | None, str]:
    """Split `rollouts.v1alpha1.argoproj.io` into word, group and version; no group is any."""
    word, dot, rest = kind.partition(".")
    first, _, group = rest.partition(".")
    if _VERSION.fullmatch(first):
        return word, group, first
    return word, rest if dot else None, ""


def _in_order(groups: Sequence[str]) -> tuple[str, ...]:
    first = tuple(group for group in _FIRST_GROUPS if group in groups)
    return (*first, *(group for group in groups if group not in first))


def _versions(group: Json, wanted: str) -> tuple[str, ...]:
    """Return the versions of a group to look in: the one named, else the preferred one, then the others."""
    served = tuple(text(one, "version") for one in items(group, "versions"))
    if wanted:
        return tuple(version for version in served if version == wanted)
    preferred = text(group, "preferredVersion", "version")
    return (preferred, *(version for version in served if version != preferred))


def _entry_points() -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


async def _unknown_kind(api: Api, reference: Reference) -> ConfigError:
    known = await _known_words(api)
    word = _parted(reference.kind)[0]
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    problem = f"the API server serves no kind {reference.kind!r} (in {named(reference)})"
    hint = (
        f"did you mean {' or '.join(close)}?" if close else "is its CRD installed? See kubectl api-resources"
    )
    return ConfigError(problem, key=reference.key, hint=hint)


async def _known_words(api: Api) -> list[str]:
    """Return the words for what is served in the groups that were looked at, and for our own targets."""
    words = set(_entry_points())
    for group in _FIRST_GROUPS:
        with suppress(ApiError):
            version = await preferred_version(api, group)
            for one in items(await api.get(f"/apis/{group}/{version}"), "resources"):
                words |= _words(one)
    return sorted(words)


def _not_scalable(reference: Reference, resource: Resource) -> ConfigError:
    kinds = ", ".join(sorted(_entry_points()))
    return ConfigError(
        f"{named(reference)}: a {resource.kind} of {resource.api_version} has no scale subresource",
        key=reference.key,
        hint=f"name one that has, or one of {kinds}",
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES])
    return f"{shown}, …" if len(names) > _SHOWN_NAMES else shown
