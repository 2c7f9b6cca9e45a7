"""What the webhook's messages say: decisions, their keys and signatures, and the fleet that is read back.

The protocol is described for those who answer it in docs/webhook.md.

    POST <url>       {"schema_version": 1, "target": …, "decision": …, "sequence": …, "at_unix_s": …,
                      "pools": {<name>: {"role": …, "replicas": …}}}
    GET <read_url>   {"pools": {<name>: {"desired": …, "ready": …, "starting": …, "terminating": …,
                      "failing": …, "gpus_per_engine": …}}, "decision": …}

A decision's name, which is its idempotency key as well, is `<sequence>-<hash>`: the sequence is the Unix time
in milliseconds at which the wish arose, moved up where that would not be above the last one, and the hash is
of what is wished. So a name is never used for two wishes, and of two decisions the newer one is known.
"""

import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.errors import Malformed
from connectors.base import PoolState, Replicas

SCHEMA_VERSION = 1
SIGNATURE_HEADER = "Setpoint-Signature"
KEY_HEADER = "Idempotency-Key"

# More engines than that are a mistake of whoever counted.
_MOST = 1_000_000
_COUNTS = ("desired", "ready", "starting", "terminating", "failing")
_GPUS = "gpus_per_engine"
_SHOWN_CHARS = 60
_NAME = re.compile(r"(\d{1,15})-([0-9a-f]{16})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDecision:
    """One wish: its name, its place in the order of wishes, and the bytes that are sent for it."""

    name: str
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetAnswer:
    """The fleet as the receiver tells it, and the decision that it carried out last, if it says."""

    pools: Mapping[str, PoolState]
    decision: str = ""


def decision_of(
    replicas: Replicas, *, target: str, sequence: int, at_unix_s: float, name: str = ""
) -> WebhookDecision:
    """Write a wish down.

    Args:
        replicas: What is wished.
        target: Whose fleet is meant.
        sequence: Its place in the order of wishes.
        at_unix_s: When it arose.
        name: The name that the receiver knows it by already; a fresh one is made if empty.

    Example:
        >>> decision = decision_of(Replicas.of(decode=5), target="llm", sequence=7, at_unix_s=1.5)
        >>> decision.name
        '7-4e48c1bda95d37bf'
        >>> decision.body.decode().partition('"pools":')[2]
        '{"decode":{"role":"decode","replicas":5}}}'
    """
    name = name or f"{sequence}-{hash_of(replicas, target=target)}"
    document = {
        "schema_version": SCHEMA_VERSION,
        "target": target,
        "decision": name,
        "sequence": sequence,
        "at_unix_s": round(at_unix_s, 3),
        "pools": _pools(replicas),
    }
    return WebhookDecision(name=name, sequence=sequence, body=_encoded(document))


def hash_of(replicas: Replicas, *, target: str) -> str:
    """Return the part of a name that says what is wished."""
    return hashlib.sha256(_encoded([target, _pools(replicas)])).hexdigest()[:16]


def sequence_in(name: str) -> int:
    """Return the place in the order that a name tells, or 0 if it is no name of ours.

    Example:
        >>> sequence_in("1764051403123-4e48c1bda95d37bf"), sequence_in("release-7")
        (1764051403123, 0)
    """
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else 0


def signature_of(body: bytes, *, secret: str, at_unix_s: int) -> str:
    """Return the signature header's value: the time, and the HMAC-SHA256 of the time, a dot and the body.

    Example:
        >>> signature_of(b"{}", secret="key", at_unix_s=1)[:16]
        't=1,v1=1ba6b8171'
    """
    digest = hmac.new(secret.encode(), f"{at_unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_unix_s},v1={digest}"


def parse_fleet(content: bytes, *, where: str) -> FleetAnswer:
    """Read the fleet that a receiver told.

    Args:
        content: The body of its answer.
        where: The address, for the words of an error.

    Raises:
        Malformed: If it is anything but what docs/webhook.md asks for; nothing is guessed.
    """
    document = _document(content, where)
    version = document.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise Malformed(f"{where}: schema_version is {_shown(version)}; expected {SCHEMA_VERSION}")
    pools = document.get("pools")
    if not isinstance(pools, dict) or not pools:
        raise Malformed(
            f"{where}: expected an object 'pools' with at least one pool, found {_shown(pools)};"
            " see docs/webhook.md"
        )
    states = {name: _state(pool, where=f"{where}: pool {_shown(name)}") for name, pool in pools.items()}
    return FleetAnswer(pools=states, decision=_decision(document.get("decision"), where))


def _decision(found: object, where: str) -> str:
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Malformed(
            f"{where}: decision is {_shown(found)}; expected the text that was sent as decision, or null"
        )
    return found


def _document(content: bytes, where: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) < len(pairs):
            ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
            raise Malformed(f"{where}: {_shown(twice)} stands twice in one object; keep one")
        return members

    try:
        document = json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        found = _shown(content.decode("utf-8", errors="replace")) if content else "an empty body"
        raise Malformed(f"{where}: expected the fleet as JSON, found {found}") from error
    if not isinstance(document, dict):
        raise Malformed(f"{where}: expected a JSON object with 'pools', found {_shown(document)}")
    return document


def _state(pool: object, *, where: str) -> PoolState:
    if not isinstance(pool, dict):
        raise Malformed(f"{where}: expected an object with {', '.join(_COUNTS)}, found {_shown(pool)}")
    if unknown := sorted(set(pool) - {*_COUNTS, _GPUS}):
        allowed = ", ".join((*_COUNTS, _GPUS))
        raise Malformed(f"{where}: {_shown(unknown[0])} is not known; expected {allowed}")
    counts = {name: _count(pool, name, where=where) for name in _COUNTS}
    return PoolState(
        desired=counts["desired"],
        ready=counts["ready"],
        starting=counts["starting"],
        terminating=counts["terminating"],
        failing=counts["failing"],
        gpus_per_engine=None if pool.get(_GPUS) is None else _count(pool, _GPUS, where=where, least=1),
    )


def _count(pool: Mapping[str, object], name: str, *, where: str, least: int = 0) -> int:
    if name not in pool:
        raise Malformed(f"{where}: {name} is missing; expected a whole number, 0 if there are none")
    found = pool[name]
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= _MOST:
        raise Malformed(
            f"{where}: {name} is {_shown(found)}; expected a whole number from {least} to {_MOST}"
        )
    return found


def _pools(replicas: Replicas) -> dict[str, dict[str, object]]:
    return {pool.pool: {"role": pool.role.value, "replicas": pool.count} for pool in replicas.pools}


def _encoded(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _shown(found: object) -> str:
    text = repr(found)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
