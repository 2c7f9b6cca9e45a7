"""`setpoint demo`: the real daemon on an embedded, simulated fleet, with a clock that runs fast.

Nothing is faked on Setpoint's side: it scrapes the simulated frontend's metrics over HTTP, forecasts, sizes
and scales through an actuator, as it would on a cluster.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import StringIO

from config.clock import Clock, ScaledClock, SystemClock
from config.errors import ConfigError
from config.load import Loaded, load
from connectors.base import MetricsSource
from planner.commands.assemble import configure_log, daemon_of
from planner.commands.connect import source_of
from planner.commands.curves import profile_of
from planner.commands.flags import Given
from planner.commands.loading import resolved, settings_of
from planner.commands.run import obey_signals, say, serve_daemon
from planner.commands.screen import Screen
from planner.daemon import Daemon
from planner.serving.desk import Desk
from planner.simulation.embedded import EMBEDDED_MODEL, Scenario, embedded_world
from planner.simulation.world import SimulatedWorld

BUDGET_GPUS = 20
_FRAMES_PER_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """How the demo is to run.

    Attributes:
        speed_ratio: Simulated seconds per real second.
        duration_s: Real seconds until it ends by itself; None runs until it is interrupted.
        port: Port of the daemon's own HTTP server; None takes a free one.
        seed: Chooses the simulated arrivals.
        is_plain: Print one line per tick instead of drawing.
        given: The user's own settings, in a file or a manifest of Dynamo's.
    """

    speed_ratio: float = 30.0
    duration_s: float | None = None
    port: int | None = None
    seed: int = 1
    is_plain: bool = False
    given: Given | None = None


def demo_settings(metrics_url: str, scenario: Scenario, *, port: int, given: Given | None = None) -> Loaded:
    """Return the settings of the demo's daemon, as a settings file would give them.

    Args:
        metrics_url: Where the simulated frontend shows its metrics.
        scenario: The world.
        port: Port of the daemon's own HTTP server; 0 takes a free one.
        given: The user's own settings, which win over the demo's targets and budget. With a file or a
            manifest, all else that it leaves out is as it would be in the daemon.

    Raises:
        ConfigError: If the user's settings cannot be used.
    """
    own = resolved(given or Given(values={}))
    base, wiring = _world(scenario), _wiring(metrics_url, port=port)
    if own.file is None and own.dgdr is None:
        base |= _taste()
    flags, _ = settings_of(own)
    if taken := [key for key in flags if key in wiring]:
        raise ConfigError(f"{taken[0]} is the demo's own", key="--set", hint="leave it out")
    if own != Given(values={}):
        base |= {"log.level": "info"}
    return load(flags=flags | wiring, environment={}, file=own.file, dgdr=own.dgdr, base=base)


def _world(scenario: Scenario) -> dict[str, object]:
    """Return what a user may want otherwise, and what the simulated world is made for."""
    return {
        "startup": f"{scenario.startup_s:g}s",
        "budget_gpus": str(BUDGET_GPUS),
        "targets.ttft": f"{scenario.targets.ttft_s * 1000:g}ms",
        "targets.itl": f"{scenario.targets.itl_s * 1000:g}ms",
        "log.level": "warning",
    }


def _taste() -> dict[str, object]:
    """Return what shows best where the user has no settings to be tried."""
    return {
        "pools.prefill.scale_down_window": "3m",
        "pools.decode.scale_down_window": "3m",
        # A day in an hour climbs steeply: sized for what the load reaches while an engine starts.
        "forecast.predictor": "kalman",
        "sizing.quantile": "0.95",
    }


def _wiring(metrics_url: str, *, port: int) -> dict[str, object]:
    """Return what joins the daemon to the simulated fleet."""
    return {
        "actuate": "true",
        "profile": "embedded",
        "source": "scrape",
        # The simulated fleet is nobody's settings; it is handed over below.
        "actuator": "plugin",
        "plugin.actuator": "simulated",
        "scrape.urls": [metrics_url],
        "prometheus.model": EMBEDDED_MODEL,
        "dynamo.namespace": "demo",
        "http.enabled": "true",
        "http.bind": "127.0.0.1",
        "http.port": str(port),
    }


def run_demo(request: DemoRequest) -> int:
    """Run the demo; return the exit code."""
    return asyncio.run(_demo(request))


async def _demo(request: DemoRequest) -> int:
    from planner.simulation.exporter import serve

    clock = ScaledClock(SystemClock(), speed_ratio=request.speed_ratio)
    scenario = Scenario(seed=request.seed)
    world = embedded_world(scenario, clock=clock)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(world))
        loaded = demo_settings(url, scenario, port=request.port or 0, given=request.given)
        # What is drawn would be torn by log lines; its reasons say the same.
        configure_log(loaded.settings, stream=sys.stderr if request.is_plain else StringIO(), clock=clock)
        say(loaded)
        daemon, desk = _daemon(loaded, world, clock=clock, source=source_of(loaded, clock=clock))
        server = await serve_daemon(daemon, desk, host="127.0.0.1", port=loaded.settings.http.port)
        stack.push_async_callback(server.stop)
        screen = Screen(desk, world, speed_ratio=request.speed_ratio, url=server.url)
        await _play(daemon, screen, request)
    sys.stdout.write(screen.summary() + "\n")
    return 0


def _daemon(
    loaded: Loaded, world: SimulatedWorld, *, clock: Clock, source: MetricsSource
) -> tuple[Daemon, Desk]:
    return daemon_of(
        loaded,
        clock=clock,
        source=source,
        actuator_of=lambda _pools: world.actuator(),
        profile=profile_of(loaded.settings),
    )


async def _play(daemon: Daemon, screen: Screen, request: DemoRequest) -> None:
    """Run the daemon and keep the screen fresh until the end."""
    obey_signals(daemon)
    real = SystemClock()
    ends_at_s = None if request.duration_s is None else real.now_s() + request.duration_s
    task = asyncio.create_task(daemon.run())
    with screen.open(is_plain=request.is_plain):
        while not task.done():
            if ends_at_s is not None and real.now_s() >= ends_at_s:
                daemon.stop("the demo is over")
                break
            screen.refresh()
            await real.sleep(1.0 / _FRAMES_PER_S)
    await task
