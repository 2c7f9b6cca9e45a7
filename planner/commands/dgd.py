"""`setpoint dgd prepare`: a deployment of Dynamo's made ready, shown, and applied."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from config.clock import Clock, SystemClock
from config.dynamo.nodes import Source
from config.errors import ConfigError
from config.files import read_standard_input, read_text
from config.load import load_sections
from connectors.kubernetes.api import Api
from planner.commands.dgd_flags import Asked, ManifestFormat
from planner.commands.dgdr import Named, also_no_file, connected, request_named
from planner.commands.output import Cell, Tone, as_json, toned
from planner.commands.telling import StreamTeller
from planner.commands.values import duration
from planner.preparing.applying import Applied, Manner, apply
from planner.preparing.difference import difference
from planner.preparing.outputs import outputs_of
from planner.preparing.place import Place
from planner.preparing.prepare import Prepared, Wish, prepare
from planner.preparing.readiness import wait_until_ready
from planner.preparing.request import Key, generated_in, stage_of
from planner.preparing.requests import failure, read_request, wait_for_request
from planner.preparing.text import Tree, has_comments, trees, written

_STANDARD_INPUT = "-"
_SECTIONS = ("kubernetes.", "dynamo.kubernetes_namespace")
_TONES = {"+": Tone.GOOD, "-": Tone.BAD, "@": Tone.DIM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the command says.

    Attributes:
        text: For standard output.
        told: Lines for standard error.
    """

    text: str
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What is prepared, what the cluster has beside it, and what is worth knowing."""

    name: str
    objects: tuple[Tree, ...]
    beside: tuple[Tree, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Work:
    """One run of the command."""

    asked: Asked
    clock: Clock
    teller: StreamTeller
    stack: AsyncExitStack
    _connection: tuple[Api, str] | None = field(default=None)

    async def connection(self) -> tuple[Api, str]:
        """Return the API server and the namespace that holds where none is written; connected once."""
        if self._connection is None:
            asked = self.asked
            flags = {
                "kubernetes.kubeconfig": asked.kubeconfig,
                "kubernetes.context": asked.context,
                "kubernetes.namespace": asked.namespace,
            }
            settings = load_sections(*_SECTIONS, flags=flags, file=asked.config)
            self._connection = await self.stack.enter_async_context(connected(settings, self.clock))
        return self._connection


def answer(asked: Asked) -> Answer:
    """Prepare a deployment; show it, or apply it.

    Raises:
        ConfigError: If there is none, or it cannot be prepared in this way.
        Conflict: If what is applied is somebody else's.
        ActuationError: If the API server does not take it, or it is not ready in time.
        ApiError: If the API server does not answer.
    """
    _check(asked)
    return asyncio.run(_answer(asked))


async def _answer(asked: Asked) -> Answer:
    teller = StreamTeller(sys.stderr)
    async with AsyncExitStack() as stack:
        stack.callback(teller.end)
        work = _Work(asked=asked, clock=SystemClock(), teller=teller, stack=stack)
        read = await _read(work)
        prepared = _prepared(asked, read)
        lines = difference(read.objects, prepared.objects, name=read.name)
        told = (*_told(prepared), *read.notes)
        if not (asked.apply or asked.dry_run):
            return _shown(asked, prepared, lines, told)
        for line in (*lines, *told):
            teller.line(line)
        return await _applied(work, prepared)


def _prepared(asked: Asked, read: _Read) -> Prepared:
    try:
        return prepare(read.objects, _wish(asked), name=read.name, beside=read.beside)
    except ConfigError as error:
        if not error.key.startswith("spec."):
            raise
        raise ConfigError(error.problem, key=f"{read.name}: {error.key}", hint=error.hint) from None


def _check(asked: Asked) -> None:
    online = asked.apply or asked.dry_run is not None
    if asked.apply and asked.dry_run:
        raise ConfigError("--apply is given too", key="--dry-run", hint="keep one")
    if asked.force_conflicts and not online:
        raise ConfigError("nothing is applied", key="--force-conflicts", hint="add --apply")
    if asked.timeout is not None and not asked.wait:
        raise ConfigError("nothing is waited for", key="--timeout", hint="add --wait")


def _wish(asked: Asked) -> Wish:
    return Wish(
        place=Place(asked.planner.value),
        image=asked.image or "",
        advise=asked.advise,
        trusts_code=asked.trust_remote_code,
    )


async def _read(work: _Work) -> _Read:
    what = work.asked.what
    named = None if what == _STANDARD_INPUT else request_named(what)
    if named is not None:
        try:
            return await _of_request(work, named)
        except ConfigError as error:
            raise also_no_file(named, error, key="dgd prepare") from None
    if what == _STANDARD_INPUT:
        name = "standard input"
        text = read_standard_input(name)
    else:
        name, text = what, read_text(Path(what), hint="check the path")
    objects = tuple(trees(Source(name=name, text=text)))
    note = (f"comments of {name} are not kept",) if has_comments(text) and not _is_json(text) else ()
    return _Read(name=name, objects=generated_in(objects), notes=note)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


async def _of_request(work: _Work, named: Named) -> _Read:
    api, namespace = await work.connection()
    key = Key(namespace=named.namespace or namespace, name=named.name)
    if work.asked.wait:
        request = await wait_for_request(api, key, clock=work.clock, teller=work.teller)
    else:
        request = await read_request(api, key)
    stage = stage_of(request)
    if stage.is_failed:
        raise await failure(api, key, request)
    outputs = await outputs_of(api, key, request)
    if not outputs.generated:
        hint = "wait for it with --wait" if not stage.is_done else "name the manifest of its deployment"
        raise ConfigError(f"it is {stage}, and has no deployment yet", key=f"request {key}", hint=hint)
    objects = tuple(_placed(one, outputs.namespace or key.namespace) for one in outputs.generated)
    return _Read(name=f"request {key}", objects=objects, beside=outputs.mounted, notes=outputs.notes)


def _placed(tree: Tree, namespace: str) -> Tree:
    """Return an object with the namespace of its request, which generated ones leave out."""
    metadata = tree.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    return tree if known.get("namespace") else {**tree, "metadata": {**known, "namespace": namespace}}


def _told(prepared: Prepared) -> Iterator[str]:
    yield from prepared.changes or ("nothing is to be changed",)
    for note in prepared.notes:
        yield f"note: {note}"


def _shown(asked: Asked, prepared: Prepared, lines: Sequence[str], told: tuple[str, ...]) -> Answer:
    if asked.diff:
        colored = (toned(Cell(text=line, tone=_TONES.get(line[:1], Tone.PLAIN))) for line in lines)
        return Answer(text="\n".join(colored), told=told)
    # On a terminal the manifest itself is before one's eyes; elsewhere what changes in it is worth seeing.
    seen = () if sys.stdout.isatty() else tuple(lines)
    return Answer(text=_manifest(asked, prepared), told=(*seen, *told))


def _manifest(asked: Asked, prepared: Prepared) -> str:
    objects = list(prepared.objects)
    if asked.output is ManifestFormat.YAML:
        return written(objects).rstrip("\n")
    return as_json(
        objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": objects}
    )


async def _applied(work: _Work, prepared: Prepared) -> Answer:
    asked = work.asked
    api, namespace = await work.connection()
    is_dry = asked.dry_run is not None
    manner = Manner(namespace=namespace, is_dry=is_dry, is_forced=asked.force_conflicts)
    applied = await apply(api, prepared.objects, _wish(asked), manner)
    lines = [*applied.lines]
    if asked.wait and not is_dry:
        lines.append(await _ready(work, api, applied))
    return Answer(text="\n".join(lines), told=tuple(f"note: {note}" for note in applied.notes))


async def _ready(work: _Work, api: Api, applied: Applied) -> str:
    limit_s = None if work.asked.timeout is None else duration("--timeout", work.asked.timeout)
    wait = partial(wait_until_ready, api, applied.path, clock=work.clock, teller=work.teller)
    words = await wait(limit_s=limit_s)
    return f"dynamographdeployment/{applied.path.rpartition('/')[2]} {words.lower()}"
