"""The sections of settings that speak of the outside world: where to read, where to write, what to serve."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from config.fields import (
    NOT_BOOL,
    Labels,
    Name,
    PositiveDuration,
    Secret,
    SecretMap,
    SecretOptions,
    Size,
    Text,
    Url,
    Urls,
)

SECTION = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)


class SourceKind(StrEnum):
    """Where metrics are read."""

    PROMETHEUS = "prometheus"
    SCRAPE = "scrape"
    PLUGIN = "plugin"


class ActuatorKind(StrEnum):
    """Where the decision is written."""

    MEMORY = "memory"
    ETCD = "etcd"
    WEBHOOK = "webhook"
    KUBERNETES = "kubernetes"
    PLUGIN = "plugin"


class LogLevel(StrEnum):
    """The least severity that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"
    DYNAMO = "dynamo"


class ForecastProcess(StrEnum):
    """Where models are fitted."""

    AUTO = "auto"
    INLINE = "inline"
    WORKER = "worker"


class PrometheusSettings(BaseModel):
    """How Prometheus is asked."""

    model_config = SECTION

    url: Url = Field(
        default="http://127.0.0.1:9090",
        description="Address of the query API of Prometheus, Thanos, Mimir or VictoriaMetrics.",
    )
    service: Text | None = Field(
        default=None,
        description=(
            "Kubernetes service that is asked instead of url, through the API server's proxy, so that a"
            " laptop needs no tunnel: namespace/name:port, or https:namespace/name:port for TLS behind it."
        ),
        examples=["monitoring/prometheus-operated:9090"],
    )
    dialect: Text = Field(
        default="dynamo",
        description="Whose metric names are read: dynamo, or a dialect that a plug-in registered.",
    )
    model: Text | None = Field(
        default=None, description="Only requests for this served model count; null counts all models."
    )
    scrape_interval: PositiveDuration = Field(
        default=5.0,
        description="How often Prometheus scrapes the engines. Windows are at least four times that.",
    )
    token: Secret | None = Field(default=None, description="Bearer token; better kept in token_file.")
    token_file: Text | None = Field(
        default=None,
        description="File with the bearer token, read again for each query so that it can rotate.",
    )
    username: Text | None = Field(default=None, description="User name for basic authentication.")
    password: Secret | None = Field(default=None, description="Password for basic authentication.")
    headers: SecretMap = Field(
        default_factory=dict,
        description="Headers sent with each query, such as X-Scope-OrgID; their values are kept secret.",
    )
    ca_file: Text | None = Field(
        default=None,
        description="PEM file of the authorities that sign the server's certificate; null takes the usual.",
    )
    client_cert_file: Text | None = Field(
        default=None, description="PEM file of our own certificate (mutual TLS)."
    )
    client_key_file: Text | None = Field(
        default=None, description="PEM file of our own private key (mutual TLS)."
    )
    verify_tls: bool = Field(
        default=True, description="Check the server's certificate. Turn off in tests only."
    )
    query_timeout: PositiveDuration = Field(
        default=5.0, description="Longest wait for the answer to one query."
    )
    retries: Annotated[int, Field(ge=0, le=10), NOT_BOOL] = Field(
        default=2,
        description="Further attempts after a query got no answer, within the deadline of the interval.",
    )
    max_response_bytes: Size = Field(default=8 * 2**20, description="Larger answers are refused.")
    extra_selector: Labels = Field(
        default_factory=dict,
        description="Labels and values that every queried series must have, for example a cluster.",
    )
    use_environment_proxies: bool = Field(
        default=True, description="Go through the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name."
    )


class ScrapeSettings(BaseModel):
    """How metrics are read from the engines or frontends themselves, without Prometheus."""

    model_config = SECTION

    urls: Urls = Field(
        default=(), description="Addresses of the metrics pages, for example http://frontend:8000/metrics."
    )
    timeout: PositiveDuration = Field(default=2.0, description="Longest wait for one page.")
    token_file: Text | None = Field(
        default=None,
        description="File with the bearer token, read again when it changes so that it can rotate.",
    )
    headers: SecretMap = Field(
        default_factory=dict, description="Headers sent with each request; their values are kept secret."
    )
    ca_file: Text | None = Field(
        default=None,
        description="PEM file of the authorities that sign the pages' certificates; null takes the usual.",
    )
    verify_tls: bool = Field(
        default=True, description="Check the servers' certificates. Turn off in tests only."
    )


class EtcdSettings(BaseModel):
    """How decisions are handed over through etcd, as Dynamo's virtual connector does."""

    model_config = SECTION

    endpoints: Urls = Field(default=("http://127.0.0.1:2379",), description="Addresses of the etcd members.")
    username: Text | None = Field(default=None, description="User name in etcd.")
    password: Secret | None = Field(default=None, description="Password in etcd.")
    ca_file: Text | None = Field(
        default=None,
        description="PEM file of the authorities that sign the members' certificates; null takes the usual.",
    )
    client_cert_file: Text | None = Field(
        default=None, description="PEM file of our own certificate (mutual TLS)."
    )
    client_key_file: Text | None = Field(
        default=None, description="PEM file of our own private key (mutual TLS)."
    )
    timeout: PositiveDuration = Field(default=5.0, description="Longest wait for one answer of etcd.")
    max_wait: PositiveDuration = Field(
        default=1800.0, description="A decision that was not acknowledged for so long is written over."
    )


class WebhookSettings(BaseModel):
    """How decisions are handed over to any orchestrator by HTTP."""

    model_config = SECTION

    url: Url | None = Field(
        default=None, description="Address that each decision is posted to, as JSON (actuator: webhook)."
    )
    read_url: Url | None = Field(
        default=None, description="Address that the fleet is read from; null is the same as url."
    )
    secret: Secret | None = Field(
        default=None, description="Key of the HMAC-SHA256 signature; better kept in secret_file."
    )
    secret_file: Text | None = Field(
        default=None,
        description="File with that key, read again for each request so that it can rotate.",
    )
    headers: SecretMap = Field(
        default_factory=dict, description="Headers sent with each request; their values are kept secret."
    )
    ca_file: Text | None = Field(
        default=None,
        description="PEM file of the authorities that sign the server's certificate; null takes the usual.",
    )
    verify_tls: bool = Field(
        default=True, description="Check the server's certificate. Turn off in tests only."
    )
    timeout: PositiveDuration = Field(default=5.0, description="Longest wait for one answer.")
    retries: Annotated[int, Field(ge=0, le=10), NOT_BOOL] = Field(
        default=3, description="Further attempts after a request got no answer, 408, 429 or 5xx."
    )


class PluginSettings(BaseModel):
    """Connectors that other packages bring along."""

    model_config = SECTION

    source: Text | None = Field(
        default=None,
        description="Name in the entry-point group setpoint.sources (source: plugin).",
    )
    actuator: Text | None = Field(
        default=None,
        description="Name in the entry-point group setpoint.actuators (actuator: plugin).",
    )
    options: SecretOptions = Field(
        default_factory=dict,
        description="What the plug-ins are told, name and text; the texts are kept secret.",
    )


class DynamoSettings(BaseModel):
    """Which Dynamo deployment is scaled."""

    model_config = SECTION

    namespace: Name = Field(
        default="dynamo",
        description=(
            "Dynamo's namespace, in metrics and in etcd. If only the two below are set, it is"
            " <kubernetes_namespace>-<graph_deployment>, as Dynamo's operator names it."
        ),
    )
    graph_deployment: Name | None = Field(default=None, description="Name of the DynamoGraphDeployment.")
    kubernetes_namespace: Name | None = Field(
        default=None, description="Kubernetes namespace of the DynamoGraphDeployment."
    )


class HttpSettings(BaseModel):
    """The daemon's own HTTP server: metrics, health and API."""

    model_config = SECTION

    enabled: bool = Field(default=True, description="Serve metrics, health and API.")
    bind: Text = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 is every interface.")
    port: Annotated[int, Field(ge=0, le=65535), NOT_BOOL] = Field(
        default=9085, description="Port to listen on; 0 takes a free one and logs it."
    )


class LogSettings(BaseModel):
    """What is logged, and how."""

    model_config = SECTION

    level: LogLevel = Field(default=LogLevel.INFO, description="Least severity that is logged.")
    format: LogFormat = Field(
        default=LogFormat.CONSOLE,
        description=(
            "console is for people, json for machines (one object a line), dynamo has the lines of"
            " Dynamo's planner, for existing searches."
        ),
    )


class JournalSettings(BaseModel):
    """Where decisions are recorded for replay."""

    model_config = SECTION

    path: Text | None = Field(
        default=None,
        description="File that observations and decisions are appended to; null keeps them in memory only.",
    )
    max_bytes: Size = Field(default=64 * 2**20, description="A file that grows beyond this is rotated.")
    keep: Annotated[int, Field(ge=0, le=1000), NOT_BOOL] = Field(
        default=5, description="Rotated files that are kept."
    )
