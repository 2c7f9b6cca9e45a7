"""How does what the doctor found look: as lines under their stage, and as JSON?"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from planner.commands.output import Cell, Column, Tone, as_json, columns, table, toned, visible, wrapped
from planner.doctor.findings import Finding, Grid, Stage, Verdict, counted

_MARKS = {Verdict.OK: "✓", Verdict.WARN: "!", Verdict.FAIL: "✗", Verdict.SKIP: "–"}
_PLAIN_MARKS = {Verdict.OK: "+", Verdict.WARN: "!", Verdict.FAIL: "x", Verdict.SKIP: "-"}
_TONES = {
    Verdict.OK: Tone.GOOD,
    Verdict.WARN: Tone.WARN,
    Verdict.FAIL: Tone.BAD,
    Verdict.SKIP: Tone.DIM,
}
_UTF8 = "utf-8"
_INDENT = "      "
# What is to be copied is not broken into lines.
_COPIED = ("kubectl ", "helm ", "  ", "rules:", "- ", "--", "DYN_")
_WIDEST = 200


def as_lines(findings: Sequence[Finding]) -> str:
    """Return findings for people."""
    return "\n".join(_lines(findings))


def as_document(findings: Sequence[Finding]) -> str:
    """Return findings for programs, as JSON."""
    counts = Counter(finding.verdict for finding in findings)
    return as_json(
        {
            "ok": not counts[Verdict.FAIL],
            "counts": {verdict.value: counts[verdict] for verdict in Verdict},
            "findings": [_plain(finding) for finding in findings],
        }
    )


def _plain(finding: Finding) -> dict[str, object]:
    grid = finding.grid
    return {
        "check": finding.check,
        "stage": finding.stage.value,
        "verdict": finding.verdict.value,
        "summary": finding.summary,
        "details": list(finding.details),
        "todo": finding.todo,
        "table": [dict(zip(grid.heads, row, strict=True)) for row in grid.rows] if grid else [],
    }


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for stage in Stage:
        own = [finding for finding in findings if finding.stage is stage]
        if own:
            yield toned(Cell(text=stage.value, tone=Tone.STRONG))
            for finding in _joined(own):
                yield from _of(finding)
            yield ""
    yield _summary(findings)


def _joined(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield findings; what is true of several pools, or not looked at for one reason, is said once."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for one in findings:
        kind = "" if one.verdict is Verdict.SKIP else one.check.partition(" ")[0]
        groups.setdefault((kind, one.verdict, one.summary, one.details, one.todo), []).append(one)
    for group in groups.values():
        yield replace(group[0], check=_names([one.check for one in group]))


def _names(checks: Sequence[str]) -> str:
    """Return names of checks with what they have in common said once.

    Example:
        >>> _names(["holds prefill", "holds decode"]), _names(["gpus", "storage"])
        ('holds prefill, decode', 'gpus, storage')
    """
    parted = [check.partition(" ") for check in checks]
    if len({part[0] for part in parted}) > 1:
        return ", ".join(checks)
    return f"{parted[0][0]} {', '.join(part[2] for part in parted)}".strip()


def _of(finding: Finding) -> Iterator[str]:
    mark = (_MARKS if _speaks_utf8() else _PLAIN_MARKS)[finding.verdict]
    said = f"{finding.check}: {finding.summary}"
    lines = _filled(said, first=f"  {mark} ", indent=_INDENT).split("\n")
    yield toned("  ", Cell(text=mark, tone=_TONES[finding.verdict]), lines[0].removeprefix(f"  {mark}"))
    yield from lines[1:]
    for detail in finding.details:
        yield _filled(detail, first=f"{_INDENT}- ", indent=f"{_INDENT}  ")
    yield from _todo(finding.todo)
    if finding.grid is not None:
        yield from _table(finding.grid)


def _todo(todo: str) -> Iterator[str]:
    arrow = "→ " if _speaks_utf8() else "> "
    for number, line in enumerate(todo.splitlines()):
        first = f"{_INDENT}{arrow}" if not number else f"{_INDENT}  "
        if line.startswith(_COPIED):
            yield f"{first}{visible(line)}"
        else:
            yield _filled(line, first=first, indent=f"{_INDENT}  ")


def _table(grid: Grid) -> Iterator[str]:
    heads = [Column(title=head, is_number=head in grid.numbers) for head in grid.heads]
    for line in table(heads, grid.rows, width=columns() - len(_INDENT)).splitlines():
        yield f"{_INDENT}{line}"


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    said = (
        f"{counts[Verdict.OK]} passed",
        counted(counts[Verdict.WARN], "warning"),
        counted(counts[Verdict.FAIL], "failure"),
        f"{counts[Verdict.SKIP]} not looked at",
    )
    tone = Tone.BAD if counts[Verdict.FAIL] else Tone.WARN if counts[Verdict.WARN] else Tone.GOOD
    return toned(Cell(text=", ".join(said), tone=tone))


def _filled(text: str, *, first: str, indent: str) -> str:
    """Break a text into lines of a terminal; in a pipe it stays one line."""
    if columns() > _WIDEST:
        return f"{first}{visible(text)}"
    return wrapped(text, first=first, indent=indent)


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("_", "-") in {_UTF8, "utf8"}
