"""What is examined, and what it is examined with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from config.clock import Clock
from config.errors import ConfigError
from config.policy import EngineProfile
from config.settings import Settings
from connectors.base import MetricsSource
from connectors.kubernetes.api import Json
from connectors.kubernetes.target import Reference
from connectors.prometheus.answers import QueryResult
from connectors.prometheus.dialect import Dialect, Scope
from planner.doctor.findings import Signs, Stage
from planner.doctor.records import Records

_DYNAMO_KINDS = ("dynamographdeployment", "dgd")


class Asked(Protocol):
    """Who answers queries: Prometheus, or what speaks like it."""

    async def query(self, promql: str) -> QueryResult:
        """Evaluate an expression now.

        Raises:
            ObservationError: If there is no usable answer.
        """
        ...

    async def close(self) -> None:
        """Release the connections."""
        ...


class Frontend(Protocol):
    """Who takes requests of users."""

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    async def ask(self, path: str, body: Json | None = None) -> tuple[int, str]:
        """Post JSON, or get without it; return the HTTP status and the text of the answer.

        Raises:
            Unreachable: If no answer came.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined.

    Attributes:
        settings: What `setpoint run` would take.
        records: What is read of the cluster.
        server: Where the API server is, for words.
        how: How it is spoken to, for words.
        namespace: Namespace of the targets.
        lease: Name of the daemon's Lease.
        config_map: Name of the ConfigMap that it writes.
        references: The targets that the settings name.
        unnamed: Why there is none; empty if there is one.
        account: The daemon's service account as `namespace:name`; empty asks for ourselves.
        prometheus: Who answers queries; None if metrics are not read from Prometheus.
        source: Where traffic is read instead; None with Prometheus.
        dialect: What the serving stack exports.
        scope: Which series are the deployment's.
        profile: The engine's curves, or why there are none.
        frontend: Who a real request is sent to; None sends none.
        is_probed: Whether one is wanted.
        clock: What waits and latencies are measured by.
    """

    settings: Settings
    records: Records
    server: str
    how: str
    namespace: str
    lease: str
    config_map: str
    references: tuple[Reference, ...] = ()
    unnamed: str = ""
    account: str = ""
    prometheus: Asked | None = None
    source: MetricsSource | None = None
    dialect: Dialect
    scope: Scope
    profile: EngineProfile | ConfigError
    frontend: Frontend | None = None
    is_probed: bool = False
    clock: Clock

    @property
    def uses_dynamo(self) -> bool:
        """Tell whether Dynamo is what serves, as far as the settings say."""
        kinds = [reference.kind for reference in self.references]
        return any(kind.startswith(_DYNAMO_KINDS) for kind in kinds) if kinds else self.is_of_dynamo

    @property
    def is_of_dynamo(self) -> bool:
        """Tell whether the metrics are Dynamo's."""
        return self.dialect.name == "dynamo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to look at.

    Attributes:
        name: Its name in the findings.
        stage: Its stage.
        look: Looks; may raise `ApiError` and `ObservationError`, which are then what was found.
        needs_api: Whether it reads the cluster.
    """

    name: str
    stage: Stage
    look: Callable[[Patient], Awaitable[Signs]]
    needs_api: bool = True
