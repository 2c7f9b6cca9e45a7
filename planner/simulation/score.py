"""How well were users served? Per request, from the simulation's own truth and not from its metrics.

A request attains if its time to first token and its mean time between tokens are both within target; a
request that is not done yet counts as missed once its first token is overdue.
"""

from collections import deque
from dataclasses import dataclass

from config.policy import Targets
from planner.simulation.engines import NEVER_S, Job, Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What was attained so far.

    Attributes:
        judged: Requests of which it is known.
        attained: Of these, within both targets.
        ttft_met: Of these, with the first token in time.
        itl_met: Of these, with the tokens after it in time.
        gpu_hours: GPUs times the time that they were held, starting and draining engines included.
    """

    judged: int
    attained: int
    ttft_met: int
    itl_met: int
    gpu_hours: float

    @property
    def attained_ratio(self) -> float | None:
        """Share that attained; None before the first request is judged."""
        return self.attained / self.judged if self.judged else None


class Scorecard:
    """Watches requests, scores them, and passes everything on to another observer.

    Args:
        targets: What was promised.
        then: Who is told next.
    """

    def __init__(self, targets: Targets, *, then: Observer) -> None:
        self._targets = targets
        self._then = then
        self._open: deque[Job] = deque()
        self._finished = self._attained = self._ttft_met = self._itl_met = 0

    def started(self, job: Job, /) -> None:
        """Note that a request arrived."""
        self._open.append(job)
        self._then.started(job)

    def first_token(self, job: Job, /) -> None:
        """Pass it on."""
        self._then.first_token(job)

    def gaps(self, tokens: int, gap_s: float) -> None:
        """Pass it on."""
        self._then.gaps(tokens, gap_s)

    def finished(self, job: Job, /) -> None:
        """Judge a request."""
        request = job.request
        ttft_met = job.first_token_s - request.arrival_s <= self._targets.ttft_s
        gaps = request.osl_tokens - 1
        itl_met = job.finish_s - job.first_token_s <= self._targets.itl_s * gaps
        self._finished += 1
        self._ttft_met += ttft_met
        self._itl_met += itl_met
        self._attained += ttft_met and itl_met
        while self._open and self._open[0].finish_s < NEVER_S:
            self._open.popleft()
        self._then.finished(job)

    def score(self, *, now_s: float, gpu_hours: float) -> Score:
        """Return what was attained up to now."""
        overdue = self._overdue(now_s)
        return Score(
            judged=self._finished + overdue,
            attained=self._attained,
            ttft_met=self._ttft_met,
            itl_met=self._itl_met,
            gpu_hours=gpu_hours,
        )

    def _overdue(self, now_s: float) -> int:
        """Count the requests that still wait for a first token that is overdue."""
        limit_s = now_s - self._targets.ttft_s
        return sum(
            1 for job in self._open if job.first_token_s == NEVER_S and job.request.arrival_s < limit_s
        )
