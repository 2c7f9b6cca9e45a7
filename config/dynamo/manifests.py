"""Which manifest is this, and where in it are the planner's keys?

Known are DynamoGraphDeploymentRequest (v1alpha1 and v1beta1), DynamoGraphDeployment with a planner service
(both versions), a ConfigMap that holds one of them or a planner configuration of 1.x, and such a
configuration as a file. Other documents of the same file, and all other sections, are left alone.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

from config.dynamo.arguments import Token, parsed, tokens_of
from config.dynamo.found import Form, Found, Written
from config.dynamo.key import Section
from config.dynamo.nodes import (
    Source,
    at,
    documents,
    entries,
    inside,
    items,
    line_of,
    require_rendered,
    text_of,
    value_of,
)
from config.dynamo.spelling import key_of
from config.errors import ConfigError
from config.files import read_text
from config.units import quoted

_NULL = "tag:yaml.org,2002:null"
_CONFIG_ARGUMENT = "--config"
_EXPECTED = (
    "expected a DynamoGraphDeploymentRequest, a DynamoGraphDeployment with a planner, a ConfigMap with a"
    " planner configuration, such a configuration, or planner arguments such as --adjustment-interval 60"
)
_Reader = Callable[[yaml.Node, Source], Iterator[Found]]


def read_manifest(path: Path, *, given: str = "by --dgdr or SETPOINT_DGDR") -> Found:
    """Read a file of Dynamo's.

    Args:
        path: The file.
        given: How the path was given, in words.

    Raises:
        ConfigError: If it cannot be read, or holds nothing of Dynamo's planner.
    """
    text = read_text(path, hint=f"check the path given {given}")
    return found_in(Source(name=str(path), text=text))


def found_in(source: Source) -> Found:
    """Return the planner's keys that a text holds.

    Raises:
        ConfigError: If it holds none, or those of several deployments.
    """
    text = source.text.lstrip()
    if text.startswith("--") and not text.startswith("---"):
        return _command_line(source)
    nodes = documents(source)
    if len(nodes) == 1 and "--" in text_of(nodes[0]):
        return _command_line(source)
    candidates = [found for node in nodes for found in _candidates(node, source)]
    return _only([found for found in candidates if not _is_pointer(found)] or candidates, source)


def given_arguments(words: tuple[str, ...]) -> Found:
    """Return the planner's keys that a command line gives, or the configuration that its --config names.

    Raises:
        ConfigError: If an argument has no value, a word stands alone, or the configuration cannot be used.
    """
    arguments = Found(form=Form.ARGUMENTS, file="", planner=parsed(Token(text=word) for word in words))
    pointer = _pointer(arguments)
    if pointer is None:
        return arguments
    text = str(pointer.value)
    if text.lstrip().startswith("{"):
        return found_in(Source(name=_CONFIG_ARGUMENT, text=text))
    return read_manifest(Path(text), given="by the planner's --config")


def _command_line(source: Source) -> Found:
    tokens = tokens_of(source.text, line=source.first_line, name=source.name)
    return Found(form=Form.ARGUMENTS, file=source.name, planner=parsed(tokens, name=source.name))


def _only(candidates: list[Found], source: Source) -> Found:
    """Return what says most: the request, else the deployment, else the configuration."""
    for form in Form:
        of_form = [found for found in candidates if found.form is form]
        if len(of_form) > 1:
            raise ConfigError(
                f"the file holds {len(of_form)} {form.value}s",
                key=source.name,
                hint="keep the one of the deployment that is to be scaled",
            )
        if of_form:
            return _resolved(of_form[0], source)
    raise ConfigError("the file holds nothing of Dynamo's planner", key=source.name, hint=_EXPECTED)


def _is_pointer(found: Found) -> bool:
    """Whether a deployment only names the file inside the pod that holds the configuration."""
    return found.form is Form.DEPLOYMENT and _pointer(found) is not None


def _pointer(found: Found) -> Written | None:
    return next((one for one in found.planner or () if one.name == _CONFIG_ARGUMENT), None)


def _resolved(found: Found, source: Source) -> Found:
    pointer = _pointer(found)
    if pointer is None:
        return found
    held = Source(name=source.name, text=str(pointer.value), first_line=max(pointer.line, 1))
    nodes = documents(held) if held.text.lstrip().startswith("{") else ()
    if nodes:
        return next(_configuration(nodes[0], held), found)
    raise ConfigError(
        "the planner reads its configuration from a file inside the pod",
        key=f"{source.name}:{pointer.line}",
        hint="put the ConfigMap that holds it into the same file, or import it instead",
    )


def _candidates(node: yaml.Node, source: Source) -> Iterator[Found]:
    kind = text_of(at(node, source, "kind"))
    yield from _READERS.get(kind, _other if not kind else _nothing)(node, source)


def _nothing(_node: yaml.Node, _source: Source) -> Iterator[Found]:
    return iter(())


def _list(node: yaml.Node, source: Source) -> Iterator[Found]:
    for item in items(at(node, source, "items")):
        yield from _candidates(item, source)


def _request(node: yaml.Node, source: Source) -> Iterator[Found]:
    spec = at(node, source, "spec")
    version = text_of(at(node, source, "apiVersion")).rpartition("/")[2]
    late = at(spec, source, "features", "planner")
    _check_names(at(spec, source, "features"), source, "planner")
    if late is not None or (version != "v1alpha1" and at(spec, source, "profilingConfig") is None):
        _check_names(spec, source, "sla")
        yield Found(
            form=Form.REQUEST,
            file=source.name,
            planner=_section(late, source, "planner"),
            sla=_section(at(spec, source, "sla"), source, "sla"),
            is_late=True,
        )
    else:
        yield _early_request(at(spec, source, "profilingConfig", "config"), source)


def _early_request(config: yaml.Node | None, source: Source) -> Found:
    _check_names(config, source, "planner", "sla")
    return Found(
        form=Form.REQUEST,
        file=source.name,
        planner=_section(at(config, source, "planner"), source, "planner"),
        sla=_section(at(config, source, "sla"), source, "sla"),
    )


def _deployment(node: yaml.Node, source: Source) -> Iterator[Found]:
    spec = at(node, source, "spec")
    services = entries(at(spec, source, "services"), source)
    for service in services:
        if _is_planner(service.name, text_of(at(service.node, source, "componentType"))):
            yield _container(at(service.node, source, "extraPodSpec", "mainContainer"), source)
    for component in items(at(spec, source, "components")):
        name, kind = (text_of(at(component, source, key)) for key in ("name", "type"))
        if _is_planner(name, kind):
            containers = items(at(component, source, "podTemplate", "spec", "containers"))
            named = [one for one in containers if text_of(at(one, source, "name")) == "main"]
            yield _container(next(iter((*named, *containers)), None), source)


def _is_planner(name: str, kind: str) -> bool:
    return kind == "planner" or (not kind and "planner" in name.lower())


def _container(node: yaml.Node | None, source: Source) -> Found:
    words = [word for key in ("command", "args") for word in items(at(node, source, key))]
    tokens = [token for word in words for token in _tokens(word, source)]
    return Found(form=Form.DEPLOYMENT, file=source.name, planner=parsed(tokens, name=source.name))


def _tokens(word: yaml.Node, source: Source) -> tuple[Token, ...]:
    """Return an entry of `args` as one word, or split if it is a line for a shell."""
    require_rendered(word, source)
    text, line = text_of(word), line_of(word, source)
    is_line = not text.startswith("-") and " --" in text
    return tokens_of(text, line=line, name=source.name) if is_line else (Token(text=text, line=line),)


def _config_map(node: yaml.Node, source: Source) -> Iterator[Found]:
    for entry in entries(at(node, source, "data"), source):
        held = inside(entry.node, source)
        if entry.name.endswith((".json", ".yaml", ".yml")) or "{" in held.text[:1] or "kind:" in held.text:
            for one in documents(held):
                yield from _candidates(one, held)


def _other(node: yaml.Node, source: Source) -> Iterator[Found]:
    """Read a part of a request, or a planner configuration."""
    for path in (("spec", "profilingConfig", "config"), ("profilingConfig", "config"), ("config",), ()):
        config = at(node, source, *path)
        if any(isinstance(at(config, source, name), yaml.MappingNode) for name in ("planner", "sla")):
            yield _early_request(config, source)
            return
    yield from _configuration(node, source)


def _configuration(node: yaml.Node, source: Source) -> Iterator[Found]:
    written = _section(node, source, "the document") if isinstance(node, yaml.MappingNode) else ()
    if any(key_of(one.name, Section.PLANNER) for one in written or ()):
        yield Found(form=Form.CONFIGURATION, file=source.name, planner=written, is_late=True)


def _check_names(node: yaml.Node | None, source: Source, *sections: str) -> None:
    """Refuse what is meant for our sections and would be passed over as foreign.

    Raises:
        ConfigError: If a name is nearly one of the sections, or a key of the planner stands beside them.
    """
    for entry in entries(node, source):
        where = f"({source.name}:{entry.line})"
        near = difflib.get_close_matches(entry.name[:64].lower(), sections, n=1, cutoff=0.8)
        if near and entry.name not in sections:
            hint = f"did you mean {near[0]}? {where}"
            raise ConfigError("a request has no such section", key=quoted(entry.name), hint=hint)
        if entry.name.startswith("planner") and key_of(entry.name, Section.PLANNER) is not None:
            hint = f"put it under planner: {where}"
            raise ConfigError(
                "a key of the planner stands outside its section", key=quoted(entry.name), hint=hint
            )


def _section(node: yaml.Node | None, source: Source, name: str) -> tuple[Written, ...] | None:
    if node is None or node.tag == _NULL:
        return None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{name} is not a mapping",
            key=f"{source.name}:{line_of(node, source)}",
            hint="write lines such as `ttft: 300.0`",
        )
    return tuple(
        Written(name=entry.name, value=value_of(entry.node, source), line=entry.line)
        for entry in entries(node, source)
    )


_READERS: Mapping[str, _Reader] = {
    "DynamoGraphDeploymentRequest": _request,
    "DynamoGraphDeployment": _deployment,
    "ConfigMap": _config_map,
    "List": _list,
}
