"""What do the daemon and its worker tell each other? Lines of JSON, in the vocabulary of `predictors.base`.

The worker is told its task once, then lessons. It answers each lesson with news, and tells in between how far
it is. Numbers that are not finite are refused on both sides. This module imports nothing that costs a worker
time or memory.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Never, NoReturn, cast

from config.errors import Malformed
from config.policy import ForecastPolicy
from predictors.base import Forecast, LoadInterval, Quantile, SeriesForecast

_Plain = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker is for; its first line.

    Attributes:
        policy: Which predictor, and how far ahead.
        further: Forecasts to give beyond the one that is due, for an answer that is used late.
        limit_s: Longest time for one lesson's interval; a worker that takes longer ends itself.
        folder: Where temporary files go, since what is killed cannot clean up; empty for the system's own.
    """

    policy: ForecastPolicy
    further: int
    limit_s: float
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Intervals to learn.

    Attributes:
        learned: Intervals that were told by the end of this lesson, forgotten ones included; names it.
        intervals: What they showed, oldest first.
        is_older: True if an older trace ends with them.
    """

    learned: int
    intervals: tuple[LoadInterval, ...]
    is_older: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a worker tells.

    Attributes:
        learned: Up to where it learned, as lessons count.
        is_answer: True for the end of a lesson, False for how far it is.
        path: Forecasts made 0, 1, 2 … intervals after that, without learning more; as many as are known.
        failure: What a model raised; empty if nothing.
        trouble: What the models tell of themselves; empty if all is well.
    """

    learned: int
    is_answer: bool = False
    path: tuple[Forecast, ...] = ()
    failure: str = ""
    trouble: str = ""


def line_of(message: Task | Lesson | News) -> bytes:
    r"""Write a message.

    Raises:
        ValueError: If it holds a number that is not finite.

    Example:
        >>> line_of(Lesson(learned=1, intervals=(LoadInterval(arrivals_rps=2.0),)))
        b'{"learned":1,"intervals":[[2.0,null,null]],"is_older":false}\n'
    """
    plain = _lesson(message) if isinstance(message, Lesson) else asdict(message)
    return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _lesson(lesson: Lesson) -> dict[str, object]:
    # `asdict` would copy each of thousands of intervals, and hold the event loop for as long.
    rows = [(one.arrivals_rps, one.isl_tokens, one.osl_tokens) for one in lesson.intervals]
    return {"learned": lesson.learned, "intervals": rows, "is_older": lesson.is_older}


def task_of(line: bytes) -> Task:
    """Read a worker's first line.

    Raises:
        Malformed: If it is none.
    """
    plain = _object(_read(line))
    policy = {**_object(plain["policy"])}
    policy["levels"] = tuple(_number(level) for level in _list(policy["levels"]))
    return Task(
        # They are what `asdict` made of the right types, in the same version of this program.
        policy=ForecastPolicy(**cast("dict[str, Never]", policy)),
        further=_count(plain["further"]),
        limit_s=_number(plain["limit_s"]),
        folder=str(plain["folder"]),
    )


def lesson_of(line: bytes) -> Lesson:
    """Read a lesson.

    Raises:
        Malformed: If it is none.
    """
    plain = _object(_read(line))
    return Lesson(
        learned=_count(plain["learned"]),
        intervals=tuple(_interval(_list(row)) for row in _list(plain["intervals"])),
        is_older=plain["is_older"] is True,
    )


def news_of(line: bytes) -> News:
    """Read what a worker tells.

    Raises:
        Malformed: If it is nothing that a worker tells.
    """
    plain = _object(_read(line))
    try:
        return News(
            learned=_count(plain["learned"]),
            is_answer=plain["is_answer"] is True,
            path=tuple(_forecast(_object(forecast)) for forecast in _list(plain["path"])),
            failure=str(plain["failure"]),
            trouble=str(plain["trouble"]),
        )
    except KeyError as error:
        raise Malformed(f"a worker's line lacks {error}") from error


def _read(line: bytes) -> object:
    try:
        plain: object = json.loads(line, parse_constant=_refuse)
    except ValueError as error:
        raise Malformed(f"expected a line of JSON, found {line[:80]!r}: {error}") from error
    return plain


def _forecast(plain: _Plain) -> Forecast:
    return Forecast(
        made_at_s=_number(plain["made_at_s"]),
        horizon_s=_number(plain["horizon_s"]),
        predictor=str(plain["predictor"]),
        arrivals_rps=_series(_object(plain["arrivals_rps"])),
        isl_tokens=_lengths(plain["isl_tokens"]),
        osl_tokens=_lengths(plain["osl_tokens"]),
        points=_count(plain["points"]),
        late_intervals=_count(plain["late_intervals"]),
    )


def _lengths(plain: object) -> SeriesForecast | None:
    return None if plain is None else _series(_object(plain))


def _series(plain: _Plain) -> SeriesForecast:
    quantiles = (_object(quantile) for quantile in _list(plain["quantiles"]))
    return SeriesForecast(
        mean=_number(plain["mean"]),
        quantiles=tuple(
            Quantile(level_ratio=_number(quantile["level_ratio"]), value=_number(quantile["value"]))
            for quantile in quantiles
        ),
        calibrated=plain["calibrated"] is True,
    )


def _interval(row: Sequence[object]) -> LoadInterval:
    arrivals, isl, osl = (None if value is None else _number(value) for value in row)
    return LoadInterval(arrivals_rps=arrivals, isl_tokens=isl, osl_tokens=osl)


def _object(plain: object) -> _Plain:
    return plain if isinstance(plain, dict) else _wrong("an object", plain)


def _list(plain: object) -> list[object]:
    return plain if isinstance(plain, list) else _wrong("a list", plain)


def _count(plain: object) -> int:
    is_count = isinstance(plain, int) and not isinstance(plain, bool) and plain >= 0
    return plain if isinstance(plain, int) and is_count else _wrong("a count", plain)


def _number(plain: object) -> float:
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not 0.0 <= plain < math.inf:
        return _wrong("a finite number that is not negative", plain)
    return float(plain)


def _wrong(expected: str, found: object) -> NoReturn:
    raise Malformed(f"expected {expected} between daemon and worker, found {str(found)[:80]}")


def _refuse(name: str) -> NoReturn:
    raise Malformed(f"expected finite numbers between daemon and worker, found {name}")
