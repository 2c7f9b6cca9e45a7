"""Connecting to what the settings name; only what is chosen is imported."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from config.clock import Clock
from config.errors import ConfigError
from config.load import Loaded
from config.policy import PoolPolicy
from config.problems import DEFAULT
from config.services import parse_service
from config.settings import ActuatorKind, Settings, SourceKind
from connectors.base import Actuator, MetricsSource
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.dialect import Scope
from connectors.prometheus.options import HttpOptions
from connectors.prometheus.promql import Compare, Matcher
from connectors.prometheus.registry import load_dialect
from connectors.prometheus.scrape import ScrapeOptions, ScrapeSource
from connectors.prometheus.source import PrometheusSource, SourceOptions
from connectors.registry import Builders, actuator_builders, source_builders
from connectors.virtual.etcd import EtcdActuator, EtcdTarget
from connectors.virtual.etcd_client import EtcdOptions
from connectors.virtual.etcd_keys import Counts
from connectors.virtual.memory import MemoryActuator
from connectors.virtual.webhook import WebhookActuator
from connectors.virtual.webhook_options import WebhookOptions
from planner.commands.assemble import target_of

# Latency quantiles are read at this share while the targets are means.
_SHOWN_PERCENTILE_RATIO = 0.95

_Built = TypeVar("_Built")


def source_of(loaded: Loaded, *, clock: Clock) -> MetricsSource:
    """Connect to where metrics are read.

    Raises:
        ConfigError: If an address, a credential or a file cannot be used, or a plug-in is not installed.
    """
    return _SOURCES[loaded.settings.source](loaded, clock)


def actuator_of(settings: Settings, pools: tuple[PoolPolicy, ...], *, clock: Clock) -> Actuator:
    """Connect to where decisions are written.

    Raises:
        ConfigError: If an address or a file cannot be used, or a plug-in is not installed.
    """
    if settings.actuator is ActuatorKind.MEMORY:
        return MemoryActuator.of_policies(pools, clock, startup_s=settings.startup)
    return _ACTUATORS[settings.actuator](settings, clock)


def prometheus_of(settings: Settings, *, clock: Clock) -> PrometheusClient:
    """Connect to Prometheus, or to the service that it is, through the API server's proxy.

    Raises:
        ConfigError: If its address, a credential or a file cannot be used.
    """
    if settings.prometheus.service is None:
        return PrometheusClient(settings.prometheus.url, options=_http(settings), clock=clock)
    from connectors.kubernetes.client import KubeClient
    from connectors.kubernetes.proxy import ServiceTransport
    from planner.commands.cluster import api_options_of

    service = settings.prometheus.service
    # The limit of a query is the query's own; the API server must not be given up before it.
    options = replace(api_options_of(settings), timeout_s=settings.prometheus.query_timeout + 1.0)
    return PrometheusClient(
        parse_service(service).url,
        options=_http(settings),
        clock=clock,
        transport=ServiceTransport(KubeClient(options, clock), service),
    )


def _prometheus(loaded: Loaded, clock: Clock) -> MetricsSource:
    settings = loaded.settings
    return PrometheusSource(
        prometheus_of(settings, clock=clock),
        dialect=load_dialect(settings.prometheus.dialect),
        scope=scope_of(loaded),
        clock=clock,
        options=SourceOptions(
            percentile_ratio=settings.targets.percentile_ratio or _SHOWN_PERCENTILE_RATIO,
            observe_timeout_s=settings.deadline_s,
            scrape_interval_s=settings.prometheus.scrape_interval,
        ),
    )


def _scrape(loaded: Loaded, clock: Clock) -> MetricsSource:
    settings, scrape = loaded.settings, loaded.settings.scrape
    return ScrapeSource(
        scrape.urls,
        dialect=load_dialect(settings.prometheus.dialect),
        scope=scope_of(loaded),
        clock=clock,
        options=ScrapeOptions(
            percentile_ratio=settings.targets.percentile_ratio or _SHOWN_PERCENTILE_RATIO,
            observe_timeout_s=settings.deadline_s,
            http=HttpOptions(
                query_timeout_s=scrape.timeout,
                token_file=_path(scrape.token_file),
                headers=tuple((name, value.get_secret_value()) for name, value in scrape.headers.items()),
                ca_file=_path(scrape.ca_file),
                verify_tls=scrape.verify_tls,
            ),
        ),
    )


def _etcd(settings: Settings, clock: Clock) -> Actuator:
    etcd, pools = settings.etcd, settings.pools
    options = EtcdOptions(
        endpoints=etcd.endpoints,
        username=etcd.username or "",
        password=etcd.password.get_secret_value() if etcd.password else "",
        ca_file=etcd.ca_file or "",
        cert_file=etcd.client_cert_file or "",
        key_file=etcd.client_key_file or "",
        timeout_s=etcd.timeout,
    )
    target = EtcdTarget(
        dynamo_namespace=settings.dynamo.namespace,
        initial=Counts(prefill=pools.prefill.min_replicas, decode=pools.decode.min_replicas),
        max_wait_s=etcd.max_wait,
    )
    return EtcdActuator(options, target, clock)


def _webhook(settings: Settings, clock: Clock) -> Actuator:
    webhook = settings.webhook
    options = WebhookOptions(
        url=webhook.url or "",
        read_url=webhook.read_url or "",
        secret=webhook.secret.get_secret_value() if webhook.secret else "",
        secret_file=_path(webhook.secret_file),
        headers=tuple((name, value.get_secret_value()) for name, value in webhook.headers.items()),
        ca_file=_path(webhook.ca_file),
        verify_tls=webhook.verify_tls,
        timeout_s=webhook.timeout,
        retries=webhook.retries,
    )
    return WebhookActuator(options, clock, target=target_of(settings))


def _plugin_source(loaded: Loaded, clock: Clock) -> MetricsSource:
    plugin = loaded.settings.plugin
    return _plugin(source_builders(), plugin.source, key="plugin.source")(_options(loaded.settings), clock)


def _plugin_actuator(settings: Settings, clock: Clock) -> Actuator:
    name = settings.plugin.actuator
    return _plugin(actuator_builders(), name, key="plugin.actuator")(_options(settings), clock)


def _plugin(
    builders: Builders[_Built], name: str | None, *, key: str
) -> Callable[[Mapping[str, object], Clock], _Built]:
    try:
        return builders.builder(name or "")
    except ConfigError as error:  # the user knows the setting, not the entry-point group
        raise ConfigError(error.problem, key=key, hint=error.hint) from error


def _options(settings: Settings) -> Mapping[str, object]:
    return {name: text.get_secret_value() for name, text in settings.plugin.options.items()}


_SOURCES: Mapping[SourceKind, Callable[[Loaded, Clock], MetricsSource]] = {
    SourceKind.PROMETHEUS: _prometheus,
    SourceKind.SCRAPE: _scrape,
    SourceKind.PLUGIN: _plugin_source,
}
_ACTUATORS: Mapping[ActuatorKind, Callable[[Settings, Clock], Actuator]] = {
    ActuatorKind.ETCD: _etcd,
    ActuatorKind.WEBHOOK: _webhook,
    ActuatorKind.PLUGIN: _plugin_actuator,
}


def scope_of(loaded: Loaded) -> Scope:
    """Name the series that count; a namespace that is not known is not asked for.

    One that follows from the names of the graph deployment and its namespace is: others may be in the same
    Prometheus.
    """
    settings = loaded.settings
    is_known = loaded.origins["dynamo.namespace"] != DEFAULT
    labels = settings.prometheus.extra_selector.items()
    return Scope(
        model=settings.prometheus.model,
        namespace=settings.dynamo.namespace if is_known else None,
        matchers=tuple(Matcher(label, Compare.EQUAL, value) for label, value in labels),
    )


def _http(settings: Settings) -> HttpOptions:
    asked = settings.prometheus
    return HttpOptions(
        token=asked.token.get_secret_value() if asked.token else "",
        token_file=_path(asked.token_file),
        username=asked.username or "",
        password=asked.password.get_secret_value() if asked.password else "",
        headers=tuple((name, value.get_secret_value()) for name, value in asked.headers.items()),
        ca_file=_path(asked.ca_file),
        client_cert_file=_path(asked.client_cert_file),
        client_key_file=_path(asked.client_key_file),
        verify_tls=asked.verify_tls,
        query_timeout_s=asked.query_timeout,
        retries=asked.retries,
        max_response_bytes=asked.max_response_bytes,
        use_environment_proxies=asked.use_environment_proxies,
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
