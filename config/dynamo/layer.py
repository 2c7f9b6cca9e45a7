"""Dynamo's variables and planner keys as layers of settings, with what each was mapped to."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from config.catalog import entries
from config.dynamo.found import Form, Found, Written
from config.dynamo.key import Key, Section
from config.dynamo.keys import ARGUMENT_DEFAULTS, KEYS, LATE_DEFAULTS, PREDICTORS, REQUEST_DEFAULTS
from config.dynamo.spelling import key_of, nearest_key, spelled
from config.dynamo.values import Meant, Untranslatable
from config.dynamo.variables import VARIABLES
from config.fields import shown
from config.layers import Given, Layer, Note, Translation
from config.problems import Origin, OriginKind, Problem
from config.templates import MARK, RENDER, UNRENDERED
from config.units import quoted

# Kubernetes puts a variable of the pod in the place of it.
_OF_THE_POD = re.compile(r"\$[({]\w+[)}]")
_MEANS = Given(value="mean", origin=Origin(kind=OriginKind.DGDR, name="Dynamo's targets are means"))


def dynamo_layer(environment: Mapping[str, str]) -> Layer:
    """Read Dynamo's own variables, in Dynamo's units."""
    sheet = _Sheet()
    for name, translate in VARIABLES.items():
        if name in environment:
            try:
                meant = translate(environment[name])
            except Untranslatable as error:
                sheet.problems.append(Problem(key=name, problem=error.problem, hint=error.hint))
            else:
                sheet.take(meant, said=name, origin=Origin(kind=OriginKind.DYNAMO, name=name))
    return sheet.layer()


def manifest_layer(found: Found) -> Layer:
    """Read the planner's keys that were found, in Dynamo's units, and Dynamo's defaults for those absent."""
    sheet = _Sheet()
    sheet.values["targets.percentile"] = _MEANS
    written = dict(_known(found, sheet))
    predictor = _predictor(written)
    for key in KEYS.values():
        one = written.get(key.name)
        if one is not None:
            _take(key, one, found, sheet, predictor=predictor)
        elif key.absent and _default(key, found) is None:
            sheet.tell(f"{_in_manner_of(found, key)} is absent", key.absent, settled_by=key.settled_by)
        if one is None and _is_read(key, predictor):
            _take_default(key, found, sheet)
    if found.planner is None:
        sheet.tell(found.file, "there is no planner section; Dynamo's defaults hold")
    return sheet.layer()


@dataclass(slots=True)
class _Sheet:
    """A layer that is being filled."""

    values: dict[str, Given] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    translations: list[Translation] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    if_aimed: dict[str, Given] = field(default_factory=dict)

    def take(self, meant: Meant, *, said: str, origin: Origin) -> None:
        self.values |= {key: Given(value=value, origin=origin) for key, value in meant.settings.items()}
        if meant.settings:
            self.translations.append(Translation(origin=origin, said=said, keys=tuple(meant.settings)))
        self.if_aimed |= {key: Given(value=value, origin=origin) for key, value in meant.if_aimed.items()}
        if meant.note:
            self.tell(said, meant.note, settled_by=meant.settled_by)

    def tell(self, said: str, why: str, *, settled_by: str = "") -> None:
        self.notes.append(Note(said=said, why=why, settled_by=settled_by))

    def layer(self) -> Layer:
        return Layer(
            values=self.values,
            problems=tuple(self.problems),
            translations=tuple(self.translations),
            notes=tuple(self.notes),
            if_aimed=self.if_aimed,
        )


def _known(found: Found, sheet: _Sheet) -> Iterator[tuple[str, Written]]:
    """Yield the keys of the table that are set; what is not in it, or there twice, goes to the problems.

    What the planner is told itself wins over the targets of the whole request.
    """
    seen: dict[str, tuple[Section, Written]] = {}
    sections = ((Section.PLANNER, found.planner), (Section.SLA, found.sla))
    for section, one in ((section, one) for section, some in sections for one in some or ()):
        key = key_of(one.name, section)
        if key is None:
            sheet.problems.append(_unknown(one, section, found))
        elif one.value is None:
            continue
        elif key.name not in seen or found.form is Form.ARGUMENTS:
            seen[key.name] = (section, one)
            yield key.name, one
        elif seen[key.name][0] is section:
            sheet.problems.append(_twice(one, seen[key.name][1], found))
        else:
            sheet.tell(f"sla.{quoted(one.name)}", f"{quoted(seen[key.name][1].name)} is set too, and wins")


def _unknown(one: Written, section: Section, found: Found) -> Problem:
    near = nearest_key(one.name, section)
    hint = f"did you mean {near}?" if near else _ALLOWED[section]
    return Problem(
        key=quoted(one.name),
        problem=f"Dynamo's {_NAMES[section]} no such {'argument' if _is_argument(one) else 'key'}",
        hint=hint,
        origin=_origin(one, found),
    )


_NAMES = {Section.PLANNER: "planner has", Section.SLA: "targets have"}
_ALLOWED = {
    Section.PLANNER: "docs/dynamo.md lists the planner's keys",
    Section.SLA: "sla takes ttft, itl, isl and osl",
}


def _twice(one: Written, first: Written, found: Found) -> Problem:
    return Problem(
        key=quoted(one.name),
        problem=f"it is set twice, first as {quoted(first.name)} on line {first.line}",
        hint="remove one of them",
        origin=_origin(one, found),
    )


def _is_argument(one: Written) -> bool:
    return one.name.startswith("--")


def _origin(one: Written, found: Found) -> Origin:
    return Origin(kind=OriginKind.DGDR, name=found.place(one))


def _predictor(written: Mapping[str, Written]) -> str:
    """Return the predictor that Dynamo would take; an unknown one is told where it is translated."""
    one = written.get("load_predictor")
    name = str(one.value).strip().lower() if one is not None else ""
    return name if name in PREDICTORS else str(KEYS["load_predictor"].default)


def _is_read(key: Key, predictor: str) -> bool:
    return key.predictor in {"", predictor}


def _take(key: Key, one: Written, found: Found, sheet: _Sheet, *, predictor: str) -> None:
    value = one.value
    if isinstance(value, str) and _OF_THE_POD.search(value):
        sheet.tell(quoted(one.name), "it is a variable of the pod, so it is not taken")
        return
    try:
        _require_rendered(value)
        meant = key.translate(value)
    except Untranslatable as error:
        origin = _origin(one, found)
        sheet.problems.append(
            Problem(key=quoted(one.name), problem=error.problem, hint=error.hint, origin=origin)
        )
        return
    said = _said(one, meant)
    if _is_read(key, predictor) or not key.is_shared:
        sheet.take(meant, said=said, origin=_origin(one, found))
    else:
        sheet.tell(said, f"only the predictor {key.predictor} uses it, and this is {predictor}")


def _require_rendered(value: object) -> None:
    if isinstance(value, str) and MARK in value:
        # It is not repeated, since it may hold a secret.
        raise Untranslatable(f"the value is {UNRENDERED}", RENDER)


def _said(one: Written, meant: Meant) -> str:
    name = quoted(one.name)
    if isinstance(one.value, dict | list) or (one.value is True and _is_argument(one)):
        return name
    is_secret = any(entries()[key].is_secret for key in meant.settings)
    value = "********" if is_secret else shown(one.value).strip("'")
    return f"{name} {value}" if _is_argument(one) else f"{name}: {value}"


def _take_default(key: Key, found: Found, sheet: _Sheet) -> None:
    value = _default(key, found)
    if value is not None:
        origin = Origin(kind=OriginKind.DGDR, name=found.default_place)
        one = Written(name=_in_manner_of(found, key), value=value)
        meant = key.translate(value)
        sheet.take(replace(meant, note=""), said=_said(one, meant), origin=origin)
        if meant.note:
            why = f"Dynamo's default is {value}; {meant.note}"
            sheet.tell(f"{one.name} is absent", why, settled_by=meant.settled_by)


def _default(key: Key, found: Found) -> object:
    if found.form is Form.REQUEST and not found.is_late and key.name in REQUEST_DEFAULTS:
        return REQUEST_DEFAULTS[key.name]
    if found.is_late:
        return LATE_DEFAULTS.get(key.name, key.default)
    is_command_line = found.form in {Form.ARGUMENTS, Form.DEPLOYMENT}
    return ARGUMENT_DEFAULTS.get(key.name, key.default) if is_command_line else key.default


def _in_manner_of(found: Found, key: Key) -> str:
    """Spell a key that is absent as it would be written there."""
    if found.is_late:
        return key.name
    is_argument = found.form in {Form.ARGUMENTS, Form.DEPLOYMENT}
    like = "--x" if is_argument else "x" if Section.SLA in key.sections else "plannerX"
    return spelled(key.early or key.name, like=like)
