"""What a user can set: every setting with its kind, its default and its meaning.

Names are those of the file; a variable is `SETPOINT_` and the name in capitals with `__` for each dot.
Every duration is a float of seconds once it is read, every size an int of bytes. `config.load` reads the
sources and checks what depends on several settings; the models here check one value at a time.
"""

from typing import Annotated

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from config import units
from config.fields import NOT_BOOL, Duration, Percentile, PositiveDuration, Text
from config.kubernetes import Election, KubernetesSettings
from config.policy import Solver
from config.sections import (
    SECTION,
    ActuatorKind,
    DynamoSettings,
    EtcdSettings,
    ForecastProcess,
    HttpSettings,
    JournalSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    PluginSettings,
    PrometheusSettings,
    ScrapeSettings,
    SourceKind,
    WebhookSettings,
)

ENV_PREFIX = "SETPOINT_"
KNOWN_PREDICTORS = ("constant", "kalman", "arima", "prophet")
_DEADLINE_SHARE = 0.8

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), NOT_BOOL]
_Count = Annotated[int, Field(ge=1, le=1_000_000), NOT_BOOL]
_Quantile = Annotated[float, Field(ge=0.5, le=0.999), NOT_BOOL]


class TargetSettings(BaseModel):
    """The latency that users were promised."""

    model_config = SECTION

    ttft: PositiveDuration = Field(description="Target of the time to first token.", examples=["300ms"])
    itl: PositiveDuration = Field(description="Target of the time between tokens.", examples=["25ms"])
    percentile: Percentile = Field(
        default="mean",
        description=(
            "Which observed latencies are shown and compared with the targets: the mean, or a percentile such"
            " as p95 or 95%. Counts do not depend on it yet: the throughput solver sizes for means."
        ),
        examples=["mean", "p95"],
    )

    @property
    def percentile_ratio(self) -> float | None:
        """Share of requests that must meet the targets; None where they are means."""
        return units.percentile_ratio(self.percentile)


class PoolSettings(BaseModel):
    """One pool of equal engines and its limits."""

    model_config = SECTION

    gpus_per_engine: _Count = Field(
        default=1, description="GPUs that one engine takes; what the fleet reports wins."
    )
    min_replicas: _Count = Field(default=1, description="Never fewer engines.")
    max_replicas: _Count | None = Field(
        default=None, description="Never more engines; null is no limit but the budget."
    )
    max_step_up: _Count | None = Field(
        default=None, description="Most engines added by one decision; null is no limit."
    )
    max_step_down: _Count | None = Field(
        default=None, description="Most engines removed by one decision; null is no limit."
    )
    scale_up_window: Duration = Field(
        default=0.0, description="Engines are added once they were wanted for so long."
    )
    scale_down_window: Duration = Field(
        default=90.0, description="Engines are removed once they were not needed for so long."
    )


class PoolsSettings(BaseModel):
    """The pools of the deployment."""

    model_config = SECTION

    prefill: PoolSettings = Field(default_factory=PoolSettings, description="The engines that read prompts.")
    decode: PoolSettings = Field(default_factory=PoolSettings, description="The engines that write answers.")


class SizingSettings(BaseModel):
    """How many engines a load needs."""

    model_config = SECTION

    solver: Solver = Field(
        default=Solver.THROUGHPUT, description="How pools are sized; throughput is Dynamo's way."
    )
    quantile: _Quantile | None = Field(
        default=None,
        description="Quantile of forecast arrivals that is sized for, 0.5 to 0.999; null sizes for the mean.",
    )


class CorrectionSettings(BaseModel):
    """How observed latency corrects the profile."""

    model_config = SECTION

    enabled: bool = Field(
        default=True, description="Correct the profile by what is observed; false trusts the profile."
    )
    smoothing: Annotated[float, Field(gt=0, le=1), NOT_BOOL] = Field(
        default=1.0, description="Weight of the newest factor; 1 takes it as it is, as Dynamo does."
    )
    lower: _Positive = Field(default=0.05, description="Least factor taken.")
    upper: _Positive = Field(default=20.0, description="Largest factor taken.")


class ForecastSettings(BaseModel):
    """How the load is forecast."""

    model_config = SECTION

    predictor: Text = Field(
        default="constant",
        description=f"Load predictor: {', '.join(KNOWN_PREDICTORS)}, or one that a plug-in registered.",
        examples=list(KNOWN_PREDICTORS),
    )
    log1p: bool = Field(
        default=False, description="Forecast the logarithm of 1 + load, which follows bursts better."
    )
    min_points: _Count = Field(
        default=5, description="With fewer intervals seen, the forecast is the last value."
    )
    window_points: Annotated[int, Field(ge=5, le=100_000), NOT_BOOL] | None = Field(
        default=None,
        description="Intervals that arima and prophet fit on; null is what serves each of them best.",
    )
    kalman_q_level: _Positive = Field(default=1.0, description="Kalman predictor: noise of the level.")
    kalman_q_trend: _Positive = Field(default=0.1, description="Kalman predictor: noise of the trend.")
    kalman_r: _Positive = Field(default=10.0, description="Kalman predictor: noise of the measurement.")
    process: ForecastProcess = Field(
        default=ForecastProcess.AUTO,
        description=(
            "Where models are fitted: inline in the daemon, or in a worker process of its own; auto takes a"
            " worker for arima and prophet."
        ),
    )
    fit_deadline: PositiveDuration | None = Field(
        default=None,
        description=(
            "Longest wait for a worker's forecast at each decision; null is a third of the interval, at most"
            " 10s. If it is late, the last good model serves."
        ),
    )
    warm_up: Duration | None = Field(
        default=None,
        description=(
            "How much of the past is learned at the start, from the journal and from Prometheus; null is 300"
            " intervals, or the window if that is longer; 0s starts cold."
        ),
    )
    warm_up_trace: Text | None = Field(
        default=None,
        description="Trace of requests that is learned first: JSON lines in Mooncake's form, may be gzipped.",
    )


class LookSettings(BaseModel):
    """When a look between two decisions may add engines."""

    model_config = SECTION

    band: _Positive = Field(
        default=0.25,
        description="A load above forecast × (1 + this) is a surge, where a forecast has no quantiles.",
    )
    quantile: _Quantile = Field(
        default=0.95, description="A load above this quantile of the forecast is a surge, 0.5 to 0.999."
    )
    drain: PositiveDuration = Field(
        default=30.0, description="Standing queues are to be gone within this time."
    )


class Settings(BaseSettings):
    """All settings of Setpoint."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=False,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
    )

    interval: PositiveDuration = Field(default=30.0, description="Time between two planned decisions.")
    look_interval: Duration = Field(
        default=5.0,
        description="Time between two looks, which may only add engines in between; 0s is no looks.",
    )
    startup: Duration = Field(default=60.0, description="Time that a new engine needs until it serves.")
    deadline: PositiveDuration | None = Field(
        default=None, description="Longest time that one observation may take; null is 0.8 × interval."
    )
    actuate: bool = Field(default=False, description="Write decisions to the fleet; false only advises.")
    budget_gpus: _Count = Field(
        description="Hard limit of GPUs that the pools may take together.", examples=[8]
    )
    profile: Text | None = Field(
        default=None,
        description=(
            "Folder with the engine's measured curves; embedded is the synthetic engine of the demo, to try"
            " things out."
        ),
        examples=["embedded", "profiles/h100"],
    )
    targets: TargetSettings = Field(description="The latency that users were promised.")
    pools: PoolsSettings = Field(default_factory=PoolsSettings, description="The pools and their limits.")
    sizing: SizingSettings = Field(
        default_factory=SizingSettings, description="How many engines a load needs."
    )
    correction: CorrectionSettings = Field(
        default_factory=CorrectionSettings, description="How observed latency corrects the profile."
    )
    forecast: ForecastSettings = Field(
        default_factory=ForecastSettings, description="How the load is forecast."
    )
    look: LookSettings = Field(default_factory=LookSettings, description="When a look may add engines.")
    source: SourceKind = Field(
        default=SourceKind.PROMETHEUS,
        description=(
            "Where metrics are read: prometheus, scrape for the pages themselves, or plugin for a"
            " connector of another package."
        ),
    )
    prometheus: PrometheusSettings = Field(
        default_factory=PrometheusSettings, description="How Prometheus is asked (source: prometheus)."
    )
    scrape: ScrapeSettings = Field(
        default_factory=ScrapeSettings, description="How metrics pages are read directly (source: scrape)."
    )
    actuator: ActuatorKind = Field(
        default=ActuatorKind.MEMORY,
        description=(
            "Where decisions are written: memory keeps them inside, kubernetes scales what runs there, etcd"
            " is for Dynamo's connector, webhook posts them to an address, plugin is for a connector of"
            " another package."
        ),
    )
    kubernetes: KubernetesSettings = Field(
        default_factory=KubernetesSettings,
        description="What is scaled on Kubernetes, and how (actuator: kubernetes).",
    )
    etcd: EtcdSettings = Field(
        default_factory=EtcdSettings,
        description="How decisions are handed over through etcd (actuator: etcd).",
    )
    webhook: WebhookSettings = Field(
        default_factory=WebhookSettings,
        description="How decisions are handed over by HTTP (actuator: webhook).",
    )
    plugin: PluginSettings = Field(
        default_factory=PluginSettings,
        description="Connectors of other packages (source: plugin, actuator: plugin).",
    )
    dynamo: DynamoSettings = Field(
        default_factory=DynamoSettings, description="Which Dynamo deployment is scaled."
    )
    http: HttpSettings = Field(default_factory=HttpSettings, description="Metrics, health and API.")
    log: LogSettings = Field(default_factory=LogSettings, description="What is logged, and how.")
    journal: JournalSettings = Field(
        default_factory=JournalSettings, description="Where decisions are recorded for replay."
    )

    @property
    def deadline_s(self) -> float:
        """Longest time that one observation may take, in seconds."""
        return self.interval * _DEADLINE_SHARE if self.deadline is None else self.deadline

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `config.load` merged, which alone knows where each value is from."""
        return (init_settings,)


__all__ = [
    "ENV_PREFIX",
    "KNOWN_PREDICTORS",
    "ActuatorKind",
    "CorrectionSettings",
    "DynamoSettings",
    "Election",
    "EtcdSettings",
    "ForecastProcess",
    "ForecastSettings",
    "HttpSettings",
    "JournalSettings",
    "KubernetesSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "LookSettings",
    "PluginSettings",
    "PoolSettings",
    "PoolsSettings",
    "PrometheusSettings",
    "ScrapeSettings",
    "Settings",
    "SizingSettings",
    "SourceKind",
    "TargetSettings",
    "WebhookSettings",
]
