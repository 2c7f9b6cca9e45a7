"""The fake API server keeps the rules that the real one keeps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from config.clock import VirtualClock
from connectors.kubernetes.api import Api, ApiError, Patch, Resource, WatchEvent
from tests.cluster.fake_api import FakeApi

DEPLOYMENTS = "/apis/apps/v1/namespaces/llm/deployments"
DECODE = f"{DEPLOYMENTS}/decode"
PODS = "/api/v1/namespaces/llm/pods"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def api() -> FakeApi:
    fake = FakeApi()
    fake.seed(
        DECODE,
        {
            "metadata": {"labels": {"app": "llm"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "llm"}}},
            "status": {"replicas": 1},
        },
    )
    return fake


async def _taken(events: AsyncIterator[WatchEvent], count: int) -> list[tuple[str, str]]:
    found = []
    async with asyncio.timeout(5.0):
        async for event in events:
            found.append((event.kind, event.item["metadata"].get("name", "")))
            if len(found) == count:
                break
    return found


def test_it_is_an_api(api: FakeApi) -> None:
    known: Api = api

    assert known is api


async def test_an_object_is_read_with_its_kind_and_version(api: FakeApi) -> None:
    item = await api.get(DECODE)

    assert (item["kind"], item["apiVersion"]) == ("Deployment", "apps/v1")
    assert item["metadata"]["generation"] == 1
    assert item["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert [(sent.method, sent.path) for sent in api.requests] == [("GET", DECODE)]


async def test_a_merge_patch_of_the_spec_raises_generation_and_version(api: FakeApi) -> None:
    before = await api.get(DECODE)
    body = {"metadata": {"resourceVersion": before["metadata"]["resourceVersion"]}, "spec": {"replicas": 3}}

    after = await api.patch(DECODE, body, Patch.MERGE)

    assert after["spec"] == {"replicas": 3, "selector": {"matchLabels": {"app": "llm"}}}
    assert after["metadata"]["generation"] == 2
    assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


async def test_a_write_that_changes_nothing_keeps_the_version(api: FakeApi) -> None:
    before = await api.get(DECODE)

    after = await api.patch(DECODE, {"spec": {"replicas": 2}}, Patch.MERGE)

    assert after == before


async def test_a_dry_run_changes_nothing(api: FakeApi) -> None:
    shown = await api.patch(DECODE, {"spec": {"replicas": 9}}, Patch.MERGE, {"dryRun": "All"})

    assert shown["spec"]["replicas"] == 9
    assert api.read(DECODE)["spec"]["replicas"] == 2
    assert api.writes() == ()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}}, Patch.MERGE),
        ([{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}], Patch.JSON),
    ],
)
async def test_a_stale_version_conflicts(api: FakeApi, body: object, kind: Patch) -> None:
    with pytest.raises(ApiError) as caught:
        await api.patch(DECODE, body, kind)

    assert caught.value.is_conflict


async def test_a_stale_put_conflicts_and_a_fresh_one_keeps_the_status(api: FakeApi) -> None:
    item = dict(await api.get(DECODE))
    fresh = await api.put(DECODE, {**item, "spec": {"replicas": 4}, "status": {}})

    with pytest.raises(ApiError) as caught:
        await api.put(DECODE, item)

    assert caught.value.is_conflict
    assert (fresh["spec"], fresh["status"]) == ({"replicas": 4}, {"replicas": 1})


async def test_a_json_patch_applies_when_its_test_holds(api: FakeApi) -> None:
    body = [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
        {"op": "add", "path": "/metadata/annotations", "value": {"a/b": "x"}},
        {"op": "remove", "path": "/metadata/annotations/a~1b"},
    ]

    after = await api.patch(DECODE, body, Patch.JSON)

    assert (after["spec"]["replicas"], after["metadata"]["annotations"]) == (5, {})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/replicas", "value": 3},
        {"op": "replace", "path": "/spec/absent", "value": 3},
        {"op": "remove", "path": "/spec/absent"},
    ],
)
async def test_a_json_patch_that_does_not_apply_is_invalid(
    api: FakeApi, operation: dict[str, object]
) -> None:
    with pytest.raises(ApiError) as caught:
        await api.patch(DECODE, [operation], Patch.JSON)

    assert (caught.value.status, caught.value.reason) == (422, "Invalid")


async def test_the_scale_subresource_maps_the_replicas(api: FakeApi) -> None:
    after = await api.patch(f"{DECODE}/scale", {"spec": {"replicas": 7}}, Patch.MERGE)

    assert (after["kind"], after["spec"]["replicas"]) == ("Scale", 7)
    assert after["status"] == {"replicas": 1, "selector": "app=llm"}
    assert api.read(DECODE)["spec"]["replicas"] == 7


async def test_a_kind_without_scale_has_none() -> None:
    api = FakeApi()
    path = "/apis/nvidia.com/v1beta1/namespaces/llm/dynamographdeployments/llm"
    graph = Resource(group="nvidia.com", version="v1beta1", plural="dynamographdeployments", kind="DGD")
    api.define(graph, has_scale=False)
    api.seed(path, {"spec": {}})

    with pytest.raises(ApiError) as caught:
        await api.get(f"{path}/scale")

    assert caught.value.is_missing


async def test_versions_of_a_group_share_their_objects() -> None:
    api = FakeApi()
    for version in ("v1beta1", "v1alpha1"):
        api.define(Resource(group="nvidia.com", version=version, plural="dgds", kind="Dgd"))
    api.seed("/apis/nvidia.com/v1alpha1/namespaces/llm/dgds/a", {"spec": {}})

    item = await api.get("/apis/nvidia.com/v1beta1/namespaces/llm/dgds/a")
    group = await api.get("/apis/nvidia.com")

    assert (item["apiVersion"], group["preferredVersion"]["version"]) == ("nvidia.com/v1beta1", "v1beta1")


async def test_a_kind_that_nobody_defined_is_missing(api: FakeApi) -> None:
    with pytest.raises(ApiError) as caught:
        await api.get("/apis/ray.io/v1/namespaces/llm/rayclusters")

    assert caught.value.is_missing


async def test_creating_twice_conflicts_and_names_are_generated(api: FakeApi) -> None:
    with pytest.raises(ApiError) as caught:
        await api.post(DEPLOYMENTS, {"metadata": {"name": "decode"}})
    made = await api.post("/api/v1/namespaces/llm/events", {"metadata": {"generateName": "e."}})

    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")
    assert made["metadata"]["name"].startswith("e.")
    assert api.has(f"/api/v1/namespaces/llm/events/{made['metadata']['name']}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"labelSelector": "app=a"}, ["p1"]),
        ({"labelSelector": "app in (a, b)"}, ["p1", "p2"]),
        ({"labelSelector": "app notin (a),tier"}, ["p3"]),
        ({"labelSelector": "!app"}, ["p3"]),
        ({"labelSelector": "app!=a"}, ["p2", "p3"]),
        ({"fieldSelector": "metadata.name=p2"}, ["p2"]),
        ({"limit": "2"}, ["p1", "p2"]),
        ({"limit": "2", "continue": "2"}, ["p3"]),
    ],
)
async def test_a_list_selects(query: dict[str, str], expected: list[str]) -> None:
    api = FakeApi()
    for name, labels in (("p1", {"app": "a"}), ("p2", {"app": "b"}), ("p3", {"tier": "x"})):
        api.seed(f"{PODS}/{name}", {"metadata": {"labels": labels}})

    found = await api.get(PODS, query)

    assert [item["metadata"]["name"] for item in found["items"]] == expected
    assert all("kind" not in item for item in found["items"])
    assert int(found["metadata"]["resourceVersion"]) > 100


async def test_a_list_of_the_cluster_has_every_namespace() -> None:
    api = FakeApi()
    api.seed("/api/v1/namespaces/a/pods/x", {})
    api.seed("/api/v1/namespaces/b/pods/y", {})

    found = await api.get("/api/v1/pods")

    assert len(found["items"]) == 2


async def test_a_watch_sees_what_happens_after_its_version(api: FakeApi) -> None:
    version = (await api.get(DEPLOYMENTS))["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "allowWatchBookmarks": "true"}
    api.change(DECODE, {"spec": {"replicas": 3}})
    events = api.watch(DEPLOYMENTS, query)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(_taken(events, 4))
        await VirtualClock().advance(0.0)  # lets the watch begin
        api.bookmark()
        api.remove(DECODE)
        api.seed(DECODE, {})

    assert [kind for kind, _ in task.result()] == ["MODIFIED", "BOOKMARK", "DELETED", "ADDED"]


async def test_a_watch_without_a_version_begins_with_what_there_is(api: FakeApi) -> None:
    assert await _taken(api.watch(DEPLOYMENTS), 1) == [("ADDED", "decode")]


async def test_an_object_that_leaves_the_selection_is_deleted_for_the_watch(api: FakeApi) -> None:
    version = str((await api.get(DEPLOYMENTS))["metadata"]["resourceVersion"])
    api.change(DECODE, {"metadata": {"labels": {"app": "other"}}})

    seen = await _taken(api.watch(DEPLOYMENTS, {"resourceVersion": version, "labelSelector": "app=llm"}), 1)

    assert seen == [("DELETED", "decode")]


async def test_a_watch_from_a_forgotten_version_is_gone(api: FakeApi) -> None:
    version = str((await api.get(DEPLOYMENTS))["metadata"]["resourceVersion"])
    api.expire()

    with pytest.raises(ApiError) as caught:
        await _taken(api.watch(DEPLOYMENTS, {"resourceVersion": version}), 1)

    assert caught.value.status == 410


@pytest.mark.parametrize(
    ("end", "is_error"),
    [(FakeApi.close_watches, False), (FakeApi.expire, True)],
)
async def test_open_watches_end(api: FakeApi, end: Callable[[FakeApi], None], *, is_error: bool) -> None:
    async with aclosing(api.watch(DEPLOYMENTS)) as events:
        await anext(events)
        end(api)

        with pytest.raises(ApiError if is_error else StopAsyncIteration):
            await anext(events)


async def test_a_scripted_failure_comes_once(api: FakeApi) -> None:
    api.fail_next(ApiError("busy", status=429, retry_after_s=2.0), method="PATCH", path_prefix=DECODE)
    await api.get(DECODE)

    with pytest.raises(ApiError, match="busy"):
        await api.patch(DECODE, {}, Patch.MERGE)

    await api.patch(DECODE, {}, Patch.MERGE)


async def test_a_second_writer_can_be_faster(api: FakeApi) -> None:
    version = api.read(DECODE)["metadata"]["resourceVersion"]
    api.before_next(lambda: api.change(DECODE, {"spec": {"replicas": 9}}), method="PATCH")

    with pytest.raises(ApiError) as caught:
        await api.patch(DECODE, {"metadata": {"resourceVersion": version}}, Patch.MERGE)

    assert caught.value.is_conflict


async def test_what_is_forbidden_is_refused_and_reviewed(api: FakeApi) -> None:
    api.forbid("patch", DEPLOYMENTS)
    attributes = {"group": "apps", "resource": "deployments", "namespace": "llm"}

    with pytest.raises(ApiError) as caught:
        await api.patch(DECODE, {}, Patch.MERGE)
    answers = [
        await api.post(REVIEWS, {"spec": {"resourceAttributes": {**attributes, "verb": verb}}})
        for verb in ("patch", "get")
    ]

    assert caught.value.is_forbidden
    assert [answer["status"]["allowed"] for answer in answers] == [False, True]


async def test_a_review_about_somebody_else_has_its_own_answer(api: FakeApi) -> None:
    api.forbid("*", "/api/v1/namespaces/llm/pods", subject="system:serviceaccount:llm:setpoint")
    attributes = {"group": "", "resource": "pods", "namespace": "llm", "verb": "list"}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    spec = {"resourceAttributes": attributes, "user": "system:serviceaccount:llm:setpoint"}

    theirs = await api.post(path, {"spec": spec})
    ours = await api.post(REVIEWS, {"spec": {"resourceAttributes": attributes}})

    assert (theirs["status"]["allowed"], ours["status"]["allowed"]) == (False, True)


async def test_removing_a_kind_ends_its_watches_and_answers_404() -> None:
    api = FakeApi()
    path = "/apis/ray.io/v1/namespaces/llm/rayclusters"
    api.seed(f"{path}/a", {})
    async with aclosing(api.watch(path)) as events:
        await anext(events)
        api.undefine("ray.io", "rayclusters")
        kinds = [event.kind async for event in events]

    assert kinds == ["DELETED"]
    with pytest.raises(ApiError):
        await api.get(path)
