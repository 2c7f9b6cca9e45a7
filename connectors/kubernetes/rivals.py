"""Which other autoscalers have one of our targets?

Two who scale the same object undo each other's work. Asked are the kinds that are known to scale others; a
kind that is not installed cannot, one that may not be listed is told, and so is a server error: it is not
taken for nobody.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.kubernetes.api import Api, ApiError, Json, Resource
from connectors.kubernetes.target import ObjectKey, Target

_PAUSED = "autoscaling.keda.sh/paused"
# Managers that write down again what is in a repository; `kubectl` writes once, when a person does.
_REPOSITORIES = ("argocd", "kustomize-controller", "helm", "flux", "fleet", "rancher")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """What was found.

    Attributes:
        by_path: Who else has a target, in words, by the path of the target's parent; only those with some.
        unread: Kinds that could not be listed, each with the reason.
    """

    by_path: Mapping[str, tuple[str, ...]]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Autoscaler:
    """A kind that scales others, and the kind that it means where it says none."""

    resource: Resource
    default_kind: str = ""


_AUTOSCALERS = (
    _Autoscaler(
        resource=Resource(
            group="autoscaling",
            version="v1",
            plural="horizontalpodautoscalers",
            kind="HorizontalPodAutoscaler",
        )
    ),
    _Autoscaler(
        resource=Resource(group="keda.sh", version="v1alpha1", plural="scaledobjects", kind="ScaledObject"),
        default_kind="Deployment",
    ),
    _Autoscaler(
        resource=Resource(
            group="llmd.ai", version="v1alpha1", plural="variantautoscalings", kind="VariantAutoscaling"
        ),
        default_kind="Deployment",
    ),
    _Autoscaler(
        resource=Resource(
            group="autoscaling.aibrix.ai",
            version="v1alpha1",
            plural="podautoscalers",
            kind="PodAutoscaler",
        ),
        default_kind="Deployment",
    ),
)


async def find_rivals(api: Api, namespace: str, targets: Sequence[Target]) -> Rivals:
    """Look for other autoscalers of the targets, of the objects that they are read from, and of their scales.

    Args:
        api: The API server.
        namespace: Where the targets are; autoscalers have to be in the same.
        targets: The targets.

    Raises:
        ApiError: If the API server does not answer at all.
    """
    found: dict[str, tuple[str, ...]] = {}
    unread: list[str] = []
    for sort in _AUTOSCALERS:
        try:
            listed = await api.get(sort.resource.path(namespace))
        except ApiError as error:
            if not error.status:
                raise
            if not error.is_missing:
                unread.append(f"{sort.resource.plural}.{sort.resource.group}: {error}")
            continue
        for path, words in _matches(sort, _items(listed), targets):
            found[path] = (*found.get(path, ()), words)
    return Rivals(
        by_path={path: tuple(dict.fromkeys(each)) for path, each in found.items()}, unread=tuple(unread)
    )


def _matches(
    sort: _Autoscaler, listed: Iterable[Json], targets: Sequence[Target]
) -> Iterator[tuple[str, str]]:
    for item in listed:
        if _is_at_rest(sort, item):
            continue
        aim = _aim(sort, item)
        for target in targets:
            for key in (target.parent, *target.needs()):
                if aim.is_at(key):
                    yield target.parent.path, _words(sort, item, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aim:
    """What an autoscaler scales, as it says; an empty group is any."""

    group: str
    kind: str
    name: str

    def is_at(self, key: ObjectKey) -> bool:
        is_group = not self.group or self.group == key.resource.group
        return is_group and (self.kind, self.name) == (key.resource.kind, key.name)


def _aim(sort: _Autoscaler, item: Json) -> _Aim:
    reference = _part(item, "spec", "scaleTargetRef")
    group = str(reference.get("apiVersion") or "").rpartition("/")[0]
    kind = str(reference.get("kind") or sort.default_kind)
    # A VariantAutoscaling without a reference means the Deployment of its own name.
    name = reference.get("name") or _part(item, "metadata").get("name") or ""
    return _Aim(group=group, kind=kind, name=str(name))


def _is_at_rest(sort: _Autoscaler, item: Json) -> bool:
    """Tell whether it scales nothing now, or is the tool of another one that is told itself."""
    if sort.resource.kind == "HorizontalPodAutoscaler":
        owners = _part(item, "metadata").get("ownerReferences")
        kinds = {owner.get("kind") for owner in owners or () if isinstance(owner, Mapping)}
        return bool(kinds & {"ScaledObject", "PodAutoscaler"})
    return sort.resource.kind == "ScaledObject" and _is_paused(item)


def _is_paused(item: Json) -> bool:
    value = _part(item, "metadata", "annotations").get(_PAUSED)
    return value is not None and str(value).strip().lower() != "false"


def _words(sort: _Autoscaler, item: Json, key: ObjectKey) -> str:
    words = f"the {sort.resource.kind} {_part(item, 'metadata').get('name')} scales {key}"
    if "autoscaling.keda.sh/paused-replicas" in _part(item, "metadata", "annotations"):
        words += " (paused at a number of replicas, which it keeps)"
    return words


def managers_of_replicas(item: Json, path: Sequence[str] = ("spec", "replicas")) -> tuple[str, ...]:
    """Return who owns the field of the replicas, as `metadata.managedFields` has it; without the status.

    Args:
        item: The object.
        path: Where the field is; an entry of a list is named as `name=decode`.

    Example:
        >>> fields = {"f:spec": {"f:roles": {'k:{"name":"decode"}': {"f:replicas": {}}}}}
        >>> item = {"metadata": {"managedFields": [{"manager": "argocd-controller", "fieldsV1": fields}]}}
        >>> managers_of_replicas(item, ("spec", "roles", "name=decode", "replicas"))
        ('argocd-controller',)
        >>> managers_of_replicas(item)
        ()
    """
    entries = _part(item, "metadata").get("managedFields")
    owners = (
        str(entry.get("manager", ""))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping) and entry.get("subresource") != "status" and _owns(entry, path)
    )
    return tuple(dict.fromkeys(owner for owner in owners if owner))


def repositories_among(managers: Iterable[str]) -> tuple[str, ...]:
    """Return the managers that put back what a repository says, and so undo scaling at their next run.

    Example:
        >>> repositories_among(("kubectl", "argocd-controller", "setpoint"))
        ('argocd-controller',)
    """
    return tuple(one for one in managers if one.lower().startswith(_REPOSITORIES))


def _owns(entry: Json, path: Sequence[str]) -> bool:
    found = _part(entry, "fieldsV1")
    for step in path:
        inner = found.get(_field(step))
        if not isinstance(inner, Mapping):
            return False
        found = inner
    return True


def _field(step: str) -> str:
    name, is_entry, value = step.partition("=")
    return f'k:{{"{name}":"{value}"}}' if is_entry else f"f:{name}"


def _part(item: Json, *path: str) -> Json:
    found: object = item
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _items(listed: Json) -> tuple[Json, ...]:
    items = listed.get("items")
    return tuple(item for item in (items if isinstance(items, list) else ()) if isinstance(item, Mapping))
