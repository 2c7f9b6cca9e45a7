"""A DynamoGraphDeployment of either version, as the list of its services.

v1alpha1 has a map `spec.services` whose pods are described by `extraPodSpec`; v1beta1 has a list
`spec.components` with a `podTemplate`. What differs is known here and nowhere else in this package.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from config.errors import ConfigError
from planner.preparing.text import Tree

KIND = "DynamoGraphDeployment"
GROUP = "nvidia.com"
_MAIN = "main"
_WORKERS = frozenset({"worker", "prefill", "decode"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One service of a deployment.

    Attributes:
        name: Its name.
        kind: What it says it is, such as `planner` or `worker`; empty if it does not say.
        role: `prefill` or `decode`; empty if it does not say.
        tree: Its description; changes of it are changes of the deployment.
        where: Its path, for errors.
        is_early: Whether it is written for v1alpha1.
    """

    name: str
    kind: str
    role: str
    tree: Tree = field(repr=False)
    where: str
    is_early: bool

    @property
    def is_planner(self) -> bool:
        """Whether it is a planner; by its name, if it does not say what it is."""
        return self.kind == "planner" or (not self.kind and "planner" in self.name.lower())

    @property
    def is_worker(self) -> bool:
        """Whether it runs engines; by its name, if it does not say what it is."""
        if self.kind or self.role:
            return bool({self.kind, self.role} & _WORKERS)
        return any(word in self.name.lower() for word in _WORKERS)

    def pod(self) -> Tree:
        """Return the description of its pods, made if there is none."""
        if self.is_early:
            return branch(self.tree, "extraPodSpec", self.where)
        return branch(branch(self.tree, "podTemplate", self.where), "spec", f"{self.where}.podTemplate")

    def container(self) -> Tree:
        """Return its main container, made if there is none.

        Raises:
            ConfigError: If what stands there does not have the shape of a pod.
        """
        pod = self.pod()
        if self.is_early:
            return branch(pod, "mainContainer", f"{self.where}.extraPodSpec")
        containers = listed(pod, "containers", f"{self.where}.podTemplate.spec")
        named = [one for one in containers if isinstance(one, dict) and one.get("name") == _MAIN]
        if named:
            return cast("Tree", named[0])
        made: Tree = {"name": _MAIN}
        containers.insert(0, made)
        pod["containers"] = containers
        return made

    def words(self) -> tuple[list[str], list[str]]:
        """Return the command and the arguments of its main container.

        Raises:
            ConfigError: If one is no list of texts.
        """
        container = self.container()
        return words_at(container, "command", self.where), words_at(container, "args", self.where)


def is_graph(tree: Tree) -> bool:
    """Return whether an object is a DynamoGraphDeployment."""
    group = str(tree.get("apiVersion", "")).partition("/")[0]
    return tree.get("kind") == KIND and group == GROUP


def name_of(tree: Tree) -> str:
    """Return what an object is called; empty if it has no name."""
    metadata = tree.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def namespace_of(tree: Tree) -> str:
    """Return the namespace that an object says it is in; empty if it does not say."""
    metadata = tree.get("metadata")
    return str(metadata.get("namespace") or "") if isinstance(metadata, dict) else ""


def parts_of(graph: Tree) -> tuple[Part, ...]:
    """Return the services of a deployment, in the order in which they are written.

    Raises:
        ConfigError: If it has none, or they do not have the shape of either version.
    """
    spec = branch(graph, "spec", KIND)
    is_early, is_late = isinstance(spec.get("services"), dict), isinstance(spec.get("components"), list)
    if is_early == is_late:
        problem = "it has services and components" if is_early else "it has no services"
        hint = "expected spec.services (v1alpha1) or spec.components (v1beta1)"
        raise ConfigError(problem, key=f"{KIND} {name_of(graph)}".strip(), hint=hint)
    return tuple(_early(spec) if is_early else _late(spec))


def without(graph: Tree, part: Part) -> None:
    """Take a service out of its deployment."""
    spec = branch(graph, "spec", KIND)
    if part.is_early:
        del cast("Tree", spec["services"])[part.name]
    else:
        spec["components"] = [one for one in cast("list[object]", spec["components"]) if one is not part.tree]


def branch(tree: Tree, key: str, where: str) -> Tree:
    """Return the mapping at a key, made if there is none.

    Raises:
        ConfigError: If something else stands there.
    """
    found = tree.get(key)
    if found is None:
        tree[key] = found = {}
    if not isinstance(found, dict):
        raise _shape(f"{where}.{key}", "a mapping")
    return cast("Tree", found)


def listed(tree: Tree, key: str, where: str) -> list[object]:
    """Return the list at a key; an empty one, that is not part of the tree, if there is none.

    Raises:
        ConfigError: If something else stands there.
    """
    found = tree.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _shape(f"{where}.{key}", "a list")
    return cast("list[object]", found)


def words_at(tree: Tree, key: str, where: str) -> list[str]:
    """Return the list of texts at a key; empty if there is none.

    Raises:
        ConfigError: If something else stands there.
    """
    found = listed(tree, key, where)
    if not all(isinstance(one, str) for one in found):
        raise _shape(f"{where}: {key}", "a list of texts (put numbers in quotes)")
    return cast("list[str]", list(found))


def _early(spec: Tree) -> Iterator[Part]:
    services = cast("Tree", spec["services"])
    for name in services:
        where = f"spec.services.{name}"
        tree = branch(services, name, "spec.services")
        kind, role = (str(tree.get(key) or "").lower() for key in ("componentType", "subComponentType"))
        yield Part(name=name, kind=kind, role=role, tree=tree, where=where, is_early=True)


def _late(spec: Tree) -> Iterator[Part]:
    for index, tree in enumerate(cast("list[object]", spec["components"])):
        if not isinstance(tree, dict):
            raise _shape(f"spec.components[{index}]", "a mapping")
        name, kind = str(tree.get("name") or ""), str(tree.get("type") or "").lower()
        where = f"spec.components[{name or index}]"
        role = kind if kind in {"prefill", "decode"} else ""
        yield Part(name=name, kind=kind, role=role, tree=cast("Tree", tree), where=where, is_early=False)


def _shape(where: str, expected: str) -> ConfigError:
    return ConfigError(f"it is not {expected}", key=where, hint="correct the manifest")
