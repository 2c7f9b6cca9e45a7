"""What the tests of the doctor share: a patient in memory, and a Prometheus that is told its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.clock import Clock, VirtualClock
from config.errors import ObservationError
from config.load import load
from config.policy import Role
from connectors.kubernetes.api import Api
from connectors.kubernetes.reference import parse_reference
from connectors.prometheus.answers import Point, QueryResult, Series
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from planner.doctor.patient import Asked, Frontend, Patient
from planner.doctor.records import Records
from planner.simulation.profile import embedded_profile
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
NAMESPACE = "ai"


def vector(*series: tuple[Mapping[str, str], float]) -> QueryResult:
    return QueryResult(
        series=tuple(
            Series(labels=labels, points=(Point(at_wall_s=0.0, value=value),)) for labels, value in series
        )
    )


@dataclass
class Told:
    """Answers the first of its texts that the query contains; nothing else has series."""

    answers: Mapping[str, QueryResult | ObservationError]
    asked: list[str] = field(default_factory=list)

    async def query(self, promql: str) -> QueryResult:
        self.asked.append(promql)
        for text, answer in self.answers.items():
            if text in promql:
                if isinstance(answer, ObservationError):
                    raise answer
                return answer
        return QueryResult(series=())

    async def close(self) -> None:
        pass


def patient(
    settings: Mapping[str, str] | None = None,
    *,
    targets: Mapping[str, str] | None = None,
    api: Api | None = None,
    prometheus: Asked | None = None,
    frontend: Frontend | None = None,
    clock: Clock | None = None,
) -> Patient:
    """Return a patient; settings are named with `__` for a dot."""
    flags: dict[str, object] = {
        "targets.ttft": "300ms",
        "targets.itl": "20ms",
        "budget_gpus": "8",
        **({"actuator": "kubernetes", **_targets(targets)} if targets else {}),
        **{name.replace("__", "."): value for name, value in (settings or {}).items()},
    }
    loaded = load(flags=flags, environment={})
    return Patient(
        settings=loaded.settings,
        records=Records(api or FakeApi()),
        server="https://api:6443",
        how="a test",
        namespace=NAMESPACE,
        lease="setpoint-llm",
        config_map="setpoint-llm",
        references=tuple(
            parse_reference(text, role=Role(role), namespace=NAMESPACE, key=f"kubernetes.{role}")
            for role, text in (targets or {}).items()
        ),
        account=f"{NAMESPACE}:setpoint",
        prometheus=prometheus,
        dialect=dynamo(),
        scope=Scope(model=loaded.settings.prometheus.model),
        profile=embedded_profile(),
        frontend=frontend,
        is_probed=frontend is not None,
        clock=clock or VirtualClock(),
    )


def _targets(targets: Mapping[str, str]) -> Mapping[str, str]:
    return {f"kubernetes.{role}": text for role, text in targets.items()}


def named(name: str, *, labels: Mapping[str, str] | None = None, namespace: str = "", **rest: object) -> Json:
    metadata: Json = {"name": name, "labels": dict(labels or {})}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata, **rest}
