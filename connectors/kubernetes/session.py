"""Who we are to the API server right now: one session in force, renewed before it ends.

Loading the configuration again is the one way of renewal: a service account's token is read each minute, an
exec plugin is run shortly before what it handed out expires, and everything is read again as soon as the
server answers 401. The server stays the one that was first reached, whatever becomes of the kubeconfig.
Credentials are in no representation.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from config.clock import Clock
from config.errors import ConfigError
from config.proxies import proxy_for
from connectors.kubernetes.access import (
    Kubeconfig,
    Loaded,
    connections,
    of_pod,
)
from connectors.kubernetes.api import ApiError
from connectors.kubernetes.options import ApiOptions
from connectors.kubernetes.surroundings import Surroundings

if TYPE_CHECKING:
    import aiohttp

    from connectors.kubernetes.access import Connections

# A plugin that is refused again at once is not run for every request.
_REST_S = 5.0
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is used.

    Attributes:
        server: Address of the API server.
        namespace: Where what has no namespace of its own is looked for.
        how: Where that comes from, in words.
    """

    server: str
    namespace: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A configuration in force, and the connections made with it."""

    access: Access
    number: int
    renew_at_wall_s: float | None
    stamp: tuple[object, ...]
    further: tuple[tuple[str, str], ...]
    authorization: str = field(repr=False)
    rest: "Connections" = field(repr=False)

    async def send(
        self, method: str, path: str, *, query: str, headers: Mapping[str, str], content: bytes | None
    ) -> "aiohttp.ClientResponse":
        """Send a request and return its response as soon as its headers are there.

        Raises:
            ApiError: If the connections were closed meanwhile; whatever aiohttp raises passes.
        """
        from yarl import URL

        if self.rest.pool_manager.closed:
            raise ApiError("the connection to the API server was closed by us", status=0)
        known = [("Authorization", self.authorization)] if self.authorization else []
        response: aiohttp.ClientResponse = await self.rest.pool_manager.request(
            method,
            # Path and query are quoted already.
            URL(f"{self.access.server}{path}{'?' if query else ''}{query}", encoded=True),
            data=content,
            headers=[("User-Agent", "setpoint"), *headers.items(), *self.further, *known],
            proxy=self.rest.proxy or None,
            timeout=_no_limits(),
            allow_redirects=False,
            server_hostname=self.rest.server_hostname or None,
        )
        return response


class Door:
    """The one session that is in force.

    Args:
        options: What the user says.
        clock: What decides that something is due.
        surroundings: What the process finds around it.
    """

    def __init__(self, options: ApiOptions, clock: Clock, surroundings: Surroundings) -> None:
        self._options = options
        self._clock = clock
        self._surroundings = surroundings
        self._kubeconfig: Kubeconfig | None = None
        self._session: Session | None = None
        self._retired: Session | None = None
        self._refused_at_s: float | None = None
        self._secrets: tuple[str, ...] = ()
        self._renewal: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in a text: the credentials in use, and those before."""
        return self._secrets

    async def session(self) -> Session:
        """Return the session in force, loaded at first and renewed when it is due.

        Raises:
            ConfigError: If the configuration cannot be used; not for a renewal while the former still holds.
        """
        if self._session is None:
            return await self._first()
        if self._is_due(self._session):
            await self._renew_soon(self._session)
        return self._session

    async def renewed(self, refused: Session) -> Session | None:
        """Return a newer session after the server refused one; None if there is nothing newer.

        Raises:
            ApiError: If the configuration cannot be read or the plugin gives nothing any more.
        """
        async with self._lock:
            current = self._session
            if current is not None and current.number != refused.number:
                return current
            if current is None or self._rests():
                return None
            try:
                newer = await self._load()
            except ConfigError as error:
                self._refused_at_s = self._clock.now_s()
                text = f"the API server refuses the credentials, and new ones are not to be had: {error}"
                raise ApiError(text, status=HTTPStatus.UNAUTHORIZED, reason="Unauthorized") from error
            is_same = (newer.authorization, newer.stamp) == (refused.authorization, refused.stamp)
            self._refused_at_s = self._clock.now_s() if is_same else None
            return None if is_same else newer

    async def close(self) -> None:
        """Release the connections."""
        if self._renewal is not None:
            self._renewal.cancel()
        async with self._lock:
            for session in (self._session, self._retired):
                if session is not None:
                    await session.rest.close()
            self._session = self._retired = None

    def refuse(self) -> None:
        """Take note that a renewed session was refused as well."""
        self._refused_at_s = self._clock.now_s()

    def _rests(self) -> bool:
        return self._refused_at_s is not None and self._clock.now_s() - self._refused_at_s < _REST_S

    def _is_due(self, session: Session) -> bool:
        return session.renew_at_wall_s is not None and self._clock.wall_s() >= session.renew_at_wall_s

    async def _first(self) -> Session:
        async with self._lock:
            return self._session or await self._load()

    async def _renew_soon(self, session: Session) -> None:
        """Renew what still holds; who asks waits for a file, not for a slow plugin."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew_early(session))
        await asyncio.wait({self._renewal}, timeout=_PATIENCE_S)

    async def _renew_early(self, session: Session) -> None:
        async with self._lock:
            if self._session is not session:
                return
            try:
                await self._load()
            except ConfigError:
                # Once what is in use does not hold any more, a 401 leads to the error.
                later_s = self._clock.wall_s() + _REST_S
                self._session = replace(session, renew_at_wall_s=later_s)

    async def _load(self) -> Session:
        loaded = await self._loaded()
        before = self._session
        if before is not None:
            _check_same(loaded, before.access)
        stamp = _stamp(loaded)
        rest = before.rest if before and before.stamp == stamp else connections(loaded, key=self._key)
        session = Session(
            access=Access(
                server=loaded.server,
                namespace=self._options.namespace or loaded.namespace or "default",
                how=loaded.how,
            ),
            number=before.number + 1 if before else 1,
            renew_at_wall_s=loaded.renew_at_wall_s,
            stamp=stamp,
            further=loaded.headers,
            authorization=loaded.authorization,
            rest=rest,
        )
        await self._put(session)
        return session

    async def _put(self, session: Session) -> None:
        before, self._session = self._session, session
        if session.authorization:
            bare = session.authorization.rpartition(" ")[2]
            self._secrets = tuple(dict.fromkeys((bare, *self._secrets)))[:4]
        if before is not None and before.rest is not session.rest:
            # What is under way on the former connections may end there; those before them are done.
            retired, self._retired = self._retired, before
            if retired is not None:
                await retired.rest.close()

    async def _loaded(self) -> Loaded:
        options, around = self._options, self._surroundings
        if options.kubeconfig is None and not options.context and around.is_pod:
            loaded = await asyncio.to_thread(of_pod, around, self._clock)
        else:
            self._kubeconfig = self._kubeconfig or Kubeconfig(self._paths(), options.context, self._clock)
            loaded = await self._kubeconfig.load()
        configuration = loaded.configuration
        # Go's clients do not insist on every extension of a certificate either.
        configuration.disable_strict_ssl_verification = True
        configuration.verify_ssl = configuration.verify_ssl and options.verify_tls
        configuration.ssl_ca_cert = str(options.ca_file) if options.ca_file else configuration.ssl_ca_cert
        configuration.proxy = options.proxy or configuration.proxy or proxy_for(loaded.server)
        return loaded

    @property
    def _key(self) -> str:
        return "kubernetes.ca_file" if self._options.ca_file else "kubernetes.kubeconfig"

    def _paths(self) -> str:
        if self._options.kubeconfig is not None:
            return str(self._options.kubeconfig.expanduser())
        return self._surroundings.kubeconfig or str(self._surroundings.home / ".kube" / "config")


def _check_same(loaded: Loaded, access: Access) -> None:
    """Refuse to go on with another cluster: objects of the same names may be there, too."""
    if loaded.server != access.server:
        raise ConfigError(
            f"this process began with {access.server}, and {loaded.how} leads to {loaded.server} now",
            key="kubernetes.context",
            hint="start it again if it is to work there",
        )


def _stamp(loaded: Loaded) -> tuple[object, ...]:
    """Return what connections depend on, the contents of certificate files included."""
    configuration = loaded.configuration
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return (
        configuration.host,
        configuration.verify_ssl,
        configuration.tls_server_name,
        configuration.proxy,
        *(_version(name) for name in files),
    )


def _version(name: str | None) -> tuple[object, ...]:
    try:
        status = Path(name).stat() if name else None
    except OSError:
        return (name,)
    return (name, status.st_mtime_ns, status.st_size) if status else ()


def _no_limits() -> "aiohttp.ClientTimeout":
    import aiohttp

    # The caller bounds the whole; the library's own limit on connecting would be a second one.
    return aiohttp.ClientTimeout(total=None, sock_connect=None)
