"""The answers that Dynamo's planner 0.9.0 was given, and what we make of them.

We differ where it is wrong: means are weighted by requests and not by frontends, an idle frontend does not
spoil the others' mean, and nothing that could not be read is a zero.
"""

import json
import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import Idle, Reading, Unknown, Value
from connectors.prometheus.dialect import Scope
from connectors.prometheus.dialects.dynamo import dynamo
from connectors.prometheus.promql import Matchers
from connectors.prometheus.queries import Question
from tests.unit.connectors.prometheus.fake import (
    ONE,
    WINDOW_S,
    Reply,
    buckets,
    scraped,
    source_of,
    success,
)

FIELDS = {
    "get_avg_time_to_first_token": (Question.TTFT, "ttft_s"),
    "get_avg_inter_token_latency": (Question.ITL, "itl_s"),
    "get_avg_request_duration": (Question.DURATION, "request_duration_s"),
    "get_avg_input_sequence_tokens": (Question.ISL, "isl_tokens"),
    "get_avg_output_sequence_tokens": (Question.OSL, "osl_tokens"),
}
# Requests behind each series' mean: the first frontend carries three times the load of the second.
WEIGHTS = (30.0, 10.0)

# case -> (our mean, our count of requests); words stand for what must be in the reason of an Unknown.
OURS: dict[str, tuple[float | str | None, float | str | None]] = {
    "one_series": (0.25, 0.25),
    "two_frontends_unweighted_mean": (0.2, 0.6),
    "one_idle_frontend_makes_the_mean_nan": (0.1, "the value is nan"),
    "all_idle": (None, "the value is nan"),
    "no_series": (None, 0.0),
    "other_model_only": ("no series of model", "no series of model"),
    "other_namespace_only": ("no scrape target matches", "no scrape target matches"),
    "label_case_differs": (0.3, 0.3),
    "missing_namespace_label": ("no scrape target matches", "no scrape target matches"),
    "infinite": ("the value is inf", "the value is inf"),
    "malformed_value": ("expected a sample of time and value", "expected a sample of time and value"),
    "server_unreachable": ("cannot reach", "cannot reach"),
    "model_name_none_as_in_no_operation_mode": (0.25, 0.25),
}
SAME_AS_090 = {"one_series", "label_case_differs"}


def cases_of(shared_dir: Path) -> list[dict[str, Any]]:
    document = json.loads((shared_dir / "golden" / "dynamo-090.json").read_text(encoding="utf-8"))
    cases = document["prometheus_client_cases"]
    assert isinstance(cases, list)
    return cases


def is_malformed(sample: dict[str, Any]) -> bool:
    return not isinstance(sample["value"], list)


def replies_of(case: dict[str, Any], scope: Scope) -> dict[Question, Reply]:
    """Do what Prometheus would do with the case's series and our selectors."""
    if case["samples"] == "connection error":
        return dict.fromkeys(Question, httpx.ConnectError("no route"))
    targets = [one for one in case["samples"] if accepted(one, scope.of_targets(dynamo()))]
    ours = [one for one in case["samples"] if accepted(one, scope.of_series(dynamo()))]
    question = FIELDS.get(case["method"], (Question.COMPLETED, ""))[0]
    known = bool(targets) or not case["samples"]
    return {
        Question.TARGETS: [(ONE, 1)] if known else [],
        Question.SCRAPES: scraped(ONE),
        Question.MODELS: [({"model": model}, 1) for one in targets if (model := one["metric"].get("model"))],
        question: answer_of(ours, is_count=question is Question.COMPLETED),
    }


def accepted(sample: dict[str, Any], matchers: Matchers) -> bool:
    return all(matcher.accepts(sample["metric"]) for matcher in matchers)


def answer_of(samples: list[dict[str, Any]], *, is_count: bool) -> Reply:
    if any(is_malformed(one) for one in samples):
        return success("vector", [{"metric": {}, "value": one["value"]} for one in samples])
    numbers = [float(one["value"][1]) for one in samples]
    if is_count:
        return [({**ONE, "instance": str(index)}, number) for index, number in enumerate(numbers)]
    # A frontend whose own ratio is 0/0 had no request.
    parts = [(n, w) for n, w in zip(numbers, WEIGHTS, strict=False) if not math.isnan(n)]
    if not numbers:
        return []
    return buckets({}, total=sum(n * w for n, w in parts), count=sum(w for _, w in parts))


def check(found: Reading, expected: float | str | None, *, scale: float) -> None:
    match expected:
        case None:
            assert isinstance(found, Idle)
        case str():
            assert isinstance(found, Unknown)
            assert expected in found.why
        case _:
            assert isinstance(found, Value)
            assert found.value * scale == pytest.approx(expected)


async def test_every_golden_answer_is_read_right(shared_dir: Path) -> None:
    cases = cases_of(shared_dir)
    assert {case["case"] for case in cases} == set(OURS)

    for case in cases:
        scope = Scope(model=case["model"], namespace=case["namespace"])
        traffic = await source_of(replies_of(case, scope), scope=scope).observe(WINDOW_S)
        mean, count = OURS[case["case"]]
        if case["method"] == "get_avg_request_count":
            check(traffic.arrivals_rps, count, scale=WINDOW_S)
        else:
            check(getattr(traffic, FIELDS[case["method"]][1]), mean, scale=1.0)


def test_we_agree_with_090_only_where_it_is_right(shared_dir: Path) -> None:
    means = {
        case["case"]: case["value"] for case in cases_of(shared_dir) if "time_to_first" in case["method"]
    }

    same = {name for name, value in means.items() if OURS[name][0] == value}

    assert same == SAME_AS_090
