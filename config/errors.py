"""What can go wrong, as one tree; figures are attributes, so that nobody parses text.

The tree:

SetpointError
  ├─ ConfigError            the user's file or flags
  ├─ ObservationError       what we read cannot be used
  │    ├─ Unreachable       no answer in time
  │    ├─ Malformed         an answer that we cannot read
  │    └─ Stale             older than the policy allows
  ├─ ForecastError          the chosen model gave no forecast, or one that is not its newest
  ├─ ActuationError         what we asked was not done
  │    ├─ Refused           authorization, quota, validation: do not retry
  │    ├─ Conflict          somebody else changed it: read again, then retry
  │    └─ Standby           another process leads: it will do it, not we
  └─ InternalError          a broken invariant: ours to fix
"""


class SetpointError(Exception):
    """Any error that Setpoint raises on purpose."""


class ConfigError(SetpointError):
    """The user's settings, files or flags cannot be used.

    Attributes:
        key: The setting, flag or file at fault, as the user wrote it; empty if there is none.
        problem: What is wrong, with the value that was found.
        hint: What was expected and what to do; empty if the problem says it all.
    """

    def __init__(self, problem: str, *, key: str = "", hint: str = "") -> None:
        self.key = key
        self.problem = problem
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        """Render the error as the one line that a user reads."""
        head = f"{self.key}: {self.problem}" if self.key else self.problem
        return f"{head}; {self.hint}" if self.hint else head


class ObservationError(SetpointError):
    """Something that we read cannot be used."""


class Unreachable(ObservationError):
    """No answer came in time."""


class Malformed(ObservationError):
    """An answer came that we cannot read."""


class Stale(ObservationError):
    """An answer came that is older than the policy allows."""


class ForecastError(SetpointError):
    """The chosen model gave no forecast, or one that is not its newest.

    Attributes:
        predictor: Name of the model.
        late_intervals: Age of the forecast that serves instead; 0 if it is the newest, None if it is not the
            model's.
    """

    def __init__(self, problem: str, *, predictor: str = "", late_intervals: int | None = None) -> None:
        self.predictor = predictor
        self.late_intervals = late_intervals
        super().__init__(problem)


class ActuationError(SetpointError):
    """Something that we asked for was not done."""


class Refused(ActuationError):
    """The orchestrator said no (authorization, quota, validation); the same request would fail again."""


class Conflict(ActuationError):
    """Somebody else changed the target meanwhile; read it again, then retry."""


class Standby(ActuationError):
    """Another process of ours leads and carries decisions out; nothing is wrong."""


class InternalError(SetpointError):
    """An invariant of Setpoint's own is broken."""
