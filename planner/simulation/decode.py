"""What does a decode engine do? Everybody in its batch advances together, one token per step.

A step takes ITL(batch, mean context). Steps are not simulated one by one: the engine keeps a count of steps
done ("virtual time", as in processor sharing), and a request that joined at count v gets its first token at
v + 1 and its last at v + OSL. Between two changes of the batch the context grows by one token per step, so
ITL is taken as linear in the count, from its value now to its value at the next event; the time of a count
and the count at a time then have closed forms. Cost is per join and leave, not per token; steps are
divisible, so a time is off by at most one step per change of the batch.

The engine reserves the KV cache for prompt and whole output when it admits a request, so that nothing is
ever evicted; a request that exceeds the whole cache runs alone.
"""

import heapq
import itertools
import math
from collections import deque

from planner.simulation.engines import NEVER_S, Job, Observer, Phase
from planner.simulation.profile import EngineTimes

# Two counts of steps that differ by less are one and the same step.
_SAME_STEP = 1e-7
# Token gaps are handed on in bulk; so many at least, unless somebody looks.
_BULK_TOKENS = 32.0


class DecodeEngine:
    """A batch in which everybody advances together.

    Args:
        times: How long a step takes.
        observer: Who is told of first tokens and of the gaps between tokens.
        max_batch: Most requests in the batch.
    """

    def __init__(self, times: EngineTimes, observer: Observer, *, max_batch: float = math.inf) -> None:
        self.phase = Phase.STARTING
        self.waiting: deque[Job] = deque()
        self.load_tokens = 0
        self.next_s = NEVER_S
        self._itl_s = times.itl_s
        self._max_kv_tokens = times.max_kv_tokens
        self._max_batch = max_batch
        self._observer = observer
        self._order = itertools.count()
        # One entry per request: the count of steps at which its next event is due.
        self._due: list[tuple[float, int, Job]] = []
        self._reserved_tokens = 0
        # The anchor: state at the last change of the batch. Looking in between does not move it, so the
        # course of events is the same however often somebody looks.
        self._anchor_s = 0.0
        self._anchor_steps = 0.0
        self._context_tokens = 0.0
        self._step_s = 0.0
        self._step_slope_s = 0.0
        self._goal_steps = 0.0
        # What was reported so far.
        self._streaming = 0
        self._seen_s = 0.0
        self._seen_steps = 0.0
        self._unreported_tokens = 0.0
        self._unreported_s = 0.0

    @property
    def running(self) -> int:
        """Size of the batch."""
        return len(self._due)

    def weight_tokens(self, job: Job) -> int:
        """Return the context that the request will have in the end."""
        return job.request.isl_tokens + job.request.osl_tokens

    def accepts(self, job: Job) -> bool:
        """Tell whether the batch has a place and the KV cache has room to the end."""
        batch = len(self._due)
        if batch == 0:
            return True
        request = job.request
        return (
            batch < self._max_batch
            and self._reserved_tokens + request.isl_tokens + request.osl_tokens <= self._max_kv_tokens
        )

    def begin(self, job: Job, now_s: float) -> None:
        """Take a request into the batch."""
        self._move(self._steps_at(now_s), now_s)
        job.decode_start_s = now_s
        heapq.heappush(self._due, (self._anchor_steps + 1.0, next(self._order), job))
        request = job.request
        self._context_tokens += request.isl_tokens
        self._reserved_tokens += request.isl_tokens + request.osl_tokens
        self._plan(now_s)

    def take_done(self, now_s: float) -> list[Job]:
        """Give out the first and last tokens that are due, and hand over the requests that are done."""
        self._move(self._goal_steps, now_s)
        due = self._due
        limit_steps = self._goal_steps + _SAME_STEP
        done: list[Job] = []
        while due and due[0][0] <= limit_steps:
            steps, order, job = due[0]
            more_tokens = job.request.osl_tokens - 1
            if job.first_token_s == NEVER_S:
                job.first_token_s = now_s
                self._streaming += 1
                self._observer.first_token(job)
                if more_tokens:
                    heapq.heapreplace(due, (steps + more_tokens, order, job))
                    continue
            heapq.heappop(due)
            self._leave(job)
            done.append(job)
        self._plan(now_s)
        return done

    def look(self, now_s: float) -> None:
        """Report the tokens that came up to now."""
        self._count(self._steps_at(now_s), now_s)
        self._report(least_tokens=1.0)

    def _leave(self, job: Job) -> None:
        size_tokens = job.request.isl_tokens + job.request.osl_tokens
        self._context_tokens -= size_tokens
        self._reserved_tokens -= size_tokens
        self._streaming -= 1

    def _steps_at(self, now_s: float) -> float:
        """Return the count of steps at a time between the anchor and the next event."""
        elapsed_s = now_s - self._anchor_s
        if not self._due or elapsed_s <= 0.0:
            return self._anchor_steps
        # Solves elapsed = step · v + slope · v² / 2 in the form that keeps its precision for small slopes.
        step_s = self._step_s
        root_s = math.sqrt(max(0.0, step_s * step_s + 2.0 * self._step_slope_s * elapsed_s))
        return min(self._anchor_steps + 2.0 * elapsed_s / (step_s + root_s), self._goal_steps)

    def _move(self, steps: float, now_s: float) -> None:
        """Move the anchor."""
        self._count(steps, now_s)
        if self._unreported_tokens >= _BULK_TOKENS:
            self._report(least_tokens=_BULK_TOKENS)
        self._context_tokens += len(self._due) * (steps - self._anchor_steps)
        self._anchor_steps = steps
        self._anchor_s = now_s

    def _plan(self, now_s: float) -> None:
        """Set the next event from the anchor, which is now."""
        batch = len(self._due)
        if batch == 0:
            self._rest()
            return
        self._goal_steps = self._due[0][0]
        steps = self._goal_steps - self._anchor_steps
        context_tokens = self._context_tokens / batch
        self._step_s = self._itl_s(batch, context_tokens)
        last_step_s = self._itl_s(batch, context_tokens + steps)
        self._step_slope_s = (last_step_s - self._step_s) / steps if steps > _SAME_STEP else 0.0
        self.next_s = now_s + 0.5 * steps * (self._step_s + last_step_s)

    def _rest(self) -> None:
        """Settle the accounts when the batch is empty, so that rounding errors do not add up."""
        self.next_s = NEVER_S
        self._unreported_tokens = float(round(self._unreported_tokens))
        self._report(least_tokens=1.0)
        self._unreported_tokens = self._unreported_s = 0.0
        self._anchor_steps = self._goal_steps = self._seen_steps = 0.0
        self._context_tokens = 0.0

    def _count(self, steps: float, now_s: float) -> None:
        """Count the tokens and the waiting between them since the last count."""
        self._unreported_tokens += self._streaming * (steps - self._seen_steps)
        self._unreported_s += self._streaming * (now_s - self._seen_s)
        self._seen_steps = steps
        self._seen_s = now_s

    def _report(self, *, least_tokens: float) -> None:
        """Hand on whole tokens; the rest of a token waits."""
        if self._unreported_tokens < least_tokens:
            return
        gap_s = self._unreported_s / self._unreported_tokens
        whole = int(self._unreported_tokens)
        self._observer.gaps(whole, gap_s)
        self._unreported_tokens -= whole
        self._unreported_s -= whole * gap_s
