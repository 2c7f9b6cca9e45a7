"""InferenceServices of KServe."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed
from config.policy import Role
from connectors.base import HoldKind
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.reference import parse_reference
from connectors.kubernetes.target import Target, TargetView
from connectors.testing.target import fetched, sent
from tests.cluster.examples import EXAMPLES, NAMESPACE
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
BY_NAME = {one.name: one for one in EXAMPLES}
EXTERNAL, NONE = BY_NAME["inferenceservice external"], BY_NAME["inferenceservice none"]
SERVICE = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices/llm"
CHILD = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llm-predictor"
CLASS = "serving.kserve.io/autoscalerClass"
MODE = "serving.kserve.io/deploymentMode"


async def target_of(api: FakeApi, text: str = "isvc/llm") -> Target:
    reference = parse_reference(text, role=Role.DECODE, namespace=NAMESPACE, key="kubernetes.decode")
    return await resolve(api, reference)


async def seen(api: FakeApi) -> TargetView:
    target = await target_of(api)
    return target.view(await fetched(api, target))


async def test_with_an_external_autoscaler_the_deployment_is_scaled() -> None:
    api = EXTERNAL.fake()
    target = await target_of(api)

    write = await sent(api, target.write(await fetched(api, target), 5))

    assert write.key.path == f"{CHILD}/scale"
    assert (await seen(api)).desired == 5
    assert (await seen(api)).rivals == ()


async def test_with_no_autoscaler_the_least_replicas_are_what_is_set() -> None:
    api = NONE.fake()
    target = await target_of(api)

    await sent(api, target.write(await fetched(api, target), 5))
    view = await seen(api)

    assert api.read(SERVICE)["spec"]["predictor"]["minReplicas"] == 5
    assert (view.desired, view.most) == (5, 9)


async def test_with_no_autoscaler_and_no_number_there_is_one_replica() -> None:
    api = NONE.fake()
    api.change(SERVICE, {"spec": {"predictor": {"minReplicas": None}}})

    assert (await seen(api)).desired == 1


@pytest.mark.parametrize(("found", "name"), [("hpa", "hpa"), ("keda", "keda"), (None, "hpa")])
async def test_another_autoscaler_is_a_rival_and_hpa_is_the_default(found: str | None, name: str) -> None:
    api = EXTERNAL.fake()
    api.change(SERVICE, {"metadata": {"annotations": {CLASS: found}}})

    (rival,) = (await seen(api)).rivals

    assert rival == f"KServe has {name} set the replicas; annotate the service with {CLASS}: external"


@pytest.mark.parametrize("mode", ["Serverless", "Knative", "ModelMesh"])
async def test_another_mode_than_the_plain_one_is_refused(mode: str) -> None:
    api = EXTERNAL.fake()
    api.change(SERVICE, {"metadata": {"annotations": {MODE: None}}, "status": {"deploymentMode": mode}})

    with pytest.raises(ConfigError, match=f"runs in KServe's mode {mode}.*annotate it with"):
        await target_of(api)


async def test_a_service_that_is_moved_to_another_mode_is_held() -> None:
    api = EXTERNAL.fake()
    target = await target_of(api)
    api.change(SERVICE, {"metadata": {"annotations": {MODE: "Knative"}}})

    hold = target.view(await fetched(api, target)).hold

    assert hold is not None
    assert hold.kind is HoldKind.RIVAL
    assert "mode Knative" in hold.why


async def test_a_predictor_of_several_nodes_is_refused() -> None:
    api = EXTERNAL.fake()
    api.change(SERVICE, {"spec": {"predictor": {"workerSpec": {"size": 2}}}})

    with pytest.raises(ConfigError, match="spans nodes"):
        await target_of(api)


async def test_without_its_deployment_the_mode_is_asked_for() -> None:
    api = EXTERNAL.fake()
    target = await target_of(api)
    api.remove(CHILD)

    with pytest.raises(Malformed, match="does it run in KServe's mode Standard"):
        target.view(await fetched(api, target))


async def test_without_its_deployment_a_stated_number_is_still_read() -> None:
    api = NONE.fake()
    target = await target_of(api)
    api.remove(CHILD)

    assert target.view(await fetched(api, target)).desired == 3


async def test_a_service_that_is_stopped_is_held() -> None:
    api = EXTERNAL.fake()
    api.change(SERVICE, {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})

    hold = (await seen(api)).hold

    assert hold is not None
    assert hold.kind is HoldKind.PAUSED


async def test_a_part_is_refused() -> None:
    with pytest.raises(ConfigError, match="only the predictor"):
        await target_of(EXTERNAL.fake(), "isvc/llm:predictor")
