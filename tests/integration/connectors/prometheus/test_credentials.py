"""Credentials and TLS against a server that really checks them."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from config.errors import ObservationError, Unreachable
from connectors.prometheus.client import PrometheusClient
from connectors.prometheus.options import HttpOptions
from tests.integration.connectors.prometheus.rig import CLOCK

WORD = "s3cret"
EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}
ACCEPTED = {f"Bearer {WORD}", "Basic " + base64.b64encode(f"me:{WORD}".encode()).decode()}


async def answer(request: web.Request) -> web.Response:
    if request.path != "/prefix/api/v1/query":
        return web.Response(status=404)
    if request.headers.get("authorization") not in ACCEPTED:
        return web.Response(status=401, text=str(request.headers.get("authorization")))
    return web.json_response(EMPTY)


class Server:
    """A server on a free port, with a certificate or without."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._runner = web.AppRunner(web.Application())
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def query(self, options: HttpOptions) -> int:
        """Return how many series a client with these options gets."""
        scheme = "https" if self._context else "http"
        client = PrometheusClient(f"{scheme}://127.0.0.1:{self.port}/prefix/", options=options, clock=CLOCK)
        try:
            return len((await client.query("up")).series)
        finally:
            await client.close()


async def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for this machine, signed by itself."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    process = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"),
        *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    return cert, key


@pytest.fixture
async def plain() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that wants TLS and a certificate of its client, the same one for both sides."""
    cert, key = await certificate(tmp_path, "both")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(cert))
    context.load_cert_chain(str(cert), str(key))
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(context)
    await server.start()
    yield server
    await server.stop()


async def test_a_token_or_a_password_opens_the_door(plain: Server, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{WORD}\n", encoding="utf-8")
    options = (
        HttpOptions(token=WORD),
        HttpOptions(token_file=file),
        HttpOptions(username="me", password=WORD),
    )

    assert [await plain.query(one) for one in options] == [0, 0, 0]


async def test_wrong_credentials_are_named_but_not_shown(plain: Server) -> None:
    with pytest.raises(ObservationError) as caught:
        await plain.query(HttpOptions(token=f"{WORD}-old"))

    assert "HTTP 401" in str(caught.value)
    assert "check token, token_file or username and password" in str(caught.value)
    assert WORD not in str(caught.value)


async def test_mutual_tls_works_with_both_certificates(secured: Server, tmp_path: Path) -> None:
    cert, key = tmp_path / "both.pem", tmp_path / "both.key"
    options = HttpOptions(token=WORD, ca_file=cert, client_cert_file=cert, client_key_file=key)

    assert await secured.query(options) == 0


async def test_an_unknown_server_certificate_is_refused_unless_told_otherwise(
    secured: Server, tmp_path: Path
) -> None:
    cert, key = tmp_path / "both.pem", tmp_path / "both.key"
    options = HttpOptions(token=WORD, client_cert_file=cert, client_key_file=key, retries=0)
    unchecked = HttpOptions(token=WORD, client_cert_file=cert, client_key_file=key, verify_tls=False)

    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await secured.query(options)
    assert await secured.query(unchecked) == 0


async def test_a_client_without_certificate_is_turned_away(secured: Server, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot reach https://127"):
        await secured.query(HttpOptions(token=WORD, ca_file=tmp_path / "both.pem", retries=0))
