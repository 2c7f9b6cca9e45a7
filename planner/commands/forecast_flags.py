"""What does `setpoint forecast` take beside settings? Cheap to import, as help is to come at once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class SeriesKind(StrEnum):
    """Which of a load's series is forecast."""

    ARRIVALS = "arrivals"
    ISL = "isl"
    OSL = "osl"


Traces = Annotated[
    list[Path] | None,
    typer.Argument(metavar="TRACE", help="Requests as JSON lines, plain or gzipped; else Prometheus."),
]
Last = Annotated[
    str | None,
    typer.Option(metavar="24h", help="Only so much of the past; default 24h of Prometheus, all of a trace."),
]
Interval = Annotated[
    list[str] | None,
    typer.Option(metavar="30s", help="Interval; several with commas. Default: that of the settings."),
]
Horizon = Annotated[
    list[str] | None,
    typer.Option(metavar="1m,5m", help="How far ahead to forecast.  [default: 1m,5m]"),
]
Predictor = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Predictors to compare; default: all known.")
]
Series = Annotated[
    SeriesKind, typer.Option(help="What is forecast: arrivals, or mean prompt or output lengths.")
]
Limit = Annotated[str, typer.Option(metavar="10m", help="Longest time of one predictor on one load.")]
