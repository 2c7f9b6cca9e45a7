"""`setpoint config`: which settings are in force, where is each from, and would `run` take them?"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import yaml

from config.catalog import entries
from config.clock import SystemClock
from config.errors import ConfigError
from config.load import Loaded
from config.policy import PoolPolicy
from config.problems import OriginKind
from config.show import MASK, effective, json_schema, sample_yaml
from config.units import quoted
from planner.commands.connect import actuator_of, source_of
from planner.commands.curves import profile_of
from planner.commands.flags import ConfigAction, ConfigFormat, Given
from planner.commands.importing import imported
from planner.commands.loading import load_given, origins_in_words
from planner.commands.output import NOTHING, Cell, Column, Tone, as_json, table, visible
from planner.embedding import Planner

_STAND_IN = "an example"
_NOT_SET = "required, not set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One effective setting.

    Attributes:
        key: Its dotted name.
        value: As a user would write it, secrets masked; None if it is required and not set.
        origin: Where it is from, in words.
        is_default: True if nobody set it.
    """

    key: str
    value: str | None
    origin: str
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command says.

    Attributes:
        text: What is printed.
        warnings: What is allowed but risky, one line each.
        code: The exit code.
    """

    text: str
    warnings: tuple[str, ...] = ()
    code: int = 0


def answer(action: ConfigAction, given: Given, output: ConfigFormat, words: Sequence[str] = ()) -> Answer:
    """Return what `setpoint config ACTION` prints.

    Args:
        action: What is asked.
        given: What the flags say.
        output: For whom it is.
        words: What follows the action; only `import` takes any.

    Raises:
        ConfigError: If the settings cannot be used.
    """
    if action is ConfigAction.IMPORT:
        return _import(given, words)
    if words:
        raise ConfigError(f"'{quoted(words[0])}' is not expected here", key=f"config {action.value}")
    if action is ConfigAction.SAMPLE:
        return Answer(text=sample_yaml().rstrip("\n"))
    if action is ConfigAction.SCHEMA:
        return Answer(text=as_json(json_schema()))
    if action is ConfigAction.CHECK:
        return _check(given, output)
    loaded = load_given(given, require=False)
    rows = shown_settings(loaded, given)
    # The table says itself what is not set.
    stand_ins = tuple(f"{row.key} is not set" for row in rows if row.value is None)
    risks = tuple(warning for warning in loaded.warnings if not warning.startswith(stand_ins))
    return Answer(text=_SHOW[output](rows), warnings=(*risks, *loaded.notes))


def _import(given: Given, words: Sequence[str]) -> Answer:
    if given != Given(values={}):
        raise ConfigError(
            "it takes no flags",
            key="config import",
            hint="give them to `setpoint run` or `setpoint config check` beside the file that is written",
        )
    text, warnings = imported(words)
    return Answer(text=text, warnings=warnings)


def shown_settings(loaded: Loaded, given: Given) -> tuple[Shown, ...]:
    """Return every setting that is in force, in the order of the sample."""
    words = origins_in_words(loaded, given)
    return tuple(
        Shown(
            key=row.key,
            value=None if _is_absent(loaded, row.key) else row.value,
            origin=_NOT_SET if _is_absent(loaded, row.key) else words[row.key],
            is_default=loaded.origins[row.key].kind is OriginKind.DEFAULT,
        )
        for row in effective(loaded)
    )


def _is_absent(loaded: Loaded, key: str) -> bool:
    origin = loaded.origins[key]
    is_default = origin.kind is OriginKind.DEFAULT
    return origin.name == _STAND_IN or (is_default and entries()[key].is_needed)


def check(given: Given) -> Loaded:
    """Load the settings and all that they name, as `setpoint run` would.

    Connectors are made and closed again, and nothing is sent.

    Raises:
        ConfigError: If `run` would refuse them.
    """
    from planner.commands.assemble import warm_up_options_of

    loaded = load_given(given)
    planner = Planner(loaded.settings, profile_of(loaded.settings))
    warm_up_options_of(loaded.settings)
    asyncio.run(_make_connectors(loaded, planner.policy.pools))
    return loaded


async def _make_connectors(loaded: Loaded, pools: tuple[PoolPolicy, ...]) -> None:
    clock = SystemClock()
    source = source_of(loaded, clock=clock)
    try:
        await actuator_of(loaded.settings, pools, clock=clock).close()
    finally:
        await source.close()


def _check(given: Given, output: ConfigFormat) -> Answer:
    if output is ConfigFormat.JSON:
        return _check_for_programs(given)
    loaded = check(given)
    set_count = sum(origin.kind is not OriginKind.DEFAULT for origin in loaded.origins.values())
    where = ", ".join(str(path) for path in (loaded.file, loaded.dgdr) if path) or "flags and variables"
    return Answer(
        text=f"OK: {visible(where)}: {set_count} of {len(loaded.origins)} settings are set, others default",
        warnings=(*loaded.warnings, *loaded.notes),
    )


def _check_for_programs(given: Given) -> Answer:
    try:
        loaded = check(given)
    except ConfigError as error:
        return Answer(text=as_json({"ok": False, "problems": str(error).splitlines()}), code=2)
    return Answer(text=as_json({"ok": True, "warnings": [*loaded.warnings, *loaded.notes]}))


def _as_table(rows: tuple[Shown, ...]) -> str:
    heads = (Column(title="setting", is_whole=True), Column(title="value"), Column(title="from"))
    return table(heads, [_row(row) for row in rows])


def _row(row: Shown) -> tuple[Cell, ...]:
    tone = Tone.DIM if row.is_default else Tone.STRONG
    if row.value is None:
        return Cell(text=row.key), Cell(text=NOTHING), Cell(text=row.origin, tone=Tone.BAD)
    return Cell(text=row.key), Cell(text=row.value, tone=tone), Cell(text=row.origin, tone=Tone.DIM)


def _as_json(rows: tuple[Shown, ...]) -> str:
    return as_json({row.key: {"value": _plain(row.value), "origin": row.origin} for row in rows})


def _plain(written: str | None) -> object:
    return written if written in {None, MASK} else cast("object", yaml.safe_load(written or ""))


def _as_yaml(rows: tuple[Shown, ...]) -> str:
    return "\n".join(_yaml_lines(rows))


def _yaml_lines(rows: tuple[Shown, ...]) -> Iterator[str]:
    opened: set[str] = set()
    for row in rows:
        *parents, name = row.key.split(".")
        for depth in range(len(parents)):
            section = ".".join(parents[: depth + 1])
            if section not in opened:
                opened.add(section)
                yield f"{'  ' * depth}{parents[depth]}:"
        indent = "  " * len(parents)
        # What is not set or not shown would not read back.
        is_usable = row.value is not None and MASK not in row.value
        written = f"{'' if is_usable else '# '}{name}: {row.value or ''}".rstrip()
        yield f"{indent}{written}  # {visible(row.origin)}"


_SHOW = {ConfigFormat.TABLE: _as_table, ConfigFormat.JSON: _as_json, ConfigFormat.YAML: _as_yaml}
