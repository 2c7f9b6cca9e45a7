"""docs/dynamo-records.md: Dynamo's series and log lines, name by name and shape by shape, from a real run.

After a change of a series or a line, write the page again:

    python -P -m tests.integration.dynamo.page
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from planner.serving.dynamo_series import DYNAMO_GAUGES, LOAD_DECISION, THROUGHPUT_DECISION
from planner.serving.dynamo_states import LoadState, ThroughputState
from tests.integration.dynamo.expected import (
    ABSENT,
    EVENTS,
    LOAD_STATES,
    THROUGHPUT_STATES,
    UNITS,
    Event,
    difference,
)
from tests.integration.dynamo.scenario import Run, run, samples

PAGE = Path(__file__).parents[3] / "docs" / "dynamo-records.md"
UPDATE = "python -P -m tests.integration.dynamo.page"

_HEAD = f"""\
# Dynamo's series and log lines

Dashboards, alerts and searches made for Dynamo's planner go on working: the metrics page has its series in
both spellings, always, and `log.format: dynamo` writes its lines. What follows compares them with Dynamo's
planner 0.9.0 and 1.6.1, name by name and shape by shape. Values and examples come from a run of the daemon on
a simulated clock; `{UPDATE}` writes this page, and a test compares.

- Setpoint serves `/metrics` on port 9085 (`http.port`) unless told otherwise. Dynamo's PodMonitors select the
  container port by its name, `metrics`: give the port that name in your manifest.
- Dynamo's series have **no labels** but those that scraping adds (namespace, pod), as in Dynamo: one daemon
  scales one deployment. Setpoint's own series ([metrics.md](metrics.md)) have the label `target`.
- A value that is unknown or idle has **no series** at that moment, where Dynamo writes 0 or NaN. A panel
  shows a gap; an alert on a value needs `absent()` beside it.
- Observed, predicted and estimated values are of the last tick; engines that serve of the last step, tick or
  look; decided replicas of the last tick, or of a look after it that changed them.
"""
_LOG = """\
`log.format: dynamo` keeps `time level planner: text`, one event a line. Whatever Dynamo has no line for
(settings that were understood, health, reloads, refused writes, reasons of limits that Dynamo does not have)
goes on in the console's form. The journal and the other log formats are not touched by it.
"""
_SHAPES = "Shapes are regular expressions of the text behind `planner: `."


def page(played: Run) -> str:
    """Draw the page."""
    return "\n".join((*_series(samples(played.page)), *_absent(), *_states(), *_lines(played)))


def examples(played: Run) -> dict[str, str]:
    """Return the first line of each kind of event that the run wrote."""
    found: dict[str, str] = {}
    for event in (event for event in EVENTS if event.shape):
        for line in played.lines:
            if re.match(event.shape, line):
                found.setdefault(event.name, line)
    return found


def _series(values: Mapping[str, float]) -> Iterator[str]:
    yield from (_HEAD, "## Series", "")
    yield "| Dynamo's series | Value in the run | Unit | Meaning here | Difference from Dynamo |"
    yield "| --- | --- | --- | --- | --- |"
    meanings = {name: gauge.meaning for gauge in DYNAMO_GAUGES for name in gauge.names}
    for name in (name for name in UNITS if name in meanings):
        value = f"{values[name]:.4g}" if name in values else "none"
        yield f"| `{name}` | {value} | {UNITS[name]} | {meanings[name]} | {difference(name)} |"
    for name in (LOAD_DECISION, THROUGHPUT_DECISION):
        on = [
            series.partition("=")[2] for series, value in values.items() if series.startswith(name) and value
        ]
        loop = "look" if name == LOAD_DECISION else "tick"
        state, meaning = f"`{', '.join(on)}`", f"What the last {loop} did."
        yield f"| `{name}` | {state} | {UNITS[name]} | {meaning} | {difference(name)} |"


def _absent() -> Iterator[str]:
    yield from ("", "## Series that Setpoint does not have", "", "| Dynamo's series | Why |", "| --- | --- |")
    yield from (f"| `{name}` | {why} |" for name, why in ABSENT.items())


def _states() -> Iterator[str]:
    yield from ("", "## Decision states", "")
    yield (
        "Each has one series per state, with the state as a label named like the series, as Dynamo's client "
        "writes enums; one of them is 1. A look is what comes closest to Dynamo's load loop, a tick to its "
        "throughput loop."
    )
    tables: tuple[tuple[str, type[LoadState | ThroughputState], Mapping[str, str]], ...] = (
        (LOAD_DECISION, LoadState, LOAD_STATES),
        (THROUGHPUT_DECISION, ThroughputState, THROUGHPUT_STATES),
    )
    for name, states, meanings in tables:
        yield from ("", f"| State of `{name}` | On when |", "| --- | --- |")
        yield from (f"| `{state}` | {why} |" for state, why in meanings.items())
        never = ", ".join(f"`{state.value}`" for state in states if state.value not in meanings)
        yield from ("", f"Never on, for Setpoint has nothing like it: {never}.")


def _lines(played: Run) -> Iterator[str]:
    yield from ("", "## Log lines", "", _LOG, _SHAPES, "")
    yield "| Event | Shape | Example | Difference from Dynamo |"
    yield "| --- | --- | --- | --- |"
    shown = examples(played)
    yield from (_line(event, shown.get(event.name, "")) for event in EVENTS)
    yield from ("", "One tick, whole:", "", "```", *_tick(played), "```", "")


def _line(event: Event, example: str) -> str:
    if not event.shape:
        return f"| {event.name} | absent | | {event.difference} |"
    shape, text = (part.replace("|", r"\|") for part in (event.shape, _with_port(example)))
    return f"| {event.name} | `{shape}` | `{text}` | {event.difference} |"


def _tick(played: Run) -> Iterator[str]:
    lines = [line for line in played.log.splitlines() if " planner: " in line]
    begins = [index for index, line in enumerate(lines) if "New adjustment interval" in line]
    yield from lines[begins[1] : begins[2]]


def _with_port(line: str) -> str:
    return re.sub(r"(port) \d+", r"\1 9085", line)


if __name__ == "__main__":
    PAGE.write_text(page(run()), encoding="utf-8")
