"""Does what acts on the kinds run, and which version of it?"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.kubernetes.api import Json
from connectors.kubernetes.builtin import DEPLOYMENTS
from connectors.kubernetes.meta import items, member, name_of, number, text
from planner.doctor.findings import Grid, Sign, Verdict, listed, ok, skip
from planner.doctor.kinds import Served, served_kinds
from planner.doctor.patient import Patient
from planner.doctor.pieces import PIECES, Piece, is_expected, is_needed

_HEADS = ("software", "namespace", "deployment", "version", "ready")
_TAG = re.compile(r":([\w][\w.+-]*)(?:@|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A Deployment, as far as it matters here."""

    namespace: str
    name: str
    images: tuple[str, ...]
    ready: int
    desired: int

    def is_of(self, piece: Piece) -> bool:
        """Tell whether it is the operator of a piece of software."""
        return any(piece.operator.search(words) for words in (self.name, *self.images))

    def version_of(self, piece: Piece) -> str:
        """Return the tag of its image; empty if it has none."""
        images = [image for image in self.images if piece.operator.search(image)] or list(self.images)
        match = _TAG.search(images[0]) if images else None
        return match[1] if match else ""


async def check_operators(patient: Patient) -> Sign:
    """Look for the operators of the kinds that are served."""
    served = await served_kinds(patient.records)
    programs = await patient.records.kept(DEPLOYMENTS.path(None), keep=program_of)
    needed = {piece.name for piece in PIECES if is_needed(piece, patient) or is_expected(piece, patient)}
    return judge_operators(programs, served, needed=needed)


def program_of(deployment: Json) -> Program:
    """Return what matters of a Deployment."""
    spec = member(deployment, "spec", "template", "spec")
    return Program(
        namespace=text(deployment, "metadata", "namespace"),
        name=name_of(deployment),
        images=tuple(text(container, "image") for container in items(spec, "containers")),
        ready=number(deployment, "status", "readyReplicas") or 0,
        desired=1 if (count := number(deployment, "spec", "replicas")) is None else count,
    )


def judge_operators(programs: Iterable[Program], served: tuple[Served, ...], *, needed: set[str]) -> Sign:
    """Say which operators are absent or do not run.

    Only software whose kinds are served is looked for: without them, that is what is to be said. Its operator
    may have another name than usual, so that only what the settings rely on is missed.
    """
    known = tuple(programs)
    rows, troubles, todos, verdict = [], [], [], Verdict.OK
    for piece in (one.piece for one in served if one.is_there):
        own = [program for program in known if program.is_of(piece)]
        rows += [_row(piece, program) for program in own]
        is_grave = piece.name in needed
        if any(program.ready for program in own) or (not own and not is_grave):
            continue
        verdict = Verdict.FAIL if is_grave or verdict is Verdict.FAIL else Verdict.WARN
        troubles.append(_trouble(piece, own))
        todos.append(_todo(piece, own))
    if not rows and not troubles:
        return skip("no kinds are served whose operators would be looked for")
    grid = Grid(heads=_HEADS, rows=tuple(rows)) if rows else None
    if verdict is Verdict.OK:
        return ok(f"{listed((' '.join(row[:1] + row[3:4]).strip() for row in rows), most=10)} run", grid=grid)
    return Sign(
        verdict=verdict,
        summary="; ".join(troubles),
        details=("what their objects ask for is not done",),
        todo="\n".join(todos),
        grid=grid,
    )


def _trouble(piece: Piece, own: list[Program]) -> str:
    if not own:
        return f"no operator of {piece.name} is found"
    return f"the operator of {piece.name} is not ready ({own[0].namespace}/{own[0].name})"


def _todo(piece: Piece, own: list[Program]) -> str:
    if not own:
        return f"install {piece.name}: {piece.install}"
    return f"kubectl describe deployment -n {own[0].namespace} {own[0].name}"


def _row(piece: Piece, program: Program) -> tuple[str, ...]:
    return (
        piece.name,
        program.namespace,
        program.name,
        program.version_of(piece) or "?",
        f"{program.ready} of {program.desired}",
    )
