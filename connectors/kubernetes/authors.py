"""Who changed the replicas of a target, and does somebody keep doing it?

The API server writes down who changed which fields of an object, and when; not always where the change came
by the scale subresource, so that who stood there before is not blamed. A change that is not ours is adopted
and told once; when somebody else keeps changing what we change, the pool is left alone for a while
instead of fought over.
"""

from collections.abc import Callable, Iterable

from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import FIELD_MANAGER, Json
from connectors.kubernetes.paths import items, member, text
from connectors.kubernetes.pending import Pending

_CHANGES = 3
_WITHIN_S = 600.0


def author_of(item: Json) -> str:
    """Return who last wrote something else than the status of an object; empty if it does not say.

    Example:
        >>> author_of({"metadata": {"managedFields": [
        ...     {"manager": "helm", "time": "2026-01-01T00:00:00Z"},
        ...     {"manager": "kubectl", "time": "2026-01-02T00:00:00Z"},
        ...     {"manager": "operator", "time": "2026-01-03T00:00:00Z", "subresource": "status"}]}})
        'kubectl'
    """
    return text(_newest_owner(item), "manager")


def _newest_owner(item: Json) -> Json:
    entries = _entries(item)
    owners = [one for one in entries if _owns_replicas(member(one, "fieldsV1"))] or entries
    nobody: Json = {}
    return max(owners, key=lambda one: text(one, "time"), default=nobody)


def owners_of_replicas(item: Json) -> tuple[str, ...]:
    """Return everybody whom the API server remembers as a writer of replicas in an object."""
    owners = (text(one, "manager") for one in _entries(item) if _owns_replicas(member(one, "fieldsV1")))
    return tuple(dict.fromkeys(owner for owner in owners if owner))


def _entries(item: Json) -> list[Json]:
    return [one for one in items(item, "metadata", "managedFields") if one.get("subresource") != "status"]


def _stamp(item: Json) -> tuple[str, str]:
    owner = _newest_owner(item)
    return text(owner, "manager"), text(owner, "time")


def _owns_replicas(fields: Json) -> bool:
    return any(
        name == "f:replicas" or (isinstance(inner, dict) and _owns_replicas(inner))
        for name, inner in fields.items()
    )


class Changes:
    """What others did to the replicas of one pool.

    Args:
        pool: Its name.
        say: Takes what a user should know.

    Attributes:
        pending: What was written and is not shown yet.
    """

    def __init__(self, pool: str, *, say: Callable[[str], None]) -> None:
        self._pool, self._say = pool, say
        self.pending = Pending(pool, say=say)
        self._desired: int | None = None
        self._asked: int | None = None
        self._foreign: list[tuple[float, str]] = []
        self._owners: dict[str, tuple[str, str]] = {}

    def saw(self, objects: Iterable[Json]) -> None:
        """Take note of who wrote the objects so far: what is changed later is not their work."""
        self._owners.update({text(item, "metadata", "uid"): _stamp(item) for item in objects})

    def author(self, item: Json) -> str:
        """Return who changed an object since it was seen last; empty if the API server does not say.

        Who does the same thing again has an entry that looks as it did.
        """
        known, now = self._owners.get(text(item, "metadata", "uid")), _stamp(item)
        is_known_for_it = now[0] in {author for _, author in self._foreign}
        return author_of(item) if known != now or is_known_for_it else ""

    def asked(self, count: int) -> None:
        """Take note of what we are about to write, which may land without an answer."""
        self._asked = count

    def is_asked(self, count: int) -> bool:
        """Tell whether we wrote this and do not know whether it landed."""
        return self._asked == count

    def wrote(self, count: int) -> None:
        """Take note of what we wrote."""
        self._desired, self._asked = count, None

    def lose_patience(self, now_s: float) -> None:
        """Take what is shown for what is wanted where a write has not shown for long; nobody is blamed."""
        shown = self.pending.given_up(now_s)
        self._desired = self._desired if shown is None else shown

    def is_news(self, desired: int) -> bool:
        """Tell whether a number that was read is not the one that was known."""
        return self._desired not in {None, desired}

    def read(self, desired: int, *, author: str, now_s: float, is_standby: bool = False) -> None:
        """Take note of what was read; a change by nobody of ours is told once and counted."""
        before, self._desired = self._desired, desired
        if before is None or before == desired:
            return
        if self._asked == desired:
            self._asked = None
            return
        if is_standby or author == FIELD_MANAGER:
            return
        by = f" by {author}" if author else " by somebody else"
        self._say(f"replicas of {self._pool} changed from {before} to {desired}{by}")
        self._foreign.append((now_s, author))

    def hold(self, now_s: float) -> PoolHold | None:
        """Return why the pool is left alone; None if nobody keeps changing it."""
        self._foreign = [one for one in self._foreign if now_s - one[0] <= _WITHIN_S]
        if len(self._foreign) < _CHANGES:
            return None
        who = " and ".join(sorted({author or "somebody unnamed" for _, author in self._foreign}))
        return PoolHold(
            kind=HoldKind.RIVAL,
            why=(
                f"{who} changed the replicas {len(self._foreign)} times in {_WITHIN_S / 60.0:g} minutes;"
                f" they are left as they are until that ends"
            ),
        )
