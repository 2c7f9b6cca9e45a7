"""`setpoint check`: what is wrong with a set-up, before it costs anything?"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NoReturn

import typer

from config.clock import Clock, SystemClock
from config.errors import ConfigError
from config.load import Loaded
from config.policy import EngineProfile
from config.settings import Settings, SourceKind
from connectors.kubernetes.api import Api, ApiError, Before, Json, Patch, WatchEvent
from connectors.kubernetes.client import KubeClient
from connectors.kubernetes.session import Access
from connectors.prometheus.registry import load_dialect
from planner.commands.check_flags import Asked
from planner.commands.check_view import as_document, as_lines
from planner.commands.cluster import api_options_of, owned_name, references_of
from planner.commands.connect import prometheus_of, scope_of, source_of
from planner.commands.curves import profile_of
from planner.commands.flags import Format, Given
from planner.commands.forecast_progress import Progress
from planner.commands.frontend import HttpFrontend
from planner.commands.loading import load_given
from planner.doctor.examination import examine
from planner.doctor.findings import Finding, Stage, Verdict
from planner.doctor.patient import Patient
from planner.doctor.records import Records

if TYPE_CHECKING:
    from connectors.kubernetes.target import Reference

_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9.-]*:[a-z0-9][a-z0-9.-]*")
_USUAL_ACCOUNT = "setpoint"


def show_check(given: Given, asked: Asked) -> tuple[str, int]:
    """Examine what the settings describe; return what to print and the exit code.

    The exit code is 0 if nothing is wrong, warnings or not, and 1 if something is.

    Raises:
        ConfigError: If flags or settings cannot be used.
    """
    if asked.frontend is not None and not asked.probe:
        raise ConfigError("is given without --probe", key="--frontend", hint="add --probe")
    if asked.account is not None and asked.as_self:
        raise ConfigError("--as-self is given too", key="--service-account", hint="keep one")
    loaded = _loaded(given, asked.stage)
    findings = asyncio.run(_examine(loaded, asked))
    show = as_document if asked.output is Format.JSON else as_lines
    return show(findings), int(any(one.verdict is Verdict.FAIL for one in findings))


def _loaded(given: Given, stage: Stage | None) -> Loaded:
    """Load the settings; who has none yet is told what can be looked at all the same."""
    try:
        return load_given(given, require=stage in {None, Stage.DEPLOYMENT})
    except ConfigError:
        if stage is None and not (given.values or given.pairs or given.file or given.dgdr):
            typer.echo("without settings, try --stage cluster or --stage platform", err=True)
        raise


async def _examine(loaded: Loaded, asked: Asked) -> tuple[Finding, ...]:
    clock = SystemClock()
    stages = tuple(Stage) if asked.stage is None else (asked.stage,)
    async with AsyncExitStack() as stack:
        api, access = await _api(loaded.settings, clock)
        stack.push_async_callback(api.close)
        records = Records(api)
        patient = patient_of(loaded, asked, records=records, access=access, clock=clock)
        for opened in (patient.prometheus, patient.source):
            if opened is not None:
                stack.push_async_callback(opened.close)
        stack.push_async_callback(records.close)
        progress = Progress(sys.stderr, clock=clock)
        stack.callback(progress.end)
        return await examine(patient, stages, tell=progress.tell)


def patient_of(loaded: Loaded, asked: Asked, *, records: Records, access: Access, clock: Clock) -> Patient:
    """Return what is to be examined.

    Raises:
        ConfigError: If an address, a target or the account cannot be used.
    """
    settings, namespace = loaded.settings, access.namespace
    references: tuple[Reference, ...] = references_of(settings, namespace=namespace)
    reads_prometheus = settings.source is SourceKind.PROMETHEUS
    return Patient(
        settings=settings,
        records=records,
        server=access.server,
        how=access.how,
        namespace=namespace,
        lease=owned_name(settings, settings.kubernetes.lease),
        config_map=owned_name(settings, settings.kubernetes.config_map),
        references=references,
        unnamed="" if references else "neither kubernetes.prefill and .decode nor dynamo.graph_deployment",
        account="" if asked.as_self else _account(asked, namespace),
        frontend=HttpFrontend(asked.frontend) if asked.frontend else None,
        prometheus=prometheus_of(settings, clock=clock) if reads_prometheus else None,
        source=None if reads_prometheus else source_of(loaded, clock=clock),
        dialect=load_dialect(settings.prometheus.dialect),
        scope=scope_of(loaded),
        profile=_profile(settings),
        is_probed=asked.probe,
        clock=clock,
    )


def _account(asked: Asked, namespace: str) -> str:
    if asked.account is None:
        return f"{namespace}:{_USUAL_ACCOUNT}"
    if not _ACCOUNT.fullmatch(asked.account):
        raise ConfigError(
            f"{asked.account!r} is not namespace:name", key="--service-account", hint="such as llm:setpoint"
        )
    return asked.account


def _profile(settings: Settings) -> EngineProfile | ConfigError:
    try:
        return profile_of(settings)
    except ConfigError as error:
        return error


async def _api(settings: Settings, clock: Clock) -> tuple[Api, Access]:
    """Return who speaks to the API server; where that cannot be, one that says why each time."""
    options = api_options_of(settings)
    client = KubeClient(options, clock)
    try:
        return client, await client.open()
    except ConfigError as error:
        await client.close()
        return NoApi(str(error)), Access(server="", namespace=options.namespace or "default", how="")


class NoApi:
    """An API server that cannot be reached, since nothing says where it is.

    Args:
        why: What is wrong, in words.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Refuse."""
        self._refuse(path, query)

    async def post(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Refuse."""
        self._refuse(path, body, query)

    async def put(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """Refuse."""
        self._refuse(path, body, query)

    async def patch(
        self,
        path: str,
        body: object,
        kind: Patch,
        query: Mapping[str, str] | None = None,
        *,
        before: Before | None = None,
    ) -> Json:
        """Refuse."""
        self._refuse(path, body, kind, query, before)

    async def watch(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        """Refuse."""
        self._refuse(path, query)
        yield WatchEvent(kind="BOOKMARK", item={})

    async def close(self) -> None:
        """Release nothing."""

    def _refuse(self, *_asked: object) -> NoReturn:
        raise ApiError(self._why, status=0)
