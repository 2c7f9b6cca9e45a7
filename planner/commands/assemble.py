"""Putting a daemon together from settings: the one place where settings meet connectors."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from config.clock import Clock
from config.load import Loaded, reload
from config.policies import forecast_policy_from, policy_from
from config.policy import EngineProfile, PoolPolicy
from config.settings import ActuatorKind, Settings
from connectors.base import Actuator, MetricsSource
from planner.commands.curves import finish, profile_of, sampling_of
from planner.commands.version import version
from planner.core.words import explain, headline
from planner.daemon import Change, Daemon, Pace, Parts
from planner.forecasting.trace import read_trace
from planner.mind import ForesightOptions, Mind
from planner.serving.desk import Desk
from planner.serving.journal import Journal, open_journal_file
from planner.serving.log import configure, get_logger
from planner.serving.records import Started
from planner.serving.status import StatusBoard
from planner.warm import WarmUp, WarmUpOptions
from predictors.load import kept_intervals

# The newest of a trace; that many half minutes are a week.
_TRACE_INTERVALS = 20_000


def believable(settings: Settings) -> Settings:
    """Return the settings without corrections where no real fleet is read.

    A correction divides by the engines that really serve, which the actuator `memory` does not know.
    """
    if settings.actuator is not ActuatorKind.MEMORY:
        return settings
    correction = settings.correction.model_copy(update={"enabled": False})
    return settings.model_copy(update={"correction": correction})


def target_of(settings: Settings) -> str:
    """Return what the deployment is called in records, metrics and the names of Setpoint's own objects."""
    return settings.dynamo.graph_deployment or _scaled(settings) or settings.dynamo.namespace


def _scaled(settings: Settings) -> str:
    """Return the name of what is scaled on Kubernetes; empty if nothing is named there."""
    if settings.actuator is not ActuatorKind.KUBERNETES:
        return ""
    named = (settings.kubernetes.decode or settings.kubernetes.prefill or "").partition(":")[0]
    labels = named.partition("?")[2]
    # Labels stand in for the name, so that two deployments in one namespace do not share a Lease.
    return re.sub(r"[^A-Za-z0-9]+", "-", labels).strip("-") if labels else named.partition("/")[2]


def pace_of(settings: Settings) -> Pace:
    """Return when the loop does what."""
    return Pace(
        interval_s=settings.interval,
        look_interval_s=settings.look_interval,
        deadline_s=settings.deadline_s,
        actuate=settings.actuate,
    )


def foresight_options_of(settings: Settings) -> ForesightOptions:
    """Return where models are fitted, and how long a tick waits for them."""
    return ForesightOptions(
        process=settings.forecast.process,
        deadline_s=settings.forecast.fit_deadline,
        least_intervals=_warm_up_intervals(settings),
    )


def warm_up_options_of(settings: Settings) -> WarmUpOptions:
    """Return what is learned at the start.

    Raises:
        ConfigError: If there is a trace and it cannot be used.
    """
    trace, journal = settings.forecast.warm_up_trace, settings.journal.path
    older = read_trace(Path(trace), interval_s=settings.interval) if trace else ()
    return WarmUpOptions(
        intervals=_warm_up_intervals(settings),
        journal=Path(journal) if journal else None,
        trace=older[-_TRACE_INTERVALS:],
    )


def _warm_up_intervals(settings: Settings) -> int:
    asked_s = settings.forecast.warm_up
    if asked_s is None:
        return kept_intervals(forecast_policy_from(settings))
    return math.ceil(asked_s / settings.interval)


def daemon_of(
    loaded: Loaded,
    *,
    clock: Clock,
    source: MetricsSource,
    actuator_of: Callable[[tuple[PoolPolicy, ...]], Actuator],
    profile: EngineProfile,
) -> tuple[Daemon, Desk]:
    """Make the daemon and its desk around given connectors.

    Raises:
        ConfigError: If the journal cannot be written, the predictor is not known, or the trace is no trace.
    """
    settings = believable(loaded.settings)
    warm_up = warm_up_options_of(settings)
    mind = Mind(
        policy_from(settings, profile),
        forecast_policy_from(settings),
        clock=clock,
        options=foresight_options_of(settings),
    )
    daemons: list[Daemon] = []

    def head() -> Started:
        return daemons[0].opening(is_continued=True)

    board = StatusBoard(
        clock=clock, version=version(), target=target_of(settings), advisory=not settings.actuate
    )
    desk = Desk(
        board=board,
        journal=_journal(settings, head),
        logger=get_logger(),
        explain=explain,
        headline=headline,
        style=settings.log.format,
    )
    parts = Parts(source=source, actuator=actuator_of(mind.policy.pools), desk=desk, clock=clock)
    daemon = Daemon(
        mind,
        parts,
        pace_of(settings),
        reload=_Reloader(loaded),
        warm_up=WarmUp(mind, parts, warm_up),
    )
    daemons.append(daemon)
    return daemon, desk


def configure_log(settings: Settings, *, stream: TextIO, clock: Clock) -> None:
    """Set up logging as the settings say."""
    configure(level=settings.log.level, style=settings.log.format, stream=stream, clock=clock)


class _Reloader:
    """Reads the settings again; what only takes effect at a start is named and stays."""

    _FIXED = (
        "source",
        "prometheus",
        "scrape",
        "actuator",
        "kubernetes",
        "etcd",
        "webhook",
        "plugin",
        "dynamo",
        "http",
        "log",
        "journal",
    )

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def __call__(self) -> Change:
        before, loaded = self._loaded.settings, reload(self._loaded)
        settings = believable(loaded.settings)
        policy = policy_from(settings, profile_of(settings))
        finish(sampling_of(policy))
        self._loaded = loaded
        kept = [name for name in self._FIXED if getattr(settings, name) != getattr(before, name)]
        if settings.targets.percentile != before.targets.percentile:
            kept.append("targets.percentile")  # the source was told at the start which quantile to read
        kept.extend(
            f"forecast.{name}"
            for name in ("warm_up", "warm_up_trace")
            if getattr(settings.forecast, name) != getattr(before.forecast, name)
        )
        if kept:
            get_logger().warning("some changed settings take effect at the next start only", settings=kept)
        return Change(
            policy=policy,
            forecast_policy=forecast_policy_from(settings),
            pace=pace_of(settings),
            foresight=foresight_options_of(settings),
        )


def _journal(settings: Settings, head: Callable[[], Started]) -> Journal:
    if settings.journal.path is None:
        return Journal()
    file = open_journal_file(
        Path(settings.journal.path), max_bytes=settings.journal.max_bytes, keep=settings.journal.keep
    )
    return Journal(file, head=head)
