"""Does a label selector accept these labels? Kubernetes' own rules, for where its API does not tell."""

from collections.abc import Mapping

from config.errors import Malformed
from connectors.kubernetes.api import Json
from connectors.kubernetes.meta import items, member, text


def accepts(selector: Json, labels: Mapping[str, str]) -> bool:
    """Tell whether a selector accepts labels; an empty one accepts all.

    Raises:
        Malformed: If it has an operator that is not known.

    Example:
        >>> accepts({"matchLabels": {"release": "prom"}}, {"release": "prom", "a": "b"})
        True
        >>> accepts({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": "b"})
        False
    """
    wanted = member(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_accepts(one, labels) for one in items(selector, "matchExpressions"))


def _accepts(expression: Json, labels: Mapping[str, str]) -> bool:
    key, operator = text(expression, "key"), text(expression, "operator")
    values = tuple(expression.get("values") or ())
    found = labels.get(key)
    answers = {
        "In": found in values,
        "NotIn": found not in values,
        "Exists": found is not None,
        "DoesNotExist": found is None,
    }
    if operator not in answers:
        raise Malformed(f"expected one of {', '.join(answers)} in a label selector, found {operator!r}")
    return answers[operator]


def in_words(selector: Json) -> str:
    """Return a selector as words.

    Example:
        >>> in_words({"matchLabels": {"release": "prom"}}), in_words({})
        ('release=prom', 'all')
    """
    terms = [f"{key}={value}" for key, value in member(selector, "matchLabels").items()]
    terms += [
        " ".join(
            (text(one, "key"), text(one, "operator"), ",".join(map(str, one.get("values") or ())))
        ).strip()
        for one in items(selector, "matchExpressions")
    ]
    return ", ".join(terms) or "all"
