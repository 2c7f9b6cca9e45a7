"""The variables in which a pod learns who it is: added where they are absent, never replaced."""

from collections.abc import Mapping
from typing import cast

from planner.preparing.graph import Part, listed
from planner.preparing.notebook import Notebook
from planner.preparing.text import Tree

POD_FIELDS: Mapping[str, str] = {
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_UID": "metadata.uid",
    "POD_IP": "status.podIP",
}


def add_pod_fields(part: Part, notebook: Notebook) -> None:
    """Merge the four variables into a service's main container.

    Raises:
        ConfigError: If its variables are no list.
    """
    own, outer = _by_name(part.container(), "env", part), _by_name(part.tree, "envs", part)
    known = {**outer, **own}
    wanted = {name: _of_the_pod(name) for name in POD_FIELDS}
    add_variables(part, {name: one for name, one in wanted.items() if name not in known}, notebook)
    other = [name for name, one in known.items() if name in wanted and not _is_field(one, POD_FIELDS[name])]
    if other:
        notebook.noted(part.name, f"{', '.join(other)} is set already, and stays as it is")


def add_variables(part: Part, wanted: Mapping[str, Tree], notebook: Notebook) -> None:
    """Add variables to a service's main container, in which there are none of these names.

    Raises:
        ConfigError: If its variables are no list.
    """
    if not wanted:
        return
    container = part.container()
    env = listed(container, "env", part.where)
    env.extend(wanted.values())
    container["env"] = env
    notebook.changed(part.name, f"variables {', '.join(wanted)} added")


def plain(name: str, value: str) -> Tree:
    """Return a variable with a value."""
    return {"name": name, "value": value}


def names_in(part: Part) -> frozenset[str]:
    """Return the names of a service's variables.

    Raises:
        ConfigError: If its variables are no list.
    """
    return frozenset({*_by_name(part.container(), "env", part), *_by_name(part.tree, "envs", part)})


def _by_name(tree: Tree, key: str, part: Part) -> dict[str, Tree]:
    entries = [cast("Tree", one) for one in listed(tree, key, part.where) if isinstance(one, dict)]
    return {str(one.get("name")): one for one in entries}


def _of_the_pod(name: str) -> Tree:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": POD_FIELDS[name]}}}


def _is_field(variable: Tree, path: str) -> bool:
    source = variable.get("valueFrom")
    reference = source.get("fieldRef") if isinstance(source, dict) else None
    return isinstance(reference, dict) and reference.get("fieldPath") == path
