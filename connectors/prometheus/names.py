"""Whether what the settings name is there at all, or is misspelled.

A model that nobody asked for yet has no series, and neither has one that is misspelled. The first is idle,
the second would make a busy frontend look idle. They differ in what else is there: where a frontend names
models and ours is not among them, nothing is known about ours.
"""

import difflib
from collections.abc import Collection, Iterable

from connectors.base import Unknown
from connectors.prometheus.dialect import Dialect, Scope
from connectors.prometheus.vectors import Outcome, by_target

_NAMED = 3
# Of more names than this, only the first are compared: an error text is not worth a slow tick.
_COMPARED = 500
_NAME_CHARS = 80


def names_in(outcome: Outcome, label: str) -> frozenset[str] | Unknown:
    """Return the values of a label in an answer that counts series by it; no value is an empty one."""
    counts = by_target(outcome)
    if isinstance(outcome, Unknown) or isinstance(counts, Unknown):
        return outcome if isinstance(outcome, Unknown) else Unknown(why="a count of series makes no sense")
    return frozenset(series.labels.get(label, "") for series in outcome.series)


def doubt_about_model(names: Collection[str], *, scope: Scope, dialect: Dialect) -> Unknown | None:
    """Return why nothing is known of the model; None if it is there, if no model is, or if all models count.

    Args:
        names: The models that the frontends name.
        scope: Whose model counts, in whatever case.
        dialect: What the serving stack exports.

    Example:
        >>> from connectors.prometheus.dialects.dynamo import dynamo
        >>> doubt = doubt_about_model(["llama"], scope=Scope(model="lama"), dialect=dynamo())
        >>> doubt.why if doubt else None
        "no series of model 'lama'; the frontend has: llama"
        >>> doubt_about_model(["llama"], scope=Scope(model="LLAMA"), dialect=dynamo()) is None
        True
    """
    ours = scope.of_model(dialect)
    known = {name for name in names if name}
    if not ours or not known:
        return None
    if any(all(matcher.accepts({dialect.model_label: name}) for matcher in ours) for name in known):
        return None
    wanted = scope.model or ""
    return Unknown(why=f"no series of model {wanted!r}; the frontend has: {_nearest(wanted, known)}")


def doubt_about_namespace(names: Collection[str], *, scope: Scope, dialect: Dialect) -> Unknown | None:
    """Return which namespaces there are instead of ours; None if that does not explain why no target matches.

    Args:
        names: The namespaces of the frontends, an empty one where a frontend has none.
        scope: Which namespace counts.
        dialect: What the serving stack exports.

    Example:
        >>> from connectors.prometheus.dialects.dynamo import dynamo
        >>> doubt = doubt_about_namespace(["prod"], scope=Scope(namespace="prd"), dialect=dynamo())
        >>> doubt.why if doubt else None
        "no scrape target has dynamo_namespace 'prd'; the frontends have: prod"
    """
    wanted = scope.namespace
    if wanted is None or wanted in names or not names:
        return None
    known = {name for name in names if name}
    found = f"have: {_nearest(wanted, known)}" if known else "that are scraped have no such label"
    return Unknown(why=f"no scrape target has {dialect.namespace_label} {wanted!r}; the frontends {found}")


def _nearest(wanted: str, names: Iterable[str]) -> str:
    """Return the names that look most like what is wanted, as words."""
    known = sorted(names)
    nearest = sorted(known[:_COMPARED], key=lambda name: (-_likeness(wanted, name), name))
    more = ", …" if len(known) > _NAMED else ""
    return ", ".join(_shown(name) for name in nearest[:_NAMED]) + more


def _likeness(wanted: str, name: str) -> float:
    return difflib.SequenceMatcher(a=name.lower(), b=wanted.lower(), autojunk=False).ratio()


def _shown(name: str) -> str:
    text = name if name.isprintable() else repr(name)
    return text if len(text) <= _NAME_CHARS else text[:_NAME_CHARS] + "…"
