"""The autoscaler: a pure core, and the shell around it.

The names below are the stable surface for embedding; they are imported when they are first asked for, so
that the command line starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.base import (
        Fleet,
        Idle,
        Observation,
        PoolState,
        Reading,
        Replicas,
        Traffic,
        Unknown,
        Value,
    )
    from planner.core.decision import Decision
    from planner.embedding import Planner

__all__ = [
    "Decision",
    "Fleet",
    "Idle",
    "Observation",
    "Planner",
    "PoolState",
    "Reading",
    "Replicas",
    "Traffic",
    "Unknown",
    "Value",
]

_HOME = {"Planner": "planner.embedding", "Decision": "planner.core.decision"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOME.get(name, "connectors.base")), name)
    return found
