"""What the simulated frontend says."""

from prometheus_client.parser import text_string_to_metric_families

from planner.simulation.engines import Job
from planner.simulation.frontend import ITL_BOUNDS_S, TTFT_BOUNDS_S, SimulatedFrontend
from planner.simulation.load import Request


def samples(frontend: SimulatedFrontend) -> dict[str, float]:
    """Return samples by name and by what distinguishes them beside the model."""
    found = {}
    for family in text_string_to_metric_families(frontend.text()):
        for sample in family.samples:
            bound = sample.labels.get("le")
            found[sample.name if bound is None else f"{sample.name} {bound}"] = sample.value
    return found


def a_finished_request(frontend: SimulatedFrontend) -> None:
    job = Job(Request(10.0, 1000, 5))
    frontend.started(job)
    job.first_token_s = 10.25
    frontend.first_token(job)
    frontend.gaps(4, 0.02)
    job.finish_s = 10.33
    frontend.finished(job)


def test_there_is_no_family_before_the_first_request() -> None:
    assert SimulatedFrontend(model="m").text() == ""


def test_a_request_that_waits_is_in_flight_and_queued_and_nothing_else() -> None:
    frontend = SimulatedFrontend(model="m")

    frontend.started(Job(Request(0.0, 100, 10)))

    assert samples(frontend) == {
        "dynamo_frontend_requests_started_total": 1.0,
        "dynamo_frontend_inflight_requests": 1.0,
        "dynamo_frontend_active_requests": 1.0,
        "dynamo_frontend_queued_requests": 1.0,
    }


def test_a_finished_request_is_in_every_family() -> None:
    frontend = SimulatedFrontend(model="m")

    a_finished_request(frontend)

    found = samples(frontend)
    prefix = "dynamo_frontend"
    assert {name: found[f"{prefix}_{name}"] for name in ("requests_total", "output_tokens_total")} == {
        "requests_total": 1.0,
        "output_tokens_total": 5.0,
    }
    assert found[f"{prefix}_inflight_requests"] == found[f"{prefix}_queued_requests"] == 0.0
    assert found[f"{prefix}_time_to_first_token_seconds_sum"] == 0.25
    assert found[f"{prefix}_time_to_first_token_seconds_bucket 0.22"] == 0.0
    assert found[f"{prefix}_time_to_first_token_seconds_bucket 0.47"] == 1.0
    assert found[f"{prefix}_inter_token_latency_seconds_count"] == 4.0
    assert found[f"{prefix}_inter_token_latency_seconds_bucket 0.02"] == 4.0
    assert found[f"{prefix}_inter_token_latency_seconds_bucket 0.011"] == 0.0
    assert found[f"{prefix}_input_sequence_tokens_sum"] == 1000.0
    assert found[f"{prefix}_output_sequence_tokens_sum"] == 5.0
    assert found[f"{prefix}_request_duration_seconds_count"] == 1.0


def test_labels_are_those_of_the_real_frontend() -> None:
    frontend = SimulatedFrontend(model="Meta/Llama", dynamo_namespace="prod-llama")

    a_finished_request(frontend)

    text = frontend.text()
    common = 'dynamo_namespace="prod-llama"'
    ended = f'{common},endpoint="chat_completions",error_type="",model="meta/llama",request_type="stream"'
    assert f'dynamo_frontend_requests_total{{{ended},status="success"}} 1.0\n' in text
    assert f'dynamo_frontend_queued_requests{{{common},model="meta/llama"}} 0.0\n' in text


def test_buckets_are_those_of_the_newest_dynamo() -> None:
    frontend = SimulatedFrontend(model="m")
    a_finished_request(frontend)

    bounds = {}
    for family in text_string_to_metric_families(frontend.text()):
        if family.type == "histogram":
            bounds[family.name] = [
                float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels
            ]

    assert bounds["dynamo_frontend_time_to_first_token_seconds"] == [*TTFT_BOUNDS_S, float("inf")]
    assert bounds["dynamo_frontend_inter_token_latency_seconds"] == [*ITL_BOUNDS_S, float("inf")]
    assert {name: len(found) for name, found in bounds.items()} == {
        "dynamo_frontend_time_to_first_token_seconds": 19,
        "dynamo_frontend_inter_token_latency_seconds": 21,
        "dynamo_frontend_request_duration_seconds": 11,
        "dynamo_frontend_input_sequence_tokens": 13,
        "dynamo_frontend_output_sequence_tokens": 11,
    }
