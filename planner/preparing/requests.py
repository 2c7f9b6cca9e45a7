"""Requests in a cluster: found by name, waited for, and explained when they fail."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from config.clock import Clock
from config.errors import ConfigError
from connectors.kubernetes.api import Api, ApiError, Json, Resource
from connectors.kubernetes.builtin import PODS
from connectors.kubernetes.discovery import discover
from connectors.kubernetes.meta import items, member, name_of, text
from planner.preparing.graph import GROUP, KIND
from planner.preparing.request import PLURAL, Key, deployment_of, jobs_of, reasons, stage_of
from planner.preparing.waiting import Seen, Teller, is_passing, wait_for

_SHOWN = 8
# An API server that has just started does not know all rights yet, and a token may be about to be renewed.
_NOT_NOW = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_STATUSES = ("initContainerStatuses", "containerStatuses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """Dynamo's kinds, in the version that the API server prefers."""

    requests: Resource
    graphs: Resource


async def kinds_of(api: Api) -> Kinds:
    """Ask which of Dynamo's kinds are served.

    Raises:
        ConfigError: If none are.
        ApiError: If the API server does not answer.
    """
    try:
        requests = await discover(api, f"{PLURAL}.{GROUP}")
        graphs = await discover(api, f"{KIND.lower()}.{GROUP}")
    except ApiError as error:
        if not error.is_missing:
            raise
        raise ConfigError(
            "the cluster has no requests of Dynamo's", hint="install Dynamo's platform, or name a file"
        ) from None
    return Kinds(requests=requests.resource, graphs=graphs.resource)


async def read_request(api: Api, key: Key) -> Json:
    """Read a request.

    Raises:
        ConfigError: If there is none of this name, with those that there are; or if it may not be read.
        ApiError: If the API server does not answer.
    """
    kinds = await kinds_of(api)
    try:
        return await api.get(kinds.requests.path(key.namespace, key.name))
    except ApiError as error:
        raise await _in_words(api, key, kinds, error) from None


async def wait_for_request(api: Api, key: Key, *, clock: Clock, teller: Teller) -> Json:
    """Wait until a request has done what it was asked for, or its deployment is at least there.

    Raises:
        ConfigError: If there is none of this name, it failed, or it was deleted meanwhile.
        ApiError: If an answer will not be better later.
    """
    was_seen = False

    async def look() -> Seen[Json]:
        nonlocal was_seen
        kinds = await kinds_of(api)
        try:
            request = await api.get(kinds.requests.path(key.namespace, key.name))
        except ApiError as error:
            if was_seen and error.status in _NOT_NOW:
                return Seen(words=f"{error}; it is asked again")
            if was_seen and error.is_missing:
                raise ConfigError("it was deleted while it was waited for", key=f"request {key}") from None
            raise await _in_words(api, key, kinds, error) from None
        was_seen = True
        stage = stage_of(request)
        if stage.is_failed:
            raise await failure(api, key, request)
        is_over = stage.is_done or (stage.is_deploying and await _has_deployment(api, request))
        return Seen(words=str(stage), result=request if is_over else None)

    return await wait_for(look, about=f"request {key}", clock=clock, teller=teller)


async def failure(api: Api, key: Key, request: Json) -> ConfigError:
    """Return why a request failed: what its conditions say, and the pod of its profiling."""
    stage = stage_of(request)
    why = list(reasons(request)) or ["its conditions do not say why"]
    why += await _pods(api, key, jobs_of(request))
    hint = (
        "create the request again, or name the deployment's manifest"
        if stage.state == "DeploymentDeleted"
        else f"see kubectl describe dgdr {key.name} -n {key.namespace}; a request cannot be changed,"
        " so correct it, delete it and create it again"
    )
    return ConfigError(f"it is {stage}: {'; '.join(why)}", key=f"request {key}", hint=hint)


async def _has_deployment(api: Api, request: Json) -> bool:
    name, namespace = deployment_of(request)
    if not name:
        return False
    try:
        await api.get((await kinds_of(api)).graphs.path(namespace, name))
    except ApiError as error:
        if error.is_missing or error.is_forbidden:
            return False
        raise
    return True


async def _pods(api: Api, key: Key, jobs: Sequence[str]) -> list[str]:
    """Return what the pods of a profiling job say, as far as they may be read."""
    try:
        found = await api.get(PODS.path(key.namespace), {"labelSelector": f"job-name in ({','.join(jobs)})"})
    except ApiError:
        return []
    return [
        f"pod {name_of(pod)}: {line} (kubectl logs {name_of(pod)} -n {key.namespace})"
        for pod in items(found, "items")
        for line in pod_troubles(pod)
    ]


def pod_troubles(pod: Json) -> list[str]:
    """Return what keeps a pod from running, in words; empty if nothing does.

    Raises:
        Malformed: If it does not have the shape of a pod.
    """
    statuses = [one for kind in _STATUSES for one in items(pod, "status", kind)]
    return [
        _joined(text(one, "reason"), text(one, "message"))
        for one in items(pod, "status", "conditions")
        if text(one, "type") == "PodScheduled" and text(one, "status") == "False"
    ] + [line for one in statuses for line in _container_troubles(one)]


def _container_troubles(status: Json) -> Iterator[str]:
    waiting = member(status, "state", "waiting")
    ended = member(status, "state", "terminated") or member(status, "lastState", "terminated")
    if text(waiting, "reason") not in {"", "ContainerCreating", "PodInitializing"}:
        yield _joined(text(waiting, "reason"), text(waiting, "message"))
    if ended.get("exitCode"):
        code = f"{text(status, 'name')} ended with code {ended['exitCode']}"
        yield _joined(code, text(ended, "message") or text(ended, "reason"))


def _joined(*words: str) -> str:
    return ": ".join(" ".join(word.split())[:300] for word in words if word.strip())


async def _in_words(api: Api, key: Key, kinds: Kinds, error: ApiError) -> ConfigError | ApiError:
    if error.is_forbidden:
        return _forbidden(key, kinds)
    return await _unknown(api, key, kinds) if error.is_missing else error


def _forbidden(key: Key, kinds: Kinds) -> ConfigError:
    rule = f"apiGroups: [{kinds.requests.group}], resources: [{kinds.requests.plural}], verbs: [get]"
    return ConfigError("it may not be read", key=f"request {key}", hint=f"grant {rule}, or name a file")


async def _unknown(api: Api, key: Key, kinds: Kinds) -> ConfigError:
    problem = f"there is no such request in namespace {key.namespace}"
    try:
        found = await api.get(kinds.requests.path(key.namespace))
    except ApiError as error:
        if is_passing(error):
            raise
        return ConfigError(problem, key=f"request {key}", hint="check the name, or name a file")
    names = sorted(map(name_of, items(found, "items")))
    near = difflib.get_close_matches(key.name[:64], names, n=1)
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    if near:
        hint = f"did you mean {near[0]}?"
    elif names:
        hint = f"there are {shown}"
    else:
        hint = "there are none; write NAMESPACE/NAME if it is elsewhere, or name a file"
    return ConfigError(problem, key=f"request {key}", hint=hint)
