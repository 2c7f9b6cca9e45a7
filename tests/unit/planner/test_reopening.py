"""A journal that somebody else rotates goes on in a new file after SIGHUP; each file can be read alone."""

import asyncio
from pathlib import Path

from config.clock import VirtualClock
from config.load import load
from connectors.testing import FakeMetricsSource
from planner.commands.assemble import daemon_of
from planner.commands.connect import actuator_of
from planner.commands.curves import profile_of
from planner.serving.reader import read_journal_file

SETTINGS = """
budget_gpus: 8
targets: {ttft: 300ms, itl: 25ms}
profile: embedded
"""


async def test_after_the_signal_the_journal_goes_on_in_a_new_file(tmp_path: Path) -> None:
    path, moved = tmp_path / "journal.jsonl", tmp_path / "journal.jsonl-20260101"
    file = tmp_path / "setpoint.yaml"
    file.write_text(f"{SETTINGS}journal: {{path: {path}}}\n")
    loaded, clock = load(file=file, environment={}), VirtualClock()
    daemon, _ = daemon_of(
        loaded,
        clock=clock,
        source=FakeMetricsSource([], clock),
        actuator_of=lambda pools: actuator_of(loaded.settings, pools, clock=clock),
        profile=profile_of(loaded.settings),
    )
    running = asyncio.ensure_future(daemon.run())
    await clock.advance(30.0)

    path.rename(moved)
    daemon.reload()
    await clock.advance(30.0)
    daemon.stop("the test is over")
    await running

    before = [record.record for record in read_journal_file(moved, report=print)]
    after = [record.record for record in read_journal_file(path, report=print)]
    assert before[0] == "started"
    assert set(before[1:]) == {"stepped"}
    assert after[0] == "reloaded"
    assert set(after[1:-1]) == {"stepped"}
    assert after[-1] == "stopped"
