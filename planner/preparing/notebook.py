"""What was done to a deployment, and what is worth knowing, in words."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Notebook:
    """Collects one line each.

    Attributes:
        changes: What was changed.
        notes: What was left as it is, or what is to be done by hand.
    """

    changes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def changed(self, part: str, what: str) -> None:
        """Write down a change of a service."""
        self.changes.append(f"{part}: {what}")

    def noted(self, part: str, what: str) -> None:
        """Write down what is worth knowing of a service."""
        self.notes.append(f"{part}: {what}")
