"""What does the daemon answer to which address?

Plain functions from path and query to an answer, without a server: `planner.serving.server` puts them on a
socket. Everything is read-only, and no answer grows without bound.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from planner.core.decision import StepKind
from planner.serving.codec import to_json
from planner.serving.journal import Journal
from planner.serving.metrics import CONTENT_TYPE, Metrics
from planner.serving.records import Stepped
from planner.serving.status import DecisionView, Explain, Headline, Health, StatusBoard, view

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

DEFAULT_LIMIT = 20
# A larger answer would keep the loop from its work for longer than a tick may wait.
MOST_LIMIT = 50

INDEX = """\
Setpoint {version}, scaling {target}

/api/v1/state       what the daemon sees, expects and decided, as JSON
/api/v1/decisions   the newest decisions with their reasons, as JSON; ?limit= ?since= ?kind=
/metrics            series for Prometheus
/healthz            200 while the loop ticks
/readyz             200 once a decision was made on good data
"""

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request was not answered, and what would be."""

    error: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The newest decisions, oldest first.

    Attributes:
        decisions: As many as were asked for.
        is_cut: True if there are older ones in memory that the limit left out.
    """

    decisions: tuple[DecisionView, ...]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    limit: int = DEFAULT_LIMIT
    since_wall_s: float = -math.inf
    kind: StepKind | None = None


class Api:
    """The addresses of one daemon.

    Args:
        board: What is known now.
        journal: Where recent decisions are.
        metrics: The series for Prometheus.
        explain: Renders a decision's reasons, one sentence each.
        headline: Renders a decision in one line.
    """

    def __init__(
        self,
        *,
        board: StatusBoard,
        journal: Journal,
        metrics: Metrics,
        explain: Explain,
        headline: Headline,
    ) -> None:
        self._board = board
        self._journal = journal
        self._metrics = metrics
        self._explain = explain
        self._headline = headline
        self._routes: Mapping[str, Callable[[Query], Answer]] = {
            "/": self._index,
            "/metrics": self._page,
            "/healthz": lambda _: _health(self._board.alive()),
            "/readyz": lambda _: _health(self._board.ready(self._explain)),
            "/api/v1/state": self._state,
            "/api/v1/decisions": self._decisions,
        }

    def get(self, path: str, query: Query = ()) -> Answer:
        """Answer a GET."""
        route = self._routes.get(path if path == "/" else path.rstrip("/"))
        if route is None:
            return problem(
                404, f"there is nothing at {path[:100]}", hint=f"try one of {', '.join(self._routes)}"
            )
        return route(query)

    def _index(self, _: Query) -> Answer:
        text = INDEX.format(version=self._board.version, target=self._board.target)
        return Answer(status=200, content_type=TEXT, body=text.encode())

    def _page(self, _: Query) -> Answer:
        return Answer(status=200, content_type=CONTENT_TYPE, body=self._metrics.render())

    def _state(self, _: Query) -> Answer:
        return _json(200, self._board.status(explain=self._explain, headline=self._headline))

    def _decisions(self, query: Query) -> Answer:
        try:
            wanted = _parse(query)
        except ValueError as error:
            return problem(
                400, str(error), hint="the parameters are limit, since and kind, each at most once"
            )
        steps = [
            record
            for record in self._journal.recent()
            if isinstance(record, Stepped)
            and record.at_wall_s > wanted.since_wall_s
            and wanted.kind in {None, record.kind}
        ]
        views = [
            view(step, explain=self._explain, headline=self._headline) for step in steps[-wanted.limit :]
        ]
        return _json(200, Decisions(decisions=tuple(views), is_cut=len(steps) > wanted.limit))


def problem(status: int, error: str, *, hint: str = "") -> Answer:
    """Make the answer to a request that cannot be served."""
    return _json(status, Problem(error=error, hint=hint))


def _json(status: int, value: object) -> Answer:
    return Answer(status=status, content_type=JSON, body=to_json(value).encode() + b"\n")


def _health(health: Health) -> Answer:
    text = health.why or "ok"
    return Answer(
        status=200 if health.is_ok else 503, content_type=TEXT, body=f"{text}\n".encode(errors="replace")
    )


def _parse(query: Query) -> _Filter:
    given = dict(query)
    if len(given) < len(query):
        raise ValueError("a parameter is given twice")
    unknown = sorted(set(given) - {"limit", "since", "kind"})
    if unknown:
        raise ValueError(f"unknown parameter {unknown[0][:40]!r}")
    return _Filter(
        limit=_limit(given.get("limit", str(DEFAULT_LIMIT))),
        since_wall_s=_since(given["since"]) if "since" in given else -math.inf,
        kind=_kind(given["kind"]) if "kind" in given else None,
    )


def _limit(text: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,4}", text) and int(text) <= MOST_LIMIT:
        return int(text)
    raise ValueError(f"limit: expected a whole number from 1 to {MOST_LIMIT}, found {text[:40]!r}")


def _since(text: str) -> float:
    message = f"since: expected Unix time in seconds, found {text[:40]!r}"
    try:
        at_wall_s = float(text)
    except ValueError:
        raise ValueError(message) from None
    if not math.isfinite(at_wall_s):
        raise ValueError(message)
    return at_wall_s


def _kind(text: str) -> StepKind:
    try:
        return StepKind(text)
    except ValueError:
        raise ValueError(f"kind: expected tick or look, found {text[:40]!r}") from None
