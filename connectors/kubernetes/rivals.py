"""Which other autoscalers have one of our targets?

Two who scale the same object undo each other's work. Asked are the kinds that are known to scale others; a
kind that is not installed cannot, one that may not be listed is told, and so is a server error: it is not
taken for nobody. What autoscalers of autoscalers make is left to those that made it, if they could be asked.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.kubernetes.api import Api, ApiError, Json, Resource
from connectors.kubernetes.listing import Listing, list_all
from connectors.kubernetes.paths import items, member, name_of, text
from connectors.kubernetes.target import ObjectKey, Target

_PAUSED = "autoscaling.keda.sh/paused"
_PAUSED_AT = "autoscaling.keda.sh/paused-replicas"
_MAKERS = frozenset({"ScaledObject", "PodAutoscaler"})
# Managers that write down again what is in a repository; `kubectl` writes once, when a person does.
_REPOSITORIES = ("argocd", "kustomize-controller", "helm", "flux", "fleet", "rancher")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """What was found.

    Attributes:
        by_path: Who else has a target, in words, by the path of the target's parent; only those with some.
        unread: Kinds that could not be listed, each with the reason.
        is_certain: Whether nothing but our rights kept a kind from being listed.
    """

    by_path: Mapping[str, tuple[str, ...]]
    unread: tuple[str, ...] = ()
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Autoscaler:
    """A kind that scales others, and the kind that it means where it says none."""

    resource: Resource
    default_kind: str = ""


_AUTOSCALERS = (
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
    # Last: those that others made are known by then.
    _Autoscaler(
        resource=Resource(
            group="autoscaling",
            version="v1",
            plural="horizontalpodautoscalers",
            kind="HorizontalPodAutoscaler",
        )
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
    read: set[str] = set()
    is_certain = True
    for sort in _AUTOSCALERS:
        try:
            listed = await list_all(api, Listing(path=sort.resource.path(namespace)))
        except ApiError as error:
            if not error.status:
                raise
            if not error.is_missing:
                unread.append(f"{sort.resource.plural}.{sort.resource.group}: {error}")
                is_certain = is_certain and error.is_forbidden
            continue
        read.add(sort.resource.kind)
        acting = (item for item in listed.objects.values() if not _is_at_rest(sort, item, read))
        for path, words in _matches(sort, acting, targets):
            found[path] = (*found.get(path, ()), words)
    by_path = {path: tuple(dict.fromkeys(each)) for path, each in found.items()}
    return Rivals(by_path=by_path, unread=tuple(unread), is_certain=is_certain)


def _matches(
    sort: _Autoscaler, listed: Iterable[Json], targets: Sequence[Target]
) -> Iterator[tuple[str, str]]:
    for item in listed:
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
    reference = member(item, "spec", "scaleTargetRef")
    return _Aim(
        group=text(reference, "apiVersion").rpartition("/")[0],
        kind=text(reference, "kind") or sort.default_kind,
        # A VariantAutoscaling without a reference means the Deployment of its own name.
        name=text(reference, "name") or name_of(item),
    )


def _is_at_rest(sort: _Autoscaler, item: Json, read: Collection[str]) -> bool:
    """Tell whether it scales nothing now, or is the tool of another one that was read and is told itself."""
    if sort.resource.kind == "HorizontalPodAutoscaler":
        makers = {text(owner, "kind") for owner in items(item, "metadata", "ownerReferences")}
        return bool(makers & _MAKERS & set(read))
    return sort.resource.kind == "ScaledObject" and _is_paused(item)


def _is_paused(item: Json) -> bool:
    value = member(item, "metadata", "annotations").get(_PAUSED)
    return value is not None and str(value).strip().lower() != "false"


def _words(sort: _Autoscaler, item: Json, key: ObjectKey) -> str:
    words = f"the {sort.resource.kind} {name_of(item)} scales {key}"
    if _PAUSED_AT in member(item, "metadata", "annotations"):
        words += " (paused at a number of replicas, which it keeps)"
    return words


def repositories_among(managers: Iterable[str]) -> tuple[str, ...]:
    """Return the managers that put back what a repository says, and so undo scaling at their next run.

    Example:
        >>> repositories_among(("kubectl", "argocd-controller", "setpoint"))
        ('argocd-controller',)
    """
    return tuple(one for one in managers if one.lower().startswith(_REPOSITORIES))


def maker_of(item: Json) -> str:
    """Return the object that made this one and keeps it as it wants it, in words; empty if there is none.

    Example:
        >>> graph = {"kind": "DynamoGraphDeployment", "name": "llm", "controller": True}
        >>> maker_of({"metadata": {"ownerReferences": [graph]}})
        'dynamographdeployment llm'
        >>> maker_of({"metadata": {"ownerReferences": [{"kind": "Release", "name": "llm"}]}})
        ''
    """
    owners = items(item, "metadata", "ownerReferences")
    found = next((one for one in owners if one.get("controller") is True), None)
    return f"{text(found, 'kind').lower()} {text(found, 'name')}" if found else ""
