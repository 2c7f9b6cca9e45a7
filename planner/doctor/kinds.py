"""Are the kinds of objects there that the settings rely on, and in which versions?"""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.kubernetes.api import ApiError, Resource
from connectors.kubernetes.meta import items, text
from planner.doctor.findings import Grid, Sign, fail, listed, ok, warn
from planner.doctor.patient import Patient
from planner.doctor.pieces import PIECES, Piece, is_expected, is_needed
from planner.doctor.records import Records

_HEADS = ("software", "needed", "versions", "kinds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the API server serves of one piece of software.

    Attributes:
        piece: The software.
        versions: For each of its kinds the versions, the preferred one first; without those not served.
    """

    piece: Piece
    versions: Mapping[str, tuple[str, ...]]

    @property
    def is_there(self) -> bool:
        """Tell whether its first kind is served, which is what the rest hangs on."""
        return self.piece.plurals[0] in self.versions

    def path(self, plural: str, namespace: str | None = None) -> str:
        """Return where the objects of a kind are, in the version that is preferred."""
        version = self.versions[plural][0]
        kind = Resource(group=self.piece.group, version=version, plural=plural, kind="")
        return kind.path(namespace)


async def served_kinds(records: Records) -> tuple[Served, ...]:
    """Return what is served of all pieces that are known; asked once.

    Raises:
        ApiError: If the API server does not answer.
    """
    return await records.once("kinds", lambda: _read(records))


async def _read(records: Records) -> tuple[Served, ...]:
    groups = {text(group, "name"): group for group in items(await records.get("/apis"), "groups")}
    found = []
    for piece in PIECES:
        versions: dict[str, tuple[str, ...]] = {}
        for entry in items(groups.get(piece.group, {}), "versions"):
            version = text(entry, "version")
            for plural in await _plurals(records, piece.group, version):
                versions[plural] = (*versions.get(plural, ()), version)
        kept = {plural: versions[plural] for plural in piece.plurals if plural in versions}
        found.append(Served(piece=piece, versions=kept))
    return tuple(found)


async def _plurals(records: Records, group: str, version: str) -> tuple[str, ...]:
    try:
        answer = await records.get(f"/apis/{group}/{version}")
    except ApiError as error:
        if error.is_missing:
            return ()
        raise
    return tuple(text(one, "name") for one in items(answer, "resources"))


async def check_kinds(patient: Patient) -> Sign:
    """Look for the kinds of the targets, and list the others that are there."""
    served = await served_kinds(patient.records)
    needed = {one.piece.name for one in served if is_needed(one.piece, patient)}
    expected = {one.piece.name for one in served if is_expected(one.piece, patient)}
    return judge_kinds(served, needed=needed, expected=expected)


def judge_kinds(served: tuple[Served, ...], *, needed: set[str], expected: set[str]) -> Sign:
    """Say which kinds are missing.

    Args:
        served: What the API server serves.
        needed: Names of the pieces that the settings rely on.
        expected: Names of those that they probably will rely on.
    """
    shown = [one for one in served if one.versions or one.piece.name in needed | expected]
    rows = [row for one in shown for row in _rows(one, is_needed=one.piece.name in needed)]
    grid = Grid(heads=_HEADS, rows=tuple(rows)) if rows else None
    absent = [one.piece for one in served if not one.is_there and one.piece.name in needed | expected]
    if absent:
        names = listed(f"{piece.plurals[0]}.{piece.group}" for piece in absent)
        todo = "\n".join(f"install {piece.name}: {piece.install}" for piece in absent)
        summary = f"the API server does not serve {names}"
        if any(piece.name in needed for piece in absent):
            return fail(summary, todo=todo, grid=grid)
        return warn(
            f"{summary}; no target is named, and the metrics are Dynamo's",
            todo=f"nothing, if other kinds serve (--prefill-target, --decode-target); else {todo}",
            grid=grid,
        )
    there = listed((one.piece.name for one in shown if one.is_there), most=10)
    return ok(
        f"kinds of {there} are served" if there else "the targets need no kinds of their own", grid=grid
    )


def _rows(one: Served, *, is_needed: bool) -> list[tuple[str, ...]]:
    """Return a row for each set of versions that kinds of a piece have."""
    needed = "yes" if is_needed else "no"
    if not one.versions:
        return [(one.piece.name, needed, "not served", one.piece.plurals[0])]
    kinds: dict[tuple[str, ...], list[str]] = {}
    for plural, versions in one.versions.items():
        kinds.setdefault(versions, []).append(plural)
    return [
        (one.piece.name, needed, ", ".join(versions), ", ".join(_shortened(plurals)))
        for versions, plurals in kinds.items()
    ]


def _shortened(plurals: list[str]) -> list[str]:
    """Return names with what they begin with said once.

    Example:
        >>> _shortened(["rayclusters", "rayservices"]), _shortened(["pods", "podmonitors"])
        (['rayclusters', 'rayservices'], ['pods', '…monitors'])
    """
    first = plurals[0].removesuffix("s")
    return [
        plurals[0],
        *(one.replace(first, "…", 1) if one.startswith(first) else one for one in plurals[1:]),
    ]
