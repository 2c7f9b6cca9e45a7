"""Prometheus, its series, the profile and the probe, by the answers that are got."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from config.clock import VirtualClock
from config.errors import ObservationError, Unreachable
from connectors.prometheus.answers import QueryResult, by_bound
from connectors.prometheus.dialects.dynamo import dynamo
from planner.doctor.coverage import Lengths, judge_range, judge_targets_of
from planner.doctor.findings import Verdict
from planner.doctor.probe import check_probe, judge_marks, marks_of
from planner.doctor.prometheus import check_prometheus
from planner.doctor.scraping import judge_bounds
from planner.doctor.series import check_series, judge_series, signals_of
from planner.simulation.profile import embedded_profile
from tests.unit.planner.doctor.cases import Told, patient, vector

UP = ({"job": "f", "instance": "i"}, 1.0)
FAMILIES = [family for signal in signals_of(dynamo()) for family in signal.families]


def families(*without: str) -> QueryResult:
    return vector(*(({"__name__": name}, 1.0) for name in FAMILIES if name not in without))


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        pytest.param(vector(({"__name__": "up"}, 3.0)), Verdict.OK, "scrapes 3 targets", id="scrapes"),
        pytest.param(vector(), Verdict.FAIL, "scrapes nothing", id="scrapes nothing"),
        pytest.param(Unreachable("nobody"), Verdict.FAIL, "prometheus.service=", id="silent"),
        pytest.param(ObservationError("HTTP 401"), Verdict.FAIL, "its credentials", id="refuses"),
    ],
)
async def test_a_prometheus_has_to_answer_and_to_scrape(
    answer: QueryResult | ObservationError, verdict: Verdict, said: str
) -> None:
    sign = await check_prometheus(patient(prometheus=Told({"(up)": answer})))

    assert sign.verdict is verdict
    assert said in f"{sign.summary}\n{sign.todo}"


async def test_its_version_is_told_where_it_scrapes_itself() -> None:
    told = Told({"(up)": vector(({}, 1.0)), "build_info": vector(({"version": "3.5.3"}, 1.0))})

    sign = await check_prometheus(patient(prometheus=told))

    assert sign.summary.startswith("Prometheus 3.5.3 at http://127.0.0.1:9090")


async def test_another_stack_is_named_where_no_frontend_of_the_dialect_is_scraped() -> None:
    told = Told({"count by (__name__)": vector(({"__name__": "vllm:num_requests_running"}, 4.0))})

    sign = await check_series(patient(prometheus=told))

    assert sign.verdict is Verdict.FAIL
    assert sign.details == ("Prometheus has series of vLLM",)


async def test_a_model_that_is_there_in_another_case_is_ours() -> None:
    answers = {
        "up{": vector(UP),
        "count by (model)": vector(({"model": "org/m"}, 1.0)),
        "count by (__name__)": families(),
    }

    sign = await check_series(patient({"prometheus__model": "Org/M"}, prometheus=Told(answers)))

    assert sign.verdict is Verdict.OK


def test_a_frontend_without_the_counter_of_arrivals_is_fine_and_told() -> None:
    sign = judge_series(patient(), families("dynamo_frontend_requests_started_total"))

    assert sign.verdict is Verdict.OK
    assert "arrivals are completions plus" in sign.details[0]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(vector(), "no request of all models was counted yet", id="no request yet"),
        pytest.param(families("dynamo_frontend_output_sequence_tokens_sum"), "output length", id="one lacks"),
    ],
)
def test_series_that_are_missing_are_a_warning(found: QueryResult, said: str) -> None:
    sign = judge_series(patient(), found)

    assert sign.verdict is Verdict.WARN
    assert said in sign.summary


def test_a_signal_that_is_absent_and_not_needed_is_told() -> None:
    sign = judge_series(patient(), families("dynamo_frontend_time_to_first_token_seconds_sum"))

    assert sign.verdict is Verdict.OK
    assert "every signal that is needed" in sign.summary
    assert sign.details == ("none yet for TTFT, which decisions do without",)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        pytest.param([0.25, 0.3, 0.35], None, id="a bound at the target"),
        pytest.param([0.25, 0.36], None, id="close bounds around it"),
        pytest.param([0.22, 0.47], "from 220 to 470 ms", id="far bounds"),
        pytest.param([0.1, 0.2], "above all buckets", id="beyond the last"),
        pytest.param([0.47], "from 0 to 470 ms", id="below the first"),
    ],
)
def test_buckets_around_a_target_have_to_be_close(bounds: list[float], said: str | None) -> None:
    signs = judge_bounds("TTFT", bounds, 0.3)

    assert [said in sign.summary for sign in signs if said] == ([True] if said else [])
    assert bool(signs) is (said is not None)


@pytest.mark.parametrize(
    ("lengths", "verdict"),
    [
        pytest.param(None, Verdict.SKIP, id="no traffic"),
        pytest.param(Lengths(isl_tokens=3000.0, osl_tokens=400.0), Verdict.OK, id="inside"),
        pytest.param(Lengths(isl_tokens=20000.0, osl_tokens=400.0), Verdict.FAIL, id="longer prompts"),
        pytest.param(Lengths(isl_tokens=20.0, osl_tokens=400.0), Verdict.FAIL, id="shorter prompts"),
        pytest.param(Lengths(isl_tokens=9000.0, osl_tokens=16000.0), Verdict.FAIL, id="longer contexts"),
        pytest.param(
            Lengths(isl_tokens=9000.0, osl_tokens=400.0, isl_counts=((16000.0, 90.0), (float("inf"), 100.0))),
            Verdict.WARN,
            id="a tail of longer prompts",
        ),
        pytest.param(
            Lengths(isl_tokens=9000.0, osl_tokens=400.0, isl_counts=((16000.0, 99.0), (float("inf"), 100.0))),
            Verdict.OK,
            id="hardly a tail",
        ),
    ],
)
def test_the_profile_has_to_cover_the_traffic(lengths: Lengths | None, verdict: Verdict) -> None:
    profile = embedded_profile()
    assert profile.prefill is not None
    assert profile.decode is not None

    assert judge_range(lengths, profile.prefill, profile.decode).verdict is verdict


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"targets__ttft": "1ms"}, "no profiled prompt is as fast as wanted: TTFT"),
        ({"targets__itl": "0.1ms"}, "no profiled point is as fast as wanted: ITL"),
    ],
)
def test_targets_that_no_profiled_point_meets_fail(settings: dict[str, str], said: str | None) -> None:
    profile = embedded_profile()

    sign = judge_targets_of(patient(settings), profile.prefill, profile.decode)

    assert sign.verdict is (Verdict.FAIL if said else Verdict.OK)
    assert (said or "prompts of ") in sign.summary


def test_a_profile_of_one_pool_only_fails() -> None:
    profile = embedded_profile()

    assert judge_targets_of(patient(), None, profile.decode).verdict is Verdict.FAIL
    assert judge_targets_of(patient(), profile.prefill, None).verdict is Verdict.FAIL


def test_buckets_are_read_by_number() -> None:
    found = by_bound(vector(({"le": "+Inf"}, 9.0), ({"le": "10.0"}, 4.0), ({"le": "5"}, 1.0)))

    assert found == ((5.0, 1.0), (10.0, 4.0), (float("inf"), 9.0))


def test_marks_that_arrive_are_told_with_how_long_they_took() -> None:
    marks = dict.fromkeys(marks_of(dynamo()), 1.5)

    sign = judge_marks(dynamo(), marks, said="m answered")

    assert sign.verdict is Verdict.OK
    assert "1.5 s later" in sign.summary


def test_a_frontend_that_does_not_count_arrivals_passes_the_probe() -> None:
    marks = dict.fromkeys(set(marks_of(dynamo())) - {"dynamo_frontend_requests_started_total"}, 1.0)

    assert judge_marks(dynamo(), marks, said="").verdict is Verdict.OK


def test_a_mark_that_stays_away_is_a_warning() -> None:
    marks = dict.fromkeys(
        set(marks_of(dynamo())) - {"dynamo_frontend_time_to_first_token_seconds_count"}, 1.0
    )

    sign = judge_marks(dynamo(), marks, said="")

    assert sign.verdict is Verdict.WARN
    assert "time_to_first_token" in sign.summary


class Frontend:
    """A frontend that answers as it is told; its marks are in what it is given."""

    url = "http://frontend:8000"

    def __init__(self, answers: Mapping[str, tuple[int, str]], marks: Told) -> None:
        self.asked: list[str] = []
        self._answers, self._marks = answers, marks

    async def ask(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        self.asked.append(path)
        if body is not None and self._answers[path][0] == 200:
            grown = vector(*(({"__name__": name}, 1.0) for name in marks_of(dynamo())))
            self._marks.answers = {"sum by (__name__)": grown}
        return self._answers[path]


MODELS = json.dumps({"data": [{"id": "org/m"}]})


@pytest.mark.parametrize(
    ("answers", "verdict", "asked"),
    [
        pytest.param(
            {"/v1/models": (200, MODELS), "/v1/completions": (200, "{}")},
            Verdict.OK,
            ["/v1/models", "/v1/completions"],
            id="completions",
        ),
        pytest.param(
            {
                "/v1/models": (200, MODELS),
                "/v1/completions": (404, ""),
                "/v1/chat/completions": (200, "{}"),
            },
            Verdict.OK,
            ["/v1/models", "/v1/completions", "/v1/chat/completions"],
            id="chat only",
        ),
        pytest.param(
            {"/v1/models": (200, MODELS), "/v1/completions": (503, "no worker")},
            Verdict.FAIL,
            ["/v1/models", "/v1/completions"],
            id="refuses",
        ),
        pytest.param(
            {"/v1/models": (200, '{"data": []}')}, Verdict.FAIL, ["/v1/models"], id="serves no model"
        ),
    ],
)
async def test_one_request_is_sent_and_its_marks_are_awaited(
    answers: dict[str, tuple[int, str]], verdict: Verdict, asked: list[str]
) -> None:
    told = Told({})
    frontend = Frontend(answers, told)

    sign = await check_probe(patient(prometheus=told, frontend=frontend))

    assert sign.verdict is verdict, sign
    assert frontend.asked == asked


async def test_marks_are_awaited_for_two_scrapes_and_not_longer() -> None:
    clock, told = VirtualClock(), Told({})
    frontend = Frontend({"/v1/models": (200, MODELS), "/v1/completions": (200, "{}")}, Told({}))
    looking = asyncio.ensure_future(
        check_probe(
            patient({"prometheus__scrape_interval": "15s"}, prometheus=told, frontend=frontend, clock=clock)
        )
    )

    await clock.advance(31.0)
    is_waiting = not looking.done()
    await clock.advance(2.0)
    sign = await looking

    assert is_waiting
    assert sign.verdict is Verdict.FAIL
    assert "no counter grew within 32 s" in sign.summary
