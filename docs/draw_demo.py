"""Draws docs/demo.svg: one frame of the demo, as a terminal shows it.

Run it by hand: `.venv/bin/python -P docs/draw_demo.py`. It plays the demo for a while and keeps a frame near
the busiest hour. The picture refers to no font or address outside itself.
"""

import asyncio
import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from config.clock import ScaledClock, SystemClock
from planner.commands.assemble import configure_log, daemon_of
from planner.commands.connect import source_of
from planner.commands.curves import profile_of
from planner.commands.demo import demo_settings
from planner.commands.screen import Screen
from planner.simulation.embedded import Scenario, embedded_world
from planner.simulation.exporter import serve
from planner.simulation.view import render

SPEED_RATIO = 60.0
PLAY_S = 37.0
WIDTH, HEIGHT = 100, 30


async def picture() -> str:
    """Play the demo and return the frame as SVG."""
    clock = ScaledClock(SystemClock(), speed_ratio=SPEED_RATIO)
    scenario = Scenario()
    world = embedded_world(scenario, clock=clock)
    async with serve(world) as url:
        loaded = demo_settings(url, scenario, port=0)
        configure_log(loaded.settings, stream=io.StringIO(), clock=clock)
        daemon, desk = daemon_of(
            loaded,
            clock=clock,
            source=source_of(loaded, clock=clock),
            actuator_of=lambda _pools: world.actuator(),
            profile=profile_of(loaded.settings),
        )
        screen = Screen(desk, world, speed_ratio=30.0, url="http://127.0.0.1:9085")
        task = asyncio.create_task(daemon.run())
        for _ in range(int(PLAY_S * 4)):
            await SystemClock().sleep(0.25)
            screen.refresh()
        daemon.stop("drawn")
        await task
    frame = screen.frame()
    if frame is None:
        raise SystemExit("no tick came; nothing to draw")
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True)
    console.print(render(frame, WIDTH, height=HEIGHT))
    svg = console.export_svg(title="setpoint demo", theme=MONOKAI)
    svg = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "DejaVu Sans Mono")


if __name__ == "__main__":
    Path(__file__).with_name("demo.svg").write_text(asyncio.run(picture()), encoding="utf-8")
