"""The place of Dynamo's planner: taken by Setpoint, left empty for a daemon elsewhere, or left alone.

As a sidecar Setpoint keeps the service's name, arguments and mounts, so that selectors of logs and metrics
still hold: `setpoint run --` takes the planner's arguments as they are.
"""

import shlex
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address
from typing import cast

from config.errors import ConfigError
from planner.preparing.arguments import PlannerArguments, arguments_of
from planner.preparing.graph import Part, listed, without
from planner.preparing.notebook import Notebook
from planner.preparing.text import Tree
from planner.preparing.variables import add_variables, names_in, plain

COMMAND = ("setpoint", "run", "--")
_PROGRAM = "setpoint"
_PROFILE_FILES = "profile-data"
# Variables with which Setpoint takes Dynamo's place, in a pod whose metrics others scrape.
_ACTUATOR = plain("SETPOINT_ACTUATOR", "kubernetes")
_BIND = plain("SETPOINT_HTTP__BIND", str(IPv4Address(0)))


class Place(StrEnum):
    """What becomes of Dynamo's planner."""

    SIDECAR = "sidecar"
    STANDALONE = "standalone"
    KEEP = "keep"


def runs_setpoint(part: Part) -> bool:
    """Return whether a planner's service runs Setpoint already.

    Raises:
        ConfigError: If its command is no list of texts.
    """
    command, args = part.words()
    first = next(iter((*command, *args)), "")
    return first.rpartition("/")[2] == _PROGRAM


def put_setpoint(part: Part, *, image: str, advise: bool, manifests: str, notebook: Notebook) -> None:
    """Put Setpoint in the place of a planner.

    Args:
        part: The planner's service.
        image: Setpoint's image; empty leaves the one of a service that runs Setpoint already.
        advise: Whether it shall only advise.
        manifests: The text of all that the file holds.
        notebook: Told what was done.

    Raises:
        ConfigError: If there is no image, or Setpoint could not be started with the planner's arguments.
    """
    container = part.container()
    if runs_setpoint(part):
        _change(part, "image", image or container.get("image"), notebook)
        if part.words()[0] == list(COMMAND):
            _drop_folder(part, notebook)
        return
    if not image:
        raise ConfigError(
            "it is not given, and Setpoint is to take the place of Dynamo's planner",
            key="--image",
            hint="name Setpoint's image in your registry, or take the planner out with --planner standalone",
        )
    arguments = arguments_of(part, manifests=manifests)
    _change(part, "image", image, notebook)
    _replace_command(part, arguments, notebook)
    _set_variables(part, arguments, advise=advise, notebook=notebook)


def take_out(graph: Tree, part: Part, *, manifests: str, notebook: Notebook) -> PlannerArguments | None:
    """Take a planner out of its deployment.

    Returns:
        Its arguments, for the daemon that runs elsewhere; None if it ran Setpoint.

    Raises:
        ConfigError: If Setpoint could not be started with the planner's arguments.
    """
    arguments = None if runs_setpoint(part) else arguments_of(part, manifests=manifests)
    without(graph, part)
    notebook.changed(part.name, "taken out of the deployment")
    return arguments


def profile_maps(part: Part) -> tuple[str, ...]:
    """Return the ConfigMaps that a planner mounts its profile from, the likeliest first.

    Raises:
        ConfigError: If its pods are not described as pods are.
    """
    names = [name for name, _ in _mounted_maps(part)]
    return tuple(dict.fromkeys(sorted(names, key=lambda name: _PROFILE_FILES not in name)))


def _replace_command(part: Part, arguments: PlannerArguments, notebook: Notebook) -> None:
    container, before = part.container(), part.words()
    container["command"], container["args"] = list(COMMAND), list(arguments.words)
    notebook.changed(part.name, f"command is {' '.join(COMMAND)}")
    if before[1] != list(arguments.words):
        notebook.changed(part.name, f"arguments are {shlex.join(arguments.words)}")
    if arguments.is_line:
        notebook.noted(part.name, "what its shell did around the planner is gone")
    _drop_folder(part, notebook)


def _drop_folder(part: Part, notebook: Notebook) -> None:
    if folder := part.container().pop("workingDir", None):
        notebook.changed(part.name, f"workingDir {folder} removed, since it is a folder of Dynamo's image")


def _set_variables(part: Part, arguments: PlannerArguments, *, advise: bool, notebook: Notebook) -> None:
    wanted = [_ACTUATOR, _BIND]
    if advise:
        wanted.append(plain("SETPOINT_ACTUATE", "false"))
    elif arguments.is_advisory is None:
        told = "whether the planner was to scale is in a file of its pod only, and counts there"
        notebook.noted(part.name, f"{told}; set SETPOINT_ACTUATE to decide here")
    elif not arguments.is_advisory:
        wanted.append(plain("SETPOINT_ACTUATE", "true"))
    if not arguments.has_folder:
        wanted += _profile(part, notebook)
    known = names_in(part)
    add_variables(part, {str(one["name"]): one for one in wanted if one["name"] not in known}, notebook)


def _profile(part: Part, notebook: Notebook) -> list[Tree]:
    """Return the variable that names the folder in which the profile is mounted."""
    folders = [path for name, path in _mounted_maps(part) if _PROFILE_FILES in name]
    if folders:
        return [plain("SETPOINT_PROFILE", folders[0])]
    notebook.noted(part.name, "no profile is mounted; mount one and name its folder in SETPOINT_PROFILE")
    return []


def _mounted_maps(part: Part) -> Iterator[tuple[str, str]]:
    """Yield the ConfigMaps that are mounted, each with its folder; empty if the mount does not say it."""
    mounts = [one for one in listed(part.container(), "volumeMounts", part.where) if isinstance(one, dict)]
    folders = {str(one.get("name")): str(one.get("mountPath") or "") for one in mounts}
    for volume in listed(part.pod(), "volumes", part.where):
        source = cast("Tree", volume).get("configMap") if isinstance(volume, dict) else None
        if isinstance(source, dict) and source.get("name"):
            yield str(source["name"]), folders.get(str(cast("Tree", volume).get("name")), "")


def _change(part: Part, key: str, value: object, notebook: Notebook) -> None:
    tree = part.container()
    if tree.get(key) != value:
        tree[key] = value
        notebook.changed(part.name, f"{key} is {value}")
