"""What Dynamo's planners 0.9.0 and 1.6.1 show and say, in our own words: the list to compare with."""

import re
from dataclasses import dataclass

# One line for each gauge of 0.9.0: after `planner:`, its unit.
GAUGES_090 = {
    "num_p_workers": "engines",
    "num_d_workers": "engines",
    "observed_ttft": "ms",
    "observed_itl": "ms",
    "observed_request_rate": "requests/s",
    "observed_request_duration": "s",
    "observed_isl": "tokens",
    "observed_osl": "tokens",
    "p_correction_factor": "ratio",
    "d_correction_factor": "ratio",
    "predicted_request_rate": "requests/s",
    "predicted_isl": "tokens",
    "predicted_osl": "tokens",
    "predicted_num_p": "engines",
    "predicted_num_d": "engines",
    "gpu_hours": "GPU-hours",
}

# One line for each series of 1.6.1: after `dynamo_planner_`, its unit.
SERIES_161 = {
    "num_prefill_replicas": "engines",
    "num_decode_replicas": "engines",
    "gpu_hours": "GPU-hours",
    "observed_ttft_ms": "ms",
    "observed_itl_ms": "ms",
    "observed_requests_per_second": "requests/s",
    "observed_request_duration_seconds": "s",
    "observed_input_sequence_tokens": "tokens",
    "observed_output_sequence_tokens": "tokens",
    "predicted_requests_per_second": "requests/s",
    "predicted_input_sequence_tokens": "tokens",
    "predicted_output_sequence_tokens": "tokens",
    "predicted_num_prefill_replicas": "engines",
    "predicted_num_decode_replicas": "engines",
    "sla_target_ttft_ms": "ms",
    "sla_target_itl_ms": "ms",
    "estimated_ttft_ms": "ms",
    "estimated_itl_ms": "ms",
    "engine_prefill_capacity_requests_per_second": "requests/s",
    "engine_decode_capacity_requests_per_second": "requests/s",
    "load_scaling_decision": "state",
    "throughput_scaling_decision": "state",
    "engine_queued_prefill_tokens": "tokens",
    "engine_queued_decode_kv_tokens": "tokens",
    "engine_inflight_decode_kv_tokens": "tokens",
    "power_budget_total_watts": "W",
    "power_projected_watts": "W",
    "power_budget_utilization": "ratio",
    "plugin_evaluations_total": "calls",
    "plugin_held_over_total": "calls",
    "reconcile_clamped_total": "ticks",
    "constrain_capped_total": "ticks",
    "reject_short_circuited_total": "ticks",
    "tick_skipped_total": "ticks",
    "tick_requires_unsatisfied_total": "ticks",
    "tick_timeout_total": "ticks",
    "plugin_latency_seconds": "s",
    "tick_duration_seconds": "s",
    "plugin_circuit_state": "state",
    "plugin_cache_age_seconds": "s",
    "plugin_override_active": "flag",
    "tick_lag_seconds": "s",
}

UNITS = {f"planner:{name}": unit for name, unit in GAUGES_090.items()} | {
    f"dynamo_planner_{name}": unit for name, unit in SERIES_161.items()
}

_FPM = "Setpoint reads no forward-pass metrics of single engines"
_POWER = "Setpoint knows no power budget"
_PLUGIN = "Setpoint's tick has no plugins"

# What Setpoint does not show, and why.
ABSENT = (
    {f"dynamo_planner_{name}": _FPM for name in SERIES_161 if re.match("engine_(queued|inflight)", name)}
    | {f"dynamo_planner_{name}": _POWER for name in SERIES_161 if name.startswith("power_")}
    | {f"dynamo_planner_{name}": _PLUGIN for name in SERIES_161 if name.startswith("plugin_")}
    | {
        "dynamo_planner_reconcile_clamped_total": "counted as `setpoint_decisions_total{reason=…}`",
        "dynamo_planner_constrain_capped_total": 'counted as `setpoint_decisions_total{reason="budget"}`',
        "dynamo_planner_reject_short_circuited_total": _PLUGIN,
        "dynamo_planner_tick_requires_unsatisfied_total": _PLUGIN,
        "dynamo_planner_tick_skipped_total": "labels differ; counted as `setpoint_ticks_skipped_total`",
        "dynamo_planner_tick_timeout_total": "no deadline of a whole tick; see `setpoint_holds_total`",
        "dynamo_planner_tick_duration_seconds": "buckets differ; see `setpoint_tick_duration_seconds`",
        "dynamo_planner_tick_lag_seconds": "see `setpoint_last_tick_timestamp_seconds`",
    }
)

_DECIDED = "none while the fleet was never seen"
_OFFERED = "offered load (arrivals), where 0.9.0 counts requests that ended"
_WEIGHED = "of all requests, where 0.9.0 takes the plain mean of its frontends' means"
_SERVE = "engines that the orchestrator calls ready, where Dynamo counts discovered instances"
_FACTOR = "bounded by `correction`, frozen while latency is unknown"
_ESTIMATE = "of the solver at the decided size, where 1.6.1 estimates the engines' present latency"
_CAPACITY = "from the profile and the correction, where 1.6.1 has a model of each engine; none while idle"

# Where the meaning is not exactly Dynamo's.
DIFFERENCES = {
    "num_p_workers": _SERVE,
    "num_d_workers": _SERVE,
    "num_prefill_replicas": _SERVE,
    "num_decode_replicas": _SERVE,
    "observed_request_rate": _OFFERED,
    "observed_ttft": _WEIGHED,
    "observed_itl": _WEIGHED,
    "observed_request_duration": _WEIGHED,
    "observed_isl": _WEIGHED,
    "observed_osl": _WEIGHED,
    "p_correction_factor": _FACTOR,
    "d_correction_factor": _FACTOR,
    "predicted_request_rate": "the offered load's forecast (mean) for when an engine started now serves",
    "predicted_requests_per_second": "the forecast's mean, for when an engine started now serves",
    "predicted_num_p": _DECIDED,
    "predicted_num_d": _DECIDED,
    "predicted_num_prefill_replicas": _DECIDED,
    "predicted_num_decode_replicas": _DECIDED,
    "gpu_hours": "ticks without a fleet add nothing",
    "estimated_ttft_ms": _ESTIMATE,
    "estimated_itl_ms": _ESTIMATE,
    "engine_prefill_capacity_requests_per_second": _CAPACITY,
    "engine_decode_capacity_requests_per_second": _CAPACITY,
    "load_scaling_decision": "what the last look did; states below",
    "throughput_scaling_decision": "what the last tick did; states below",
}


def difference(name: str) -> str:
    """Return what is different about a series of ours."""
    return DIFFERENCES.get(re.sub("^(planner:|dynamo_planner_)", "", name), "none")


# When a state is on; Dynamo's other states never are.
LOAD_STATES = {
    "unset": "no look was taken yet",
    "no_fpm_data": "the look was blind: arrivals or lengths were not known (from counters, not FPM)",
    "held_over": "the look kept the fleet because the fleet was not seen or the step failed",
    "no_change": "the look changed nothing",
    "scale_up": "the look added engines, or called off a removal",
    "gpu_budget_reconcile": "the look added engines, fewer than it wanted: the budget",
    "gpu_budget_guard_hold": "the look would have added engines, and the budget has room for none",
}
THROUGHPUT_STATES = {
    "unset": "no tick was taken yet",
    "no_traffic_data": "the tick was blind: arrivals or lengths were not known",
    "held_over": "the tick kept the fleet because the fleet was not seen or the step failed",
    "predict_failed": "there was no forecast; the observed load was sized for, where 1.6.1 holds",
    "scale": "the tick changed a count",
    "no_change": "the tick changed no count",
    "gpu_budget_reconcile": "the tick changed a count, and the budget cut it",
    "gpu_budget_guard_hold": "the tick wanted more engines, and the budget has room for none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One kind of line: its shape, and what is different here; without a shape Setpoint has no such line."""

    name: str
    shape: str = ""
    difference: str = "none"


_N = r"(?:\d+\.\d\d|nan)"

EVENTS = (
    Event(
        name="tick",
        shape=r"New adjustment interval started!",
        difference="written when the tick has decided, with the lines below it",
    ),
    Event(
        name="observed load",
        shape=rf"Observed num_req: {_N} isl: {_N} osl: {_N}",
        difference="arrivals of one interval; `nan` where unknown or idle; nothing of what 1.6.1 adds",
    ),
    Event(
        name="observed latency",
        shape=rf"Observed ttft: {_N}ms itl: {_N}ms",
        difference="`nan` where unknown or idle",
    ),
    Event(
        name="skip",
        shape=r"Metrics contain None or NaN values \(.+\), skipping adjustment",
        difference="a warning, only when blind, and says why: an idle interval is not skipped",
    ),
    Event(name="workers", shape=r"Number of prefill workers: \d+, number of decode workers: \d+"),
    Event(name="factors", shape=r"Correction factors: TTFT: \d+\.\d{3}, ITL: \d+\.\d{3}"),
    Event(
        name="forecast",
        shape=rf"Predicted load: num_req={_N}, isl={_N}, osl={_N}",
        difference="the forecast's mean; `nan` for lengths that were never seen",
    ),
    Event(
        name="sizing, prefill",
        shape=rf"Prefill calculation: {_N}\(p_thpt\) / {_N}\(p_engine_cap\) = \d+\(num_p\)",
    ),
    Event(
        name="sizing, decode",
        shape=rf"Decode calculation: {_N}\(d_thpt\) / {_N}\(d_engine_cap\) = \d+\(num_d\)",
    ),
    Event(
        name="result",
        shape=r"Predicted number of engine replicas: prefill=\d+, decode=\d+",
        difference="after a pool's own maximum and minimum, before windows, steps and budget",
    ),
    Event(
        name="budget, warning",
        shape=(
            r"Total number of GPUs required \(\d+\) exceeds the max GPU budget \(\d+\), "
            r"scaling down to \d+ prefill and \d+ decode replicas"
        ),
        difference="the result never exceeds the budget",
    ),
    Event(
        name="write",
        shape=r"Updating (?:prefill|decode) component \S+ to desired replica count \d+",
        difference="NAME is the service, where the target has one, else the pool; told when read back",
    ),
    Event(
        name="no write",
        shape=r"(?:Prefill|Decode) component \S+ already at desired replica count \d+, skipping",
        difference="NAME is the service, where the target has one, else the pool",
    ),
    Event(
        name="write through a scaling adapter",
        shape=r"Scaled DGDSA \S+ to \d+ replicas",
        difference="where the adapter is the target; not where a graph deployment's service goes through it",
    ),
    Event(
        name="not ready, warning",
        shape=r"Deployment \S+ is not ready, ignoring this scaling of \S+ \(.+\)",
        difference=(
            "for a pool that rolls out, and says why; the other pools go on, and engines that merely start"
            " hold nothing up"
        ),
    ),
    Event(name="start, validating", shape=r"Validating deployment\.\.\."),
    Event(
        name="start, validated",
        shape=r"Successfully validated the deployment",
        difference="when the first observation found every pool",
    ),
    Event(
        name="start, model",
        shape=r"Detected model name from deployment: \S+.*",
        difference=(
            "on Kubernetes, where the engines' command lines state it and `prometheus.model` does not; it is"
            " only told, and counts as a filter once it is set"
        ),
    ),
    Event(
        name="start, warmed",
        shape=r"Warmed load predictors with \d+ intervals from \S.*",
        difference="also from the journal and from Prometheus; says how many from which",
    ),
    Event(name="start, metrics", shape=r"Started Prometheus metrics server on port \d+"),
    Event(
        name="no data, warning",
        shape=r"No prometheus metric data available for [a-z_]+ \(.+\), it is unknown and not 0",
        difference="METRIC is the signal; says why; the value counts as unknown where Dynamo uses 0",
    ),
    Event(
        name="error, observing",
        shape=r"Error getting avg metrics: .+",
        difference="a warning; one line for all that were asked, told once per outage",
    ),
    Event(
        name="error, correcting",
        shape=r"Failed to correct prediction factors: .+",
        difference="a warning; the factor stays as it was",
    ),
    Event(
        name="error, predicting",
        shape=r"Failed to predict load: .+",
        difference="a warning; the observed load is sized for, where 0.9.0 ends",
    ),
    Event(
        name="error, sizing",
        shape=r"Failed to compute number of replicas: .+",
        difference="the tick holds",
    ),
    Event(
        name="summary (1.6.1)",
        shape=(
            r"\[summary\] (?:HOLD|SCALE_UP|SCALE_DOWN|REBALANCE) \| current: .+ \| recommended: .+ \(.*\) "
            r"\| load_reason=[a-z_]+ throughput_reason=[a-z_]+ "
            r"\| est_ttft=(?:\d+\.\d\dms|n/a) est_itl=(?:\d+\.\d\dms|n/a) \| bound_by: .+"
        ),
        difference="also for a look that changes something; `bound_by` added at its end",
    ),
)
