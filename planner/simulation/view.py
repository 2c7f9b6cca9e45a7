"""How does the demo look on a terminal? One frame as lines of text with styles, readable without color.

Importing this module imports rich. The picture has exactly the height asked for and every line fits the
width, so that it can replace the one before it in place.
"""

import textwrap

from rich.console import Group, RenderableType
from rich.text import Text

from planner.simulation.frame import (
    Frame,
    LatencyFrame,
    LoadFrame,
    Note,
    PoolFrame,
    ReasonLine,
    duration,
    latency,
    rate,
    time_of_day,
)
from planner.simulation.plot import column, columns, marks, nice_ceiling, sparkline

MIN_WIDTH = 60
MIN_HEIGHT = 18

_LINES_BESIDE_CHART_AND_REASONS = 8
_MOST_REASONS = 10
_MOST_CHART_ROWS = 18
_AXIS = 6
_NAMES = 10
_COUNTS = 11
_FORECAST_BAR = 4
_FORECAST_COLUMNS = 2 * _FORECAST_BAR + 1
_BARS_FROM_WIDTH = 100
_BAR = 24
_REASON_INDENT = 11
_READY, _STARTING, _TERMINATING = "■", "□", "×"

_DIM = "dim"
_NAME = "bold"
_NOTE_MARKS = {Note.UP: "▲", Note.DOWN: "▼", Note.HOLD: "‖", Note.INFO: "·"}
_NOTE_STYLES = {Note.UP: "green", Note.DOWN: "cyan", Note.HOLD: "bold yellow", Note.INFO: _DIM}
_VERDICTS = {True: ("ok", "green"), False: ("MISSED", "bold red"), None: ("no reading", _DIM)}


def render(frame: Frame, width: int, *, height: int = 24) -> RenderableType:
    """Draw a frame.

    Args:
        frame: What to show.
        width: Columns of the terminal, at least 60.
        height: Lines of the terminal, at least 18; chart and reasons take what the rest leaves.

    Returns:
        Lines for a rich console, as many as the height.
    """
    width, height = max(MIN_WIDTH, width), max(MIN_HEIGHT, height)
    free = height - _LINES_BESIDE_CHART_AND_REASONS - len(frame.pools) - len(frame.latencies)
    reasons = max(1, min(_MOST_REASONS, free // 2))
    lines = [
        _header(frame),
        *_load(frame.load, width=width, rows=max(1, min(_MOST_CHART_ROWS, free - reasons))),
        _section("engines", f"{_READY} ready  {_STARTING} starting  {_TERMINATING} finishing", width),
        *(_pool(pool, width) for pool in frame.pools),
        _gpus(frame),
        _section("latency", "full height is the target, ! is above it", width),
        *(_latency(entry, width) for entry in frame.latencies),
        _requests(frame),
        _section("why", "", width),
        *_reasons(frame.reasons, width=width, rows=reasons),
    ]
    lines += [Text() for _ in range(height - len(lines))]
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[:height])


def render_line(frame: Frame) -> str:
    """Say a frame in one line, for logs and pipes."""
    load = frame.load
    pools = ", ".join(f"{pool.name} {pool.ready}/{pool.desired}" for pool in frame.pools)
    latencies = ", ".join(
        f"{entry.name} {latency(entry.observed_s)} of {latency(entry.target_s)} {_VERDICTS[entry.is_met][0]}"
        for entry in frame.latencies
    )
    parts = [
        time_of_day(frame.time_of_day_s),
        f"{rate(load.offered_rps)} req/s",
        f"forecast {rate(load.forecast_rps)}, {load.high_label} {rate(load.forecast_high_rps)}",
        f"{pools}, GPUs {frame.held_gpus}/{frame.budget_gpus}",
        latencies,
        *(mode for mode, is_on in (("HOLD", frame.is_hold), ("advisory", frame.is_advisory)) if is_on),
        *(reason.text for reason in frame.reasons),
    ]
    return " | ".join(parts)


def _header(frame: Frame) -> Text:
    mode, style = ("advisory: shows, does not act", "yellow") if frame.is_advisory else ("acting", "green")
    line = Text.assemble(
        ("setpoint demo", "bold"),
        (f"  {time_of_day(frame.time_of_day_s)}", "bold"),
        (f"  {frame.speed_ratio:g}× real time  ", _DIM),
        (mode, style),
    )
    if frame.is_hold:
        line.append("  ")
        line.append(" HOLDING ", "bold black on yellow")
    line.append(f"  {frame.subtitle}", _DIM)
    return line


def _section(title: str, key: str, width: int) -> Text:
    tail = f" {key} ─" if key else ""
    rule = "─" * max(0, width - len(title) - len(tail) - 3)
    return Text.assemble(("─ ", _DIM), (title, _NAME), (f" {rule}{tail}", _DIM))


def _load(load: LoadFrame, *, width: int, rows: int) -> list[Text]:
    """Draw the chart: what came, a bar, what is expected."""
    room = width - _AXIS - _FORECAST_COLUMNS - 1
    past = load.history_rps[-room:]
    known = [value for value in (*past, load.forecast_rps, load.forecast_high_rps) if value is not None]
    top = nice_ceiling(max(known, default=0.0))
    labels = [f"{top:>{_AXIS - 1}g} "] + [" " * _AXIS] * (rows - 1)
    chart = [
        Text.assemble((label, _DIM), (drawn.rjust(room), "cyan"), ("│", _DIM), *ahead)
        for label, drawn, ahead in zip(
            labels, columns(past, top=top, rows=rows), _ahead(load, top=top, rows=rows), strict=True
        )
    ]
    return [_load_title(load, width), *chart, _time_axis(load, width=width, past=room)]


def _load_title(load: LoadFrame, width: int) -> Text:
    line = Text.assemble(
        ("─ ", _DIM),
        ("load", _NAME),
        (" ", _DIM),
        (f"{rate(load.offered_rps)} req/s", "bold cyan"),
        (f"  expected in {duration(load.horizon_s)}: ", _DIM),
        (f"mean {rate(load.forecast_rps)}", "magenta"),
        (f", {load.high_label} {rate(load.forecast_high_rps)} ", "magenta"),
    )
    line.append("─" * max(0, width - line.cell_len), _DIM)
    return line


def _ahead(load: LoadFrame, *, top: float, rows: int) -> list[list[tuple[str, str]]]:
    """Return the forecast's part of each row: a bar for the mean, beside it one for the upper quantile."""
    means, highs = (
        column(value_rps or 0.0, top=top, rows=rows)
        for value_rps in (load.forecast_rps, load.forecast_high_rps)
    )
    return [
        [(f"{mean * _FORECAST_BAR} ", "magenta"), (high * _FORECAST_BAR, "dim magenta")]
        for mean, high in zip(means, highs, strict=True)
    ]


def _time_axis(load: LoadFrame, *, width: int, past: int) -> Text:
    line = f"{'0':>{_AXIS - 1}} {duration(past * load.column_s)} ago"
    line = f"{line:<{_AXIS + past - 3}}now"
    return Text(f"{line:<{width - _FORECAST_COLUMNS}}{'mean':<5}{load.high_label}", style=_DIM)


def _pool(pool: PoolFrame, width: int) -> Text:
    total = pool.ready + pool.starting + pool.terminating
    per_mark = max(1, -(-total // _BAR))
    states = (
        (_READY, pool.ready, "green"),
        (_STARTING, pool.starting, "yellow"),
        (_TERMINATING, pool.terminating, "magenta"),
    )
    line = Text.assemble((f"{pool.name:<9.9} ", _NAME), f"{pool.ready:>3} of {pool.desired:<3} ")
    for mark, count, style in states:
        line.append(marks(mark, count, per_mark=per_mark), style)
    line.pad_right(max(0, _NAMES + _COUNTS + _BAR - line.cell_len))
    line.append("  needs ", _DIM)
    line.append(f"{'–' if pool.needed is None else pool.needed:<4}")
    line.append(" correction ", _DIM)
    line.append("–" if pool.correction_ratio is None else f"{pool.correction_ratio:.2f}")
    return _with_history(line, pool, width)


def _with_history(line: Text, pool: PoolFrame, width: int) -> Text:
    """Add how many engines there were, where there is room."""
    if width < _BARS_FROM_WIDTH or not pool.history:
        return line
    line.append("  ")
    room = width - line.cell_len
    past = pool.history[-room:] if room > 0 else ()
    line.append(sparkline(past, limit=float(max(1, *pool.history))).rjust(room), "green")
    return line


def _gpus(frame: Frame) -> Text:
    full = frame.held_gpus >= frame.budget_gpus
    line = Text.assemble(
        (f"{'GPUs':<9} ", _NAME),
        f"{frame.held_gpus:>3} of {frame.budget_gpus:<3} ",
        (_gauge(frame.held_gpus, frame.budget_gpus), "red" if full else "cyan"),
    )
    line.append("  budget full" if full else f"  {frame.budget_gpus - frame.held_gpus} free", _DIM)
    if frame.gpu_hours is not None:
        line.append(f"   {frame.gpu_hours:.1f} GPU-hours so far", _DIM)
    return line


def _gauge(value: int, limit: int) -> str:
    filled = min(_BAR, round(_BAR * value / limit)) if limit > 0 else 0
    return "█" * filled + "░" * (_BAR - filled)


def _latency(entry: LatencyFrame, width: int) -> Text:
    verdict, style = _VERDICTS[entry.is_met]
    line = Text.assemble(
        (f"{entry.name:<5}", _NAME),
        (f"{latency(entry.observed_s):>8}", style),
        (f" of {latency(entry.target_s):<8}", _DIM),
        (f"{verdict:<10} ", style),
    )
    room = width - line.cell_len
    line.append(sparkline(entry.history_s[-room:], limit=entry.target_s).rjust(room), "green")
    line.highlight_regex(r"!+", "bold red")
    line.highlight_regex(r"·+", _DIM)
    return line


def _requests(frame: Frame) -> Text:
    line = Text.assemble(
        (f"{'requests':<10}", _NAME), f"{frame.in_flight} in flight, {frame.queued} before first token"
    )
    if frame.attained_ratio is not None:
        line.append(f"   {frame.attained_ratio:.1%} in time so far")
    return line


def _reasons(reasons: tuple[ReasonLine, ...], *, width: int, rows: int) -> list[Text]:
    """Return so many lines, the newest reason first; a long one takes two lines."""
    lines = [line for reason in reversed(reasons[-rows:]) for line in _reason(reason, width)][:rows]
    return lines + [Text() for _ in range(rows - len(lines))]


def _reason(reason: ReasonLine, width: int) -> list[Text]:
    words = textwrap.wrap(reason.text, width - _REASON_INDENT, max_lines=2, placeholder=" …") or [""]
    first = Text.assemble(
        (f"{time_of_day(reason.time_of_day_s)} ", _DIM),
        (f"{_NOTE_MARKS[reason.note]} ", _NOTE_STYLES[reason.note]),
        words[0],
    )
    return [first, *(Text(" " * _REASON_INDENT + line) for line in words[1:])]
