"""What several settings say together: contradictions that stop the start, and risks that are only told."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from config.addresses import is_bare
from config.catalog import value_of
from config.cluster_checks import cluster_problems, cluster_warnings
from config.places import unusable
from config.problems import Origin, OriginKind, Problem
from config.sections import ActuatorKind, ScrapeSettings, SourceKind, WebhookSettings
from config.settings import PoolSettings, Settings
from config.units import format_duration, quoted

_POOLS = ("prefill", "decode")
# Below this the loop would do nothing but ask.
_SHORTEST_S = 0.1
# A setting and the one it cannot be without; a setting and the one it excludes.
_NEEDS = (
    ("prometheus.client_cert_file", "prometheus.client_key_file"),
    ("prometheus.client_key_file", "prometheus.client_cert_file"),
    ("prometheus.username", "prometheus.password"),
    ("prometheus.password", "prometheus.username"),
    ("etcd.client_cert_file", "etcd.client_key_file"),
    ("etcd.client_key_file", "etcd.client_cert_file"),
    ("etcd.username", "etcd.password"),
    ("etcd.password", "etcd.username"),
)
_EXCLUDES = (
    ("prometheus.token", "prometheus.token_file"),
    ("prometheus.username", "prometheus.token"),
    ("prometheus.username", "prometheus.token_file"),
    ("webhook.secret", "webhook.secret_file"),
)


def contradictions(settings: Settings, origins: Mapping[str, Origin]) -> list[Problem]:
    """Return what cannot be true at once, each with the nearest choice that can."""
    found = (
        *_budget(settings),
        *_pools(settings),
        *_pace(settings),
        *_ranges(settings),
        *_credentials(settings),
        *_source(settings),
        *_webhook(settings),
        *_plugins(settings),
        *cluster_problems(settings, origins),
        *unusable(settings),
    )
    return [_placed(problem, origins) for problem in found]


def warnings(settings: Settings) -> tuple[str, ...]:
    """Return what is allowed but risky, one line each."""
    return tuple(_warnings(settings))


def _placed(problem: Problem, origins: Mapping[str, Origin]) -> Problem:
    """Add where the setting was set, or the first of the others that is no default."""
    places = (origins[key] for key in (problem.key, *problem.others) if key in origins)
    origin = next((place for place in places if place.kind is not OriginKind.DEFAULT), None)
    return replace(problem, origin=origin)


def _named_pools(settings: Settings) -> tuple[tuple[str, PoolSettings], ...]:
    return (("prefill", settings.pools.prefill), ("decode", settings.pools.decode))


def _budget(settings: Settings) -> Iterator[Problem]:
    pools = _named_pools(settings)
    needed = sum(pool.min_replicas * pool.gpus_per_engine for _, pool in pools)
    if needed <= settings.budget_gpus:
        return
    terms = " + ".join(
        f"pools.{name}.min_replicas {pool.min_replicas} × {_gpus(pool.gpus_per_engine)}"
        for name, pool in pools
    )
    fitting = _fitting_minimums(settings)
    lower = " and ".join(f"pools.{name}.min_replicas to {count}" for name, count in fitting.items())
    yield Problem(
        key="budget_gpus",
        problem=f"{settings.budget_gpus} is less than the minimums take: {terms} = {_gpus(needed)}",
        hint=f"set budget_gpus to at least {needed}" + (f", or lower {lower}" if fitting else ""),
        others=tuple(
            f"pools.{name}.{field}" for name in _POOLS for field in ("min_replicas", "gpus_per_engine")
        ),
    )


def _fitting_minimums(settings: Settings) -> dict[str, int]:
    """Return the minimums to lower so that the budget carries them; empty if one engine each is too much."""
    pools = dict(_named_pools(settings))
    used = sum(pool.gpus_per_engine for pool in pools.values())
    if used > settings.budget_gpus:
        return {}
    # Every pool may have as many engines as the budget carries of one of each; the rest goes in order.
    share = settings.budget_gpus // used
    counts = {name: min(pool.min_replicas, share) for name, pool in pools.items()}
    spare = settings.budget_gpus - sum(counts[name] * pool.gpus_per_engine for name, pool in pools.items())
    for name, pool in pools.items():
        more = min(pool.min_replicas - counts[name], spare // pool.gpus_per_engine)
        counts[name] += more
        spare -= more * pool.gpus_per_engine
    return {name: count for name, count in counts.items() if count < pools[name].min_replicas}


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _pools(settings: Settings) -> Iterator[Problem]:
    for name, pool in _named_pools(settings):
        if pool.max_replicas is not None and pool.max_replicas < pool.min_replicas:
            yield Problem(
                key=f"pools.{name}.max_replicas",
                problem=f"{pool.max_replicas} is below min_replicas, which is {pool.min_replicas}",
                hint=f"set max_replicas to at least {pool.min_replicas}, or lower min_replicas",
                others=(f"pools.{name}.min_replicas",),
            )


def _pace(settings: Settings) -> Iterator[Problem]:
    for key, value_s in (("interval", settings.interval), ("look_interval", settings.look_interval)):
        if 0.0 < value_s < _SHORTEST_S:
            yield Problem(
                key=key,
                problem=f"{format_duration(value_s)} is shorter than any metric can follow",
                hint=f"set it to at least {format_duration(_SHORTEST_S)}; 30s is usual for interval",
            )


def _ranges(settings: Settings) -> Iterator[Problem]:
    factors = settings.correction
    if factors.lower > factors.upper:
        yield Problem(
            key="correction.lower",
            problem=f"{factors.lower:g} is above correction.upper, which is {factors.upper:g}",
            hint="swap them, or lower it",
            others=("correction.upper",),
        )
    if settings.deadline is not None and settings.deadline >= settings.interval:
        yield Problem(
            key="deadline",
            problem=(
                f"{format_duration(settings.deadline)} is not below interval,"
                f" which is {format_duration(settings.interval)}"
            ),
            hint=f"write for example {format_duration(round(settings.interval * 0.8, 3))}, or remove it",
            others=("interval",),
        )


def _credentials(settings: Settings) -> Iterator[Problem]:
    for key, needed in _NEEDS:
        if value_of(settings, key) is not None and value_of(settings, needed) is None:
            name = needed.rpartition(".")[2]
            yield Problem(
                key=key, problem=f"it needs {name} beside it", hint=f"set {needed}", others=(needed,)
            )
    for key, other in _EXCLUDES:
        if value_of(settings, key) is not None and value_of(settings, other) is not None:
            yield Problem(
                key=key,
                problem=f"{other} is set too",
                hint="keep one of them and remove the other",
                others=(other,),
            )


def _source(settings: Settings) -> Iterator[Problem]:
    if settings.source is SourceKind.SCRAPE and not settings.scrape.urls:
        yield Problem(
            key="scrape.urls",
            problem="it is empty, and source is scrape",
            hint="write for example [http://frontend:8000/metrics]",
            others=("source",),
        )
    if not settings.etcd.endpoints:
        yield Problem(
            key="etcd.endpoints", problem="it is empty", hint="write for example [http://127.0.0.1:2379]"
        )


def _webhook(settings: Settings) -> Iterator[Problem]:
    if settings.actuator is ActuatorKind.WEBHOOK and settings.webhook.url is None:
        yield Problem(
            key="webhook.url",
            problem="it is not set, and actuator is webhook",
            hint="write for example https://orchestrator:8080/fleet",
            others=("actuator",),
        )


def _plugins(settings: Settings) -> Iterator[Problem]:
    for setting, is_plugin, name in _plugin_choices(settings):
        if is_plugin and name is None:
            yield Problem(
                key=f"plugin.{setting}",
                problem=f"it is not set, and {setting} is plugin",
                hint=f"write the name that its package registered in the group setpoint.{setting}s",
                others=(setting,),
            )


def _plugin_choices(settings: Settings) -> tuple[tuple[str, bool, str | None], ...]:
    """Return for source and actuator: the setting, whether it is plugin, and the plug-in's name."""
    return (
        ("source", settings.source is SourceKind.PLUGIN, settings.plugin.source),
        ("actuator", settings.actuator is ActuatorKind.PLUGIN, settings.plugin.actuator),
    )


def _warnings(settings: Settings) -> Iterator[str]:
    server = settings.prometheus
    if not server.verify_tls:
        yield (
            "prometheus.verify_tls is false: ANYBODY ON THE NETWORK CAN POSE AS PROMETHEUS;"
            " set prometheus.ca_file instead"
        )
    has_secret = any(
        value_of(settings, key) is not None for key in ("prometheus.token", "prometheus.token_file")
    )
    if server.url.startswith("http://") and (has_secret or server.password is not None):
        yield "prometheus.url is http://: credentials travel unencrypted; use https://"
    if settings.source is SourceKind.PROMETHEUS and settings.interval < 4 * server.scrape_interval:
        yield (
            f"interval is {format_duration(settings.interval)}, shorter than four scrape intervals of"
            f" {format_duration(server.scrape_interval)}: each window holds few samples; lengthen interval"
        )
    if settings.source is SourceKind.SCRAPE:
        yield from _scrape_risks(settings.scrape)
    if settings.actuator is ActuatorKind.WEBHOOK:
        yield from _webhook_risks(settings.webhook)
    for setting, is_plugin, name in _plugin_choices(settings):
        if name is not None and not is_plugin:
            yield f"plugin.{setting} is set, but {setting} is not plugin: '{quoted(name)}' is not used"
    yield from cluster_warnings(settings)
    yield from _unlikely(settings)


def _scrape_risks(scrape: ScrapeSettings) -> Iterator[str]:
    if not scrape.verify_tls:
        yield (
            "scrape.verify_tls is false: ANYBODY ON THE NETWORK CAN POSE AS THE FRONTENDS;"
            " set scrape.ca_file instead"
        )
    if (scrape.token_file is not None or scrape.headers) and any(is_bare(url) for url in scrape.urls):
        yield "scrape.urls has http:// and not on this machine: credentials travel unencrypted; use https://"


def _webhook_risks(webhook: WebhookSettings) -> Iterator[str]:
    if not webhook.verify_tls:
        yield (
            "webhook.verify_tls is false: ANYBODY ON THE NETWORK CAN POSE AS THE ORCHESTRATOR;"
            " set webhook.ca_file instead"
        )
    is_signed = webhook.secret is not None or webhook.secret_file is not None
    if not is_signed:
        yield (
            "neither webhook.secret nor webhook.secret_file is set: requests are not signed, and whoever"
            " reaches the receiver can scale the fleet; set webhook.secret_file"
        )
    urls = {"webhook.url": webhook.url, "webhook.read_url": webhook.read_url}
    for key, url in urls.items():
        if url is not None and (is_signed or webhook.headers) and is_bare(url):
            yield (
                f"{key} is http:// and not on this machine: signed requests and their headers travel"
                " unencrypted, and can be sent again by whoever reads them; use https://"
            )


def _unlikely(settings: Settings) -> Iterator[str]:
    if settings.actuate and settings.actuator is ActuatorKind.MEMORY:
        yield "actuate is true, but actuator is memory: no real engine is scaled; set actuator"
    if 0.0 < settings.interval <= settings.look_interval:
        yield "look_interval is not below interval: there will be no looks"
    if settings.targets.ttft < settings.targets.itl:
        yield "targets.ttft is below targets.itl, which is unusual; check that they are not swapped"
