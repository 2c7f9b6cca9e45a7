"""`--dgdr NAME`: a request in the cluster in the place of a manifest, waited for before a daemon starts."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from typing import TypeVar

from config.clock import Clock, SystemClock
from config.dynamo.fetched import Fetched
from config.errors import ConfigError
from config.layers import Given as Value
from config.layers import Note
from config.load import load_sections, named_manifest
from config.problems import Origin, OriginKind
from config.settings import Settings
from connectors.kubernetes.api import Api, Json
from connectors.kubernetes.remembering import Remembering
from planner.commands.flags import Given
from planner.commands.loading import settings_of
from planner.commands.telling import LogTeller, StreamTeller
from planner.preparing.folder import folder_of
from planner.preparing.outputs import Outputs, outputs_of
from planner.preparing.request import Key, stage_of
from planner.preparing.requests import read_request, wait_for_request
from planner.preparing.waiting import Seen, Teller, wait_for

T = TypeVar("T")
_NAME = re.compile(
    r"(?:(?P<namespace>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)/)?(?P<name>[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)"
)
_FILES = (".yaml", ".yml", ".json", ".txt", ".toml")
_SECTIONS = ("kubernetes.", "dynamo.kubernetes_namespace", "log.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A request as a user names it.

    Attributes:
        text: As it was written.
        namespace: Its namespace; empty if it was not written.
        name: Its name.
    """

    text: str
    namespace: str
    name: str


def request_named(text: str) -> Named | None:
    """Return the request that a text names; None if it is a file, or looks like one.

    Example:
        >>> request_named("llm/qwen-sla").name, request_named("qwen-sla.yaml"), request_named("a/b/c")
        ('qwen-sla', None, None)
    """
    match = _NAME.fullmatch(text)
    if match is None or text.endswith(_FILES) or Path(text).exists():
        return None
    return Named(text=text, namespace=match["namespace"] or "", name=match["name"])


def waited_for(given: Given) -> Given | None:
    """Return what was given, with what the cluster has in the place of a request's name, once it is done.

    Returns:
        None if SIGTERM or SIGINT came while it was waited for.

    Raises:
        ConfigError: If there is no such request, or it failed.
        ApiError: If the API server refuses.
    """
    named = _request_of(given)
    if named is None:
        return given
    fetched = asyncio.run(_until_stopped(_fetched(given, named, is_waiting=True)))
    return None if fetched is None else replace(given, dgdr=fetched)


def with_request(given: Given) -> Given:
    """Return what was given, with what the cluster has in the place of a request's name.

    Raises:
        ConfigError: If there is no such request.
        ApiError: If the API server does not answer.
    """
    named = _request_of(given)
    return (
        given if named is None else replace(given, dgdr=asyncio.run(_fetched(given, named, is_waiting=False)))
    )


def also_no_file(named: Named, error: ConfigError, *, key: str) -> ConfigError:
    """Return an error that says that there is no such file either, since that may have been meant.

    Args:
        named: What was taken for a request.
        error: Why no request could be read; one that speaks of the request itself says enough.
        key: How it was given.
    """
    if error.key.startswith("request "):
        return error
    return ConfigError(f"there is no file {named.text}, and no request could be read: {error}", key=key)


@asynccontextmanager
async def connected(settings: Settings, clock: Clock) -> AsyncIterator[tuple[Api, str]]:
    """Yield the API server that the settings name, and the namespace that holds where none is named.

    Raises:
        ConfigError: If it cannot be known where the API server is.
    """
    from connectors.kubernetes.client import KubeClient
    from planner.commands.cluster import api_options_of

    client = KubeClient(api_options_of(settings), clock)
    try:
        access = await client.open()
        # What is served does not change while a request is waited for, and need not be asked each second.
        yield Remembering(client), access.namespace
    finally:
        await client.close()


def _request_of(given: Given) -> Named | None:
    manifest = given.dgdr if given.dgdr is not None else named_manifest()
    return request_named(str(manifest)) if isinstance(manifest, Path) else None


async def _fetched(given: Given, named: Named, *, is_waiting: bool) -> Fetched:
    from planner.commands.assemble import configure_log

    clock = SystemClock()
    flags, _ = settings_of(given)
    settings = load_sections(*_SECTIONS, flags=flags, file=given.file)
    stream = StreamTeller(sys.stderr)
    configure_log(settings, stream=sys.stderr, clock=clock)
    teller: Teller = stream if sys.stderr.isatty() else LogTeller()
    try:
        async with connected(settings, clock) as (api, namespace):
            key = Key(namespace=named.namespace or namespace, name=named.name)
            return await fetched_of(api, key, clock=clock, teller=teller if is_waiting else None)
    except ConfigError as error:
        raise also_no_file(named, error, key=f"--dgdr {named.text}") from None
    finally:
        stream.end()


async def fetched_of(api: Api, key: Key, *, clock: Clock, teller: Teller | None) -> Fetched:
    """Return a request of the cluster as a manifest, with the profile and the deployment that it made.

    Args:
        api: The API server.
        key: The request.
        clock: Where the time comes from.
        teller: Who is told while the request is waited for; None does not wait.

    Raises:
        ConfigError: If there is no such request, or it failed.
        ApiError: If an answer of the API server will not be better later.
    """
    if teller is None:
        request = await read_request(api, key)
    else:
        request = await wait_for_request(api, key, clock=clock, teller=teller)
    outputs = await _outputs(api, key, request, clock=clock, teller=teller)
    spec = request.get("spec")
    if isinstance(spec, dict) and "v1beta2" in spec:
        hint = "give its targets and limits as settings of Setpoint's"
        raise ConfigError("it is written for v1beta2, which is not read", key=f"request {key}", hint=hint)
    manifest = {name: request.get(name) for name in ("apiVersion", "kind", "spec")}
    return Fetched(
        name=f"{key} (cluster)",
        text=dumps(manifest, ensure_ascii=False),
        learned=dict(_learned(key, outputs)),
        notes=tuple(_notes(key, request, outputs)),
    )


async def _outputs(api: Api, key: Key, request: Json, *, clock: Clock, teller: Teller | None) -> Outputs:
    if teller is None:
        return await outputs_of(api, key, request)

    async def look() -> Seen[Outputs]:
        found = await outputs_of(api, key, request)
        profile = "with a profile" if found.profile else "without a profile"
        return Seen(words=f"deployment {found.name or 'not known'}, {profile}", result=found)

    return await wait_for(look, about=f"request {key}", clock=clock, teller=teller)


def _learned(key: Key, outputs: Outputs) -> Iterator[tuple[str, Value]]:
    if outputs.profile is not None:
        origin = _origin(f"ConfigMap {key.namespace}/{outputs.profile.name}")
        yield "profile", Value(value=str(folder_of(outputs.profile)), origin=origin)
    deployment = _origin(f"deployment of DGDR {key}")
    if outputs.name:
        yield "dynamo.graph_deployment", Value(value=outputs.name, origin=deployment)
        yield "dynamo.kubernetes_namespace", Value(value=outputs.namespace, origin=deployment)
    for role, gpus in outputs.gpus.items():
        yield f"pools.{role}.gpus_per_engine", Value(value=gpus, origin=deployment)


def _notes(key: Key, request: Json, outputs: Outputs) -> Iterator[Note]:
    about = f"request {key}"
    for line in outputs.notes:
        yield Note(said=about, why=line)
    stage = stage_of(request)
    if outputs.profile is None:
        why = f"it is {stage} and there is no profile of it (ConfigMap planner-profile-data); set profile"
        yield Note(said=about, why=why, settled_by="profile")
    if outputs.generated and not outputs.is_applied:
        why = f"its deployment is not in the cluster; apply it with: setpoint dgd prepare {key} --apply"
        yield Note(said=about, why=why)


def _origin(name: str) -> Origin:
    return Origin(kind=OriginKind.DGDR, name=name)


async def _until_stopped(work: Coroutine[object, object, T]) -> T | None:
    """Return what work results in; None if SIGTERM or SIGINT came first, which ends it at once."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        await asyncio.wait({task})
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    return None if task.cancelled() else task.result()
