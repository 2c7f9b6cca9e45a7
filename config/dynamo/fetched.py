"""A manifest of Dynamo's that is not a file: what was read of a cluster, or the arguments of a planner."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.dynamo.found import Found, Written
from config.dynamo.layer import manifest_layer
from config.dynamo.manifests import found_in, given_arguments, read_manifest
from config.dynamo.nodes import Source
from config.layers import Given, Layer, Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A manifest that was read of a cluster.

    Attributes:
        name: What it is called in origins, such as `llm/qwen-sla (cluster)`.
        text: The manifest; not shown, since it may hold secrets.
        learned: What else the cluster tells, by dotted key; it wins over the manifest.
        notes: What the user should know of it.
    """

    name: str
    text: str = field(repr=False)
    learned: Mapping[str, Given] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


# A file, what was read of a cluster, or the words of a command line.
Manifest = Path | Fetched | tuple[str, ...]


def manifest_layers(manifest: Manifest) -> Iterator[Layer]:
    """Yield what a manifest gives, the weakest first.

    Raises:
        ConfigError: If it cannot be read, or holds nothing of Dynamo's planner.
    """
    if isinstance(manifest, Path):
        yield manifest_layer(read_manifest(manifest))
    elif isinstance(manifest, Fetched):
        found = found_in(Source(name=manifest.name, text=manifest.text))
        layer = manifest_layer(_without_lines(found))
        settled = manifest.learned.keys()
        yield replace(layer, notes=tuple(note for note in layer.notes if note.settled_by not in settled))
        yield Layer(values=manifest.learned, notes=manifest.notes)
    else:
        yield manifest_layer(given_arguments(manifest))


def called(manifest: Manifest | None) -> Path | str | None:
    """Return what a manifest is called; None if there is none."""
    if isinstance(manifest, Fetched):
        return f"DGDR {manifest.name}"
    return "the planner's arguments" if isinstance(manifest, tuple) else manifest


def _without_lines(found: Found) -> Found:
    """Return the keys without their lines, which nobody can look up in a cluster."""
    planner = _lineless(found.planner)
    return replace(found, planner=planner, sla=_lineless(found.sla))


def _lineless(written: tuple[Written, ...] | None) -> tuple[Written, ...] | None:
    return None if written is None else tuple(replace(one, line=0) for one in written)
