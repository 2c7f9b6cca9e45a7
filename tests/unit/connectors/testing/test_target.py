"""Each check of the suite for targets can fail."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from config.errors import Malformed, Refused
from config.policy import Role
from connectors.kubernetes.api import Api, Json, Patch, Resource
from connectors.kubernetes.target import ObjectKey, Objects, Reference, Rule, TargetView, Write
from connectors.testing import TargetConformance, TargetHarness
from connectors.testing.checks import ConformanceError
from connectors.testing.recording import covers
from tests.cluster.fake_api import FakeApi

KIND = Resource(group="acme.example", version="v1", plural="fleets", kind="Fleet")
KEY = ObjectKey(resource=KIND, namespace="ai", name="decode")
READ = Rule(group="acme.example", resource="fleets", verbs=("get",), why="read it", names=("decode",))
PATCH = replace(READ, verbs=("patch",), why="scale it")


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A right target; tests break one thing of it."""

    role: Role = Role.DECODE
    parent: ObjectKey = KEY
    part: str = ""
    keys: tuple[ObjectKey, ...] = (KEY,)
    least: int = 1
    shown: Callable[[TargetView], TargetView] = lambda view: view
    body: Callable[[Json, int], Json] = field(default_factory=lambda: _body)
    granted: tuple[Rule, ...] = (READ, PATCH)
    checks_shape: bool = True

    def needs(self) -> tuple[ObjectKey, ...]:
        return self.keys

    def view(self, objects: Objects) -> TargetView:
        item = self._item(objects)
        return self.shown(
            TargetView(
                desired=item["spec"]["engines"],
                version=item["metadata"]["resourceVersion"],
                least=self.least,
            )
        )

    def write(self, objects: Objects, count: int) -> Write:
        item = self._item(objects)
        if count < self.least:
            raise Refused(f"found {count} engines, expected {self.least} or more")
        return Write(key=KEY, body=self.body(item, count), kind=Patch.MERGE)

    def rules(self) -> tuple[Rule, ...]:
        return self.granted

    def _item(self, objects: Objects) -> Json:
        item: Any = objects.get(KEY)
        if self.checks_shape:
            _check(item)
        return cast("Json", item)


def _body(item: Json, count: int) -> Json:
    version = item["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version}, "spec": {"engines": count}}


def _check(item: object) -> None:
    is_map = isinstance(item, Mapping) and all(isinstance(item.get(n), Mapping) for n in ("metadata", "spec"))
    if not is_map:
        raise Malformed("expected fleet decode, found none or something else")
    count = item["spec"].get("engines") if isinstance(item, Mapping) else None
    if type(count) is not int or count < 0:
        raise Malformed(f"fleet decode: expected a count at spec.engines, found {count!r}")
    if isinstance(item, Mapping) and not isinstance(item["metadata"].get("resourceVersion"), str):
        raise Malformed("fleet decode has no resourceVersion")


def suite(fleet: Fleet) -> TargetConformance:
    async def build(reference: Reference, api: Api) -> Fleet:
        await api.get(f"/apis/{KIND.group}")
        return fleet if reference.name == KEY.name else Fleet()

    @asynccontextmanager
    async def factory() -> AsyncIterator[TargetHarness]:
        api = FakeApi()
        api.define(KIND, has_scale=False)
        api.seed(KEY.path, {"spec": {"engines": 3, "color": "red"}})
        reference = Reference(kind="fleet", name="decode", namespace="ai", role=Role.DECODE)
        yield TargetHarness(api=api, build=build, reference=reference, desired=3, least=1)

    return TargetConformance(factory)


async def test_a_right_target_passes() -> None:
    assert len(await suite(Fleet()).run_all()) == 12


def _mutating(item: Json, count: int) -> Json:
    cast("dict[str, Any]", item["spec"])["engines"] = count
    return _body(item, count)


@pytest.mark.parametrize(
    ("fleet", "check", "words"),
    [
        (
            Fleet(shown=lambda view: replace(view, desired=4)),
            "shows_the_first_count",
            "expected 3 replicas in the view, found 4",
        ),
        (Fleet(role=Role.PREFILL), "shows_the_first_count", "expected the role decode, found prefill"),
        (
            Fleet(keys=(KEY,), parent=replace(KEY, name="other")),
            "shows_the_first_count",
            r"needs\(\) does not have the parent fleet other",
        ),
        (
            Fleet(shown=lambda view: replace(view, gpus_per_engine=0)),
            "shows_the_first_count",
            "expected GPUs per engine, or None if unknown, found 0",
        ),
        (
            Fleet(body=lambda item, _: _body(item, 3)),
            "shows_what_was_written",
            "expected 5 replicas in the view, found 3",
        ),
        (
            Fleet(shown=lambda view: replace(view, version="7")),
            "says_which_version_a_write_is_for",
            r"expected the version '\d+' of fleet decode in the view, found '7'",
        ),
        (
            Fleet(body=lambda _, count: {"spec": {"engines": count}}),
            "has_a_stale_write_refused",
            "expected 409 for a write that is out of date, found None",
        ),
        (
            Fleet(
                body=lambda item, count: {**_body(item, count), "spec": {"engines": count, "color": "blue"}}
            ),
            "changes_nothing_but_replicas",
            r"fleet decode at \.spec\.color: 'red' became 'blue'",
        ),
        (Fleet(body=_mutating), "leaves_what_it_was_given", "the objects that were handed over were changed"),
        (
            Fleet(granted=(READ,)),
            "asks_for_the_rights_that_it_uses",
            "no rule covers patch /apis/acme.example/v1/namespaces/ai/fleets/decode",
        ),
        (
            Fleet(granted=(READ, replace(PATCH, verbs=("*",)))),
            "asks_for_no_more_rights_than_that",
            "grants everything of something",
        ),
        (
            Fleet(granted=(READ, replace(PATCH, verbs=("patch", "delete")))),
            "asks_for_no_more_rights_than_that",
            "grants delete, which no target needs",
        ),
        (
            Fleet(granted=(READ, replace(PATCH, names=()))),
            "asks_for_no_more_rights_than_that",
            "grants all objects of the kind; give the name of fleet decode",
        ),
        (
            Fleet(granted=(READ, replace(PATCH, why=""))),
            "asks_for_no_more_rights_than_that",
            "does not say what for",
        ),
        (Fleet(least=-5), "refuses_negative_counts", "expected Refused for -1 replicas, found None"),
        (Fleet(least=0), "refuses_counts_below_the_least", "expected Refused for 0 replicas, found None"),
        (
            Fleet(shown=lambda view: replace(view, least=0)),
            "refuses_counts_below_the_least",
            "expected a least of 1 in the view, found 0",
        ),
        (
            Fleet(checks_shape=False),
            "says_that_the_object_is_gone",
            "expected Malformed without fleet decode, found TypeError",
        ),
        (
            Fleet(checks_shape=False),
            "survives_objects_of_another_shape",
            "expected a view or Malformed where fleet decode at",
        ),
    ],
)
async def test_a_broken_target_fails_the_check_that_is_for_it(fleet: Fleet, check: str, words: str) -> None:
    with pytest.raises(ConformanceError, match=words):
        await getattr(suite(fleet), check)()


def test_all_checks_are_run_and_all_failures_are_told_together() -> None:
    names = [check.__name__ for check in suite(Fleet()).checks()]

    assert len(names) == len(set(names)) == 12


@pytest.mark.parametrize(
    ("verb", "path", "is_covered"),
    [
        ("get", "/apis/acme.example/v1/namespaces/ai/fleets/decode", True),
        ("get", "/apis/acme.example/v2/namespaces/ai/fleets/decode", True),
        ("get", "/apis/acme.example/v1/namespaces/ai/fleets/prefill", False),
        ("list", "/apis/acme.example/v1/namespaces/ai/fleets", False),
        ("get", "/api/v1/namespaces/ai/fleets/decode", False),
        ("patch", "/apis/acme.example/v1/namespaces/ai/fleets/decode", False),
        ("get", "/apis/acme.example/v1/namespaces/ai/fleets/decode/scale", False),
    ],
)
def test_a_rule_covers_what_a_role_would_grant(verb: str, path: str, *, is_covered: bool) -> None:
    assert covers([READ], verb, path) is is_covered
