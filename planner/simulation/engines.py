"""What does one engine do with the requests that it was given? The common shape, and prefill.

A prefill engine serves one prompt at a time; its pool decides the order.
"""

import math
from collections import deque
from enum import StrEnum
from typing import Protocol

from planner.simulation.load import Request
from planner.simulation.profile import EngineTimes

NEVER_S = math.inf


class Phase(StrEnum):
    """Where an engine is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    GONE = "gone"


class Job:
    """One request on its way through the fleet; a time that has not come yet is infinite.

    Attributes:
        request: What was asked.
        prefill_start_s: When its prompt left the queue.
        prefill_end_s: When its prompt was done.
        decode_start_s: When it was admitted to a batch.
        first_token_s: When its first token came.
        finish_s: When its last token came.
    """

    __slots__ = (
        "decode_start_s",
        "finish_s",
        "first_token_s",
        "prefill_end_s",
        "prefill_start_s",
        "request",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.prefill_start_s = NEVER_S
        self.prefill_end_s = NEVER_S
        self.decode_start_s = NEVER_S
        self.first_token_s = NEVER_S
        self.finish_s = NEVER_S


class Observer(Protocol):
    """Who is told what happens to requests."""

    def started(self, job: Job, /) -> None:
        """Note that a request arrived."""
        ...

    def first_token(self, job: Job, /) -> None:
        """Note that a request got its first token."""
        ...

    def gaps(self, tokens: int, gap_s: float) -> None:
        """Note that so many tokens came, each so long after the one before it."""
        ...

    def finished(self, job: Job, /) -> None:
        """Note that a request got its last token."""
        ...


class Engine(Protocol):
    """What a pool needs of its engines.

    Attributes:
        phase: Where it is in its life.
        waiting: Requests that were routed to it and wait.
        load_tokens: Size of all that it was given and has not finished.
        next_s: When something happens next; infinite if nothing will.
        running: How many requests it works on.
    """

    phase: Phase
    waiting: deque[Job]
    load_tokens: int
    next_s: float

    @property
    def running(self) -> int:
        """How many requests it works on."""
        ...

    def weight_tokens(self, job: Job) -> int:
        """Return what a request adds to the load."""
        ...

    def accepts(self, job: Job, /) -> bool:
        """Tell whether it can begin this request now."""
        ...

    def begin(self, job: Job, now_s: float) -> None:
        """Begin a request that it accepts."""
        ...

    def take_done(self, now_s: float) -> list[Job]:
        """Do what was due at `next_s`, which is now, and hand over what is done here."""
        ...

    def look(self, now_s: float) -> None:
        """Report what happened up to now and was not reported yet."""
        ...


class PrefillEngine:
    """One prompt at a time."""

    def __init__(self, times: EngineTimes) -> None:
        self.phase = Phase.STARTING
        self.waiting: deque[Job] = deque()
        self.load_tokens = 0
        self.next_s = NEVER_S
        self._prefill_s = times.prefill_s
        self._job: Job | None = None

    @property
    def running(self) -> int:
        """One or none."""
        return 0 if self._job is None else 1

    def weight_tokens(self, job: Job) -> int:
        """Return the prompt's length."""
        return job.request.isl_tokens

    def accepts(self, _job: Job, /) -> bool:
        """Tell whether it is idle."""
        return self._job is None

    def begin(self, job: Job, now_s: float) -> None:
        """Begin a prompt."""
        job.prefill_start_s = now_s
        self._job = job
        self.next_s = now_s + self._prefill_s(job.request.isl_tokens)

    def take_done(self, now_s: float) -> list[Job]:
        """Hand over the prompt that is done."""
        if self._job is None:
            return []
        job, self._job = self._job, None
        job.prefill_end_s = now_s
        self.next_s = NEVER_S
        return [job]

    def look(self, now_s: float) -> None:
        """Report nothing: a prompt shows only when it is done."""
