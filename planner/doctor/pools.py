"""The targets that the settings name, resolved and read: what most checks of the deployment look at."""

import asyncio
from dataclasses import dataclass, field

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.kubernetes.api import ApiError, Json, Resource
from connectors.kubernetes.builtin import PODS
from connectors.kubernetes.discovery import discover, resolve
from connectors.kubernetes.engines import own_pods
from connectors.kubernetes.reference import named
from connectors.kubernetes.target import ObjectKey, Reference, Target, TargetView
from planner.doctor.patient import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool, as far as it could be read.

    Attributes:
        reference: How the user names its target.
        target: The target; None if it was not found.
        objects: What was read of it.
        view: What the objects say; None if they could not be read.
        problem: Why target or view are None.
        is_missing: Whether the target, its kind or its part does not exist, as opposed to not being readable.
        pods: Its pods; None if they could not be read.
        is_served: Whether the API server knows its kind, or nobody could tell.
        forbidden: Its kind, where we may not read the target.
    """

    reference: Reference
    target: Target | None = None
    objects: dict[ObjectKey, Json] = field(default_factory=dict)
    view: TargetView | None = None
    problem: str = ""
    is_missing: bool = False
    pods: tuple[Json, ...] | None = None
    is_served: bool = True
    forbidden: Resource | None = None

    @property
    def role(self) -> Role:
        """Its role."""
        return self.reference.role

    @property
    def name(self) -> str:
        """What it is called."""
        return self.role.value

    @property
    def words(self) -> str:
        """Its target, as the user wrote it."""
        return named(self.reference)

    @property
    def place(self) -> str:
        """The name of its object, and its part of it."""
        if self.target is None:
            return self.words
        return (
            f"{self.target.parent.name}:{self.target.part}" if self.target.part else self.target.parent.name
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line of its engines; empty if nothing is known of it."""
        return self.view.arguments if self.view else ()


async def examined_pools(patient: Patient) -> tuple[Pool, ...]:
    """Return the pools, found and read once for all checks."""
    return await patient.records.once("pools", lambda: _examine(patient))


async def _examine(patient: Patient) -> tuple[Pool, ...]:
    return tuple(await asyncio.gather(*(_pool(patient, one) for one in patient.references)))


async def _pool(patient: Patient, reference: Reference) -> Pool:
    try:
        target = await resolve(patient.records.api, reference)
    except ConfigError as error:
        is_served = await _kind(patient, reference) is not None
        return Pool(reference=reference, problem=str(error), is_missing=True, is_served=is_served)
    except ApiError as error:
        forbidden = await _kind(patient, reference) if error.is_forbidden else None
        return Pool(reference=reference, problem=str(error), is_missing=error.is_missing, forbidden=forbidden)
    except Malformed as error:
        return Pool(reference=reference, problem=str(error))
    return await _read(patient, reference, target)


async def _kind(patient: Patient, reference: Reference) -> Resource | None:
    try:
        return (await discover(patient.records.api, reference.kind)).resource
    except ApiError:
        return None


async def _read(patient: Patient, reference: Reference, target: Target) -> Pool:
    objects: dict[ObjectKey, Json] = {}
    try:
        for key in target.needs():
            if (found := await patient.records.maybe(key.path)) is not None:
                objects[key] = found
        view = target.view(objects)
    except (ApiError, Malformed) as error:
        is_missing = target.parent not in objects and not isinstance(error, ApiError)
        return Pool(
            reference=reference, target=target, objects=objects, problem=str(error), is_missing=is_missing
        )
    pods = await _pods(patient, reference.namespace, view)
    return Pool(reference=reference, target=target, objects=objects, view=view, pods=pods)


async def _pods(patient: Patient, namespace: str, view: TargetView) -> tuple[Json, ...] | None:
    if not view.pod_selector:
        return None
    path, query = PODS.path(namespace), {"labelSelector": view.pod_selector}
    try:
        return own_pods(await patient.records.listed(path, query), view)
    except ApiError:
        return None
