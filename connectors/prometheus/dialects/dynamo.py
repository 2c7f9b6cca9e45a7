"""What NVIDIA Dynamo's frontend exports, 0.9 to 1.6, and what its workers add.

Facts: the frontend lower-cases the model; 0.9 has no counter of arrivals, newer ones count them as
`requests_started_total`; `dynamo_namespace` is on frontend series only where a PodMonitor puts it there.
From 1.0 on a request that ends with `error_type` `validation` or `not_found` was never demand; what was
turned away for lack of capacity stays in. Other than text generation is excluded by name, so that an endpoint
which a later version adds is counted rather than overlooked. Gauges
`model_*` name a model as soon as a worker serves it. KV use is read from the workers, except those
that only prefill.
"""

from connectors.prometheus.dialect import Dialect, EngineGauge
from connectors.prometheus.promql import Compare, Matcher

_NOT_TEXT = Matcher("endpoint", Compare.NOT_REGEX, "embeddings|images.*|videos.*|audios?.*|tensor")
_NEVER_DEMAND = Matcher("error_type", Compare.REGEX, "validation|not_found")
_NOT_PREFILL = Matcher("dynamo_component", Compare.NOT_REGEX, "(?i).*prefill.*")


def dynamo(prefix: str = "dynamo_frontend") -> Dialect:
    """Return the dialect; the prefix is what `DYN_METRICS_PREFIX` may have changed."""
    return Dialect(
        name="dynamo",
        presence=(f"{prefix}_disconnected_clients", f"{prefix}_inflight_requests"),
        presence_prefix=f"{prefix}_",
        started=f"{prefix}_requests_started_total",
        completed=f"{prefix}_requests_total",
        demand=(_NOT_TEXT,),
        refused=_NEVER_DEMAND,
        in_flight=((f"{prefix}_active_requests",), (f"{prefix}_inflight_requests",)),
        queued=((f"{prefix}_queued_requests",),),
        isl=f"{prefix}_input_sequence_tokens",
        osl=f"{prefix}_output_sequence_tokens",
        ttft=f"{prefix}_time_to_first_token_seconds",
        itl=f"{prefix}_inter_token_latency_seconds",
        duration=f"{prefix}_request_duration_seconds",
        kv_usage=(
            EngineGauge(name="dynamo_component_gpu_cache_usage_percent", matchers=(_NOT_PREFILL,)),
            EngineGauge(name="vllm:kv_cache_usage_perc", matchers=(_NOT_PREFILL,), model_label="model_name"),
        ),
        model_label="model",
        model_prefix=f"{prefix}_model_",
        namespace_label="dynamo_namespace",
    )
