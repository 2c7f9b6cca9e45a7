"""What Prometheus' query API answers, as data; whatever does not fit its format is refused here.

The format is that of `/api/v1/query` and `/api/v1/query_range` (Prometheus 2 and 3, Thanos, Mimir,
VictoriaMetrics). Numbers arrive as text and may be NaN or infinite; who uses them decides about that.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.errors import Malformed

_WORDS_CHARS = 200
_WORDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of one series; `at_wall_s` is the server's clock, seconds since the epoch."""

    at_wall_s: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One labelled series; an instant query's has one point."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The answer to one query.

    Attributes:
        series: What was found; a scalar is one series without labels.
        warnings: The server's own doubts: the answer may be partial.
    """

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()


def parse_result(content: bytes, *, expected: frozenset[str]) -> QueryResult:
    """Read an answer's body.

    Args:
        content: The body.
        expected: Result types that the caller can use: `vector`, `scalar`, `matrix`.

    Raises:
        Malformed: If it is not such an answer; the text says what was found.

    Example:
        >>> body = b'{"status":"success","data":{"resultType":"scalar","result":[5,"2"]}}'
        >>> parse_result(body, expected=frozenset({"scalar"})).series[0].points[0].value
        2.0
    """
    document = _document(content)
    if document.get("status") != "success":
        kind, text = document.get("errorType", "no error type"), document.get("error", "no error text")
        raise Malformed(f"Prometheus reports an error: {shortened(f'{kind}: {text}')}")
    data = document.get("data")
    if not isinstance(data, dict):
        raise Malformed("Prometheus' answer has no data object")
    kind = data.get("resultType")
    if not isinstance(kind, str) or kind not in expected:
        found = shortened(repr(kind))
        raise Malformed(f"expected a result of type {' or '.join(sorted(expected))}, found {found}")
    return QueryResult(series=_series(kind, data.get("result")), warnings=_warnings(document))


def number_in(result: QueryResult) -> float:
    """Return the only number of an answer; NaN if there is none."""
    return result.series[0].points[0].value if result.series else math.nan


def by_bound(result: QueryResult) -> tuple[tuple[float, float], ...]:
    """Return the counts of a histogram's buckets by their upper bound, ascending."""
    found = ((float(one.labels["le"]), one.points[0].value) for one in result.series if one.labels.get("le"))
    return tuple(sorted(found))


def labels_in(result: QueryResult, label: str) -> tuple[str, ...]:
    """Return the values of a label in an answer, sorted, without the empty one."""
    return tuple(sorted({value for series in result.series if (value := series.labels.get(label, ""))}))


def shortened(text: str) -> str:
    """Return the beginning of a server's words: they end up in each record of an outage."""
    return text if len(text) <= _WORDS_CHARS else text[:_WORDS_CHARS] + "…"


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        start = content[:80].decode("utf-8", errors="replace")
        if start.startswith("{"):
            found = f"{len(content)} bytes that break off or are spoiled: {start!r}"
            raise Malformed(f"expected JSON, found {found}") from error
        raise Malformed(f"expected JSON, found {start!r}; is this the address of a Prometheus?") from error
    if not isinstance(document, dict):
        raise Malformed(f"expected a JSON object, found {type(document).__name__}")
    return document


def _warnings(document: dict[str, Any]) -> tuple[str, ...]:
    found = document.get("warnings") or []
    texts = [str(text) for text in found[:_WORDS]] if isinstance(found, list) else [str(found)]
    if document.get("isPartial") is True:  # VictoriaMetrics, whose clusters answer without a storage node
        texts.append("the server marks it as partial")
    return tuple(shortened(text) for text in texts)


def _series(kind: str, result: object) -> tuple[Series, ...]:
    if not isinstance(result, list):
        raise Malformed(f"expected a list of results, found {type(result).__name__}")
    if kind == "scalar":
        return (Series(labels={}, points=(_point(result),)),)
    return tuple(_one_series(item, "value" if kind == "vector" else "values") for item in result)


def _one_series(item: object, key: str) -> Series:
    if not isinstance(item, dict) or not isinstance(item.get("metric"), dict):
        raise Malformed(f"expected a series with its labels, found {str(item)[:80]}")
    if key not in item:
        found = "a native histogram" if "histogram" in item or "histograms" in item else "none"
        raise Malformed(f"expected a series with a {key}, found {found}")
    raw = [item[key]] if key == "value" else item[key]
    if not isinstance(raw, list) or not raw:
        raise Malformed(f"expected a list of samples, found {str(raw)[:80]}")
    labels = {str(name): str(value) for name, value in item["metric"].items()}
    return Series(labels=labels, points=tuple(_point(pair) for pair in raw))


def _point(pair: object) -> Point:
    if not isinstance(pair, list) or len(pair) != len(("time", "value")):
        raise Malformed(f"expected a sample of time and value, found {str(pair)[:80]}")
    at_wall_s, value = pair
    try:
        return Point(at_wall_s=float(at_wall_s), value=float(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise Malformed(f"expected a sample of time and value, found {str(pair)[:80]}") from error
