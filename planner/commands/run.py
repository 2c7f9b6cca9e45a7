"""`setpoint run`: the daemon, until it is told to stop.

What is imported at the top is what starting to sample the profile needs; the rest is imported meanwhile.
"""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from config.clock import SystemClock
from config.load import Loaded
from config.policies import policy_from
from config.policy import EngineProfile
from config.settings import ActuatorKind, Settings, SourceKind
from planner.commands.curves import finish_before, profile_of, sampling_of

if TYPE_CHECKING:
    from connectors.base import MetricsSource
    from planner.commands.cluster import Cluster
    from planner.daemon import Daemon
    from planner.profiling.apart import Apart
    from planner.serving.desk import Desk
    from planner.serving.server import Server


def run_daemon(loaded: Loaded) -> int:
    """Run until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigError: If something that is needed cannot be used; nothing was started then.
    """
    profile = profile_of(loaded.settings)
    sampling = sampling_of(policy_from(loaded.settings, profile))
    return asyncio.run(_run(loaded, profile, sampling))


async def _run(loaded: Loaded, profile: EngineProfile, sampling: "Apart | None") -> int:
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    _on_stop(lambda cause: None if stop.done() else stop.set_result(cause))
    from planner.commands.assemble import configure_log, daemon_of
    from planner.commands.connect import actuator_of, source_of

    settings, clock = loaded.settings, SystemClock()
    configure_log(settings, stream=sys.stderr, clock=clock)
    source = source_of(loaded, clock=clock)
    if not await _is_ready(sampling, stop, source):
        return 0
    cluster = await _cluster(settings, stop, source, clock=clock)
    if cluster is None and settings.actuator is ActuatorKind.KUBERNETES:
        return 0
    daemon, desk = daemon_of(
        loaded,
        clock=clock,
        source=source,
        actuator_of=lambda pools: cluster or actuator_of(settings, pools, clock=clock),
        profile=profile,
    )
    if cluster is not None:
        desk.listeners.append(cluster.candidate.telling.take)
    say(loaded)
    http = settings.http
    server = await serve_daemon(daemon, desk, host=http.bind, port=http.port) if http.enabled else None
    obey_signals(daemon)
    if stop.done():
        daemon.stop(stop.result())
    try:
        await daemon.run()
    finally:
        if server is not None:
            await server.stop()
    return 0


async def _is_ready(sampling: "Apart | None", stop: "asyncio.Future[str]", source: "MetricsSource") -> bool:
    """Wait for the samples of the profile; where there will be no daemon, nothing is left open."""
    is_ready = False
    try:
        is_ready = await finish_before(stop, sampling)
    finally:
        if not is_ready:
            await source.close()
    return is_ready


async def _cluster(
    settings: Settings, stop: "asyncio.Future[str]", source: "MetricsSource", *, clock: SystemClock
) -> "Cluster | None":
    """Connect to Kubernetes where that is what is scaled; None where it is not, or the start ends here."""
    if settings.actuator is not ActuatorKind.KUBERNETES:
        return None
    from planner.commands.cluster_start import open_cluster

    opening = asyncio.ensure_future(open_cluster(settings, clock=clock))
    first: set[asyncio.Future[Cluster] | asyncio.Future[str]] = {opening, stop}
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            return opening.result()
    except BaseException:
        await source.close()
        raise
    opening.cancel()
    (cluster,) = await asyncio.gather(opening, return_exceptions=True)
    await asyncio.gather(source.close(), *([] if isinstance(cluster, BaseException) else [cluster.close()]))
    return None


async def serve_daemon(daemon: "Daemon", desk: "Desk", *, host: str, port: int) -> "Server":
    """Serve what the daemon tells; where that is not possible, nothing is left running.

    Raises:
        ConfigError: If the address cannot be listened on.
    """
    try:
        return await desk.serve(host=host, port=port)
    except BaseException:
        await daemon.close()
        raise


def obey_signals(daemon: "Daemon") -> None:
    """Stop on SIGTERM and SIGINT, read the settings again on SIGHUP."""
    _on_stop(daemon.stop)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.reload)


def _on_stop(stop: Callable[[str], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number.name)


def _prometheus(settings: Settings) -> str:
    """Return where Prometheus is, as the settings say it."""
    service = settings.prometheus.service
    return settings.prometheus.url if service is None else f"service {service}, through the API server"


def say(loaded: Loaded) -> None:
    """Say in the log what was understood, before anything is done."""
    from config.dynamo.words import mapped
    from planner.serving.log import get_logger

    settings, logger = loaded.settings, get_logger()
    for warning in loaded.warnings:
        logger.warning(warning)
    where = {
        SourceKind.PROMETHEUS: (_prometheus(settings),),
        SourceKind.SCRAPE: settings.scrape.urls,
        SourceKind.PLUGIN: (settings.plugin.source or "",),
    }[settings.source]
    logger.info(
        "understood",
        interval_s=settings.interval,
        source=settings.source.value,
        where=", ".join(where),
        predictor=settings.forecast.predictor,
        solver=settings.sizing.solver.value,
        statistic=settings.targets.percentile,
        budget_gpus=settings.budget_gpus,
        actuator=settings.actuator.value,
        settings=", ".join(str(path) for path in (loaded.file, loaded.dgdr) if path)
        or "flags and environment",
    )
    for one in mapped(loaded):
        logger.info("taken from Dynamo", said=one.said, settings=one.settings, where=one.where)
    for note in loaded.notes:
        logger.info("of Dynamo's settings", note=note)
    if settings.actuator is ActuatorKind.MEMORY:
        logger.warning(
            "actuator memory: no fleet is read or changed; counts are Setpoint's own, corrections are off"
        )
    if not settings.actuate:
        logger.warning("advisory: decisions are shown and not carried out; set actuate: true to let it scale")
