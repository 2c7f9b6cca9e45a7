"""What a pod's specification says of an engine: its secrets, its grace period and its command line.

Everything here takes the specification itself, which is `spec` of a pod and `spec.template.spec` of most
workloads. GPUs are counted in `gpus.py`.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from connectors.kubernetes.api import Json
from connectors.kubernetes.meta import items, member, text

_DEFAULT_GRACE_S = 30.0
_VARIABLE = re.compile(r"\$\(([A-Za-z_]\w*)\)|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)")
# The first one that is there is what clients have to ask for.
_MODEL_FLAGS = ("--served-model-name", "--model-name", "--model", "--model-path")


def grace_s_of(spec: Json) -> float:
    """Return how long a pod may go on after it was told to end; Kubernetes' default is 30 s.

    Example:
        >>> grace_s_of({"terminationGracePeriodSeconds": 600}), grace_s_of({})
        (600.0, 30.0)
    """
    found = spec.get("terminationGracePeriodSeconds")
    return float(found) if isinstance(found, int | float) else _DEFAULT_GRACE_S


def secrets_of(spec: Json) -> tuple[str, ...]:
    """Return the names of the secrets without which a pod does not start, sorted; optional ones are not.

    Example:
        >>> secrets_of({"imagePullSecrets": [{"name": "nvcr"}], "containers": [{"envFrom": [
        ...     {"secretRef": {"name": "hf-token"}}, {"secretRef": {"name": "x", "optional": True}}]}]})
        ('hf-token', 'nvcr')
    """
    references = chain(
        ((one, "name") for one in items(spec, "imagePullSecrets")),
        chain.from_iterable(_environment_secrets(one) for one in containers_of(spec)),
        chain.from_iterable(_volume_secrets(one) for one in items(spec, "volumes")),
    )
    names = (text(one, key) for one, key in references if one.get("optional") is not True)
    return tuple(sorted({name for name in names if name}))


def arguments_of(spec: Json) -> tuple[str, ...]:
    """Return the words of the command lines of a pod's containers, their own literal variables filled in.

    A line that a shell gets as one word is split as the shell would.

    Example:
        >>> arguments_of({"containers": [{"command": ["sh", "-c"], "args": ["vllm serve $MODEL --port 1"],
        ...     "env": [{"name": "MODEL", "value": "org/m"}]}]})
        ('sh', '-c', 'vllm', 'serve', 'org/m', '--port', '1')
    """
    return tuple(chain.from_iterable(words_of(one) for one in items(spec, "containers")))


def words_of(container: Json) -> tuple[str, ...]:
    """Return the words of one container's command and arguments, as `arguments_of` does."""
    variables = {text(one, "name"): text(one, "value") for one in items(container, "env") if "value" in one}
    parts = chain(_texts(container.get("command")), _texts(container.get("args")))
    return tuple(chain.from_iterable(_split(_filled_in(part, variables)) for part in parts))


def containers_of(spec: Json) -> tuple[Json, ...]:
    """Return all containers of a pod, those that run before the others first."""
    return (*items(spec, "initContainers"), *items(spec, "containers"))


def served_model(arguments: Sequence[str]) -> str | None:
    """Return the name under which an engine serves its model, by its command line; None if that says nothing.

    Example:
        >>> served_model(["--model", "org/m-7b", "--served-model-name=m"])
        'm'
        >>> served_model(["vllm", "serve", "org/m-7b", "--port", "1"])
        'org/m-7b'
        >>> served_model(["--port", "1"])
    """
    for flag in _MODEL_FLAGS:
        if found := _flag(arguments, flag):
            return found
    return _positional(arguments)


def _flag(arguments: Sequence[str], flag: str) -> str:
    for at, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name != flag:
            continue
        found = value if equals else next(iter(arguments[at + 1 : at + 2]), "")
        if found and not found.startswith("-"):
            return found
    return ""


def _positional(arguments: Sequence[str]) -> str | None:
    """Find the model of `vllm serve MODEL`."""
    for at, word in enumerate(arguments[:-2]):
        is_serve = word.rpartition("/")[2] == "vllm" and arguments[at + 1] == "serve"
        if is_serve and not arguments[at + 2].startswith("-"):
            return arguments[at + 2]
    return None


def _environment_secrets(container: Json) -> Iterator[tuple[Json, str]]:
    for one in items(container, "env"):
        yield member(one, "valueFrom", "secretKeyRef"), "name"
    for one in items(container, "envFrom"):
        yield member(one, "secretRef"), "name"


def _volume_secrets(volume: Json) -> Iterator[tuple[Json, str]]:
    yield member(volume, "secret"), "secretName"
    for source in items(volume, "projected", "sources"):
        yield member(source, "secret"), "name"
    yield member(volume, "csi", "nodePublishSecretRef"), "name"


def _texts(found: object) -> tuple[str, ...]:
    if isinstance(found, str):
        return (found,)
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, Sequence) else ()


def _filled_in(word: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        return variables.get(name, match[0])

    return _VARIABLE.sub(value, word)


def _split(word: str) -> tuple[str, ...]:
    if not any(character.isspace() for character in word):
        return (word,)
    try:
        return tuple(shlex.split(word, comments=True))
    except ValueError:  # an open quote: what is meant is not known, but its words are
        return tuple(word.split())
