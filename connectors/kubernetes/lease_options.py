"""How is leadership agreed on, by whom, and what is told of it?"""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from config.kubernetes import Election

_IDENTITY_BYTES = 4


class LeaseNews(StrEnum):
    """What changed."""

    LEADS = "leads"
    FOLLOWS = "follows"
    LOST = "lost"
    UNGUARDED = "unguarded"
    TROUBLE = "trouble"


Listener = Callable[[LeaseNews, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOptions:
    """How leadership is agreed on.

    Attributes:
        namespace: Where the Lease is.
        name: Its name.
        identity: This process, unlike every other; `identity_of` makes one.
        duration_s: A leader that does not renew for so long is replaced.
        election: With `AUTO`, a process without the rights goes on alone and says so; with `ON` it ends.
    """

    namespace: str
    name: str
    identity: str
    duration_s: float = 10.0
    election: Election = Election.AUTO


def identity_of(pod: str = "") -> str:
    """Return an identity that no other process has, nor this pod (without one: host) after a restart."""
    return f"{pod or socket.gethostname()}_{secrets.token_hex(_IDENTITY_BYTES)}"
