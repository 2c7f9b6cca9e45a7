"""What is written down about a running daemon, and how is one record one line?

A line is a JSON object with `schema` (the version of this format) and `record` (which of the classes below)
before the fields of the class. `at_wall_s` is Unix time, `now_s` the monotonic clock that the values within
a record refer to; it begins anew with each process. A `Started` opens every process and every rotated file,
so that any file can be replayed alone: fold `step` over the `Stepped` records from its `state` and
`policy`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from config.errors import Malformed
from config.policy import ForecastPolicy, Policy
from connectors.base import Observation, PoolReplicas
from planner.core.decision import Decision, StepKind
from planner.core.state import State
from planner.serving.codec import from_jsonable, read_json, to_jsonable, write_json
from predictors.base import Forecast

SCHEMA = 1


class Outcome(StrEnum):
    """What became of a decision."""

    APPLIED = "applied"
    REFUSED = "refused"
    FAILED = "failed"
    ADVISORY = "advisory"
    SKIPPED = "skipped"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A process began, or a rotated file goes on (`is_continued`).

    Attributes:
        at_wall_s: When, Unix time.
        now_s: When, on the clock of the records that follow.
        version: Setpoint's version.
        target: The deployment that is scaled.
        policy: What `step` is given.
        forecast_policy: What the predictor was built from; None where forecasts come from elsewhere.
        state: What `step` is given next.
        is_continued: True at the head of a file that goes on where the rotated one ended.
    """

    at_wall_s: float
    now_s: float
    version: str
    target: str
    policy: Policy
    forecast_policy: ForecastPolicy | None
    state: State
    is_continued: bool = False
    record: Literal["started"] = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """One step, whole: its arguments and its decision.

    Attributes:
        at_wall_s: When, Unix time.
        now_s: What `step` was given as the time.
        target: The deployment that is scaled.
        kind: Tick or look.
        observation: What was seen.
        forecast: What was expected; None where none came in time.
        decision: What was decided.
        duration_s: From the beginning of the interval's work to the decision.
    """

    at_wall_s: float
    now_s: float
    target: str
    kind: StepKind
    observation: Observation
    forecast: Forecast | None
    decision: Decision
    duration_s: float
    record: Literal["stepped"] = "stepped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actuated:
    """What became of the last decision.

    Attributes:
        at_wall_s: When, Unix time.
        now_s: When, on the monotonic clock.
        target: The deployment that is scaled.
        replicas: What was asked for.
        outcome: What became of it.
        detail: Why, where it was not applied; empty if there is nothing to say.
    """

    at_wall_s: float
    now_s: float
    target: str
    replicas: tuple[PoolReplicas, ...]
    outcome: Outcome
    detail: str = ""
    record: Literal["actuated"] = "actuated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """The settings were read again.

    Attributes:
        at_wall_s: When, Unix time.
        now_s: When, on the monotonic clock.
        target: The deployment that is scaled.
        policy: What is in force from now on.
        forecast_policy: What the predictor is built from, from now on.
        state: What `step` is given next.
        problem: Why the settings before stay in force; empty if the new ones were taken.
    """

    at_wall_s: float
    now_s: float
    target: str
    policy: Policy
    forecast_policy: ForecastPolicy | None
    state: State
    problem: str = ""
    record: Literal["reloaded"] = "reloaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The process ended on purpose; where it is missing the process was killed."""

    at_wall_s: float
    now_s: float
    target: str
    cause: str
    record: Literal["stopped"] = "stopped"


Record = Started | Stepped | Actuated | Reloaded | Stopped

KINDS: dict[str, type[Record]] = {
    "started": Started,
    "stepped": Stepped,
    "actuated": Actuated,
    "reloaded": Reloaded,
    "stopped": Stopped,
}


def to_line(record: Record) -> str:
    """Write a record as one line, without the newline."""
    plain = to_jsonable(record)
    fields = plain if isinstance(plain, dict) else {}
    return write_json({"schema": SCHEMA, "record": record.record} | fields)


def from_line(line: str | bytes) -> Record:
    """Read a record from one line.

    Raises:
        Malformed: If the line is torn, of another schema, or not a record.

    Example:
        >>> line = '{"schema":1,"record":"stopped","at_wall_s":9,"now_s":1,"target":"a","cause":"TERM"}'
        >>> from_line(line)
        Stopped(at_wall_s=9.0, now_s=1.0, target='a', cause='TERM', record='stopped')
    """
    plain = read_json(line)
    if not isinstance(plain, dict):
        raise Malformed(f"expected a JSON object, found {type(plain).__name__}")
    schema = plain.get("schema")
    if schema != SCHEMA:
        raise Malformed(
            f"expected schema {SCHEMA}, found {schema!r}; read it with the Setpoint that wrote it"
        )
    kind = KINDS.get(str(plain.get("record")))
    if kind is None:
        raise Malformed(f"expected a record of {', '.join(KINDS)}, found {plain.get('record')!r}")
    return from_jsonable(kind, plain)
