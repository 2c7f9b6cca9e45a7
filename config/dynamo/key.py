"""What is said of one key of Dynamo's planner."""

from dataclasses import dataclass
from enum import StrEnum

from config.dynamo.values import Translate


class Section(StrEnum):
    """The two sections of a request that concern the planner."""

    PLANNER = "planner"
    SLA = "sla"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of Dynamo's planner.

    Attributes:
        name: Its name in 1.6.1, or in 0.9.0 if it is gone.
        early: Its name in 0.9.0 if that is another; empty if not.
        translate: What its values mean here.
        unit: The unit of its bare numbers; empty if it has none.
        default: Dynamo's own, where Setpoint takes it over when the key is absent.
        aliases: Its further names.
        sections: Where it may stand.
        predictor: The only predictor that uses it; empty if all do.
        is_shared: Whether other predictors use the setting that it stands for.
        is_switch: Whether it is an argument without a value.
        absent: What is to be told when the key is absent.
        settled_by: The setting that makes that pointless if it is given elsewhere.
    """

    name: str
    translate: Translate
    early: str = ""
    unit: str = ""
    default: object = None
    aliases: tuple[str, ...] = ()
    sections: frozenset[Section] = frozenset({Section.PLANNER})
    predictor: str = ""
    is_shared: bool = False
    is_switch: bool = False
    absent: str = ""
    settled_by: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All its names."""
        return (self.name, *filter(None, (self.early,)), *self.aliases)
