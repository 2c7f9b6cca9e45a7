"""What all objects have in common: readers of JSON that others define, the pause annotation, conditions.

A wrong shape is `Malformed`, so that nothing is scaled by what was misread. Pods, events and the metadata of
what is mirrored, where one that lacks something must not hide the rest of a fleet, are read by `paths`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.errors import Malformed
from connectors.base import HoldKind, PoolHold
from connectors.kubernetes.api import Json

PAUSED = "setpoint.dev/paused"
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of an object's status.

    Attributes:
        status: `True`, `False` or `Unknown`.
        reason: The machine's word for it.
        message: The same for people.
    """

    status: str
    reason: str = ""
    message: str = ""

    @property
    def is_true(self) -> bool:
        """Tell whether it holds."""
        return self.status == "True"

    @property
    def is_false(self) -> bool:
        """Tell whether it does not hold; unknown is neither."""
        return self.status == "False"

    @property
    def words(self) -> str:
        """Return reason and message as one line."""
        return ": ".join(word for word in (self.reason, " ".join(self.message.split())) if word)


NO_CONDITION = Condition(status="Unknown")


def member(item: Json, *path: str) -> Json:
    """Return the mapping inside an object; one that is absent or null is empty.

    Raises:
        Malformed: If something else is there.

    Example:
        >>> member({"spec": {"selector": {"a": 1}}}, "spec", "selector"), member({}, "spec", "selector")
        ({'a': 1}, {})
    """
    found = _at(item, path)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise Malformed(f"expected an object at {'.'.join(path)}, found {_shown(found)}")
    return found


def items(item: Json, *path: str) -> Sequence[Json]:
    """Return the list of mappings inside an object; one that is absent or null is empty.

    Raises:
        Malformed: If something else is there.
    """
    found = _at(item, path)
    if found is None:
        return ()
    if not isinstance(found, Sequence) or not all(isinstance(one, Mapping) for one in found):
        raise Malformed(f"expected a list of objects at {'.'.join(path)}, found {_shown(found)}")
    return found


def text(item: Json, *path: str) -> str:
    """Return the text inside an object; empty if it is absent, null or no text."""
    found = _at(item, path)
    return found if isinstance(found, str) else ""


def number(item: Json, *path: str) -> int | None:
    """Return the count inside an object; None if it is absent or null.

    Raises:
        Malformed: If something else than a whole number that is not negative is there.

    Example:
        >>> number({"status": {"readyReplicas": 2}}, "status", "readyReplicas"), number({}, "status", "x")
        (2, None)
    """
    found = _at(item, path)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise Malformed(f"expected a count at {'.'.join(path)}, found {_shown(found)}")
    return found


def number_or_one(item: Json, *path: str) -> int:
    """Return the count inside an object; 1 if none stands there, which is what the API server takes then.

    Raises:
        Malformed: As for `number`.

    Example:
        >>> number_or_one({"spec": {"replicas": 0}}, "spec", "replicas"), number_or_one({}, "replicas")
        (0, 1)
    """
    found = number(item, *path)
    return 1 if found is None else found


def name_of(item: Json) -> str:
    """Return the name of an object."""
    return text(item, "metadata", "name")


def version_of(item: Json) -> str:
    """Return the resource version of an object; empty if it has none."""
    return text(item, "metadata", "resourceVersion")


def conditions_of(item: Json) -> Mapping[str, Condition]:
    """Return the conditions of an object by their type.

    Example:
        >>> ready = {"type": "Ready", "status": "False", "reason": "updating"}
        >>> conditions_of({"status": {"conditions": [ready]}})["Ready"].words
        'updating'
    """
    return {
        text(one, "type"): Condition(
            status=text(one, "status"), reason=text(one, "reason"), message=text(one, "message")
        )
        for one in items(item, "status", "conditions")
    }


def condition_of(item: Json, kind: str) -> Condition:
    """Return one condition of an object; unknown if it has none of that type."""
    return conditions_of(item).get(kind, NO_CONDITION)


def is_observed(item: Json, *, if_unsaid: bool = True) -> bool:
    """Tell whether the controller has seen the last change of the spec.

    Args:
        item: The object.
        if_unsaid: The answer where the status has no observed generation: False for kinds whose controller
            always writes it.

    Example:
        >>> is_observed({"metadata": {"generation": 3}, "status": {"observedGeneration": 2}})
        False
    """
    generation = number(item, "metadata", "generation")
    observed = member(item, "status").get("observedGeneration")
    if generation is None or observed is None:
        return if_unsaid
    # Argo Rollouts write it as text.
    return str(observed).isdecimal() and int(observed) >= generation


def hold_of(item: Json, pool: str) -> PoolHold | None:
    """Return the hold that a pause annotation on the object asks for; None if there is none.

    Example:
        >>> item = {"metadata": {"annotations": {"setpoint.dev/paused": "benchmark by ann"}}}
        >>> hold_of(item, "decode").why
        'paused by the annotation setpoint.dev/paused: benchmark by ann'
        >>> hold_of({"metadata": {"annotations": {"setpoint.dev/paused": "false"}}}, "decode")
    """
    annotations = member(item, "metadata", "annotations")
    for key in (PAUSED, f"{PAUSED}-{pool}"):
        value = annotations.get(key)
        if value is not None and str(value).strip().lower() != "false":
            return PoolHold(kind=HoldKind.PAUSED, why=_paused(key, str(value).strip()))
    return None


def selector_text(selector: Json) -> str:
    """Return a label selector as the API takes it in a query; a plain map of labels is one, too.

    Raises:
        Malformed: If it has an operator that is not known.

    Example:
        >>> selector_text({"matchLabels": {"app": "vllm"},
        ...     "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]})
        'app=vllm,tier in (a,b)'
        >>> selector_text({"app": "vllm"})
        'app=vllm'
    """
    is_plain = "matchLabels" not in selector and "matchExpressions" not in selector
    labels = selector if is_plain else member(selector, "matchLabels")
    terms = [f"{key}={value}" for key, value in labels.items()]
    terms += [_expression(one) for one in items(selector, "matchExpressions")]
    return ",".join(terms)


def _expression(one: Json) -> str:
    key, operator = text(one, "key"), text(one, "operator")
    values = ",".join(str(value) for value in one.get("values") or ())
    forms = {
        "In": f"{key} in ({values})",
        "NotIn": f"{key} notin ({values})",
        "Exists": key,
        "DoesNotExist": f"!{key}",
    }
    if operator not in forms:
        raise Malformed(f"expected one of {', '.join(forms)} in a label selector, found {operator!r}")
    return forms[operator]


def _paused(key: str, value: str) -> str:
    said = "" if value.lower() in {"", "true"} else f": {value}"
    return f"paused by the annotation {key}{said}"


def _at(item: Json, path: Sequence[str]) -> object:
    found: object = item
    for key in path:
        if found is None:
            return None
        if not isinstance(found, Mapping):
            raise Malformed(f"expected an object around {'.'.join(path)}, found {_shown(found)}")
        found = found.get(key)
    return found


def _shown(found: object) -> str:
    words = repr(found)
    return words if len(words) <= _SHOWN_CHARACTERS else f"{words[:_SHOWN_CHARACTERS]}…"
