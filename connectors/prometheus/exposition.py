"""What a metrics endpoint's own text says, reduced to the families that a dialect names.

Every line is checked to look like the text format, so that a login page is not taken for a server on which
nothing happened; only the lines of known families are parsed in full. Comments are skipped: names are taken
as they are on the wire.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from config.errors import Malformed
from connectors.prometheus.dialect import Dialect

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})?\s+\S")


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of one series, under its name on the wire."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposition:
    """What one page says.

    Attributes:
        samples: The numbers of the families that the dialect names.
        models: The models that its series name.
    """

    samples: tuple[Sample, ...]
    models: frozenset[str]


def parse_exposition(content: bytes, dialect: Dialect) -> Exposition:
    """Return the samples of the families that the dialect names, and the models that are named.

    Raises:
        Malformed: If it is not the text format, or not of a server that speaks this dialect.
    """
    lines = list(_sample_lines(content))
    if not any(name.startswith(dialect.presence_prefix) for name, _ in lines):
        raise Malformed(f"no metric begins with {dialect.presence_prefix}; is this the right address?")
    if not content.endswith(b"\n"):
        # Half a number would be taken for a smaller one.
        raise Malformed(f"the page breaks off after {len(content)} bytes; expected a line feed at its end")
    kept = dialect.samples
    about = (dialect.model_prefix,) if dialect.model_prefix else ()
    wanted = "\n".join(line for name, line in lines if name in kept or name.startswith(about))
    try:
        found = [
            Sample(sample.name, sample.labels, float(sample.value))
            for family in text_string_to_metric_families(wanted)
            for sample in family.samples
        ]
    except ValueError as error:
        raise Malformed(f"a line of the metrics cannot be read: {_words(error)}") from error
    models = frozenset(sample.labels.get(dialect.model_label, "") for sample in found)
    return Exposition(
        samples=tuple(_checked(sample) for sample in found if sample.name in kept), models=models - {""}
    )


def _words(error: ValueError) -> str:
    _, separator, found = str(error).partition("could not convert string to float: ")
    return f"expected a number, found {found}" if separator else str(error)


def _checked(sample: Sample) -> Sample:
    if not math.isfinite(sample.value) or sample.value < 0.0:
        raise Malformed(f"expected a number that is not negative, found {sample.name} {sample.value:g}")
    return sample


def _sample_lines(content: bytes) -> Iterator[tuple[str, str]]:
    for line in content.decode("utf-8", errors="replace").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.match(text)
        if match is None:
            raise Malformed(f"expected the Prometheus text format, found {text[:80]!r}")
        yield match[1], text
