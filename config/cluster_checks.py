"""What the settings of Kubernetes say together: what cannot be used, and risks that are only told."""

import re
from collections.abc import Iterator, Mapping

from config.catalog import value_of
from config.errors import ConfigError
from config.kubernetes import KubernetesSettings
from config.problems import Origin, OriginKind, Problem
from config.sections import ActuatorKind
from config.services import not_carried, parse_service
from config.settings import Settings
from config.units import quoted

_KEYS = ("kubernetes.prefill", "kubernetes.decode")
_EXAMPLES = {"kubernetes.prefill": "deployment/vllm-prefill", "kubernetes.decode": "deployment/vllm-decode"}
# Only the shape; what a kind is called and what stands inside it, its target knows.
_TARGET = re.compile(r"[A-Za-z][\w.-]*(/[a-z0-9][a-z0-9.-]*|\?[^\s:=]+=[^\s:]*)(:[\w.-]+)?")
_OURS = frozenset({OriginKind.FLAG, OriginKind.ENV, OriginKind.FILE})


def cluster_problems(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[Problem]:
    """Yield what cannot be used of the settings that speak of a cluster."""
    yield from _targets(settings)
    if settings.prometheus.service is not None:
        yield from _service(settings.prometheus.service, settings, origins)


def cluster_warnings(settings: Settings) -> Iterator[str]:
    """Yield what is allowed but risky, or set and not used."""
    is_actuator = settings.actuator is ActuatorKind.KUBERNETES
    is_used = is_actuator or settings.prometheus.service is not None
    if is_used and not settings.kubernetes.verify_tls:
        yield (
            "kubernetes.verify_tls is false: ANYBODY ON THE NETWORK CAN POSE AS THE API SERVER AND TAKE OUR"
            " CREDENTIALS; set kubernetes.ca_file instead"
        )
    if is_actuator and settings.kubernetes.allow_rivals:
        yield (
            "kubernetes.allow_rivals is true: another autoscaler of the same target and Setpoint may undo"
            " each other's work"
        )
    if not is_actuator and (unused := [key for key in _unused(settings) if not is_used or key in _KEYS]):
        names, verb = " and ".join(unused), "is" if len(unused) == 1 else "are"
        yield f"{names} {verb} set, but actuator is not kubernetes: nothing is scaled there"


def _unused(settings: Settings) -> Iterator[str]:
    default = KubernetesSettings()
    for name in KubernetesSettings.model_fields:
        if getattr(settings.kubernetes, name) != getattr(default, name):
            yield f"kubernetes.{name}"


def _targets(settings: Settings) -> Iterator[Problem]:
    texts = {key: str(value_of(settings, key) or "") for key in _KEYS}
    for key, text in texts.items():
        if text and not _TARGET.fullmatch(text.strip()):
            yield Problem(
                key=key,
                problem=f"'{quoted(text)}' does not name a target",
                hint=f"write kind/name or kind?label=value, with :part behind it, such as {_EXAMPLES[key]}",
            )
        if not text and _is_needed(settings):
            yield Problem(
                key=key,
                problem="it is not set, and actuator is kubernetes",
                hint=f"write for example {_EXAMPLES[key]}, or name the DynamoGraphDeployment as"
                " dynamo.graph_deployment",
                others=("actuator",),
            )
    prefill, decode = texts.values()
    if prefill and prefill == decode:
        yield Problem(
            key="kubernetes.decode",
            problem=f"it is the same as kubernetes.prefill: '{quoted(decode)}'",
            hint="name the part behind a colon, or another object; each pool is scaled by itself",
            others=("kubernetes.prefill",),
        )


def _is_needed(settings: Settings) -> bool:
    return settings.actuator is ActuatorKind.KUBERNETES and settings.dynamo.graph_deployment is None


def _service(service: str, settings: Settings, origins: Mapping[str, Origin]) -> Iterator[Problem]:
    try:
        parse_service(service)
    except ConfigError as error:
        yield Problem(key=error.key, problem=error.problem, hint=error.hint)
    set_keys = list(not_carried(settings.prometheus))
    if _is_rivaled_by_url(origins):
        set_keys.append("prometheus.url")
    for key in set_keys:
        why = "names another way to it" if key == "prometheus.url" else "does not pass the API server's proxy"
        yield Problem(
            key="prometheus.service",
            problem=f"{key} is set too, and {why}",
            hint="keep one of them and remove the other",
            others=(key,),
        )


def _is_rivaled_by_url(origins: Mapping[str, Origin]) -> bool:
    """Tell whether the address is set as well, and by nothing weaker: a flag wins over a file, as ever."""
    url, service = origins.get("prometheus.url"), origins.get("prometheus.service")
    if url is None or url.kind not in _OURS:
        return False
    strongest_first = list(OriginKind)
    return service is None or strongest_first.index(service.kind) >= strongest_first.index(url.kind)
