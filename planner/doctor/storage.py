"""Is there one default storage class, which claims without a class of their own take?"""

from collections.abc import Iterable

from connectors.kubernetes.api import Json
from connectors.kubernetes.builtin import STORAGE_CLASSES
from connectors.kubernetes.meta import name_of
from planner.doctor.findings import Sign, fail, listed, ok, warn
from planner.doctor.patient import Patient
from planner.doctor.records import annotations_of

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_MARKS = (_DEFAULT, "storageclass.beta.kubernetes.io/is-default-class")


async def check_storage(patient: Patient) -> Sign:
    """Look for the default among the storage classes."""
    classes = await patient.records.listed(STORAGE_CLASSES.path(None))
    return judge_storage(classes, is_needed=patient.uses_dynamo)


def judge_storage(classes: Iterable[Json], *, is_needed: bool) -> Sign:
    """Say whether exactly one storage class is the default.

    Args:
        classes: The storage classes.
        is_needed: Whether something makes claims without a class, as Dynamo's platform does.
    """
    known = tuple(classes)
    names = sorted(name_of(one) for one in known)
    defaults = sorted(
        name_of(one) for one in known if any(annotations_of(one).get(mark) == "true" for mark in _MARKS)
    )
    if len(defaults) == 1:
        return ok(f"{defaults[0]} is the default storage class")
    if defaults:
        return warn(
            f"several storage classes are the default: {listed(defaults)}",
            "which of them a claim gets depends on the version of Kubernetes",
            todo="keep one, and for the others:\n" + _patch("NAME", is_default=False),
        )
    say = fail if is_needed else warn
    if not known:
        return say("there is no storage class", todo="install a provisioner of volumes, with its class")
    return say(
        f"no storage class is the default; there are {listed(names)}",
        "volume claims that name no class, such as those of Dynamo's platform, stay pending",
        todo="choose one:\n" + _patch(names[0], is_default=True),
    )


def _patch(name: str, *, is_default: bool) -> str:
    value = "true" if is_default else "false"
    patch = f'{{"metadata":{{"annotations":{{"{_DEFAULT}":"{value}"}}}}}}'
    return f"kubectl patch storageclass {name} -p '{patch}'"
