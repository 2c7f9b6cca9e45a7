"""From settings to a fleet on Kubernetes.

Nothing is asked of the cluster here but who leads: what is found there is `cluster_start`'s to examine.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from config.clock import Clock
from config.errors import ConfigError
from config.kubernetes import Election
from config.policy import Role
from config.settings import Settings
from connectors.base import Fleet, Replicas
from connectors.kubernetes.actuator import ActuatorOptions, KubernetesActuator
from connectors.kubernetes.api import Api, ApiError
from connectors.kubernetes.herald import Herald, HeraldOptions
from connectors.kubernetes.lease import Leadership
from connectors.kubernetes.lease_options import LeaseNews, LeaseOptions, identity_of
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.rivalry import FindRivals
from connectors.kubernetes.target import Reference, Target
from planner.commands.assemble import target_of
from planner.commands.candidate import Candidate
from planner.commands.telling_cluster import ClusterTelling
from planner.serving.log import get_logger


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a daemon is connected to; it is the actuator of the loop.

    Attributes:
        api: The API server.
        namespace: Where the targets are.
        fleet: Who scales.
        candidate: Whether this daemon is the one that writes, and tells there what happens.
        tasks: What goes on beside the loop; it ends with the cluster.
    """

    api: Api
    namespace: str
    fleet: KubernetesActuator
    candidate: Candidate
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def read(self) -> Fleet:
        """Return the fleet as it is now.

        Raises:
            ObservationError: If it cannot be read.
        """
        return await self.fleet.read()

    async def scale(self, replicas: Replicas) -> None:
        """Ask for these counts.

        Raises:
            ActuationError: If it was not done; see `KubernetesActuator.scale`.
        """
        await self.candidate.begin_to_write()
        await self.fleet.scale(replicas)

    async def close(self) -> None:
        """Give the leadership up, so that the next one need not wait, and release the connections."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        ends = [self.candidate.telling.close()]
        if self.candidate.leadership is not None:
            ends.append(self.candidate.leadership.close())
        try:
            await asyncio.gather(*ends)
        finally:
            await self.fleet.close()


async def connect_cluster(settings: Settings, *, clock: Clock) -> Cluster:
    """Connect to the cluster that the settings name, and stand for election unless they only advise.

    Raises:
        ConfigError: If the kubeconfig or a reference cannot be used, no target is named, or an election is
            insisted on and not allowed.
    """
    from connectors.kubernetes.client import KubeClient

    client = KubeClient(api_options_of(settings), clock)
    try:
        access = await client.open()
        get_logger().info("Kubernetes", server=access.server, namespace=access.namespace, how=access.how)
        cluster = _cluster(settings, client, clock=clock, namespace=access.namespace)
    except BaseException:
        await client.close()
        raise
    try:
        if settings.actuate:
            await cluster.candidate.begin()
    except BaseException:
        await cluster.close()
        raise
    return cluster


def _cluster(settings: Settings, api: Api, *, clock: Clock, namespace: str) -> Cluster:
    references = references_of(settings, namespace=namespace)
    _check_all_named(references)
    identity = identity_of()
    found: list[KubernetesActuator] = []
    herald = Herald(
        api,
        clock,
        HeraldOptions(
            namespace=namespace, instance=identity, has_events=settings.kubernetes.events, say=_warn
        ),
    )
    telling = ClusterTelling(
        herald,
        targets=lambda: found[0].targets if found else (),
        config_map=owned_name(settings, settings.kubernetes.config_map),
    )

    def hear(news: LeaseNews, words: str) -> None:
        _log_lease(news, words)
        telling.lead(news, words)

    options = _lease_options(settings, namespace=namespace, identity=identity)
    leadership = Leadership(api, options, clock, listener=hear) if options is not None else None
    candidate = Candidate(telling=telling, leadership=leadership)
    found.append(
        KubernetesActuator(
            api, references, clock=clock, leader=candidate, options=_options(settings, api, namespace)
        )
    )
    return Cluster(api=api, namespace=namespace, fleet=found[0], candidate=candidate)


def api_options_of(settings: Settings) -> ApiOptions:
    """Return how the API server is reached."""
    asked = settings.kubernetes
    return ApiOptions(
        kubeconfig=Path(asked.kubeconfig).expanduser() if asked.kubeconfig else None,
        context=asked.context or "",
        namespace=asked.namespace or settings.dynamo.kubernetes_namespace or "",
        proxy=asked.proxy or "",
        ca_file=Path(asked.ca_file).expanduser() if asked.ca_file else None,
        verify_tls=asked.verify_tls,
        timeout_s=asked.timeout,
        retries=asked.retries,
        requests_per_second=asked.requests_per_second,
    )


def references_of(settings: Settings, *, namespace: str) -> tuple[Reference, ...]:
    """Return what the settings say is scaled, one for each pool that they name.

    Args:
        settings: The settings.
        namespace: Where it is.

    Raises:
        ConfigError: If what a setting names has not the form of a target.
    """
    return tuple(_references(settings, namespace))


def _references(settings: Settings, namespace: str) -> Iterator[Reference]:
    asked, graph = settings.kubernetes, settings.dynamo.graph_deployment
    for role, text in ((Role.PREFILL, asked.prefill), (Role.DECODE, asked.decode)):
        key = f"kubernetes.{role.value}"
        if text:
            yield parse_reference(text, role=role, namespace=namespace, key=key)
        elif graph:
            meant = f"dynamographdeployment/{graph}"
            yield parse_reference(meant, role=role, namespace=namespace, key="dynamo.graph_deployment")


def owned_name(settings: Settings, asked: str | None) -> str:
    """Return the name of an object of Setpoint's own: what was asked for, else it goes by the deployment."""
    return asked or f"setpoint-{target_of(settings)}".lower().replace("_", "-")[:63].rstrip("-.")


def _check_all_named(references: tuple[Reference, ...]) -> None:
    for role in (Role.PREFILL, Role.DECODE):
        if role not in {reference.role for reference in references}:
            raise ConfigError(
                f"nothing says what the {role} pool is",
                key=f"kubernetes.{role}",
                hint=(
                    f"write kind/name, such as deployment/vllm-{role}, or name the graph deployment of both"
                    f" pools (dynamo.graph_deployment, DYN_PARENT_DGD_K8S_NAME)"
                ),
            )


def _options(settings: Settings, api: Api, namespace: str) -> ActuatorOptions:
    asked = settings.kubernetes
    return ActuatorOptions(
        unschedulable_grace_s=asked.unschedulable_grace,
        resync_s=asked.resync,
        say=_warn,
        find_rivals=None if asked.allow_rivals else _finder(api, namespace),
    )


def _finder(api: Api, namespace: str) -> FindRivals:
    from connectors.kubernetes.rivals import find_rivals

    async def find(target: Target) -> tuple[str, ...]:
        found = await find_rivals(api, namespace, (target,))
        if not found.is_certain:
            raise ApiError(f"who else scales {target.parent} is not known: {found.unread[0]}", status=0)
        return found.by_path.get(target.parent.path, ())

    return find


def _lease_options(settings: Settings, *, namespace: str, identity: str) -> LeaseOptions | None:
    asked = settings.kubernetes
    if asked.election is Election.OFF:
        return None
    return LeaseOptions(
        namespace=namespace,
        name=owned_name(settings, asked.lease),
        identity=identity,
        duration_s=asked.lease_duration,
        election=asked.election,
    )


def _log_lease(news: LeaseNews, words: str) -> None:
    is_trouble = news in {LeaseNews.LOST, LeaseNews.UNGUARDED, LeaseNews.TROUBLE}
    (get_logger().warning if is_trouble else get_logger().info)(words)


def _warn(words: str) -> None:
    get_logger().warning(words)
