"""The planner's keys: what Dynamo 0.9.0 takes as arguments and in a DGDR, and 1.6.1 in its configuration.

One table for all spellings: `--min-endpoint`, `plannerMinEndpoint`, `minEndpoint` and `min_endpoint` are the
key `min_endpoint`. The order of the table is the order in which keys are taken, the later over the earlier.
"""

from collections.abc import Mapping
from types import MappingProxyType

from config.dynamo.key import Key, Section
from config.dynamo.values import (
    Meant,
    Translate,
    chosen,
    count,
    is_true,
    milliseconds,
    nothing,
    one_of,
    port,
    positive,
    seconds,
    text,
    truth,
    whole,
)

PREDICTORS = ("constant", "arima", "kalman", "prophet")
_SLA = frozenset({Section.SLA})
_BOTH = frozenset(Section)


def _minimum(*pools: str) -> Translate:
    def translate(value: object) -> Meant:
        engines = whole(value)
        note = "" if engines else "Setpoint keeps at least one engine in each pool: 0 is taken for 1"
        keys = (f"pools.{pool}.min_replicas" for pool in pools)
        return Meant(settings=dict.fromkeys(keys, max(engines, 1)), note=note)

    return translate


def _budget(value: object) -> Meant:
    gpus = whole(value, least=-1)
    if gpus < 0:
        note = "-1 is no limit, and Setpoint always has one: set budget_gpus (--budget)"
        return Meant(note=note, settled_by="budget_gpus")
    return Meant(settings={"budget_gpus": gpus})


def _environment(value: object) -> Meant:
    where = chosen(value, ("kubernetes", "virtual", "global-planner"))
    if where == "virtual":
        return Meant(settings={"actuator": "etcd"})
    if where == "kubernetes":
        note = (
            "it is actuator: kubernetes as soon as dynamo.graph_deployment (DYN_PARENT_DGD_K8S_NAME) or"
            " kubernetes.prefill and kubernetes.decode say what is scaled there"
        )
        return Meant(if_aimed={"actuator": "kubernetes"}, note=note, settled_by="actuator")
    note = "there is no counterpart of the global planner; see the setting actuator"
    return Meant(note=note, settled_by="actuator")


def _mode(value: object) -> Meant:
    shape = chosen(value, ("disagg", "prefill", "decode", "agg"))
    if shape == "disagg":
        return Meant()
    return Meant(note=f"{shape} has no counterpart: Setpoint sizes a prefill and a decode pool")


def _aim(value: object) -> Meant:
    aim = chosen(value, ("throughput", "latency", "load", "sla"))
    if aim == "sla":
        return Meant()
    return Meant(note=f"with {aim}, Dynamo ignores TTFT and ITL; Setpoint scales to them as targets")


def _throughput_loop(value: object) -> Meant:
    is_on = is_true(value)
    return Meant(note="" if is_on else "Setpoint always plans for throughput; its looks add to it")


def _load_loop(value: object) -> Meant:
    is_on = is_true(value)
    return Meant(note="Setpoint's looks stand in for it; see the setting look_interval" if is_on else "")


def _power(value: object) -> Meant:
    return Meant(note="Setpoint has no power budget" if is_true(value) else "")


_FPM = "Setpoint reads no forward-pass metrics of engines"
_REPORTS = "Setpoint's journal and metrics take the place of reports"
_LOAD = "Setpoint's looks have a band and a quantile of their own; see the section look"
_STEPS = ("pools.prefill.max_step_up", "pools.prefill.max_step_down")
_STEPS_DECODE = ("pools.decode.max_step_up", "pools.decode.max_step_down")


def _engine(pool: str) -> Key:
    return Key(
        name=f"{pool}_engine_num_gpu",
        translate=count(f"pools.{pool}.gpus_per_engine"),
        unit="GPUs",
        absent=(
            "Dynamo takes it from the profiling or the deployment, and it is taken for 1 GPU here;"
            " set gpus_per_engine of the pool if an engine has more"
        ),
        settled_by=f"pools.{pool}.gpus_per_engine",
    )


_TABLE = (
    Key(
        name="ttft_ms",
        translate=milliseconds("targets.ttft"),
        unit="ms",
        default=500.0,
        early="ttft",
        sections=_BOTH,
    ),
    Key(
        name="itl_ms",
        translate=milliseconds("targets.itl"),
        unit="ms",
        default=50.0,
        early="itl",
        sections=_BOTH,
    ),
    Key(
        name="throughput_adjustment_interval_seconds",
        translate=seconds("interval"),
        unit="s",
        default=180,
        early="adjustment_interval",
        aliases=("throughput_adjustment_interval",),
    ),
    Key(name="max_gpu_budget", translate=_budget, unit="GPUs", default=8),
    Key(name="min_endpoint", translate=_minimum("prefill", "decode"), unit="engines", default=1),
    Key(name="prefill_min_endpoint", translate=_minimum("prefill"), unit="engines"),
    Key(name="decode_min_endpoint", translate=_minimum("decode"), unit="engines"),
    _engine("prefill"),
    _engine("decode"),
    Key(name="profile_results_dir", translate=text("profile")),
    Key(name="load_predictor", translate=one_of("forecast.predictor", *PREDICTORS), default="arima"),
    Key(
        name="load_predictor_log1p",
        translate=truth("forecast.log1p"),
        default=False,
        is_switch=True,
    ),
    Key(
        name="prophet_window_size",
        translate=count("forecast.window_points"),
        unit="intervals",
        default=50,
        predictor="prophet",
        is_shared=True,
    ),
    Key(name="load_predictor_warmup_trace", translate=text("forecast.warm_up_trace")),
    Key(
        name="kalman_q_level", translate=positive("forecast.kalman_q_level"), default=1.0, predictor="kalman"
    ),
    Key(
        name="kalman_q_trend", translate=positive("forecast.kalman_q_trend"), default=0.1, predictor="kalman"
    ),
    Key(name="kalman_r", translate=positive("forecast.kalman_r"), default=10.0, predictor="kalman"),
    Key(
        name="kalman_min_points",
        translate=count("forecast.min_points"),
        unit="intervals",
        default=5,
        predictor="kalman",
        is_shared=True,
    ),
    Key(name="no_correction", translate=truth("correction.enabled", is_inverted=True), is_switch=True),
    Key(
        name="advisory",
        early="no_operation",
        translate=truth("actuate", is_inverted=True),
        is_switch=True,
        absent=(
            "Dynamo's planner would scale, Setpoint only advises until it is told to;"
            " set actuate: true (--actuate)"
        ),
        settled_by="actuate",
    ),
    Key(name="environment", translate=_environment, default="kubernetes"),
    Key(name="namespace", translate=text("dynamo.namespace")),
    Key(name="model_name", translate=text("prometheus.model")),
    Key(
        name="metric_pulling_prometheus_endpoint",
        translate=text("prometheus.url"),
        default="http://prometheus-kube-prometheus-prometheus.monitoring.svc.cluster.local:9090",
    ),
    Key(name="metric_pulling_prometheus_token", translate=text("prometheus.token")),
    Key(name="metric_pulling_prometheus_token_file", translate=text("prometheus.token_file")),
    Key(name="metric_pulling_prometheus_ssl_verify", translate=truth("prometheus.verify_tls")),
    Key(name="metric_pulling_prometheus_ca_bundle", translate=text("prometheus.ca_file")),
    Key(
        name="metric_pulling_prometheus_extra_query_params",
        translate=nothing("queries take no further parameters; prometheus.headers can name a tenant"),
    ),
    Key(
        name="metric_pulling_prometheus_request_timeout_seconds",
        translate=seconds("prometheus.query_timeout"),
        unit="s",
        aliases=("metric_pulling_prometheus_request_timeout",),
    ),
    Key(name="metric_reporting_prometheus_port", translate=port, aliases=("prometheus_port",)),
    Key(name="backend", translate=nothing("not needed: any engine is sized by its profile")),
    Key(name="log_dir", translate=nothing("Dynamo's planner does not use it either; see journal.path")),
    Key(
        name="isl",
        translate=nothing("for Dynamo's profiler only; Setpoint measures lengths"),
        sections=_BOTH,
    ),
    Key(
        name="osl",
        translate=nothing("for Dynamo's profiler only; Setpoint measures lengths"),
        sections=_BOTH,
    ),
    Key(
        name="e2e_latency",
        translate=nothing("Setpoint's targets are TTFT and ITL"),
        unit="ms",
        sections=_SLA,
    ),
    Key(name="optimization_type", translate=nothing("Setpoint's targets are TTFT and ITL"), sections=_SLA),
    # What follows is known to 1.6.1 only.
    Key(name="mode", translate=_mode),
    Key(name="optimization_target", translate=_aim),
    Key(name="enable_throughput_scaling", translate=_throughput_loop),
    Key(name="enable_load_scaling", translate=_load_loop),
    Key(
        name="load_adjustment_interval_seconds",
        translate=seconds("look_interval"),
        unit="s",
        aliases=("load_adjustment_interval",),
    ),
    Key(
        name="max_throughput_scaling_replicas",
        translate=count(*_STEPS, *_STEPS_DECODE),
        unit="engines",
    ),
    Key(name="min_gpu_budget", translate=nothing("GPUs have no minimum here; see pools.*.min_replicas")),
    Key(name="load_scaling_down_sensitivity", translate=nothing(_LOAD)),
    Key(name="load_min_observations", translate=nothing(_LOAD)),
    Key(name="max_num_fpm_samples", translate=nothing(_FPM)),
    Key(name="fpm_sample_bucket_size", translate=nothing(_FPM)),
    Key(name="prefill_scale_up_queue_tokens", translate=nothing(_LOAD)),
    Key(name="prefill_scale_down_queue_tokens", translate=nothing(_LOAD)),
    Key(name="decode_scale_up_kv_rate", translate=nothing(_LOAD)),
    Key(name="decode_scale_down_kv_rate", translate=nothing(_LOAD)),
    Key(name="speculative_nextn", translate=nothing("the profile's ITL is taken to hold what is accepted")),
    Key(name="throughput_metrics_source", translate=nothing("Setpoint reads the frontend's metrics")),
    Key(name="pre_deployment_sweeping_mode", translate=nothing("for Dynamo's profiler only")),
    Key(name="aic_interpolation", translate=nothing("Setpoint sizes by measured curves; see profile")),
    Key(name="ais_perf_model", translate=nothing("Setpoint sizes by measured curves; see profile")),
    Key(name="global_planner_namespace", translate=nothing("there is no counterpart of the global planner")),
    Key(name="control_api_port", translate=nothing("Setpoint's API is on http.port")),
    Key(name="enable_power_awareness", translate=_power),
    Key(name="total_gpu_power_limit", translate=nothing("Setpoint has no power budget"), unit="W"),
    Key(name="report_interval_hours", translate=nothing(_REPORTS), unit="h"),
    Key(name="report_output_dir", translate=nothing(_REPORTS)),
    Key(name="report_filename", translate=nothing(_REPORTS)),
    Key(name="report_write_gzip_log", translate=nothing(_REPORTS)),
    Key(name="live_dashboard_port", translate=nothing("Setpoint's API is on http.port")),
    Key(name="scheduling", translate=nothing("intervals are interval and look_interval")),
    Key(name="plugin_registration", translate=nothing("Setpoint's plug-ins are Python entry points")),
)

KEYS: Mapping[str, Key] = MappingProxyType({key.name: key for key in _TABLE})
BY_NAME: Mapping[str, Key] = MappingProxyType({name: key for key in _TABLE for name in key.names})

# What the profiler puts for a request without targets, where it differs from the planner.
REQUEST_DEFAULTS: Mapping[str, object] = MappingProxyType({"ttft_ms": 50.0, "itl_ms": 10.0})
# What the planner's arguments are without a value, where a request leaves it to the profiler.
ARGUMENT_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {"prefill_engine_num_gpu": 1, "decode_engine_num_gpu": 1}
)
# What 1.6.1 does when nothing is said, and 0.9.0 does not know.
LATE_DEFAULTS: Mapping[str, object] = MappingProxyType({"optimization_target": "throughput"})
