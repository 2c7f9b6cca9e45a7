"""What was found in a manifest, a configuration or a command line of Dynamo's planner."""

from dataclasses import dataclass, field
from enum import StrEnum

from config.problems import DYNAMO_DEFAULT
from config.units import quoted


class Form(StrEnum):
    """What the planner's keys were found in, as it is called in origins."""

    REQUEST = "DGDR"
    DEPLOYMENT = "DGD"
    CONFIGURATION = "planner configuration"
    ARGUMENTS = "argument"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One key as it was written.

    Attributes:
        name: In the user's spelling.
        value: As YAML or the command line has it; not shown, since it may be a secret.
        line: The line of the file; 0 on a command line.
    """

    name: str
    value: object = field(repr=False)
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The planner's keys of one source.

    Attributes:
        form: What they were found in.
        file: What the file is called; empty for a command line.
        planner: The keys of the planner; None if there is no such section.
        sla: The keys of the targets; None if there is no such section.
        is_late: Whether it is written for Dynamo 1.x, whose planner has further defaults.
    """

    form: Form
    file: str
    planner: tuple[Written, ...] | None
    sla: tuple[Written, ...] | None = None
    is_late: bool = False

    def place(self, written: Written) -> str:
        """Return where a key was written, in words."""
        where = f"{self.file}:{written.line}" if self.file and written.line else self.file
        return " ".join(part for part in (self.form.value, where, quoted(written.name)) if part)

    @property
    def default_place(self) -> str:
        """Whose defaults hold where a key is absent, in words."""
        return f"{DYNAMO_DEFAULT} ({self.file or 'arguments'})"
