"""What a user writes to name a scale target: `kind/name:part`, or `kind?label=value:part`."""

import re

from config.errors import ConfigError
from config.policy import Role
from connectors.kubernetes.target import Reference

_KIND = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_LONGEST_NAME = 253
_FORM = "write kind/name or kind?label=value, and :part behind it for a service, role or group inside it"


def parse_reference(text: str, *, role: Role, namespace: str, key: str) -> Reference:
    """Read a target as a setting names it; whether there is one is not asked here.

    Args:
        text: What the user wrote.
        role: What the engines of the target do.
        namespace: Where the target is.
        key: The setting, for errors.

    Raises:
        ConfigError: If the text does not have the form.

    Example:
        >>> found = parse_reference("raycluster/llm:prefill", role=Role.PREFILL, namespace="ai", key="")
        >>> found.kind, found.name, found.part
        ('raycluster', 'llm', 'prefill')
        >>> parse_reference("sts?app=vllm,tier=a", role=Role.DECODE, namespace="ai", key="").selector
        'app=vllm,tier=a'
    """
    kind, mark, rest = _split(text.strip())
    if not mark:
        problem = f"{text!r} names no object"
        raise ConfigError(problem, key=key, hint=f"{_FORM}, such as {_example(kind)}")
    if not _KIND.fullmatch(kind):
        raise ConfigError(f"{kind!r} in {text!r} is not a kind", key=key, hint=_FORM)
    chosen, colon, part = rest.partition(":")
    if colon and not _PART.fullmatch(part):
        raise ConfigError(f"{part!r} behind the colon of {text!r} is not a part's name", key=key, hint=_FORM)
    is_named = mark == "/"
    (_check_name if is_named else _check_selector)(chosen, text=text, key=key)
    return Reference(
        kind=kind,
        name=chosen if is_named else "",
        selector="" if is_named else chosen,
        part=part,
        namespace=namespace,
        role=role,
        key=key,
    )


def named(reference: Reference) -> str:
    """Return a reference as the user would write it.

    Example:
        >>> named(parse_reference("STS/decode", role=Role.DECODE, namespace="ai", key=""))
        'sts/decode'
    """
    chosen = f"?{reference.selector}" if reference.selector else f"/{reference.name}"
    part = f":{reference.part}" if reference.part else ""
    return f"{reference.kind}{chosen}{part}"


def _split(text: str) -> tuple[str, str, str]:
    """Split at the first mark: a label's key may have a slash, too."""
    for at, character in enumerate(text):
        if character in "/?":
            return text[:at].lower(), character, text[at + 1 :]
    return text.lower(), "", ""


def _example(kind: str) -> str:
    return f"{kind}/NAME" if _KIND.fullmatch(kind) else "deployment/NAME"


def _check_name(name: str, *, text: str, key: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        problem = f"{name!r} in {text!r} is not the name of an object"
        raise ConfigError(problem, key=key, hint="names are lower-case letters, digits, '-' and '.'")


def _check_selector(selector: str, *, text: str, key: str) -> None:
    for term in selector.split(","):
        label, equals, value = term.partition("=")
        if not (equals and _LABEL_KEY.fullmatch(label) and _LABEL_VALUE.fullmatch(value)):
            problem = f"{term!r} in {text!r} is not a label with its value"
            raise ConfigError(problem, key=key, hint="write kind?label=value, several separated by commas")
