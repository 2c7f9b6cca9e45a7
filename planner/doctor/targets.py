"""Is what is to be scaled there, does it say how large an engine is, and would it take a change?"""

from http import HTTPStatus

from config.errors import Malformed, Refused
from config.policy import Role
from config.settings import ActuatorKind, PoolSettings
from connectors.base import HoldKind
from connectors.kubernetes.api import FIELD_MANAGER, Api, ApiError
from connectors.kubernetes.engines import engines_in, said_by
from connectors.kubernetes.meta import PAUSED
from connectors.kubernetes.pods import Engines
from connectors.kubernetes.podstate import Patience
from connectors.kubernetes.target import TargetView, Write
from planner.doctor.findings import Grid, Sign, counted, fail, listed, ok, skip, warn
from planner.doctor.patient import Patient
from planner.doctor.pools import Pool, examined_pools

_HEADS = ("pool", "object", "desired", "ready", "GPUs/engine", "pods/engine", "limits")
_NUMBERS = frozenset({"desired", "ready", "GPUs/engine", "pods/engine"})
_DRY = {"dryRun": "All", "fieldManager": FIELD_MANAGER}


async def check_targets(patient: Patient) -> Sign:
    """Find the targets that the settings name, and read them."""
    if not patient.references:
        return skip(
            f"the settings name nothing that is scaled: {patient.unnamed}",
            todo="--set kubernetes.prefill=KIND/NAME --set kubernetes.decode=KIND/NAME,"
            " or dynamo.graph_deployment",
        )
    if unnamed := {Role.PREFILL, Role.DECODE} - {one.role for one in patient.references}:
        role = min(unnamed)
        return fail(f"nothing says what the {role} pool is", todo=f"--set kubernetes.{role}=KIND/NAME")
    return judge_targets(patient, await examined_pools(patient))


def judge_targets(patient: Patient, pools: tuple[Pool, ...]) -> Sign:
    """Say which targets are not there, and which do not say their GPUs."""
    grid = Grid(heads=_HEADS, rows=tuple(_row(patient, pool) for pool in pools), numbers=_NUMBERS)
    lost = [pool for pool in pools if pool.view is None]
    if lost:
        details = tuple(f"{pool.name}: {pool.problem}" for pool in lost)
        say = fail if any(pool.is_missing for pool in lost) else warn
        what = "was not found" if any(pool.is_missing for pool in lost) else "cannot be read"
        names = ", ".join(f"{pool.name} ({pool.words})" for pool in lost)
        return say(f"what is to be scaled {what}: {names}", *details, todo=_todo(lost[0]), grid=grid)
    silent = [pool for pool in pools if pool.view and pool.view.gpus_per_engine is None]
    if silent:
        flags = " ".join(f"--set pools.{pool.name}.gpus_per_engine=N" for pool in silent)
        names = ", ".join(pool.name for pool in silent)
        return warn(
            f"the pods of {names} do not say how many GPUs an engine has; the settings say"
            f" {', '.join(f'{gpus_of(patient, pool)} for {pool.name}' for pool in silent)}",
            "the budget is only kept if that is right",
            todo=f"{flags}, if it is not",
            grid=grid,
        )
    parents = dict.fromkeys(str(pool.target.parent) for pool in pools if pool.target)
    summary = f"found in namespace {patient.namespace}: {listed(parents)}"
    actuator = patient.settings.actuator
    if actuator is not ActuatorKind.KUBERNETES:
        return warn(
            f"{summary}; nothing of it is scaled, since the actuator is {actuator.value}",
            todo="--actuator kubernetes",
            grid=grid,
        )
    return ok(summary, grid=grid)


def _todo(pool: Pool) -> str:
    kind, namespace = pool.reference.kind, pool.reference.namespace
    if not pool.is_served:
        return "see which kinds there are:\nkubectl api-resources"
    if pool.forbidden:
        return f"rights says what lacks; see what we may do:\nkubectl auth can-i --list -n {namespace}"
    return (
        "see what is there, or name another namespace (--set kubernetes.namespace=NAME):\n"
        f"kubectl get {kind} -n {namespace}"
    )


def gpus_of(patient: Patient, pool: Pool) -> int:
    """Return the GPUs of an engine: what the target says, else what the settings say."""
    told = pool.view.gpus_per_engine if pool.view else None
    return told if told is not None else limits_of(patient, pool).gpus_per_engine


def limits_of(patient: Patient, pool: Pool) -> PoolSettings:
    """Return what the settings say of a pool."""
    pools = patient.settings.pools
    return pools.prefill if pool.role is Role.PREFILL else pools.decode


def engines_of(patient: Patient, pool: Pool) -> Engines | None:
    """Return the engines of a pool by its pods, or as its controller counts them; None if neither tells."""
    if pool.view is None:
        return None
    if pool.pods is not None:
        patience = Patience(now_wall_s=patient.clock.wall_s(), grace_s=0.0, groups={})
        return engines_in(pool.pods, pods_per_engine=pool.view.pods_per_engine, patience=patience)
    try:
        return said_by(pool.view, name=pool.words)
    except Malformed:
        return None


def _row(patient: Patient, pool: Pool) -> tuple[str, ...]:
    view = pool.view
    if view is None:
        return (pool.name, pool.words, "?", "?", "?", "?", "?")
    engines = engines_of(patient, pool)
    most = "" if view.most is None else str(view.most)
    return (
        pool.name,
        pool.place,
        str(view.desired),
        "?" if engines is None else str(engines.ready),
        "?" if view.gpus_per_engine is None else str(view.gpus_per_engine),
        str(view.pods_per_engine),
        f"{view.least} to {most}" if most else f"from {view.least}" if view.least else "none",
    )


async def check_readiness(patient: Patient) -> tuple[Sign, ...] | Sign:
    """Compare what is asked for with what serves, and say what the rest lacks."""
    pools = await examined_pools(patient)
    found = [_readiness(patient, pool, pool.view) for pool in pools if pool.view]
    return tuple(found) or skip("no target was found")


def _readiness(patient: Patient, pool: Pool, view: TargetView) -> Sign:
    engines = engines_of(patient, pool)
    if engines is None:
        return warn("neither its pods nor its status tell what is ready", about=pool.name)
    summary = f"{engines.ready} of {counted(view.desired, 'engine')} ready"
    troubles = [text for text in (engines.why_failing, view.trouble) if text]
    if engines.failing or (troubles and engines.ready < view.desired):
        see = f"kubectl describe pods -n {pool.reference.namespace}"
        todo = f"{see} -l '{view.pod_selector}'" if view.pod_selector else see
        return fail(f"{summary}, {engines.failing} failing", *troubles, todo=todo, about=pool.name)
    if engines.ready < view.desired:
        return warn(f"{summary}, {engines.starting} starting", todo="wait, or see its pods", about=pool.name)
    if not engines.ready:
        return warn(
            f"{summary}: nothing serves",
            todo="scale it to one engine; where all are gone, nothing signals demand any more",
            about=pool.name,
        )
    return ok(summary, about=pool.name)


async def check_holds(patient: Patient) -> tuple[Sign, ...] | Sign:
    """Look for pauses and roll-outs, under which nothing is scaled."""
    pools = await examined_pools(patient)
    found = [_hold(pool, pool.view) for pool in pools if pool.view]
    return tuple(found) or skip("no target was found")


def _hold(pool: Pool, view: TargetView) -> Sign:
    if view.hold is None:
        return ok("is not paused and does not roll out", about=pool.name)
    if view.hold.kind is not HoldKind.PAUSED:
        return warn(f"{view.hold.why}; it is left alone meanwhile", todo="wait", about=pool.name)
    parent = pool.target.parent if pool.target else None
    name = f"{parent.resource.plural} {parent.name}" if parent else pool.words
    key = f"{PAUSED}-{pool.name}" if f"{PAUSED}-" in view.hold.why else PAUSED
    return warn(
        f"{view.hold.why}; it is left alone until somebody takes that away",
        todo=f"kubectl annotate {name} -n {pool.reference.namespace} {key}-",
        about=pool.name,
    )


async def check_dry_run(patient: Patient) -> tuple[Sign, ...] | Sign:
    """Ask the API server whether it would take the replicas that there are now."""
    found = [await _dry_run(patient.records.api, pool) for pool in await examined_pools(patient) if pool.view]
    return tuple(found) or skip("no target was found")


async def _dry_run(api: Api, pool: Pool) -> Sign:
    if pool.target is None or pool.view is None:
        return skip("no target was found", about=pool.name)
    try:
        write = pool.target.write(pool.objects, pool.view.desired)
    except (Refused, Malformed) as error:
        return fail(f"cannot be asked for {pool.view.desired} replicas: {error}", about=pool.name)
    try:
        await _send(api, write)
    except ApiError as error:
        return _refusal(pool, write, error)
    return ok(f"the API server would set {write.key} (dry run, {pool.view.desired} as now)", about=pool.name)


async def _send(api: Api, write: Write) -> None:
    try:
        await api.patch(write.key.path, write.body, write.kind, _DRY)
    except ApiError as error:
        if not error.is_missing or write.on_missing is None:
            raise
        await _send(api, write.on_missing)


def _refusal(pool: Pool, write: Write, error: ApiError) -> Sign:
    if error.is_forbidden:
        return warn(
            f"we may not patch {write.key}, so that it is not known whether a change would be taken",
            "whether the daemon may is told by the check of rights",
            about=pool.name,
        )
    if error.is_conflict:
        return warn(f"{write.key} changed while it was looked at", todo="check again", about=pool.name)
    hint = "an admission webhook or a quota says no, see its words"
    is_refused = error.status in {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST}
    return fail(
        f"the API server would not set {write.key}: {error}", todo=hint if is_refused else "", about=pool.name
    )
