"""Role scalers of DisaggregatedSets."""

from typing import Any

import pytest

from config.errors import ConfigError, Malformed
from connectors.base import HoldKind
from connectors.kubernetes.discovery import resolve
from connectors.kubernetes.target import Target, TargetView
from connectors.testing.target import fetched, sent
from tests.cluster.examples import EXAMPLES, NAMESPACE
from tests.cluster.fake_api import FakeApi

Json = dict[str, Any]
(EXAMPLE,) = (one for one in EXAMPLES if one.name == "disaggregatedset")
ROOT = f"/apis/disaggregatedset.x-k8s.io/v1/namespaces/{NAMESPACE}"
SCALER, SET = f"{ROOT}/disaggregatedsetrolescalers/llm-decode", f"{ROOT}/disaggregatedsets/llm"


async def target_of(api: FakeApi) -> Target:
    return await resolve(api, EXAMPLE.reference())


async def seen(api: FakeApi) -> TargetView:
    target = await target_of(api)
    return target.view(await fetched(api, target))


async def test_readiness_and_gpus_come_from_the_set() -> None:
    view = await seen(EXAMPLE.fake())

    assert (view.desired, view.ready, view.existing) == (2, 1, 2)
    assert (view.pods_per_engine, view.gpus_per_engine) == (3, 4 + 2 * 8)
    assert view.pod_selector == "disaggregatedset.x-k8s.io/name=llm,disaggregatedset.x-k8s.io/role=decode"


async def test_without_the_set_the_count_is_still_read_and_the_rest_is_unknown() -> None:
    api = EXAMPLE.fake()
    api.remove(SET)

    view = await seen(api)

    assert (view.desired, view.ready, view.gpus_per_engine) == (2, None, None)


async def test_a_scaler_that_nobody_wrote_yet_has_what_there_is_and_gets_its_first_count_itself() -> None:
    api = EXAMPLE.fake()
    api.change(SCALER, {"spec": {"replicas": None}})
    target = await target_of(api)

    before = target.view(await fetched(api, target))
    write = await sent(api, target.write(await fetched(api, target), 4))
    after = target.view(await fetched(api, target))

    assert (before.desired, after.desired) == (2, 4)
    assert write.key.subresource == ""


async def test_a_scaler_without_a_count_anywhere_is_malformed() -> None:
    api = EXAMPLE.fake()
    api.change(SCALER, {"spec": {"replicas": None}})
    api.change(SET, {"status": {"roleStatuses": []}})

    with pytest.raises(Malformed, match=r"expected a count at spec\.replicas, found none, nor does the set"):
        await seen(api)


async def test_a_new_revision_holds_the_pool() -> None:
    api = EXAMPLE.fake()
    status = {"name": "decode", "replicas": 3, "readyReplicas": 2, "updatedReplicas": 1}
    api.change(SET, {"status": {"roleStatuses": [status]}})

    hold = (await seen(api)).hold

    assert hold is not None
    assert hold.kind is HoldKind.ROLLING_OUT
    assert hold.why == "disaggregatedset llm rolls out: 1 of 3 groups are new"


async def test_set_and_role_are_found_by_the_owner_where_labels_are_missing() -> None:
    api = EXAMPLE.fake()
    owners = [{"kind": "DisaggregatedSet", "name": "llm"}]
    api.change(SCALER, {"metadata": {"labels": None, "ownerReferences": owners}})

    assert (await target_of(api)).part == "decode"


async def test_a_scaler_that_belongs_to_nothing_is_refused() -> None:
    api = EXAMPLE.fake()
    api.change(SCALER, {"metadata": {"labels": None}})

    with pytest.raises(ConfigError, match=r"scaling\.mode: External"):
        await target_of(api)


async def test_what_the_controller_complains_of_is_told() -> None:
    api = EXAMPLE.fake()
    condition = {"type": "Ready", "status": "False", "reason": "RoleGone", "message": "no role decode"}
    api.change(SCALER, {"status": {"conditions": [condition]}})

    assert (await seen(api)).trouble == "RoleGone: no role decode"
