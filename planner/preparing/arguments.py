"""The arguments of Dynamo's planner in a manifest, as words that `setpoint run --` takes."""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from config.dynamo.arguments import Token, own_words, tokens_of
from config.dynamo.found import Found
from config.dynamo.key import Section
from config.dynamo.layer import manifest_layer
from config.dynamo.manifests import found_in, given_arguments
from config.dynamo.nodes import Source
from config.dynamo.spelling import key_of
from config.dynamo.values import Untranslatable, is_true
from config.errors import ConfigError
from config.load import require_valid
from planner.preparing.graph import Part
from planner.preparing.text import Tree, written

PROFILE_FILES = ("prefill_raw_data.json", "decode_raw_data.json")
_LEAD = "--"
_FOLDER = "profile_results_dir"
_CONFIG = "--config"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerArguments:
    """What a planner is started with.

    Attributes:
        words: Its own arguments, without the program, and without what a shell does around them.
        is_line: Whether they stood in a line for a shell.
        found: Its keys; None if they are in a file that only its pod has.
    """

    words: tuple[str, ...]
    is_line: bool
    found: Found | None

    @property
    def is_advisory(self) -> bool | None:
        """Whether the planner was told to change nothing; None if that cannot be told."""
        if self.found is None:
            return None
        for one in reversed(self.found.planner or ()):
            key = key_of(one.name, Section.PLANNER)
            if key is not None and key.name == "advisory" and one.value is not None:
                return _truth(one.value)
        return False

    @property
    def has_folder(self) -> bool:
        """Whether they, or the configuration that they name, say where the profile is."""
        names = (
            key_of(one.name, Section.PLANNER) for one in (self.found.planner if self.found else ()) or ()
        )
        return self.found is None or any(key is not None and key.name == _FOLDER for key in names)


def context_of(objects: Iterable[Tree]) -> str:
    """Return the text in which a planner's configuration is looked for: all objects but profiled curves."""
    return written(one for one in objects if not _has_curves(one))


def arguments_of(part: Part, *, manifests: str) -> PlannerArguments:
    """Read the arguments of a planner.

    Args:
        part: The planner's service.
        manifests: The text of all that the file holds; a ConfigMap in it may hold the configuration.

    Raises:
        ConfigError: If Setpoint could not be started with them.
    """
    command, args = part.words()
    words = [*command, *args]
    is_line = any(_is_line(word) for word in words)
    own = own_words([token for word in words for token in _split(word)])
    absolute = _absolute([token.text for token in own], str(part.container().get("workingDir") or ""))
    return PlannerArguments(words=tuple(absolute), is_line=is_line, found=_found(part, absolute, manifests))


def _found(part: Part, words: Sequence[str], manifests: str) -> Found | None:
    if any(word.partition("=")[0] == _CONFIG for word in words):
        try:
            return found_in(Source(name=part.where, text=manifests))
        except ConfigError:
            return None
    found = given_arguments(tuple(words))
    try:
        require_valid(manifest_layer(found))
    except ConfigError as error:
        hint = "correct the arguments of the planner, or take it out with --planner standalone"
        raise ConfigError(str(error), key=part.where, hint=hint) from None
    return found


def _has_curves(tree: Tree) -> bool:
    data = tree.get("data")
    return isinstance(data, dict) and any(name in data for name in PROFILE_FILES)


def _is_line(word: str) -> bool:
    return not word.startswith("-") and f" {_LEAD}" in word


def _split(word: str) -> Sequence[Token]:
    return tokens_of(word) if _is_line(word) else (Token(text=word),)


def _absolute(words: list[str], folder: str) -> list[str]:
    """Return the words with the profile's folder from the root, since the planner's own folder is gone."""
    found, is_next = [], False
    for word in words:
        name, equals, value = word.partition("=")
        is_folder = _is_folder(name)
        if is_next:
            found.append(_from_root(word, folder))
        else:
            found.append(f"{name}={_from_root(value, folder)}" if is_folder and equals else word)
        is_next = is_folder and not equals
    return found


def _is_folder(name: str) -> bool:
    key = key_of(name, Section.PLANNER) if name.startswith(_LEAD) else None
    return key is not None and key.name == _FOLDER


def _from_root(path: str, folder: str) -> str:
    return path if not folder or path.startswith(("/", "$")) else posixpath.join(folder, path)


def _truth(value: object) -> bool | None:
    try:
        return is_true(value)
    except Untranslatable:
        return None
