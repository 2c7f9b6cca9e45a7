"""What cannot be read is told, and never a crash."""

import pytest

from config.errors import Unreachable
from connectors.kubernetes.api import ApiError
from planner.doctor.examination import CHECKS, examine
from planner.doctor.findings import Stage, Verdict
from tests.cluster.fake_api import FakeApi
from tests.unit.planner.doctor.cases import Told, patient

TARGETS = {"prefill": "deployment/prefill", "decode": "deployment/decode"}


async def test_an_empty_cluster_is_examined_to_the_end() -> None:
    findings = await examine(patient(targets=TARGETS, prometheus=Told({})))

    assert {one.stage for one in findings} == set(Stage)
    found = {one.check: one.verdict for one in findings}
    assert found["targets"] is Verdict.FAIL
    assert found["gpus"] is Verdict.FAIL
    assert found["readiness"] is Verdict.SKIP


@pytest.mark.parametrize("status", [0, 403, 404, 429, 500])
async def test_whatever_the_api_server_answers_every_check_says_something(status: int) -> None:
    api = FakeApi()
    api.fail_next(ApiError("for a test", status=status), times=10_000)

    findings = await examine(patient(targets=TARGETS, api=api, prometheus=Told({})))

    names = {one.check.partition(" ")[0] for one in findings}
    assert {check.name for check in CHECKS} - names <= {"rights-prometheus"}
    assert all(one.summary for one in findings)


async def test_with_a_silent_api_server_only_that_fails_of_the_cluster() -> None:
    api = FakeApi()
    api.fail_next(ApiError("nobody listens", status=0), times=10_000)

    findings = await examine(patient(targets=TARGETS, api=api, prometheus=Told({})), [Stage.CLUSTER])

    assert [(one.check, one.verdict) for one in findings] == [
        ("api", Verdict.FAIL),
        ("storage", Verdict.SKIP),
        ("gpus", Verdict.SKIP),
        ("gpu-operator", Verdict.SKIP),
    ]


@pytest.mark.parametrize("stage", [Stage.PLATFORM, Stage.DEPLOYMENT])
async def test_a_later_stage_alone_does_not_pass_with_a_silent_api_server(stage: Stage) -> None:
    api = FakeApi()
    api.fail_next(ApiError("nobody listens", status=0), times=10_000)

    findings = await examine(patient(targets=TARGETS, api=api, prometheus=Told({})), [stage])

    assert findings[0].check == "api"
    assert findings[0].verdict is Verdict.FAIL
    assert {one.stage for one in findings[1:]} == {stage}


async def test_objects_of_a_strange_shape_are_told() -> None:
    api = FakeApi()
    api.seed("/api/v1/nodes/a", {"status": "fine"})

    findings = await examine(patient(api=api), [Stage.CLUSTER])

    assert next(one for one in findings if one.check == "gpus").verdict is Verdict.WARN


async def test_each_list_is_read_once_for_all_checks() -> None:
    api = FakeApi()

    await examine(patient(targets=TARGETS, api=api, prometheus=Told({})))

    asked = [sent.path for sent in api.requests if sent.method == "GET"]
    for path in ("/api/v1/nodes", "/api/v1/pods", "/apis/apps/v1/deployments"):
        wide = [one for one in asked if one == path]
        assert len(wide) <= 2, path  # pods are asked for twice: all of them, and the operator's


def test_checks_have_names_of_their_own_in_the_order_of_stages() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert [check.stage for check in CHECKS] == sorted(
        (check.stage for check in CHECKS), key=list(Stage).index
    )


async def test_without_prometheus_the_profile_itself_is_judged_all_the_same() -> None:
    silent = Told({"": Unreachable("nobody listens")})

    findings = await examine(patient(prometheus=silent))

    found = {one.check: one.verdict for one in findings}
    assert found["prometheus"] is Verdict.FAIL
    assert found["series"] is Verdict.SKIP
    assert (found["profile"], found["profile range"]) == (Verdict.OK, Verdict.SKIP)
