"""How the API server is reached: a kubeconfig or a service account, as kubernetes_asyncio loads it.

It knows contexts, exec plugins and OIDC. Its own texts may quote a user's whole entry, so what can be said is
found out here first, and of the rest only what is known to be harmless is passed on.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from config.clock import Clock
from config.errors import ConfigError
from connectors.kubernetes.contexts import check_contexts, impersonation, part, problem_of
from connectors.kubernetes.surroundings import Surroundings

if TYPE_CHECKING:
    import aiohttp
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.client.rest import RESTClientObject
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger

    Connections = RESTClientObject

_REREAD_S = 60.0
_READ_BYTES = 2 * 1024 * 1024
_KEY = "kubernetes.kubeconfig"
_PLUGIN_S = 30.0
_EARLY_S = 60.0
_EARLY_RATIO = 0.2
_LEAST_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that was loaded.

    Attributes:
        configuration: kubernetes_asyncio's own.
        namespace: The one that it names; empty if it names none.
        how: Where it comes from, in words.
        renew_at_wall_s: When it has to be loaded again; None if only once it is refused.
        headers: Headers that every request carries, such as whom we act for.
    """

    configuration: "Configuration" = field(repr=False)
    namespace: str
    how: str
    renew_at_wall_s: float | None
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        text = self.authorization
        if not (text.isascii() and (text.isprintable() or not text)):
            raise ConfigError(
                f"the token of {self.how} holds more than one line of plain text",
                key=_KEY,
                hint="let it hold the token only",
            )

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self.configuration.host).rstrip("/")

    @property
    def authorization(self) -> str:
        """What the request header of that name holds; empty if a certificate says who we are."""
        return str(self.configuration.api_key.get("BearerToken") or "").strip()


class Kubeconfig:
    """One or more kubeconfig files, read again when they changed.

    Args:
        paths: Their paths, separated by colons.
        context: The context that is meant; empty is the current one.
        clock: What decides when a plugin's credentials are due.
    """

    def __init__(self, paths: str, context: str, clock: Clock) -> None:
        self._paths = paths
        self._context = context
        self._clock = clock
        self._loader: KubeConfigLoader | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._seen: tuple[object, ...] = ()

    async def load(self) -> Loaded:
        """Load it, and run what hands out its credentials.

        Raises:
            ConfigError: If it cannot be read, does not name a cluster, or its plugin gives nothing.
        """
        stamp = self._stamp()
        loader = self._loader
        if loader is None or stamp != self._seen:
            loader = await asyncio.to_thread(self._read)
            self._loader, self._seen = loader, stamp
        configuration = await self._set(loader)
        context = loader.current_context or {}
        return Loaded(
            configuration=configuration,
            namespace=str(part(context, "context").get("namespace") or ""),
            how=f"context {context.get('name', '')} of {self._paths}",
            renew_at_wall_s=self._due_at_wall_s(loader),
            headers=self._headers,
        )

    async def _set(self, loader: "KubeConfigLoader") -> "Configuration":
        from kubernetes_asyncio import client

        configuration = client.Configuration()
        with suppress(AttributeError):
            # The library's own margin would keep what the server has already refused.
            del loader.exec_plugin_expiry
        try:
            async with asyncio.timeout(_PLUGIN_S):
                await loader.load_and_set(configuration)
        except TimeoutError as error:
            raise ConfigError(
                f"what hands out the credentials of {self._paths} did not end within {_PLUGIN_S:g} s",
                key=_KEY,
                hint="log in with it by hand; it must not ask for anything",
            ) from error
        except refusals() as error:
            raise self._unusable(problem_of(error)) from error
        return configuration

    def _due_at_wall_s(self, loader: "KubeConfigLoader") -> float | None:
        expiry = getattr(loader, "exec_plugin_expiry", None)
        if expiry is None:
            return None
        now_wall_s = self._clock.wall_s()
        left_s = float(expiry.timestamp()) - now_wall_s
        # What is handed out expired already (clocks differ) is not asked for with every request.
        return now_wall_s + max(_LEAST_S, left_s - min(_EARLY_S, left_s * _EARLY_RATIO))

    def _read(self) -> "KubeConfigLoader":
        from kubernetes_asyncio.config.kube_config import KubeConfigMerger

        _quiet()
        try:
            merger = KubeConfigMerger(self._paths)
            return self._loader_of(merger)
        except refusals() as error:
            raise self._unusable(problem_of(error)) from error

    def _loader_of(self, merger: "KubeConfigMerger") -> "KubeConfigLoader":
        from kubernetes_asyncio.config.kube_config import KubeConfigLoader

        if merger.config is None:
            raise ConfigError(
                f"there is no kubeconfig {self._paths}",
                key=_KEY,
                hint="run in a pod with a service account, or name a kubeconfig",
            )
        context = self._context or str(merger.config.value.get("current-context") or "")
        check_contexts(merger.config.value, context, where=self._paths)
        self._headers = impersonation(merger.config.value, context)
        # Whoever makes another context the current one means what is typed next, not a daemon that runs.
        self._context = context

        def persist() -> None:
            with suppress(OSError):  # what cannot be written is kept by the loader
                merger.save_changes()

        return KubeConfigLoader(
            config_dict=merger.config,
            active_context=context,
            config_base_path=None,
            config_persister=persist,
        )

    def _stamp(self) -> tuple[object, ...]:
        found: list[object] = []
        for name in filter(None, self._paths.split(":")):
            with suppress(OSError):
                status = Path(name).expanduser().stat()
                found.append((name, status.st_mtime_ns, status.st_size))
        return tuple(found)

    def _unusable(self, problem: str) -> ConfigError:
        return ConfigError(
            f"the kubeconfig {self._paths} cannot be used: {problem}",
            key=_KEY,
            hint="kubectl get --raw /version shows whether it works elsewhere",
        )


def of_pod(around: Surroundings, clock: Clock) -> Loaded:
    """Load what a pod is given.

    Raises:
        ConfigError: If a file of it is not there, empty or unreadable.
    """
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

    configuration = Configuration()
    try:
        loader = InClusterConfigLoader(
            token_filename=str(around.account / "token"),
            cert_filename=str(around.account / "ca.crt"),
            environ={
                "KUBERNETES_SERVICE_HOST": around.service_host,
                "KUBERNETES_SERVICE_PORT": around.service_port,
            },
        )
        loader.load_and_set(configuration)
        namespace = _namespace_of(around.account / "namespace")
    except refusals() as error:
        raise ConfigError(
            f"the service account of the pod cannot be used: {problem_of(error)}",
            key=_KEY,
            hint="mount its token (automountServiceAccountToken), or name a kubeconfig",
        ) from error
    return Loaded(
        configuration=configuration,
        namespace=namespace,
        how="the service account of the pod",
        renew_at_wall_s=clock.wall_s() + _REREAD_S,
    )


def _namespace_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def connections(loaded: Loaded, *, key: str) -> "Connections":
    """Make the connections that a configuration describes; none is opened yet.

    Args:
        loaded: The configuration.
        key: The setting that an unreadable certificate is blamed on.

    Raises:
        ConfigError: If a certificate or key cannot be read.
    """
    from kubernetes_asyncio.client.rest import RESTClientObject

    try:
        made = RESTClientObject(loaded.configuration)
    except OSError as error:
        raise ConfigError(
            f"a certificate or key of {loaded.how} cannot be read: {error.strerror or error}",
            key=key,
            hint="name PEM files that belong together",
        ) from error
    made.pool_manager = _plain(made.pool_manager)
    return made


def _plain(session: "aiohttp.ClientSession") -> "aiohttp.ClientSession":
    """Return a session on the same connector that takes nothing from the surroundings and keeps no cookies.

    The proxy is decided by us: the library's way knows no networks in NO_PROXY, and reads .netrc as well.
    """
    import aiohttp

    connector = session.connector
    session.detach()
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        read_bufsize=_READ_BYTES,
    )


def refusals() -> tuple[type[Exception], ...]:
    """Return what kubernetes_asyncio raises while it loads a configuration."""
    import aiohttp
    import yaml
    from kubernetes_asyncio.config import ConfigException

    return (
        ConfigException,
        aiohttp.ClientError,
        yaml.YAMLError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
        RuntimeError,
        ImportError,
    )


def _quiet() -> None:
    # The library logs what it raises, in its own words; ours say it all.
    logger = logging.getLogger("kubernetes_asyncio")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
