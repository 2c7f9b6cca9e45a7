"""How is the simulated frontend scraped? A small HTTP server with one page, /metrics.

Importing this module imports aiohttp; nothing else in the simulation does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from planner.simulation.world import SimulatedWorld

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@asynccontextmanager
async def serve(world: SimulatedWorld, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve the world's metrics while the context lasts.

    Args:
        world: What is scraped.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.

    Yields:
        The URL of the metrics.

    Raises:
        OSError: If the port is taken.
    """

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=world.metrics_text(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port, *_ = runner.addresses[0]
        yield f"http://{bound_host}:{bound_port}/metrics"
    finally:
        await runner.cleanup()
