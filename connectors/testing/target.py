"""What every scale target must do, as checks that any test framework can run.

The checks speak to an `Api` that holds example objects: the fake one, or a real API server. A target is
asked what it needs, the objects are fetched, and what it answers is compared with what the API then has.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType

from config.errors import Malformed, Refused
from connectors.kubernetes.api import Api, ApiError, Json, Patch
from connectors.kubernetes.target import (
    ObjectKey,
    Objects,
    Reference,
    Rule,
    Target,
    TargetBuilder,
    TargetView,
    Write,
)
from connectors.testing.checks import Check, error_of, require, run_checks
from connectors.testing.distortion import changes_of, distorted
from connectors.testing.recording import Recording, covers

_TOUCH: Json = {"metadata": {"annotations": {"example.com/touched-by": "somebody else"}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHarness:
    """A target under test, and the API that has its objects.

    Attributes:
        api: Holds the example objects.
        build: The target's builder.
        reference: Names the example.
        desired: The replicas that the example asks for.
        least: The fewest that may be asked for; what is below has to be refused.
    """

    api: Api
    build: TargetBuilder
    reference: Reference
    desired: int
    least: int = 0


TargetFactory = Callable[[], AbstractAsyncContextManager[TargetHarness]]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A harness with its target and what the API had when it was opened."""

    harness: TargetHarness
    api: Recording
    target: Target
    objects: Objects = field(default_factory=dict)

    async def again(self) -> "_Opened":
        """Read the objects anew."""
        return replace(self, objects=await fetched(self.api, self.target))

    def view(self) -> TargetView:
        return self.target.view(self.objects)

    async def scale(self, count: int) -> Write:
        """Write a count as it was decided on the objects that were read."""
        return await sent(self.api, self.target.write(self.objects, count))


class TargetConformance:
    """What every scale target must do.

    Args:
        factory: Opens a fresh harness; called once per check.
    """

    def __init__(self, factory: TargetFactory) -> None:
        self._factory = factory

    def checks(self) -> tuple[Check, ...]:
        """Return every check, for frameworks that want one test per check."""
        return (
            self.shows_the_first_count,
            self.shows_what_was_written,
            self.says_which_version_a_write_is_for,
            self.has_a_stale_write_refused,
            self.changes_nothing_but_replicas,
            self.leaves_what_it_was_given,
            self.asks_for_the_rights_that_it_uses,
            self.asks_for_no_more_rights_than_that,
            self.refuses_negative_counts,
            self.refuses_counts_below_the_least,
            self.says_that_the_object_is_gone,
            self.survives_objects_of_another_shape,
        )

    async def run_all(self) -> tuple[str, ...]:
        """Run every check and return their names.

        Raises:
            ConformanceError: If any did not pass; the message lists each with its error.
        """
        return await run_checks(self.checks())

    async def shows_the_first_count(self) -> None:
        """The view has the count of the example, of an object that people name and whose changes it sees."""
        async with self._factory() as harness:
            opened = await _open(harness)

            _require_count(opened.view(), harness.desired)
            require(
                opened.target.parent in opened.target.needs(),
                f"needs() does not have the parent {opened.target.parent}, so that nobody would read it",
            )
            require(
                opened.target.role is harness.reference.role,
                f"expected the role {harness.reference.role}, found {opened.target.role}",
            )
            _require_sane(opened.view())

    async def shows_what_was_written(self) -> None:
        """After a write, up as well as down, the view has that count."""
        async with self._factory() as harness:
            opened = await _open(harness)
            for count in (harness.desired + 2, max(harness.least, harness.desired - 1)):
                opened = await opened.again()
                await opened.scale(count)
                opened = await opened.again()

                _require_count(opened.view(), count)

    async def says_which_version_a_write_is_for(self) -> None:
        """The view's version is the one of the object that a write goes to."""
        async with self._factory() as harness:
            opened = await _open(harness)
            view = opened.view()
            write = await opened.scale(harness.desired)
            written = opened.objects.get(write.key.whole) or opened.objects.get(write.key) or {}
            version = written.get("metadata", {}).get("resourceVersion")

            require(
                view.version == version,
                f"expected the version {version!r} of {write.key} in the view, found {view.version!r}",
            )

    async def has_a_stale_write_refused(self) -> None:
        """A write that was decided before somebody else changed the object is a conflict."""
        async with self._factory() as harness:
            opened = await _open(harness)
            count = harness.desired + 1
            at = await _sent_to(opened.api, opened.target.write(opened.objects, count))
            await harness.api.patch(at.key.whole.path, _TOUCH, Patch.MERGE)
            error = await error_of(opened.scale(count))

            require(
                isinstance(error, ApiError) and error.is_conflict,
                f"expected 409 for a write that is out of date, found {error!r}; does the body carry"
                f" metadata.resourceVersion?",
            )

    async def changes_nothing_but_replicas(self) -> None:
        """A write changes the numbers of replicas and nothing else of any object that is read."""
        async with self._factory() as harness:
            opened = await _open(harness)
            count = harness.desired + 1
            await opened.scale(count)
            after = await opened.again()
            changed = [
                f"{key} at {path}: {old!r} became {new!r}"
                for key in opened.objects
                if not key.subresource
                for path, old, new in changes_of(opened.objects[key], after.objects.get(key))
                if new != count
            ]

            require(not changed, f"something other than replicas was changed: {'; '.join(changed)}")

    async def leaves_what_it_was_given(self) -> None:
        """Reading and deciding change no object that was handed over, and come out the same again."""
        async with self._factory() as harness:
            opened = await _open(harness)
            before = copy.deepcopy(dict(opened.objects))
            first = (opened.view(), opened.target.write(opened.objects, harness.desired + 1))
            second = (opened.view(), opened.target.write(opened.objects, harness.desired + 1))

            require(dict(opened.objects) == before, "the objects that were handed over were changed")
            require(first == second, f"the same objects gave {first} and then {second}")

    async def asks_for_the_rights_that_it_uses(self) -> None:
        """Each request that finding, reading and writing take is covered by its rules."""
        async with self._factory() as harness:
            opened = await _open(harness)
            await opened.scale(harness.desired + 1)
            rules = opened.target.rules()
            missing = [f"{verb} {path}" for verb, path in opened.api.asked if not covers(rules, verb, path)]

            require(not missing, f"no rule covers {'; '.join(missing)}")

    async def asks_for_no_more_rights_than_that(self) -> None:
        """No rule is wider than one namespace's named objects, and each says what it is for."""
        async with self._factory() as harness:
            opened = await _open(harness)
            for rule in opened.target.rules():
                _require_least(rule, opened.target)

    async def refuses_negative_counts(self) -> None:
        """A negative count is refused."""
        async with self._factory() as harness:
            _require_refused(await _open(harness), -1)

    async def refuses_counts_below_the_least(self) -> None:
        """A count that the kind does not survive is refused, and the view says which is the least."""
        async with self._factory() as harness:
            opened = await _open(harness)
            if harness.least:
                _require_refused(opened, harness.least - 1)
            opened.target.write(opened.objects, harness.least)
            shown = opened.view().least
            require(shown >= harness.least, f"expected a least of {harness.least} in the view, found {shown}")

    async def says_that_the_object_is_gone(self) -> None:
        """Without its objects reading and writing are `Malformed`, in words; without some they may be."""
        async with self._factory() as harness:
            opened = await _open(harness)
            for call in _calls(opened.target, {}, harness.desired):
                error = _error(call)
                require(
                    isinstance(error, Malformed) and bool(str(error)),
                    f"expected Malformed without {opened.target.parent}, found {error!r}",
                )
            for gone in opened.objects:
                rest = {key: item for key, item in opened.objects.items() if key != gone}
                survives(opened.target, rest, harness.desired, words=f"{gone} is missing")

    async def survives_objects_of_another_shape(self) -> None:
        """Whatever stands in a field, and without it, reading and writing answer or are `Malformed`."""
        async with self._factory() as harness:
            opened = await _open(harness)
            for words, objects in distorted(opened.objects):
                survives(opened.target, objects, harness.desired, words=words)


async def fetched(api: Api, target: Target) -> dict[ObjectKey, Json]:
    """Return the objects that a target needs, as a list has them: without kind and version of the API."""
    found: dict[ObjectKey, Json] = {}
    for key in target.needs():
        try:
            item = await api.get(key.path)
        except ApiError as error:
            if not error.is_missing:
                raise
        else:
            found[key] = {name: item[name] for name in item if name not in {"kind", "apiVersion"}}
    return found


async def sent(api: Api, write: Write) -> Write:
    """Send a write, or what stands in for it where its object does not exist; return the one that was."""
    try:
        await api.patch(write.key.path, write.body, write.kind)
    except ApiError as error:
        if not error.is_missing or write.on_missing is None:
            raise
        return await sent(api, write.on_missing)
    return write


def survives(target: Target, objects: Objects, count: int, *, words: str) -> None:
    """Require that reading and writing answer, or say that the objects are malformed.

    Raises:
        ConformanceError: If something else was raised, or a view makes no sense.
    """
    for call in _calls(target, objects, count):
        error = _error(call)
        require(
            error is None or isinstance(error, Malformed | Refused),
            f"expected a view or Malformed where {words}, found {error!r}",
        )
    if _error(lambda: target.view(objects)) is None:
        _require_sane(target.view(objects))


async def _open(harness: TargetHarness) -> _Opened:
    api = Recording(harness.api)
    target = await harness.build(harness.reference, api)
    return await _Opened(harness, api, target).again()


async def _sent_to(api: Api, write: Write) -> Write:
    """Return the write that would be sent: the stand-in where the object does not exist."""
    try:
        await api.get(write.key.whole.path)
    except ApiError as error:
        if not error.is_missing or write.on_missing is None:
            raise
        return await _sent_to(api, write.on_missing)
    return write


def _calls(target: Target, objects: Objects, count: int) -> Sequence[Callable[[], object]]:
    return (lambda: target.view(objects), lambda: target.write(objects, count))


class _Catching:
    """Whatever a target under test raises is what is judged."""

    error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return isinstance(error, Exception)


def _error(call: Callable[[], object]) -> BaseException | None:
    catching = _Catching()
    with catching:
        call()
    return catching.error


def _require_refused(opened: _Opened, count: int) -> None:
    error = _error(lambda: opened.target.write(opened.objects, count))
    require(isinstance(error, Refused), f"expected Refused for {count} replicas, found {error!r}")


def _require_count(view: TargetView, count: int) -> None:
    require(view.desired == count, f"expected {count} replicas in the view, found {view.desired}")


def _require_sane(view: TargetView) -> None:
    counts = (view.desired, view.ready or 0, view.existing or 0, view.least)
    require(all(type(count) is int and count >= 0 for count in counts), f"a count is none: {view}")
    require(view.pods_per_engine >= 1, f"expected a pod per engine at least, found {view.pods_per_engine}")
    gpus = view.gpus_per_engine
    require(gpus is None or gpus >= 1, f"expected GPUs per engine, or None if unknown, found {gpus}")


def _require_least(rule: Rule, target: Target) -> None:
    wide = "*" in (rule.group, rule.resource, *rule.verbs)
    require(not wide, f"{rule} grants everything of something; name what is needed")
    strange = set(rule.verbs) - {"get", "list", "watch", "patch"}
    require(not strange, f"{rule} grants {', '.join(sorted(strange))}, which no target needs")
    require(rule.why, f"{rule} does not say what for")
    if (rule.group, rule.resource.partition("/")[0]) == (
        target.parent.resource.group,
        target.parent.resource.plural,
    ):
        require(rule.names, f"{rule} grants all objects of the kind; give the name of {target.parent}")
