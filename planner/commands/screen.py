"""What the demo shows: frames made of what the daemon knows and what the simulation counted."""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.base import Fleet, PoolState, Reading, Value
from planner.core.decision import Decision, Direction, PoolDecision, ReasonCode
from planner.core.words import sentence
from planner.serving.desk import Desk
from planner.serving.records import Stepped
from planner.simulation.frame import Frame, LatencyFrame, LoadFrame, Note, PoolFrame, ReasonLine
from planner.simulation.world import SimulatedWorld

if TYPE_CHECKING:
    from rich.live import Live

_COLUMNS = 400
_REASONS = 12
_HIGH = (0.9, "p90")
_NO_ENGINES = PoolState(desired=0, ready=0)


class Screen:
    """The demo's terminal, fed from the daemon's board.

    Args:
        desk: Where the daemon records.
        world: The simulated deployment.
        speed_ratio: Simulated seconds per real second.
        url: Where the daemon serves its metrics and API.
    """

    def __init__(self, desk: Desk, world: SimulatedWorld, *, speed_ratio: float, url: str) -> None:
        self._desk = desk
        self._world = world
        self._speed_ratio = speed_ratio
        self._url = url
        self._load: deque[float | None] = deque(maxlen=_COLUMNS)
        self._ttft: deque[float | None] = deque(maxlen=_COLUMNS)
        self._itl: deque[float | None] = deque(maxlen=_COLUMNS)
        self._ready: dict[str, deque[int]] = {}
        self._most: dict[str, int] = {}
        self._reasons: deque[ReasonLine] = deque(maxlen=_REASONS)
        self._last: Stepped | None = None
        self._shown: Stepped | None = None
        self._printed_s = -1.0
        self._live: Live | None = None

    @contextmanager
    def open(self, *, is_plain: bool) -> Iterator[None]:
        """Show the demo while the context lasts: drawn on a terminal, else a line per tick."""
        from rich.console import Console
        from rich.live import Live

        console = Console()
        if is_plain or not console.is_terminal or console.is_dumb_terminal:
            sys.stdout.write("time | load | forecast | engines ready/asked, GPUs | latency | changes\n")
            yield
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            self._live = live
            yield
        self._live = None

    def refresh(self) -> None:
        """Take in what happened since the last refresh, and show it."""
        tick = self._desk.board.last_tick
        is_new = tick is not None and tick is not self._last
        if tick is not None and is_new:
            self._take_tick(tick)
            self._last = tick
        look = self._desk.board.last_look
        if look is not None and look is not self._shown and look.decision.is_change:
            self._note(look.decision, look.now_s)
            self._shown = look
        if self._live is not None:
            self._draw(self._live)
        elif is_new:
            self._print_line()

    def summary(self) -> str:
        """Return what came out, in one line."""
        score = self._world.score()
        attained = (
            "no request was judged" if score.attained_ratio is None else f"{score.attained_ratio:.1%} in time"
        )
        peaks = ", ".join(f"{pool} up to {count}" for pool, count in self._most.items())
        return f"{score.judged} requests, {attained}, {score.gpu_hours:.1f} GPU-hours; {peaks}"

    def frame(self) -> Frame | None:
        """Return the present picture; None before the first tick."""
        tick = self._last
        if tick is None:
            return None
        traffic, policy = tick.observation.traffic, self._desk.board.policy
        fleet, census, score = self._world.state(), self._world.census(), self._world.score()
        targets = policy.targets if policy is not None else None
        queued = traffic.queued.value if isinstance(traffic.queued, Value) else 0.0
        return Frame(
            time_of_day_s=self._world.now_s,
            speed_ratio=self._speed_ratio,
            load=self._load_frame(tick),
            pools=tuple(self._pool_frame(pool, fleet) for pool in tick.decision.pools),
            latencies=(
                LatencyFrame(
                    name="TTFT",
                    observed_s=_number(traffic.ttft_s),
                    target_s=targets.ttft_s if targets else 0.0,
                    history_s=tuple(self._ttft),
                ),
                LatencyFrame(
                    name="ITL",
                    observed_s=_number(traffic.itl_s),
                    target_s=targets.itl_s if targets else 0.0,
                    history_s=tuple(self._itl),
                ),
            ),
            held_gpus=sum(pool.live + pool.terminating for pool in fleet.pools.values()),
            budget_gpus=tick.decision.budget_gpus,
            in_flight=census.offered - census.completed,
            queued=int(queued),
            attained_ratio=score.attained_ratio,
            gpu_hours=score.gpu_hours,
            reasons=tuple(self._reasons),
            is_advisory=self._desk.board.advisory,
            is_hold=tick.decision.is_hold,
            subtitle=self._url,
        )

    def _take_tick(self, tick: Stepped) -> None:
        traffic = tick.observation.traffic
        self._load.append(_number(traffic.arrivals_rps))
        self._ttft.append(_number(traffic.ttft_s))
        self._itl.append(_number(traffic.itl_s))
        for pool in tick.decision.pools:
            self._ready.setdefault(pool.pool, deque(maxlen=_COLUMNS)).append(pool.ready)
            self._most[pool.pool] = max(self._most.get(pool.pool, 0), pool.replicas)
        if tick.decision.is_change or tick.decision.is_hold:
            self._note(tick.decision, tick.now_s)

    def _note(self, decision: Decision, now_s: float) -> None:
        if decision.is_hold:
            words = sentence(decision.reasons[0]) if decision.reasons else "holding"
            self._reasons.append(ReasonLine(time_of_day_s=now_s, note=Note.HOLD, text=words))
            return
        for pool in decision.pools:
            if pool.direction is not Direction.NONE:
                note = Note.UP if pool.direction is Direction.UP else Note.DOWN
                self._reasons.append(ReasonLine(time_of_day_s=now_s, note=note, text=_change(pool, decision)))

    def _load_frame(self, tick: Stepped) -> LoadFrame:
        forecast = tick.forecast
        return LoadFrame(
            offered_rps=_number(tick.observation.traffic.arrivals_rps),
            history_rps=tuple(self._load),
            column_s=tick.observation.traffic.window_s,
            forecast_rps=forecast.arrivals_rps.mean if forecast else None,
            forecast_high_rps=forecast.arrivals_rps.at(_HIGH[0]) if forecast else None,
            high_label=_HIGH[1],
            horizon_s=forecast.horizon_s if forecast else 0.0,
        )

    def _pool_frame(self, pool: PoolDecision, fleet: Fleet) -> PoolFrame:
        state = fleet.pools.get(pool.pool, _NO_ENGINES)
        return PoolFrame(
            name=pool.pool,
            desired=state.desired,
            ready=state.ready,
            starting=state.starting,
            terminating=state.terminating,
            needed=pool.needed,
            correction_ratio=pool.correction_ratio,
            history=tuple(self._ready.get(pool.pool, ())),
        )

    def _draw(self, live: "Live") -> None:
        from planner.simulation.view import render

        frame = self.frame()
        if frame is not None:
            size = live.console.size
            live.update(render(frame, size.width, height=size.height), refresh=True)

    def _print_line(self) -> None:
        from planner.simulation.view import render_line

        frame = self.frame()
        if frame is not None and self._last is not None:
            news = tuple(line for line in frame.reasons if line.time_of_day_s > self._printed_s)
            self._printed_s = self._last.now_s
            sys.stdout.write(render_line(replace(frame, reasons=news)) + "\n")
            sys.stdout.flush()


def _change(pool: PoolDecision, decision: Decision) -> str:
    why = next((r for r in decision.reasons if r.code is pool.bound_by and r.pool in {"", pool.pool}), None)
    if pool.bound_by is ReasonCode.LOAD and decision.demand is not None:
        words = f"{decision.demand.arrivals_rps:.1f} requests/s need {pool.needed}"
    else:
        words = sentence(why).removeprefix(f"{pool.pool}: ") if why else pool.bound_by.value.replace("_", " ")
    return f"{pool.pool} {pool.current} → {pool.replicas}: {words}"


def _number(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) else None
