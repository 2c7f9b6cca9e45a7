"""`setpoint config import`: Dynamo's settings in, a file of Setpoint's out."""

from collections.abc import Sequence
from pathlib import Path

from config.catalog import entries
from config.dynamo.found import Found
from config.dynamo.layer import manifest_layer
from config.dynamo.manifests import found_in, given_arguments, read_manifest
from config.dynamo.nodes import Source
from config.dynamo.words import as_file
from config.errors import ConfigError
from config.files import read_standard_input
from config.layers import in_lines
from config.load import require_valid
from config.units import quoted

_STANDARD_INPUT = "-"
_HINT = "name a file or - for standard input, or write -- and the planner's arguments"


def imported(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return a commented file of settings, and what has no counterpart or another meaning.

    Args:
        words: A path, `-`, or the arguments of Dynamo's planner.

    Raises:
        ConfigError: If there is nothing to import, or it cannot be used.
    """
    found = _found(tuple(words))
    layer = manifest_layer(found)
    require_valid(layer)
    secrets = tuple(
        f"{key} is not written here; set {_kept_in(key)}" for key in layer.values if entries()[key].is_secret
    )
    return as_file(found, layer), (*in_lines(layer.notes), *secrets)


def _found(words: tuple[str, ...]) -> Found:
    if not words:
        raise ConfigError("there is nothing to import", key="config import", hint=_HINT)
    if words[0].startswith("--"):
        return given_arguments(words)
    if len(words) > 1:
        raise ConfigError(f"'{quoted(words[1])}' is one too many", key="config import", hint=_HINT)
    if words[0] == _STANDARD_INPUT:
        name = "standard input"
        return found_in(Source(name=name, text=read_standard_input(name)))
    return read_manifest(Path(words[0]), given="to config import")


def _kept_in(key: str) -> str:
    file = f"{key}_file"
    return file if file in entries() else f"SETPOINT_{key.upper().replace('.', '__')}"
