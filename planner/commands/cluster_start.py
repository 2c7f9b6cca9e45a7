"""What is looked at on the cluster before the first decision?

The targets, a dry run of writing to each what it has already, who else scales them, and what our rights do
not reach. Another autoscaler on a target ends the start; everything else is said and waited for.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from config.clock import Clock, within
from config.errors import ConfigError, ObservationError, Refused
from config.settings import Settings
from connectors.kubernetes.api import FIELD_MANAGER, Api, ApiError
from connectors.kubernetes.authors import owners_of_replicas
from connectors.kubernetes.podspec import served_model
from connectors.kubernetes.pool import Look, name_of_target
from connectors.kubernetes.rights import WITHOUT, Feature, missing, missing_yaml, own_rules, rules_for
from connectors.kubernetes.rivals import maker_of, repositories_among
from planner.commands.cluster import Cluster, connect_cluster, owned_name
from planner.serving.log import get_logger

# The start waits so long for the cluster; the daemon's own probes are answered after it.
_LONGEST_S = 5.0
_AGAIN_S = 10.0
# What platforms make of their own objects; adapters and role scalers are made to be scaled by others.
_MADE_BY_OTHERS = frozenset({"Deployment", "StatefulSet", "LeaderWorkerSet"})


async def open_cluster(settings: Settings, *, clock: Clock) -> Cluster:
    """Connect to the cluster, and examine it; what does not answer in time is examined later.

    Raises:
        ConfigError: If the settings cannot be used, or somebody else scales a target.
    """
    cluster = await connect_cluster(settings, clock=clock)
    try:
        await _examine_now(cluster, settings, clock)
    except BaseException:
        await cluster.close()
        raise
    return cluster


async def _examine_now(cluster: Cluster, settings: Settings, clock: Clock) -> None:
    try:
        await within(clock, examine(cluster, settings), _LONGEST_S)
    except (ObservationError, ApiError, TimeoutError) as error:
        get_logger().warning("the fleet cannot be read yet; it is waited for", detail=str(error))
        cluster.tasks.append(asyncio.create_task(_examine_later(cluster, settings, clock)))


async def _examine_later(cluster: Cluster, settings: Settings, clock: Clock) -> None:
    """Examine it as soon as it can be; another autoscaler then holds its pool, which the loop tells."""
    is_done = False
    while not is_done:
        await clock.sleep(_AGAIN_S)
        with suppress(ObservationError, ApiError):
            try:
                await examine(cluster, settings)
            except ConfigError as error:
                get_logger().warning(str(error))
            is_done = True


async def examine(cluster: Cluster, settings: Settings) -> None:
    """Look at the cluster and say what is found.

    Raises:
        ConfigError: If somebody else scales a target, and that is not allowed.
        ObservationError: If a target cannot be read.
        ApiError: If the API server does not answer.
    """
    fleet = await cluster.fleet.read()
    looks = await cluster.fleet.look()
    for name, look in looks.items():
        state = fleet.pools[name]
        get_logger().info(
            "target",
            pool=name,
            target=name_of_target(look.target),
            namespace=look.target.parent.namespace,
            desired=state.desired,
            ready=state.ready,
            gpus_per_engine=state.gpus_per_engine,
        )
    if not settings.prometheus.model:
        tell_model(look.view.arguments for look in looks.values())
    _tell_who_may_undo(looks)
    for name, look in looks.items():
        await _refuse_rivals(cluster, name, look)
    if settings.actuate:
        for name, look in looks.items():
            await _try_write(cluster.api, name, look)
    await _tell_rights(cluster, settings)


def tell_model(command_lines: Iterable[Sequence[str]]) -> None:
    """Say which model the engines serve, if all state the same one; others' requests count as well.

    Args:
        command_lines: Of the engines, one for each pool; empty where it is not known.
    """
    models = {served_model(words) for words in command_lines}
    model = models.pop() if len(models) == 1 else None
    if model:
        get_logger().info(
            f"Detected model name from deployment: {model}",
            hint="all models count: set prometheus.model to count only its requests",
        )


async def _refuse_rivals(cluster: Cluster, name: str, look: Look) -> None:
    rivals = await cluster.fleet.rivals(look)
    if rivals:
        raise ConfigError(
            f"somebody else scales {name_of_target(look.target)}, the {name} pool: {' and '.join(rivals)}",
            key="kubernetes.allow_rivals",
            hint="remove what does, or set it to true to scale all the same",
        )


def _tell_who_may_undo(looks: Mapping[str, Look]) -> None:
    """Say who may undo scaling: what keeps an object as a repository has it, or as what made it wants it."""
    parents = {look.target.parent: look.objects.get(look.target.parent, {}) for look in looks.values()}
    for key, item in parents.items():
        maker = maker_of(item)
        if maker and key.resource.kind in _MADE_BY_OTHERS:
            get_logger().warning(
                f"{key} was made by {maker}, which may set its replicas back: name that instead, if it can be"
                f" scaled"
            )
        for manager in repositories_among(owners_of_replicas(item)):
            get_logger().warning(
                f"{manager} has written the replicas of {key} and may do so again: remove replicas from what"
                f" it applies, or let it ignore that difference"
            )


async def _try_write(api: Api, name: str, look: Look) -> None:
    """Let the API server judge, without effect, a write of what is there already."""
    try:
        write = look.target.write(look.objects, look.view.desired)
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All"}
        await api.patch(write.key.path, write.body, write.kind, query)
    except Refused:
        return  # what is there is not what may be asked for, which says nothing of what may
    except ApiError as error:
        if error.is_missing or error.is_conflict:
            return
        rules = [rule for rule in look.target.rules() if "patch" in rule.verbs and rule.is_needed]
        lacks = f"\nmissing:\n{missing_yaml(rules)}" if error.is_forbidden else ""
        get_logger().warning(
            "the API server would refuse a change of replicas", pool=name, detail=f"{error}{lacks}"
        )


async def _tell_rights(cluster: Cluster, settings: Settings) -> None:
    asked = settings.kubernetes
    tells = {
        **({Feature.EVENTS: ()} if asked.events else {}),
        Feature.CONFIG_MAP: (owned_name(settings, asked.config_map),),
    }
    names = {
        Feature.PODS: (),
        Feature.WATCH: (),
        **(tells if settings.actuate else {}),
        **({} if asked.allow_rivals else {Feature.RIVALS: ()}),
    }
    granted = await own_rules(cluster.api, cluster.namespace)  # one answer for all features
    for feature, objects in names.items():
        rules = rules_for(feature, *objects)
        lacking = await missing(cluster.api, rules, cluster.namespace, granted=granted)
        if lacking:
            get_logger().warning(
                f"without the right: {WITHOUT[feature]}",
                feature=feature.value,
                missing=f"\n{missing_yaml(lacking)}",
            )
