"""What Dynamo's guide does by hand with a generated deployment before it is applied.

`prepare` of what `prepare` returned changes nothing; what is not named here keeps its meaning.
"""

import copy
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from config.errors import ConfigError
from planner.preparing.arguments import PlannerArguments, context_of
from planner.preparing.graph import KIND, Part, is_graph, name_of, namespace_of, parts_of
from planner.preparing.notebook import Notebook
from planner.preparing.place import Place, profile_maps, put_setpoint, runs_setpoint, take_out
from planner.preparing.remote_code import FLAG, trust_remote_code
from planner.preparing.text import Tree
from planner.preparing.variables import add_pod_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a deployment is prepared for.

    Attributes:
        place: What becomes of Dynamo's planner.
        image: Setpoint's image, for a sidecar.
        advise: Whether the sidecar shall only advise, whatever the planner did.
        trusts_code: Whether workers may run code that comes with their model.
    """

    place: Place = Place.SIDECAR
    image: str = ""
    advise: bool = False
    trusts_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A deployment ready to be applied.

    Attributes:
        objects: All objects of the file, in their order.
        graph: The deployment, one of them.
        changes: What was changed, in words.
        notes: What is worth knowing, in words.
    """

    objects: tuple[Tree, ...] = field(repr=False)
    graph: Tree = field(repr=False)
    changes: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(objects: Sequence[Tree], wish: Wish, *, name: str, beside: Sequence[Tree] = ()) -> Prepared:
    """Prepare the deployment among some objects; the arguments stay as they are.

    Args:
        objects: What the file holds.
        wish: What it is prepared for.
        name: What the file is called.
        beside: What is in the cluster already and may hold the planner's configuration.

    Raises:
        ConfigError: If there is no deployment, or it cannot be prepared in this way.
    """
    own = copy.deepcopy(list(objects))
    graph = the_graph(own, name=name)
    notebook = Notebook()
    manifests = context_of((*objects, *beside))
    parts = parts_of(graph)
    planners = [part for part in parts if part.is_planner]
    for part in planners:
        _place(graph, part, wish, manifests=manifests, notebook=notebook)
    gone = planners if wish.place is Place.STANDALONE else []
    for part in (part for part in parts if part not in gone):
        add_pod_fields(part, notebook)
    if wish.trusts_code:
        _trust(parts, notebook)
    if not planners and wish.place is Place.SIDECAR:
        notebook.noted(name_of(graph) or KIND, "it has no planner whose place Setpoint could take")
        notebook.notes.append(f"start it beside: {_command(graph, None, ())}")
    return Prepared(
        objects=tuple(own), graph=graph, changes=tuple(notebook.changes), notes=tuple(notebook.notes)
    )


def the_graph(objects: Sequence[Tree], *, name: str) -> Tree:
    """Return the only deployment among some objects.

    Raises:
        ConfigError: If there is none, or there are several.
    """
    graphs = [one for one in objects if is_graph(one)]
    if len(graphs) == 1:
        return graphs[0]
    if graphs:
        raise ConfigError(f"it holds {len(graphs)} {KIND}s", key=name, hint="keep the one to be prepared")
    kinds = ", ".join(sorted({str(one.get("kind", "no kind")) for one in objects})) or "nothing"
    raise ConfigError(f"it holds no {KIND} ({kinds})", key=name, hint="give the manifest of one")


def _place(graph: Tree, part: Part, wish: Wish, *, manifests: str, notebook: Notebook) -> None:
    if wish.place is Place.SIDECAR:
        put_setpoint(part, image=wish.image, advise=wish.advise, manifests=manifests, notebook=notebook)
    elif wish.place is Place.STANDALONE:
        maps = profile_maps(part)
        arguments = take_out(graph, part, manifests=manifests, notebook=notebook)
        notebook.notes.append(f"start Setpoint with: {_command(graph, arguments, maps)}")
        if maps:
            notebook.notes.append(f"FOLDER and files of the planner's pod: from ConfigMap {', '.join(maps)}")
    elif not runs_setpoint(part):
        notebook.noted(part.name, "Dynamo's planner stays; Setpoint does not scale beside it unless told to")


def _trust(parts: Sequence[Part], notebook: Notebook) -> None:
    workers = [part for part in parts if part.is_worker]
    if not workers:
        raise ConfigError("the deployment has no workers", key=FLAG, hint="prepare it without")
    for part in workers:
        trust_remote_code(part, notebook)


def _command(graph: Tree, arguments: PlannerArguments | None, maps: Sequence[str]) -> str:
    """Return the command line of a daemon that scales a deployment from elsewhere."""
    is_active = arguments is not None and arguments.is_advisory is False
    pairs = (
        ("graph_deployment", name_of(graph)),
        ("kubernetes_namespace", namespace_of(graph) or "NAMESPACE"),
    )
    words = ["setpoint", "run", "--actuator", "kubernetes", *(("--actuate",) if is_active else ())]
    words += [word for key, value in pairs for word in ("--set", f"dynamo.{key}={value}")]
    words += ["--profile", "FOLDER"] if maps or arguments is None else []
    words += ["--", *arguments.words] if arguments is not None and arguments.words else []
    return shlex.join(words)


def same(one: object, other: object) -> bool:
    """Return whether two objects of JSON say the same; 1, 1.0 and true differ.

    Example:
        >>> same({"a": 1, "b": 2}, {"b": 2, "a": 1}), same({"a": 1}, {"a": True})
        (True, False)
    """
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
