"""What does a Lease say, and how is one claimed, renewed and released?

Pure readers and writers of `coordination.k8s.io/v1` Leases, compatible with client-go's leader election: the
same fields with the same meaning, so that `kubectl get lease` reads as usual.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.kubernetes.api import Json
from connectors.kubernetes.builtin import LEASES
from connectors.kubernetes.paths import member

# What client-go leaves in a Lease that it gives up: a whole second is the least that the field takes.
_RELEASED_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """The claim that a Lease holds.

    Attributes:
        holder: Identity of the leader; empty if it was released or never held.
        duration_s: How long without a renewal others have to wait; None if it does not say.
        acquired: When its leader took it, by that one's wall clock, as the Lease has it.
        renewed: When it was last renewed, in the same way.
        transitions: How often it changed hands.
    """

    holder: str = ""
    duration_s: float | None = None
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0


def to_the_second(micro: str) -> str:
    """Return a `MicroTime` as people read it.

    Example:
        >>> to_the_second("2023-11-14T22:13:20.250000Z"), to_the_second("2023-11-14T22:13:20Z")
        ('2023-11-14T22:13:20Z', '2023-11-14T22:13:20Z')
    """
    whole, point, _ = micro.partition(".")
    return f"{whole}Z" if point else micro


def record_of(lease: Json) -> LeaseRecord:
    """Read the claim of a Lease; what is absent is empty.

    Example:
        >>> record_of({"spec": {"holderIdentity": "a", "leaseDurationSeconds": 10}}).holder
        'a'
    """
    spec = member(lease, "spec")
    seconds = _count(spec, "leaseDurationSeconds")
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        duration_s=float(seconds) if seconds else None,
        acquired=str(spec.get("acquireTime") or ""),
        renewed=str(spec.get("renewTime") or ""),
        transitions=_count(spec, "leaseTransitions"),
    )


def _count(spec: Json, name: str) -> int:
    value = spec.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def claimed(lease: Json, *, name: str, identity: str, duration_s: float, wall_s: float) -> dict[str, object]:
    """Return the Lease as its next holder writes it: a renewal if it is held already, else a change of hands.

    What others put into it stays, and so does the resource version it was read with.

    Args:
        lease: As it was read; empty if there is none.
        name: Its name.
        identity: Who claims it.
        duration_s: How long others have to wait; rounded up to whole seconds, as the field takes no others.
        wall_s: Now, Unix time.
    """
    record = record_of(lease)
    is_renewal = record.holder == identity
    now = micro_time(wall_s)
    # The first holder of a Lease takes it from nobody: client-go counts from 0, too.
    changes = 0 if is_renewal or not lease else 1
    return _with(
        lease,
        name=name,
        holderIdentity=identity,
        leaseDurationSeconds=max(1, math.ceil(duration_s)),
        acquireTime=record.acquired if is_renewal and record.acquired else now,
        renewTime=now,
        leaseTransitions=record.transitions + changes,
    )


def released(lease: Json, *, name: str, wall_s: float) -> dict[str, object]:
    """Return the Lease without a holder, so that the next one need not wait."""
    return _with(
        lease,
        name=name,
        holderIdentity="",
        leaseDurationSeconds=_RELEASED_S,
        renewTime=micro_time(wall_s),
    )


def _with(lease: Json, *, name: str, **fields: object) -> dict[str, object]:
    metadata = {**member(lease, "metadata"), "name": name}
    spec = {**member(lease, "spec"), **fields}
    head = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
    return {**lease, **head, "metadata": metadata, "spec": spec}


def micro_time(wall_s: float) -> str:
    """Return a time as Kubernetes' `MicroTime` is written.

    Example:
        >>> micro_time(1_700_000_000.25)
        '2023-11-14T22:13:20.250000Z'
    """
    return datetime.fromtimestamp(wall_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
