"""How are rights written as a Role, and what does a Role grant?

Pure arithmetic of RBAC. A Role restricts by object name with `resourceNames`, except for `create`, which the
API server judges before the object has a name; such a rule is split in two. A subresource has its name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from connectors.kubernetes.api import Json
from connectors.kubernetes.target import Rule

_ALL = "*"


def merged(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Join rules on the same objects, in order; what a rule for all objects grants is not granted by name.

    Example:
        >>> get = Rule(group="", resource="pods", verbs=("get",), why="a", is_needed=False)
        >>> merged((get, replace(get, verbs=("list",), why="b"), replace(get, names=("x",))))
        (Rule(group='', resource='pods', verbs=('get', 'list'), why='a; b', names=(), is_needed=False),)
    """
    joined: dict[tuple[str, str, tuple[str, ...]], Rule] = {}
    for part in (part for rule in rules for part in _split(rule)):
        key = (part.group, part.resource, tuple(sorted(set(part.names))))
        joined[key] = _join(joined[key], part) if key in joined else replace(part, names=key[2])
    return tuple(left for rule in joined.values() for left in _beyond(rule, joined))


def _split(rule: Rule) -> tuple[Rule, ...]:
    if not rule.names or "create" not in rule.verbs or "/" in rule.resource:
        return (rule,)
    rest = tuple(verb for verb in rule.verbs if verb != "create")
    create = replace(rule, verbs=("create",), names=())
    return (create, replace(rule, verbs=rest)) if rest else (create,)


def _join(first: Rule, second: Rule) -> Rule:
    return replace(
        first,
        verbs=tuple(sorted({*first.verbs, *second.verbs})),
        why="; ".join(dict.fromkeys((*first.why.split("; "), *second.why.split("; ")))),
        is_needed=first.is_needed or second.is_needed,
    )


def _beyond(rule: Rule, joined: Mapping[tuple[str, str, tuple[str, ...]], Rule]) -> tuple[Rule, ...]:
    """Return a rule by name without what all objects allow anyway; nothing if that is all of it."""
    general = joined.get((rule.group, rule.resource, ())) if rule.names else None
    verbs = tuple(sorted(set(rule.verbs) - set(general.verbs if general else ())))
    return (replace(rule, verbs=verbs),) if verbs else ()


def role_rules(rules: Iterable[Rule]) -> list[dict[str, list[str]]]:
    """Return the rules as a Role has them.

    Example:
        >>> role_rules((Rule(group="", resource="pods", verbs=("list",), why="see engines"),))
        [{'apiGroups': [''], 'resources': ['pods'], 'verbs': ['list']}]
    """
    return [_role_rule(rule) for rule in merged(rules)]


def _role_rule(rule: Rule) -> dict[str, list[str]]:
    found = {"apiGroups": [rule.group], "resources": [rule.resource]}
    if rule.names:
        found["resourceNames"] = list(rule.names)
    return found | {"verbs": list(rule.verbs)}


def role_yaml(name: str, namespace: str, rules: Iterable[Rule]) -> str:
    """Return a Role as YAML, each rule with its purpose; an empty namespace is left out."""
    head = ["apiVersion: rbac.authorization.k8s.io/v1", "kind: Role", "metadata:", f"  name: {name}"]
    if namespace:
        head.append(f"  namespace: {namespace}")
    return "\n".join(head) + "\n" + missing_yaml(rules)


def missing_yaml(rules: Iterable[Rule]) -> str:
    """Return the rules as the YAML that is to be added to a Role.

    Example:
        >>> list_pods = Rule(group="", resource="pods", verbs=("list",), why="see engines")
        >>> print(missing_yaml((list_pods,)), end="")
        rules:
          # see engines
          - apiGroups: [""]
            resources: ["pods"]
            verbs: ["list"]
    """
    lines = ["rules:"]
    for rule in merged(rules):
        lines.append(f"  # {rule.why}")
        fields = (f"{name}: [{_quoted(values)}]" for name, values in _role_rule(rule).items())
        lines += [f"  - {field}" if number == 0 else f"    {field}" for number, field in enumerate(fields)]
    return "\n".join(lines) + "\n"


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def covers(granted_rules: Iterable[Json], rule: Rule) -> bool:
    """Tell whether the rules of Roles grant a rule, wildcards and names understood as the API server does.

    Example:
        >>> get = Rule(group="apps", resource="deployments/scale", verbs=("get",), why="read")
        >>> covers([{"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]}], get)
        True
        >>> covers([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]}], get)
        False
    """
    granted = [each for each in granted_rules if _is_about(each, rule)]
    return all(
        any(_grants(each, verb, name) for each in granted)
        for part in merged((rule,))
        for verb in part.verbs
        for name in part.names or ("",)
    )


def _is_about(granted: Json, rule: Rule) -> bool:
    resources = _texts(granted, "resources")
    subresource = rule.resource.partition("/")[2]
    fitting = {rule.resource, _ALL} | ({f"*/{subresource}"} if subresource else set())
    return bool(fitting & set(resources)) and bool({rule.group, _ALL} & set(_texts(granted, "apiGroups")))


def _grants(granted: Json, verb: str, name: str) -> bool:
    names = _texts(granted, "resourceNames")
    return bool({verb, _ALL} & set(_texts(granted, "verbs"))) and (not names or name in names)


def _texts(granted: Json, field: str) -> tuple[str, ...]:
    found = granted.get(field)
    return tuple(str(each) for each in found) if isinstance(found, list | tuple) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """What a Role grants without need.

    Attributes:
        group: API group; `*` is every one.
        resource: Plural; `*` is every one.
        verbs: What nobody needs.
        names: The objects it is granted for; empty is all.
        needed_names: The only objects it is needed for; empty if it is not needed at all.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    needed_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        group = "core" if not self.group else self.group
        words = f"{', '.join(self.verbs)} on {self.resource} ({group})"
        words += f" named {', '.join(self.names)}" if self.names else ""
        return words + (f", needed only for {', '.join(self.needed_names)}" if self.needed_names else "")


def unneeded(granted: Iterable[Json], needed: Iterable[Rule]) -> tuple[Excess, ...]:
    """Return what the rules of Roles grant beyond the needed ones; a wildcard is always beyond.

    Example:
        >>> role = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]}]
        >>> list_pods = Rule(group="", resource="pods", verbs=("list",), why="see engines")
        >>> [str(excess) for excess in unneeded(role, (list_pods,))]
        ['delete on pods (core)']
    """
    rules = merged(needed)
    found = (
        excess
        for each in granted
        for group in _texts(each, "apiGroups")
        for resource in _texts(each, "resources")
        for excess in _excesses(each, group, resource, rules)
    )
    return tuple(dict.fromkeys(found))


def _excesses(granted: Json, group: str, resource: str, needed: tuple[Rule, ...]) -> Iterable[Excess]:
    names = _texts(granted, "resourceNames")
    spare: dict[tuple[str, ...], list[str]] = {}
    for verb in _texts(granted, "verbs"):
        rules = [
            rule for rule in needed if (rule.group, rule.resource) == (group, resource) and verb in rule.verbs
        ]
        needed_for = {name for rule in rules for name in rule.names}
        if any(not rule.names for rule in rules) or (names and set(names) <= needed_for):
            continue
        spare.setdefault(tuple(sorted(needed_for)), []).append(verb)
    for needed_names, verbs in spare.items():
        yield Excess(
            group=group, resource=resource, verbs=tuple(sorted(verbs)), names=names, needed_names=needed_names
        )
