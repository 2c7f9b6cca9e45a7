"""How an example is put into a namespace of a real API server."""

from collections.abc import Iterable, Mapping

from tests.cluster import crds
from tests.cluster.control_plane import Administrator
from tests.cluster.examples import Json

_BUILT_IN = {"deployments": "Deployment", "statefulsets": "StatefulSet"}


def defined(admin: Administrator, definitions: Iterable[Json]) -> Mapping[str, str]:
    """Define kinds; return all kinds by their plural."""
    kinds = dict(_BUILT_IN)
    # Both versions of a graph deployment are served in one cluster.
    for definition in (crds.DGD if one is crds.DGD_ALPHA else one for one in definitions):
        admin.crd(definition)
        kinds[definition["spec"]["names"]["plural"]] = definition["spec"]["names"]["kind"]
    return kinds


def put(admin: Administrator, path: str, item: Json, kinds: Mapping[str, str]) -> None:
    """Make an object, and write its status as its controller does."""
    collection, _, name = path.rpartition("/")
    root, _, tail = collection.partition("/namespaces/")
    plural = tail.rpartition("/")[2]
    body = {
        **{key: value for key, value in item.items() if key != "status"},
        "apiVersion": root.removeprefix("/apis/"),
        "kind": kinds[plural],
        "metadata": {**item.get("metadata", {}), "name": name},
    }
    body["metadata"].pop("ownerReferences", None)
    if owners := item.get("metadata", {}).get("ownerReferences"):
        body["metadata"]["ownerReferences"] = [
            {**owner, "apiVersion": "grove.io/v1alpha1"} for owner in owners
        ]
    admin.ask("POST", collection, body)
    if "status" in item:
        admin.status(path, item["status"])
