"""What happens next? A queue of events by time; events of one time keep the order of their request."""

import heapq
import itertools
import math
from collections.abc import Callable

from planner.simulation.engines import Engine

_Event = tuple[float, int, Callable[[Engine, float], None] | None, Engine | None, Callable[[], None] | None]


class Timeline:
    """Events to come.

    Attributes:
        now_s: Time of the event that happens, or the time up to which all has happened.

    Example:
        >>> timeline = Timeline()
        >>> timeline.at(2.0, lambda: print("second"))
        >>> timeline.at(1.0, lambda: print("first"))
        >>> timeline.run_next(), timeline.now_s, timeline.next_s
        first
        (None, 1.0, 2.0)
    """

    __slots__ = ("_events", "_order", "now_s")

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[_Event] = []
        self._order = itertools.count()

    @property
    def next_s(self) -> float:
        """When the next event is due; infinite if there is none."""
        return self._events[0][0] if self._events else math.inf

    def at(self, at_s: float, action: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (at_s, next(self._order), None, None, action))

    def at_event(self, at_s: float, action: Callable[[Engine, float], None], engine: Engine) -> None:
        """Tell an engine's pool that the engine's event is due."""
        heapq.heappush(self._events, (at_s, next(self._order), action, engine, None))

    def run_next(self) -> None:
        """Make the next event happen."""
        at_s, _, fire, engine, action = heapq.heappop(self._events)
        self.now_s = at_s
        if fire is not None and engine is not None:
            fire(engine, at_s)
        elif action is not None:
            action()
