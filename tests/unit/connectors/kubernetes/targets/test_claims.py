"""GPUs that pods claim by Dynamic Resource Allocation, in every kind that describes its pods."""

import copy
from dataclasses import replace
from typing import Any, cast

import pytest

from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.target import Target, TargetView
from connectors.testing.target import fetched
from tests.cluster.examples import EXAMPLES, NAMESPACE, Example, Json
from tests.cluster.fake_api import FakeApi

TEMPLATE = f"/apis/resource.k8s.io/v1/namespaces/{NAMESPACE}/resourceclaimtemplates/pair"
# In v1alpha1 a graph deployment states GPUs beside its pods.
CASES = [example for example in EXAMPLES if "v1alpha1" not in example.name]


def claiming(found: object) -> object:
    """Return objects whose pods claim a pair of GPUs instead of asking for some."""
    if isinstance(found, list):
        return [claiming(one) for one in found]
    if not isinstance(found, dict):
        return found
    rest: dict[Any, object] = {key: claiming(value) for key, value in found.items() if key != "resources"}
    if rest.get("containers"):
        rest["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "pair"}]
    return rest


def cluster(example: Example, *, has_template: bool = True) -> FakeApi:
    objects = cast("dict[Any, Json]", claiming(copy.deepcopy(dict(example.objects))))
    api = replace(example, objects=objects).fake()
    if has_template:
        requests = [{"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 2}}]
        api.seed(TEMPLATE, {"spec": {"spec": {"devices": {"requests": requests}}}})
    return api


async def seen(api: FakeApi, example: Example) -> tuple[Target, TargetView]:
    target = await resolve(api, example.reference())
    return target, target.view(await fetched(api, target))


@pytest.mark.parametrize("example", CASES, ids=[example.name for example in CASES])
async def test_claimed_gpus_are_counted_by_their_template(example: Example) -> None:
    target, view = await seen(cluster(example), example)

    assert view.gpus_per_engine == 2 * view.pods_per_engine
    assert "resourceclaimtemplates" in {rule.resource for rule in target.rules()}


@pytest.mark.parametrize("example", CASES, ids=[example.name for example in CASES])
async def test_claimed_gpus_are_not_known_without_the_template(example: Example) -> None:
    _, view = await seen(cluster(example, has_template=False), example)

    assert view.gpus_per_engine is None
