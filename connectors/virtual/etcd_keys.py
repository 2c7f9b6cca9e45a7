"""What the keys of Dynamo's virtual connector say: counts, the decision and its acknowledgement.

The protocol (as of Dynamo 0.9.0), prefix `v1/<dynamo namespace>/planner/`, all values decimal text:

    num_prefill_workers   the planner's target
    num_decode_workers    the planner's target
    decision_id           the planner's: 0, 1, 2 … one more with each change of the targets
    scaled_decision_id    the environment's: the last decision that it carried out

A decision is *announced* once `decision_id` is not older than the counts. Setpoint writes all three in one
transaction; Dynamo writes the id last, so counts that are newer than the id are half a decision.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from config.errors import ConfigError, Malformed
from connectors.virtual.etcd_client import KeyValue

# Longer texts are no counts, and converting them would cost time that grows with their square.
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The four keys of one Dynamo namespace.

    Example:
        >>> Keys(dynamo_namespace="llm").decision_id
        'v1/llm/planner/decision_id'
    """

    dynamo_namespace: str

    def __post_init__(self) -> None:
        """Refuse a namespace that would name other keys."""
        if not self.dynamo_namespace or "/" in self.dynamo_namespace:
            hint = "expected the Dynamo namespace of the deployment, without a slash"
            raise ConfigError(f"found {self.dynamo_namespace!r}", key="dynamo namespace", hint=hint)

    @property
    def prefix(self) -> str:
        """What all four keys start with."""
        return f"v1/{self.dynamo_namespace}/planner/"

    @property
    def prefill(self) -> str:
        """The target of prefill engines."""
        return self.prefix + "num_prefill_workers"

    @property
    def decode(self) -> str:
        """The target of decode engines."""
        return self.prefix + "num_decode_workers"

    @property
    def decision_id(self) -> str:
        """The planner's last decision."""
        return self.prefix + "decision_id"

    @property
    def scaled_decision_id(self) -> str:
        """The last decision that the environment carried out."""
        return self.prefix + "scaled_decision_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Engines of both roles."""

    prefill: int
    decode: int

    def least(self, other: "Counts") -> "Counts":
        """Return the smaller count of each role."""
        return Counts(prefill=min(self.prefill, other.prefill), decode=min(self.decode, other.decode))

    def most(self, other: "Counts") -> "Counts":
        """Return the larger count of each role."""
        return Counts(prefill=max(self.prefill, other.prefill), decode=max(self.decode, other.decode))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key: its number, None where the key is absent, and the revision of its last write (0: absent)."""

    number: int | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All four keys at one moment."""

    prefill: Entry = field(default_factory=Entry)
    decode: Entry = field(default_factory=Entry)
    decision: Entry = field(default_factory=Entry)
    scaled: Entry = field(default_factory=Entry)

    @property
    def revisions(self) -> tuple[int, int, int]:
        """Revisions of the planner's three keys; they change with every write of a planner."""
        return self.prefill.revision, self.decode.revision, self.decision.revision

    @property
    def is_empty(self) -> bool:
        """True if no planner wrote anything yet."""
        return not any(self.revisions)

    @property
    def revision_before(self) -> int:
        """A revision before these values: before the whole decision, or before the last loose write."""
        present = [revision for revision in self.revisions if revision]
        return (min(present) if self.is_announced else max(present, default=1)) - 1

    @property
    def is_announced(self) -> bool:
        """True if the counts are a whole decision."""
        counts_revision = max(self.prefill.revision, self.decode.revision)
        is_whole = self.prefill.number is not None and self.decode.number is not None
        return is_whole and self.decision.number is not None and self.decision.revision >= counts_revision

    @property
    def is_acknowledged(self) -> bool:
        """True if the environment owes nothing; a decision that was never made needs no acknowledgement."""
        return self.is_acknowledged_by(self.scaled)

    def is_acknowledged_by(self, scaled: Entry) -> bool:
        """Tell whether this acknowledgement covers the decision."""
        if self.decision.number is None:
            return True
        return scaled.number is not None and scaled.number >= self.decision.number

    @property
    def next_decision_id(self) -> int:
        """The id of the next decision.

        Larger than the last acknowledgement as well: where the planner's keys were lost and the environment's
        was not, a lower id would count as carried out before anybody saw it.
        """
        known = (self.decision.number, self.scaled.number)
        return max((number for number in known if number is not None), default=-1) + 1

    def counts(self, absent: Counts) -> Counts:
        """Return the counts, with these in place of absent ones."""
        return Counts(
            prefill=absent.prefill if self.prefill.number is None else self.prefill.number,
            decode=absent.decode if self.decode.number is None else self.decode.number,
        )


def ledger_of(keys: Keys, stored: Iterable[KeyValue]) -> Ledger:
    """Read the four keys from what etcd returned for their prefix; other keys are ignored.

    Raises:
        Malformed: If one of the four is no decimal number, zero or more.
    """
    entries = {item.key: item for item in stored}

    def entry(key: str) -> Entry:
        found = entries.get(key)
        return Entry() if found is None else Entry(number=_number(found), revision=found.mod_revision)

    return Ledger(
        prefill=entry(keys.prefill),
        decode=entry(keys.decode),
        decision=entry(keys.decision_id),
        scaled=entry(keys.scaled_decision_id),
    )


def _number(item: KeyValue) -> int:
    text = item.value.strip()
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise Malformed(
        f"etcd key {item.key} holds {item.value[:40]!r}; "
        f"expected a whole number, zero or more, as decimal text; correct or delete the key"
    )
